//! Files of `/proc`, read through one directory descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::errno::{Call, SysError, retry};
use super::fault;

/// `statfs(2)`'s type of procfs.
const PROC_MAGIC: u64 = 0x9fa0;

/// The identity of a namespace: the same for two processes exactly when they share it, as long
/// as one of them, or a descriptor, keeps it alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamespaceId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// At most how many bytes of a file are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit(pub(crate) usize);

/// The `/proc` that was there at start.
#[derive(Debug)]
pub(crate) struct Procfs {
    root: OwnedFd,
}

impl Procfs {
    /// Opens `/proc` and checks that it is one, and of our own pid namespace: in another one's a pid that the kernel
    /// gives us is somebody else.
    pub(crate) fn open() -> Result<Self, SysError> {
        let root = super::open_dir(std::path::Path::new("/proc"))?;
        if super::file_system_type(root.as_fd())? != PROC_MAGIC {
            return Err(SysError::new(Call::Open, Errno::NODEV));
        }
        let procfs = Self { root };
        if procfs.own_pid()? != std::process::id() {
            return Err(SysError::new(Call::Open, Errno::NODEV));
        }
        Ok(procfs)
    }

    /// Opens a file of `/proc`, such as `self/mountinfo` or `123/cgroup`.
    pub(crate) fn open_file(&self, path: &str) -> Result<OwnedFd, SysError> {
        self.open_file_with(path, OFlags::empty())
    }

    /// The same, with further flags.
    pub(super) fn open_file_with(&self, path: &str, flags: OFlags) -> Result<OwnedFd, SysError> {
        open_at(self.root.as_fd(), path, OFlags::RDONLY | flags)
    }

    /// Pins the directory of a process: whatever is read through it is of the process that has
    /// this pid *now*, or fails once that process is reaped, however often the pid is used again.
    pub(crate) fn pin(&self, pid: u32) -> Result<OwnedFd, SysError> {
        open_at(self.root.as_fd(), &pid.to_string(), OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Reads a whole file of `/proc`.
    pub(crate) fn read(&self, path: &str, limit: ReadLimit) -> Result<Vec<u8>, SysError> {
        read_all(self.open_file(path)?.as_fd(), limit)
    }

    /// Our own pid as this `/proc` numbers it.
    pub(crate) fn own_pid(&self) -> Result<u32, SysError> {
        let link = retry(Call::OpenAt, || rustix::fs::readlinkat(&self.root, "self", Vec::new()))?;
        let pid = link.to_str().ok().and_then(|pid| pid.parse().ok());
        pid.ok_or(SysError::new(Call::OpenAt, Errno::INVAL))
    }

    /// The mount ID of the root directory of a process (`self` or a pid). Needs the right to ptrace it.
    pub(crate) fn root_mount_of(&self, process: &str) -> Result<u64, SysError> {
        let path = format!("{process}/root");
        let flags = rustix::fs::StatxFlags::MNT_ID;
        let statx = retry(Call::Stat, || rustix::fs::statx(&self.root, &path, AtFlags::empty(), flags))?;
        if statx.stx_mask & flags.bits() == 0 {
            return Err(SysError::new(Call::Stat, Errno::OPNOTSUPP));
        }
        Ok(statx.stx_mnt_id)
    }

    /// The identity of our own namespace.
    pub(crate) fn own_namespace(&self, file: &str) -> Result<(OwnedFd, NamespaceId), SysError> {
        let fd = self.open_file(&format!("self/{file}"))?;
        let id = super::namespace_fd_id(fd.as_fd())?;
        Ok((fd, id))
    }
}

fn open_at(dir: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, SysError> {
    retry(Call::OpenAt, || rustix::fs::openat(dir, path, flags | OFlags::CLOEXEC, Mode::empty()))
}

/// Reads a file in the pinned directory of a process.
pub(crate) fn read_pinned(process: BorrowedFd<'_>, file: &str, limit: ReadLimit) -> Result<Vec<u8>, SysError> {
    read_all(open_at(process, file, OFlags::RDONLY)?.as_fd(), limit)
}

/// The identity of a namespace of the process whose directory is pinned. Needs the right to ptrace it.
pub(crate) fn pinned_namespace(process: BorrowedFd<'_>, file: &str) -> Result<NamespaceId, SysError> {
    let stat = retry(Call::Stat, || rustix::fs::statat(process, file, AtFlags::empty()))?;
    Ok(NamespaceId { device: stat.st_dev, inode: stat.st_ino })
}

/// Reads from the start to the end; more than `limit` is `EFBIG`.
pub(crate) fn read_all(fd: BorrowedFd<'_>, limit: ReadLimit) -> Result<Vec<u8>, SysError> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = retry(Call::Read, || rustix::io::read(fd, fault::room(&mut chunk)))?;
        if n == 0 {
            return Ok(bytes);
        }
        if bytes.len() + n > limit.0 {
            return Err(SysError::new(Call::Read, Errno::FBIG));
        }
        bytes.extend_from_slice(&chunk[..n]);
    }
}

/// Reads a file that the kernel writes in one piece (`/proc/PID/cgroup`): into `buffer`, with no second read to see
/// its end unless the buffer was filled.
pub(crate) fn read_single(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, SysError> {
    let mut len = 0;
    while len < buffer.len() {
        let n = retry(Call::Read, || rustix::io::pread(fd, fault::room(&mut buffer[len..]), len as u64))?;
        len += n;
        // The kernel writes whole lines: a piece that does not end in one was cut by the buffer or by a page.
        if n == 0 || buffer[..len].last() == Some(&b'\n') {
            return Ok(len);
        }
    }
    Err(SysError::new(Call::Read, Errno::FBIG))
}
