//! What is asked about the process itself: which one a pidfd is, and whose.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::attempt::Stop;
use crate::cgroup::CgroupId;
use crate::identity::Reason;
use crate::identity::evidence::Tier;
use crate::sys::{self, Procfs, ReadLimit, SysError};

/// The pid and the cgroup of a process that was not reaped.
pub(super) fn pid_and_cgroup(pidfd: BorrowedFd<'_>) -> Result<(u32, CgroupId), Stop> {
    let info = sys::pidfd_info(pidfd)?;
    match (info.pid, info.cgroup) {
        (Some(pid), Some(id)) => Ok((pid, CgroupId(id))),
        // A cgroup that comes without a pid is that of a dead process, at its exit: nobody's any more.
        (None, _) => Err(Stop::Final(Reason::PeerGone)),
        // While a process is being reaped, kernels before 7.3 may forget to tell.
        (Some(_), None) => Err(Stop::Again(Reason::PeerGone)),
    }
}

/// The pid of a process as `/proc` tells it for its pidfd.
pub(super) fn pid_in_fdinfo(procfs: &Procfs, pidfd: BorrowedFd<'_>) -> Result<u32, Stop> {
    let text = procfs.read(&format!("self/fdinfo/{}", pidfd.as_raw_fd()), ReadLimit(64 * 1024))?;
    parse_fdinfo(&text).map_err(Stop::Final)
}

/// The pid in the `fdinfo` of a pidfd.
pub(crate) fn parse_fdinfo(text: &[u8]) -> Result<u32, Reason> {
    let mut lines = text.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let pid = lines.find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse::<i64>().ok());
    match pid {
        Some(-1) => Err(Reason::PeerGone),
        Some(pid) => u32::try_from(pid).ok().filter(|&pid| pid != 0).ok_or(Reason::ForeignPidNamespace),
        None => Err(Reason::KernelUnsupported),
    }
}

/// The pid of a live process.
pub(super) fn pid_of(procfs: &Procfs, pidfd: BorrowedFd<'_>, tier: Tier) -> Result<u32, SysError> {
    let gone = SysError::new(sys::Call::PidfdInfo, rustix::io::Errno::SRCH);
    match tier {
        Tier::CgroupId => sys::pidfd_info(pidfd)?.pid.ok_or(gone),
        Tier::ProcPath => pid_in_fdinfo(procfs, pidfd).map_err(|_| gone),
    }
}

/// The effective uid of the process that has this pid now.
pub(super) fn uid_of(procfs: &Procfs, pid: u32) -> Option<u32> {
    effective_uid(&procfs.read(&format!("{pid}/status"), ReadLimit(64 * 1024)).ok()?)
}

/// The effective uid in a `/proc/PID/status`.
pub(crate) fn effective_uid(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}
