//! Looking at and removing cgroups.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::hierarchy::DIR_FLAGS;

/// Removes the cgroup `name` in `base`, with those below it. All must be empty of processes.
///
/// Holds one descriptor however deep the cgroups lie; they cannot be renamed, so the way up is the way
/// that led down.
pub(crate) fn remove(base: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let mut here = match rustix::fs::openat(base, name, DIR_FLAGS, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let mut way: Vec<CString> = Vec::new();
    loop {
        if let Some(below) = first_directory(here.as_fd())? {
            match rustix::fs::openat(&here, &below, DIR_FLAGS, Mode::empty()) {
                Ok(dir) => {
                    here = dir;
                    way.push(below);
                    continue;
                }
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(e.into()),
            }
        }
        let Some(name) = way.pop() else { break };
        here = rustix::fs::openat(&here, "..", DIR_FLAGS, Mode::empty())?;
        remove_one(here.as_fd(), &name)?;
    }
    drop(here);
    remove_one(base, name)
}

fn remove_one(dir: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A directory in `dir`, if there is any.
fn first_directory(dir: BorrowedFd<'_>) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(dir)? {
        let entry = match entry {
            Ok(entry) => entry,
            // The directory itself was removed by somebody else.
            Err(Errno::NOENT | Errno::NODEV) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        if entry.file_type() == FileType::Directory && !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(Some(entry.file_name().to_owned()));
        }
    }
    Ok(None)
}

/// `cgroup.events` of a cgroup, kept open to hear of changes.
#[derive(Debug)]
pub(super) struct Events {
    file: OwnedFd,
}

impl Events {
    /// Opens it in the cgroup `dir`.
    pub(super) fn open(dir: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self { file: rustix::fs::openat(dir, "cgroup.events", flags, Mode::empty())? })
    }

    /// Whether a process is in the cgroup, or in one below it. A removed cgroup has none.
    pub(super) fn is_populated(&self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        match rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut buffer, 0)) {
            Ok(len) => Ok(says_populated(&buffer[..len])),
            Err(Errno::NODEV) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits until something has changed since the last look, or the time is over.
    pub(super) fn wait(&self, timeout: Option<&Timespec>) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.file, PollFlags::PRI)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout))?;
        Ok(())
    }
}

/// What is not understood counts as populated: nothing is removed then.
fn says_populated(text: &[u8]) -> bool {
    !text.split(|&b| b == b'\n').any(|line| line == b"populated 0")
}

/// Another descriptor for the same open directory, for a child's standard input.
pub(super) fn duplicate(dir: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(dir.try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_counts_as_populated() {
        assert!(says_populated(b"populated 1\nfrozen 0\n"));
        assert!(!says_populated(b"populated 0\nfrozen 0\n"));
        assert!(says_populated(b""));
        assert!(says_populated(b"populated 01\n"));
    }

    #[test]
    fn directories_are_removed_deepest_first() -> io::Result<()> {
        let base = std::env::temp_dir().join(format!("wayland-auth-tree-{}", std::process::id()));
        std::fs::create_dir_all(base.join("a/b/c"))?;
        std::fs::create_dir_all(base.join("a/d"))?;
        std::fs::create_dir_all(base.join("keep"))?;
        let dir = File::open(&base)?;
        remove(dir.as_fd(), "a")?;
        remove(dir.as_fd(), "never-there")?;
        let kept = base.join("keep").is_dir() && !base.join("a").exists();
        std::fs::remove_dir_all(&base)?;
        assert!(kept);
        Ok(())
    }
}
