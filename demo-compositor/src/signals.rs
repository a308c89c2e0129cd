//! Signals that ask the compositor to end.
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

/// Makes SIGINT, SIGTERM and SIGHUP call [`State::end`].
pub(crate) fn listen(handle: &LoopHandle<'static, State>) -> Result<(), StartError> {
    let failed = |source| StartError::Os { what: "handle signals", source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        pipe::register(signal, theirs.try_clone().map_err(failed)?).map_err(failed)?;
    }
    handle.insert_source(Generic::new(ours, Interest::READ, Mode::Level), |_, stream, state| {
        // One byte per signal. The source is level-triggered, so the next one has its turn.
        if (&**stream).read(&mut [0]).is_ok() {
            state.end();
        }
        Ok(PostAction::Continue)
    })?;
    Ok(())
}
