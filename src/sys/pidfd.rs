//! What a pidfd tells about its process.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::errno::{Call, SysError, check, retry};
use super::fault;
use super::procfs::NamespaceId;

/// `statfs(2)`'s type of pidfs (Linux 6.9); older pidfds are anonymous inodes.
pub(crate) const PIDFS_MAGIC: u64 = 0x5049_4446;

/// The first published form of `struct pidfd_info` (Linux 6.13): 64 bytes that every later
/// kernel fills in the same way. What newer kernels append has moved between releases.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawPidfdInfo {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    exit_code: i32,
}

const _: () = assert!(size_of::<RawPidfdInfo>() == 64);

const INFO_PID: u64 = 1 << 0;
const INFO_CGROUPID: u64 = 1 << 2;

/// `_IOWR(0xFF, 11, struct pidfd_info)` for the 64-byte form.
const PIDFD_GET_INFO: libc::Ioctl = request(3, 64, 11) as libc::Ioctl;

/// The number of an ioctl of pidfds: direction (0 none, 3 both), size and number, as `_IOC` makes it on all
/// architectures that Linux desktops run on. (PowerPC, MIPS and SPARC have other direction bits.)
const fn request(direction: u32, size: u32, number: u32) -> u32 {
    (direction << 30) | (size << 16) | (0xFF << 8) | number
}

/// What `PIDFD_GET_INFO` says; a field is `None` unless the kernel says that it filled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PidfdInfo {
    /// The pid in our pid namespace; `None` when the process was reaped.
    pub(crate) pid: Option<u32>,
    /// The ID of its cgroup in the unified hierarchy, now or (once reaped) at its exit.
    pub(crate) cgroup: Option<u64>,
}

/// Asks for the pid and the cgroup of a process: one atomic answer, for which no privilege is
/// needed. Linux 6.13.
///
/// # References
///
/// * Linux commit cdda1f26e74b (6.13), `include/uapi/linux/pidfd.h`
pub(crate) fn pidfd_info(pidfd: BorrowedFd<'_>) -> Result<PidfdInfo, SysError> {
    let mut info = RawPidfdInfo { mask: INFO_PID | INFO_CGROUPID, ..RawPidfdInfo::default() };
    retry(Call::PidfdInfo, || {
        // SAFETY: the request carries the size of `info`, which is valid for reads and writes of that size; all its fields are
        // integers. A descriptor of another kind answers ENOTTY and touches nothing.
        check(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) })
    })?;
    let mask = fault::mask(info.mask, INFO_PID, INFO_CGROUPID);
    let has = |bit| mask & bit != 0;
    Ok(PidfdInfo {
        pid: (has(INFO_PID) && info.pid != 0).then_some(info.pid),
        cgroup: (has(INFO_CGROUPID) && info.cgroupid != 0).then_some(info.cgroupid),
    })
}

/// The namespaces that tell a sandbox from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceKind {
    User,
    Mount,
    Pid,
}

impl NamespaceKind {
    pub(crate) const ALL: [Self; 3] = [Self::User, Self::Mount, Self::Pid];

    /// Its file in `/proc/PID/ns`.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::User => "ns/user",
            Self::Mount => "ns/mnt",
            Self::Pid => "ns/pid",
        }
    }

    /// `_IO(0xFF, n)`.
    fn request(self) -> libc::Ioctl {
        let number = match self {
            Self::Mount => 3,
            Self::Pid => 5,
            Self::User => 9,
        };
        request(0, 0, number) as libc::Ioctl
    }
}

/// The identity of a process' namespace. Linux 6.11; needs the right to ptrace the process.
///
/// # References
///
/// * Linux commit 5b08bd408534 (6.11), `include/uapi/linux/pidfd.h`
pub(crate) fn namespace(pidfd: BorrowedFd<'_>, kind: NamespaceKind) -> Result<NamespaceId, SysError> {
    let raw = retry(Call::PidfdNamespace, || {
        // SAFETY: the request takes no argument; a descriptor of another kind answers ENOTTY.
        check(unsafe { libc::ioctl(pidfd.as_raw_fd(), kind.request(), 0 as libc::c_ulong) })
    })?;
    // SAFETY: the kernel has just opened this descriptor (close-on-exec) for us; nobody else knows of it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    namespace_fd_id(fd.as_fd())
}

/// The identity of the namespace that `fd` is open on.
pub(crate) fn namespace_fd_id(fd: BorrowedFd<'_>) -> Result<NamespaceId, SysError> {
    let stat = retry(Call::Stat, || rustix::fs::fstat(fd))?;
    Ok(NamespaceId { device: stat.st_dev, inode: stat.st_ino })
}

/// Whether the process has not ended: then it was not reaped, and its pid cannot belong to another. A thread is enough.
///
/// No privilege is needed. Signal 0 would not do: its `EPERM` may come from a filter of ours (seccomp, Landlock) that
/// does not look whether there is a process.
///
/// # References
///
/// * [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html): a pidfd becomes readable when its process
///   ends, and stays so (Linux 5.3)
pub(crate) fn alive(pidfd: BorrowedFd<'_>) -> Result<bool, SysError> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry(Call::PidfdPoll, || rustix::event::poll(&mut fds, Some(&now)))?;
    Ok(fds[0].revents().is_empty())
}

/// A pidfd of the process that has this pid now. For looking at a process by hand; never for a peer.
pub(crate) fn open_pidfd(pid: u32) -> Result<OwnedFd, SysError> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(SysError::new(Call::PidfdOpen, Errno::SRCH))?;
    retry(Call::PidfdOpen, || rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()))
}
