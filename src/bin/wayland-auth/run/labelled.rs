//! The two directories of a labelled command: the outer one carries the label, the inner one the processes.
//!
//! A label on the command's own cgroup could be taken off from inside a sandbox that lets it mount
//! cgroup2; one level up it is out of reach of a cgroup namespace that starts at the inner directory.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::{FlockOperation, Mode, XattrFlags};
use rustix::io::Errno;
use wayland_auth::identity::label::XattrNames;

use super::args::Label;
use super::hierarchy::{DIR_FLAGS, OwnCgroup};
use super::tree::{self, Events};
use super::{janitor, sweep};
use crate::failure::Failure;
use crate::output::{self, shown};

/// The directory below the labelled one in which the command runs.
const PAYLOAD: &str = "payload";

/// How many names are tried.
const ATTEMPTS: u32 = 16;

/// How long to wait for children that end together with the command before a janitor takes over.
const GRACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A labelled cgroup. Dropped, it is removed, at once or as soon as nobody is in it.
#[derive(Debug)]
pub(super) struct LabelledCgroup<'a> {
    own: &'a OwnCgroup,
    name: String,
    /// Open and locked (`flock(2)`) as long as we live: that tells [`sweep`] that it is not abandoned.
    outer: OwnedFd,
    payload: OwnedFd,
}

/// What became of one attempt.
enum Attempt<'a> {
    Made(LabelledCgroup<'a>),
    /// The name was taken, or the directory was swept before it was locked.
    Lost,
}

impl<'a> LabelledCgroup<'a> {
    /// Makes the outer directory, labels it, and makes the inner one.
    pub(super) fn create(own: &'a OwnCgroup, label: &Label<'_>) -> Result<Self, Failure> {
        for _ in 0..ATTEMPTS {
            if let Attempt::Made(cgroup) = Self::attempt(own, label)? {
                return Ok(cgroup);
            }
        }
        Err(Failure::launcher(format!("could not make a cgroup in {}: every name is taken", shown(own.location()))))
    }

    fn attempt(own: &'a OwnCgroup, label: &Label<'_>) -> Result<Attempt<'a>, Failure> {
        let name = name(label);
        match rustix::fs::mkdirat(own.dir(), &name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(Attempt::Lost),
            Err(e) => return Err(cannot_make(&own.location().join(&name), e)),
        }
        let path = own.location().join(&name);
        match Self::fill(own, &name, label, &path) {
            Ok(Some((outer, payload))) => Ok(Attempt::Made(Self { own, name, outer, payload })),
            Ok(None) => Ok(Attempt::Lost),
            Err(failure) => {
                remove_or_warn(own, &name);
                Err(failure)
            }
        }
    }

    /// Labels the new directory and makes the inner one; `None` if a sweeper was faster than our lock.
    fn fill(
        own: &OwnCgroup,
        name: &str,
        label: &Label<'_>,
        path: &Path,
    ) -> Result<Option<(OwnedFd, OwnedFd)>, Failure> {
        let open = |dir: BorrowedFd<'_>, name: &str| rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty());
        let mode = Mode::from_raw_mode(0o755);
        let outer = match open(own.dir(), name) {
            Ok(outer) => outer,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(cannot_make(path, e)),
        };
        match rustix::fs::flock(&outer, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(cannot_make(path, e)),
        }
        // A compositor must be able to read the label, whatever our umask is.
        rustix::fs::fchmod(&outer, mode).map_err(|e| cannot_make(path, e))?;
        write_label(outer.as_fd(), label).map_err(|e| cannot_label(path, e))?;
        match rustix::fs::mkdirat(&outer, PAYLOAD, mode) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::NODEV) => return Ok(None),
            Err(e) => return Err(cannot_make(&path.join(PAYLOAD), e)),
        }
        let payload = open(outer.as_fd(), PAYLOAD).map_err(|e| cannot_make(&path.join(PAYLOAD), e))?;
        rustix::fs::fchmod(&payload, mode).map_err(|e| cannot_make(&path.join(PAYLOAD), e))?;
        Ok(Some((outer, payload)))
    }

    /// The inner directory.
    pub(super) fn payload(&self) -> BorrowedFd<'_> {
        self.payload.as_fd()
    }

    /// The inner directory's place in the file system, for messages.
    pub(super) fn payload_location(&self) -> PathBuf {
        self.own.location().join(&self.name).join(PAYLOAD)
    }

    /// What `/proc/PID/cgroup` says of a process in the inner directory.
    pub(super) fn payload_path(&self) -> PathBuf {
        self.own.path_of(Path::new(&self.name)).join(PAYLOAD)
    }

    /// Removes the directories, or sees to it that somebody will.
    fn retire(&self) -> io::Result<()> {
        let events = Events::open(self.outer.as_fd())?;
        if events.is_populated()? {
            events.wait(Some(&GRACE))?;
        }
        match tree::remove(self.own.dir(), &self.name) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::BUSY) => janitor::start(self.own.dir(), &self.name),
            result => result,
        }
    }
}

