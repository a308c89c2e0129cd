//! Another policy while the compositor runs: when its file is written, or on SIGHUP.
//!
//! A file that has errors changes nothing: what is wrong with it is logged, kept in [`State::policy_error`], and told to
//! whoever listens to the authenticator.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::inotify;
use smithay::reexports::calloop::{Interest, LoopHandle, Mode, PostAction, generic::Generic};

use wayland_auth::policy::PolicyFiles;

use crate::{error::StartError, policy, render::notice, state::State};

/// Where the policy was read from, and what happens there.
///
/// Directories are watched, not files: editors write another file and rename it. Behind a link it is also the directory of
/// what the link names.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    inotify: OwnedFd,
    /// What a file has to be called to be one of the policy's.
    names: BTreeSet<OsString>,
    /// Directories of which every file may be one.
    searched: bool,
}

impl Watch {
    /// Looks at the policy again whenever something with the name of one of its files is written or put in its place.
    pub(crate) fn start(
        path: &Path,
        files: &PolicyFiles,
        handle: &LoopHandle<'static, State>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Os { what: "watch the policy", source };
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(|errno| failed(errno.into()))?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let readable = inotify.try_clone().map_err(failed)?;
        let mut watch = Self { path, inotify, names: BTreeSet::new(), searched: false };
        watch.look_at(files).map_err(failed)?;
        handle.insert_source(Generic::new(readable, Interest::READ, Mode::Level), |_, _, state| {
            if state.policy_watch.as_ref().is_some_and(Watch::is_concerned) {
                state.reload_policy();
            }
            Ok(PostAction::Continue)
        })?;
        Ok(watch)
    }

    /// Watches these files from now on, and the one that was chosen on the command line.
    fn look_at(&mut self, files: &PolicyFiles) -> io::Result<()> {
        let named = [Some(self.path.clone()), self.path.canonicalize().ok()].into_iter().flatten();
        let mut directories = BTreeSet::new();
        for place in named.chain(files.files().iter().cloned()) {
            self.names.extend(place.file_name().map(OsStr::to_owned));
            let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            directories.insert(directory.to_owned());
        }
        directories.extend(files.directories().iter().cloned());
        self.searched = !files.directories().is_empty();
        let events = inotify::WatchFlags::CLOSE_WRITE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE;
        for directory in directories {
            inotify::add_watch(&self.inotify, directory, events)?;
        }
        Ok(())
    }

    /// Whether anything happened to one of the files. All that happened so far is read.
    fn is_concerned(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut concerned = false;
        loop {
            match events.next() {
                // What was lost may have been that.
                Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => concerned = true,
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    concerned |= name.is_some_and(|name| self.searched || self.names.contains(name));
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
}

impl State {
    /// Decides by what is in the policy's file now, if that is a policy.
    pub(crate) fn reload_policy(&mut self) {
        let (Some(watch), Some(authenticator)) = (&mut self.policy_watch, &self.authenticator) else {
            tracing::info!("there is no policy file to read again");
            return;
        };
        let path = watch.path.clone();
        let (result, files) = match policy::load_from(&path) {
            Ok(policy) => {
                let files = policy.files().clone();
                (authenticator.set_policy(policy).map_err(|error| error.to_string()), files)
            }
            Err((error, files)) => (Err(error.report()), files),
        };
        if let Err(error) = watch.look_at(&files) {
            tracing::warn!(%error, "not all changes of the policy are seen: send SIGHUP after one");
        }
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
