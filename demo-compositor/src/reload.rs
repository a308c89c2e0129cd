//! Another policy while the compositor runs: when its file is written, or on SIGHUP.
//!
//! A file that has errors changes nothing: what is wrong with it is logged, kept in [`State::policy_error`], and told to
//! whoever listens to the authenticator.

use std::{
    ffi::{OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::inotify;
use smithay::reexports::calloop::{Interest, LoopHandle, Mode, PostAction, generic::Generic};

use crate::{error::StartError, policy, render::notice, state::State};

/// Looks at the policy again whenever something with its name is written or put in its place.
///
/// The directory is watched, not the file: editors write another file and rename it. Behind a link it is also the
/// directory of what the link names.
pub(crate) fn watch(path: &Path, handle: &LoopHandle<'static, State>) -> Result<(), StartError> {
    let failed = |source| StartError::Os { what: "watch the policy", source };
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let inotify = inotify::init(flags).map_err(|errno| failed(errno.into()))?;
    let mut names = Vec::new();
    for place in [Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten() {
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let events = inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE;
        inotify::add_watch(&inotify, directory, events).map_err(|errno| failed(errno.into()))?;
        names.extend(place.file_name().map(OsStr::to_owned));
    }
    handle.insert_source(Generic::new(inotify, Interest::READ, Mode::Level), move |_, inotify, state| {
        if is_concerned(inotify, &names) {
            state.reload_policy();
        }
        Ok(PostAction::Continue)
    })?;
    Ok(())
}

/// Whether anything happened to a file of these names. All that happened so far is read.
fn is_concerned(inotify: &OwnedFd, names: &[OsString]) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(inotify, &mut buffer);
    let mut concerned = false;
    loop {
        match events.next() {
            // What was lost may have been that.
            Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => concerned = true,
            Ok(event) => {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                concerned |= name.is_some_and(|name| names.iter().any(|of| of == name));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return concerned,
            Err(errno) => {
                tracing::warn!(error = %io::Error::from(errno), "it is not seen any more when the policy changes");
                return concerned;
            }
        }
    }
}

impl State {
    /// Decides by what is in the policy's file now, if that is a policy.
    pub(crate) fn reload_policy(&mut self) {
        let (Some(path), Some(authenticator)) = (&self.policy_path, &self.authenticator) else {
            tracing::info!("there is no policy file to read again");
            return;
        };
        let result = policy::load(Some(path))
            .map_err(|error| error.report())
            .and_then(|policy| authenticator.set_policy(policy).map_err(|error| error.to_string()));
        match result {
            Ok(()) => {
                tracing::info!(path = %path.display(), "the policy was read again");
                self.policy_error = None;
            }
            Err(why) => {
                tracing::error!("the policy was not read again, the old one stays:\n{why}");
                authenticator.report_failed_reload(&why);
                self.policy_error = Some(why);
            }
        }
        let size = self.backend.size();
        self.notice = self.policy_error.as_deref().map(|why| notice::of_policy_error(why, size));
        self.queue_redraw();
    }
}

/// The file of the policy that was chosen on the command line, wherever the compositor's directory is later.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
