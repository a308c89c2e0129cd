//! Files in the root directory of a process that made that directory itself.
//!
//! The other side chooses what is mounted there, and a file system in user space need never answer. So nothing is asked of
//! a file system before `/proc/PID/mountinfo` says that it is one of the kernel's own: descriptors are opened with
//! `O_PATH`, which asks nothing of it, and their mount IDs come from `/proc/self/fdinfo`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Unknown, View};
use crate::sys::{self, Meaning, Procfs, ReadLimit};

/// The most that is read of a peer's `mountinfo`.
const MOUNTINFO: ReadLimit = ReadLimit(256 * 1024);

/// The file systems that answer by themselves. Not among them: all that go through a network or a program, and overlays,
/// whose layers may be any of these.
const LOCAL: &[&[u8]] =
    &[b"tmpfs", b"ramfs", b"rootfs", b"ext2", b"ext3", b"ext4", b"btrfs", b"xfs", b"f2fs", b"bcachefs", b"zfs"];

/// The root directory of a process, as far as it may be looked at.
#[derive(Debug)]
pub(super) struct Root<'a> {
    procfs: &'a Procfs,
    /// Its mounts, and the directory if there can be files in it that we may see; an error spoils all.
    seen: Result<(Vec<u8>, Option<OwnedFd>), Unknown>,
}

impl<'a> Root<'a> {
    pub(super) fn new(procfs: &'a Procfs, process: BorrowedFd<'_>, view: View) -> Self {
        Self { procfs, seen: open(procfs, process, view) }
    }

    /// Reads the file `name`; `None` if there is none.
    ///
    /// Where the directory may not be looked at, a mount of that name is an error: there is something, and we may not see it.
    ///
    /// # Errors
    ///
    /// If it is no regular file of at most `max` bytes on a local file system, or cannot be read.
    pub(super) fn read(&self, name: &str, max: usize) -> Result<Option<Vec<u8>>, Unknown> {
        let (mounts, dir) = self.seen.as_ref().map_err(Clone::clone)?;
        let Some(dir) = dir else {
            let hidden = mount_points(mounts).any(|at| at.strip_prefix(b"/") == Some(name.as_bytes()));
            let why = || Unknown::Unreadable(format!("/{name} is there and may not be looked at"));
            return if hidden { Err(why()) } else { Ok(None) };
        };
        let entry = match sys::open_entry(dir.as_fd(), name) {
            Ok(entry) => entry,
            Err(e) if e.meaning() == Meaning::Gone => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let unreadable = |why: &str| Unknown::Unreadable(format!("/{name} {why}"));
        if !is_local(self.procfs, mounts, entry.as_fd())? {
            return Err(unreadable("is not on a local file system"));
        }
        let status = sys::file_status(entry.as_fd())?;
        if !status.is_regular {
            return Err(unreadable("is not a regular file"));
        }
        if status.size > max as u64 {
            return Err(unreadable("is too long"));
        }
        let file = self.procfs.reopen(entry.as_fd())?;
        drop(entry);
        Ok(Some(sys::read_all(file.as_fd(), ReadLimit(max))?))
    }
}

fn open(procfs: &Procfs, process: BorrowedFd<'_>, view: View) -> Result<(Vec<u8>, Option<OwnedFd>), Unknown> {
    let mounts = sys::read_pinned(process, "mountinfo", MOUNTINFO)?;
    if view == View::MountsOnly {
        return Ok((mounts, None));
    }
    let dir = match sys::open_root(process) {
        Ok(dir) => dir,
        // It may not be ptraced: what it has mounted is there for everybody to see.
        Err(e) if e.meaning() == Meaning::Denied => return Ok((mounts, None)),
        Err(e) => return Err(e.into()),
    };
    // A root of another kind, such as a container's, can still have a file mounted in it.
    let local = is_local(procfs, &mounts, dir.as_fd())?;
    Ok((mounts, local.then_some(dir)))
}

/// Whether what is open as `fd` is on a file system that answers by itself. One that is not among the mounts is none.
fn is_local(procfs: &Procfs, mounts: &[u8], fd: BorrowedFd<'_>) -> Result<bool, Unknown> {
    let id = procfs.mount_of(fd)?;
    Ok(file_system_of(mounts, id).is_some_and(|file_system| LOCAL.contains(&file_system)))
}

/// The file system of the mount with this ID.
fn file_system_of(mounts: &[u8], id: u64) -> Option<&[u8]> {
    let id = id.to_string();
    let line = mounts.split(|&b| b == b'\n').find(|line| line.split(|&b| b == b' ').next() == Some(id.as_bytes()))?;
    // The first six fields are fixed; further ones follow up to a dash.
    line.split(|&b| b == b' ').skip(6).skip_while(|field| *field != b"-").nth(1)
}

/// Where something is mounted, seen from the root directory.
fn mount_points(mounts: &[u8]) -> impl Iterator<Item = &[u8]> {
    mounts.split(|&b| b == b'\n').filter_map(|line| line.split(|&b| b == b' ').nth(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
129 1 0:5 / / rw,nosuid - tmpfs tmpfs rw
130 129 0:6 /x /.flatpak-info ro shared:3 master:2 - ext4 /dev/a\\040b rw
131 129 0:7 /- /- rw - fuse.sshfs - rw
132 129 0:8 / /o rw - overlay tmpfs rw
";

    #[test]
    fn the_file_system_of_a_mount_is_read_behind_the_dash() {
        assert_eq!(file_system_of(MOUNTS, 129), Some(&b"tmpfs"[..]));
        assert_eq!(file_system_of(MOUNTS, 130), Some(&b"ext4"[..]));
        assert_eq!(file_system_of(MOUNTS, 131), Some(&b"fuse.sshfs"[..]));
        for unknown in [29, 12, 1, 0] {
            assert_eq!(file_system_of(MOUNTS, unknown), None);
        }
        assert_eq!(file_system_of(b"5 1 0:5 / /\n5\n", 5), None);
    }

    #[test]
    fn t18_only_file_systems_that_answer_by_themselves_are_asked() {
        for asked in [&b"tmpfs"[..], b"ext4", b"btrfs"] {
            assert!(LOCAL.contains(&asked));
        }
        for never in
            [&b"fuse"[..], b"fuse.sshfs", b"fuseblk", b"nfs4", b"cifs", b"9p", b"overlay", b"autofs", b"virtiofs"]
        {
            assert!(!LOCAL.contains(&never), "{never:?}");
        }
        assert!(mount_points(MOUNTS).any(|at| at == b"/.flatpak-info"));
    }
}
