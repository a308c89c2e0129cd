//! What an errno means, decided once for each call.

use rustix::io::Errno;

use super::fault;

/// The system calls of the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named after its call")]
pub(crate) enum Call {
    SocketPair,
    PeerCred,
    PeerPidfd,
    PeerGroups,
    PeerSecurity,
    PidfdOpen,
    PidfdInfo,
    PidfdNamespace,
    PidfdPoll,
    Open,
    OpenAt,
    OpenBeneath,
    OpenParent,
    HandleId,
    Read,
    Stat,
    StatFs,
    ListXattr,
    GetXattr,
    Duplicate,
}

impl Call {
    /// The call as a person would look it up.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SocketPair => "socketpair",
            Self::PeerCred => "getsockopt(SO_PEERCRED)",
            Self::PeerPidfd => "getsockopt(SO_PEERPIDFD)",
            Self::PeerGroups => "getsockopt(SO_PEERGROUPS)",
            Self::PeerSecurity => "getsockopt(SO_PEERSEC)",
            Self::PidfdOpen => "pidfd_open",
            Self::PidfdInfo => "ioctl(PIDFD_GET_INFO)",
            Self::PidfdNamespace => "ioctl(PIDFD_GET_*_NAMESPACE)",
            Self::PidfdPoll => "poll",
            Self::Open => "open",
            Self::OpenAt => "openat",
            Self::OpenBeneath => "openat2",
            Self::OpenParent => "openat(..)",
            Self::HandleId => "name_to_handle_at",
            Self::Read => "read",
            Self::Stat => "fstat",
            Self::StatFs => "fstatfs",
            Self::ListXattr => "flistxattr",
            Self::GetXattr => "fgetxattr",
            Self::Duplicate => "fcntl(F_DUPFD_CLOEXEC)",
        }
    }
}

/// What a failed call means to the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning {
    /// The kernel, or the file system, does not have it.
    Unsupported,
    /// It does not apply to this object: not a connected socket, nothing there to tell.
    Unavailable,
    /// The process was reaped.
    Reaped,
    /// The process is in a pid namespace that is not below ours.
    Foreign,
    /// We may not.
    Denied,
    /// The file or directory is not there (any more).
    Gone,
    /// This process, or the system, is out of file descriptors or memory.
    Resources,
    /// Anything else.
    Fault,
}

/// A call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SysError {
    pub(crate) call: Call,
    pub(crate) errno: Errno,
}

impl SysError {
    pub(crate) fn new(call: Call, errno: Errno) -> Self {
        Self { call, errno }
    }

    /// The kernel's own words.
    pub(crate) fn message(&self) -> String {
        std::io::Error::from(self.errno).to_string()
    }

    /// The table: every errno that one of the calls can return here, and what it says.
    pub(crate) fn meaning(&self) -> Meaning {
        use Call as C;
        use Meaning as M;
        match (self.call, self.errno) {
            (_, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => M::Resources,

            (C::PeerCred | C::PeerPidfd | C::PeerGroups | C::PeerSecurity, Errno::NOPROTOOPT) => M::Unsupported,
            // 6.5 to 6.15 refuse to make a pidfd of a reaped process: EINVAL, or ESRCH with newer helpers.
            (C::PeerPidfd, Errno::INVAL | Errno::SRCH) => M::Reaped,
            // Not connected, not AF_UNIX, not a socket.
            (
                C::PeerCred | C::PeerPidfd | C::PeerGroups | C::PeerSecurity,
                Errno::NODATA | Errno::NOTCONN | Errno::NOTSOCK | Errno::OPNOTSUPP,
            ) => M::Unavailable,

            // Before 6.13 there is no PIDFD_GET_INFO. A kernel that checks the argument first says EINVAL (6.11, 6.12).
            (C::PidfdInfo | C::PidfdNamespace, Errno::NOTTY | Errno::INVAL) => M::Unsupported,
            (C::PidfdNamespace, Errno::OPNOTSUPP) => M::Unsupported,
            (C::PidfdInfo, Errno::REMOTE) => M::Foreign,
            (C::PidfdInfo | C::PidfdNamespace | C::PidfdOpen | C::OpenAt | C::Read, Errno::SRCH) => M::Reaped,

            (C::OpenBeneath, Errno::NOSYS) => M::Unsupported,
            // Beneath the root nothing may lead out, be a link or be another mount; a cgroup path has none of these.
            (C::OpenBeneath, Errno::XDEV | Errno::LOOP) => M::Gone,
            (C::HandleId, Errno::OPNOTSUPP) => M::Unsupported,
            (C::ListXattr | C::GetXattr, Errno::OPNOTSUPP) => M::Unsupported,
            // Listed, and then not there: worth another look.
            (C::GetXattr, Errno::NODATA) => M::Gone,
            (_, Errno::NOENT | Errno::NOTDIR | Errno::NODEV) => M::Gone,
            (_, Errno::ACCESS | Errno::PERM) => M::Denied,
            _ => M::Fault,
        }
    }
}

/// What cannot be had is `None`; a shortage is an error, since it passes and tells nothing of the machine.
pub(crate) fn unless_short<T>(result: Result<T, SysError>) -> Result<Option<T>, SysError> {
    match result {
        Err(e) if e.meaning() == Meaning::Resources => Err(e),
        result => Ok(result.ok()),
    }
}

/// How often a call is repeated that signals interrupt: more often nobody is lucky.
const INTERRUPTS_MAX: u32 = 64;

/// Makes a call; repeats it while a signal interrupts it, a bounded number of times.
///
/// Every system call of the look-up passes here, so that there is one place at which a test can make it fail.
pub(crate) fn retry<T>(call: Call, mut f: impl FnMut() -> rustix::io::Result<T>) -> Result<T, SysError> {
    let mut interrupts = 0;
    loop {
        match fault::enter(call).and_then(|()| f()) {
            Err(Errno::INTR) if interrupts < INTERRUPTS_MAX => interrupts += 1,
            result => return result.map_err(|errno| SysError::new(call, errno)),
        }
    }
}

/// The answer of a `libc` call that says -1 when it fails.
pub(crate) fn check(rc: libc::c_int) -> rustix::io::Result<libc::c_int> {
    if rc >= 0 {
        return Ok(rc);
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(code))
}