impl Drop for LabelledCgroup<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.retire() {
            let path = self.own.location().join(&self.name);
            output::warn(format_args!("cgroup {} could not be removed: {e}", shown(&path)));
        }
    }
}

/// Writes the label, the engine first: a label without it would be malformed. Nobody is inside yet, so nobody sees a part of it.
fn write_label(dir: BorrowedFd<'_>, label: &Label<'_>) -> Result<(), Errno> {
    let names = XattrNames::default();
    let values = [
        (&names.engine, Some(label.engine.as_str())),
        (&names.app_id, label.app_id.map(|id| id.as_str())),
        (&names.instance_id, label.instance_id.map(|id| id.as_str())),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            rustix::fs::fsetxattr(dir, name.as_str(), value.as_bytes(), XattrFlags::CREATE)?;
        }
    }
    Ok(())
}

/// A name that tells a person whose it is: `wayland-auth-<app-id or engine>-<pid>-<random>`.
fn name(label: &Label<'_>) -> String {
    let whose = label.app_id.map_or(label.engine.as_str(), |id| id.as_str());
    // An ID is ASCII, and may be as long as a whole name.
    let whose = whose.get(..sweep::WHOSE_MAX).unwrap_or(whose);
    let mut name = format!("{}{whose}-{}-", sweep::PREFIX, std::process::id());
    // Each `RandomState` has keys of its own. The name must only be new; it is no secret.
    let _ = write!(name, "{:016x}", RandomState::new().build_hasher().finish());
    name
}

fn remove_or_warn(own: &OwnCgroup, name: &str) {
    if let Err(e) = tree::remove(own.dir(), name) {
        output::warn(format_args!("cgroup {} could not be removed: {e}", shown(&own.location().join(name))));
    }
}

fn cannot_make(path: &Path, errno: Errno) -> Failure {
    let failure =
        Failure::launcher(format!("could not make the cgroup {}", shown(path))).because(io::Error::from(errno));
    match errno {
        Errno::AGAIN => failure.remedy("raise cgroup.max.depth or cgroup.max.descendants of a cgroup above it"),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => failure.remedies(super::CGROUP_REMEDIES.iter().copied()),
        _ => failure,
    }
}

fn cannot_label(path: &Path, errno: Errno) -> Failure {
    let failure =
        Failure::launcher(format!("could not label the cgroup {}", shown(path))).because(io::Error::from(errno));
    match errno {
        Errno::OPNOTSUPP => failure.remedy("run Linux 5.7 or newer, the first with user xattrs on cgroups"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use wayland_auth::identity::{AppId, SandboxEngine};

    use super::*;

    #[test]
    fn names_differ_and_are_swept() -> Result<(), Box<dyn std::error::Error>> {
        let engine = SandboxEngine::new("org.example")?;
        let app_id = AppId::new("a-1-2".to_owned() + &"x".repeat(250))?;
        for label in [
            Label { engine: &engine, app_id: None, instance_id: None },
            Label { engine: &engine, app_id: Some(&app_id), instance_id: None },
        ] {
            let (one, two) = (name(&label), name(&label));
            assert_ne!(one, two);
            assert!(one.len() <= 255, "{one}");
            assert_eq!(sweep::launcher_of(one.as_bytes()), Some(std::process::id()), "{one}");
        }
        Ok(())
    }
}
