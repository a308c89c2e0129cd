//! Signals that ask the compositor to end, or to read its policy again.
//!
//! They come through a socket pair that the handlers write to. A `signalfd` would be shorter, but needs the signals
//! to be blocked, and a command that the compositor runs would inherit that.

use std::{io::Read, os::unix::net::UnixStream};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};
use smithay::reexports::calloop::{Interest, LoopHandle, Mode, PostAction, generic::Generic};

use crate::{error::StartError, state::State};

/// Makes SIGINT and SIGTERM call [`State::end`]. SIGHUP does the same, unless there is a policy file: then it calls
/// [`State::reload_policy`].
pub(crate) fn listen(handle: &LoopHandle<'static, State>) -> Result<(), StartError> {
    on_signals(&[SIGINT, SIGTERM], handle, State::end)?;
    on_signals(&[SIGHUP], handle, |state| match state.policy_watch {
        Some(_) => state.reload_policy(),
        None => state.end(),
    })
}

fn on_signals(
    signals: &[i32],
    handle: &LoopHandle<'static, State>,
    mut act: impl FnMut(&mut State) + 'static,
) -> Result<(), StartError> {
    let failed = |source| StartError::Os { what: "handle signals", source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    for signal in signals {
        pipe::register(*signal, theirs.try_clone().map_err(failed)?).map_err(failed)?;
    }
    handle.insert_source(Generic::new(ours, Interest::READ, Mode::Level), move |_, stream, state| {
        // One byte per signal. The source is level-triggered, so the next one has its turn.
        if (&**stream).read(&mut [0]).is_ok() {
            act(state);
        }
        Ok(PostAction::Continue)
    })?;
    Ok(())
}
