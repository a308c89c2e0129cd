//! Files in the root directory of another process, opened without asking anything of their file system.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::errno::{Call, SysError, retry};
use super::procfs::{Procfs, ReadLimit};

/// What kind of file is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStatus {
    pub(crate) is_regular: bool,
    pub(crate) size: u64,
    pub(crate) uid: u32,
}

/// Opens the root directory of the process whose directory is pinned, for reference only (`O_PATH`): its file system is
/// not asked. Needs the right to ptrace the process.
pub(crate) fn open_root(process: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry(Call::OpenAt, || rustix::fs::openat(process, c"root", flags, Mode::empty()))
}

/// Opens what is called `name` in `dir`, a link itself or whatever is mounted there, for reference only (`O_PATH`).
///
/// The file system of `dir` is asked for the name; that of a mount on it is not asked.
pub(crate) fn open_entry(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, SysError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry(Call::OpenAt, || rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// Opens the file `path` (relative) beneath `root` for reading, following nothing that would lead anywhere else: no link,
/// no `..`, no other mount. Waits for nobody: not for a writer of a pipe, not for a lease.
pub(crate) fn open_file_beneath(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, SysError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    retry(Call::OpenBeneath, || rustix::fs::openat2(root, path, flags, Mode::empty(), resolve))
}

/// What is open as `fd`.
pub(crate) fn file_status(fd: BorrowedFd<'_>) -> Result<FileStatus, SysError> {
    let stat = retry(Call::Stat, || rustix::fs::fstat(fd))?;
    Ok(FileStatus {
        is_regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
        size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
        uid: stat.st_uid,
    })
}

impl Procfs {
    /// The ID of the mount that `fd` was opened on, which its file system is not asked for (unlike by `statx(2)`).
    pub(crate) fn mount_of(&self, fd: BorrowedFd<'_>) -> Result<u64, SysError> {
        let text = self.read(&format!("self/fdinfo/{}", fd.as_raw_fd()), ReadLimit(64 * 1024))?;
        let mut lines = text.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let id = lines.find_map(|line| line.strip_prefix("mnt_id:")).and_then(|id| id.trim().parse().ok());
        id.ok_or(SysError::new(Call::Read, Errno::INVAL))
    }

    /// Opens for reading what is open as `fd` for reference only. Waits for nobody.
    pub(crate) fn reopen(&self, fd: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
        self.open_file_with(&format!("self/fd/{}", fd.as_raw_fd()), OFlags::NONBLOCK | OFlags::NOCTTY)
    }
}
