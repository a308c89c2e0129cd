//! Who is at the other end of a connected socket: a pidfd and credentials.
//!
//! Nothing here needs Wayland or cgroups, and the types fit what other systems can tell
//! (`getpeereid`, `LOCAL_PEERCRED`): every field may be unknown, and none has a value that
//! stands for "unknown".

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{self, Meaning, SysError};

/// A process that connected: the pidfd names it for ever, however often its pid is used again.
#[derive(Debug)]
pub struct Peer {
    pidfd: OwnedFd,
}

impl Peer {
    /// Asks the kernel for the process that connected `socket`: the one that called
    /// `connect(2)`, or `socketpair(2)`; not the one that holds the socket now.
    ///
    /// Race-free from Linux 6.5 on. A process that is dead already can be named from Linux 6.16 on.
    ///
    /// # Errors
    ///
    /// [`PeerPidfdError`] says which.
    ///
    /// # References
    ///
    /// * [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PEERPIDFD`
    pub fn of(socket: impl AsFd) -> Result<Self, PeerPidfdError> {
        sys::peer_pidfd(socket.as_fd()).map(|pidfd| Self { pidfd }).map_err(PeerPidfdError::from)
    }

    /// The process that has `pid` now.
    ///
    /// For looking at a process by hand. A pid says nothing about who is at the other end of a
    /// socket: use [`Peer::of`] there.
    ///
    /// # Errors
    ///
    /// [`PeerPidfdError::Reaped`] if there is no such process; the others as they say.
    pub fn of_pid(pid: u32) -> Result<Self, PeerPidfdError> {
        sys::open_pidfd(pid).map(|pidfd| Self { pidfd }).map_err(PeerPidfdError::from)
    }

    /// Takes a pidfd that was had in another way.
    #[must_use]
    pub fn from_pidfd(pidfd: OwnedFd) -> Self {
        Self { pidfd }
    }

    /// The pidfd.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Gives the pidfd away.
    #[must_use]
    pub fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }
}

/// Why the peer of a socket could not be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerPidfdError {
    /// The kernel has no `SO_PEERPIDFD` (before Linux 6.5).
    #[error("the kernel has no SO_PEERPIDFD (it came with Linux 6.5)")]
    Unsupported,
    /// Not a connected `AF_UNIX` stream.
    #[error("not a connected unix socket")]
    Unavailable,
    /// The peer was reaped before it was asked for.
    #[error("the peer was reaped")]
    Reaped,
    /// This process or the system is out of file descriptors or memory.
    #[error("out of file descriptors or memory")]
    #[non_exhaustive]
    Resources {
        /// The kernel's error.
        source: io::Error,
    },
    /// The call failed otherwise.
    #[error("the peer could not be asked for")]
    #[non_exhaustive]
    Fault {
        /// The kernel's error.
        source: io::Error,
    },
}

impl From<SysError> for PeerPidfdError {
    fn from(error: SysError) -> Self {
        match error.meaning() {
            Meaning::Unsupported => Self::Unsupported,
            Meaning::Unavailable => Self::Unavailable,
            Meaning::Reaped => Self::Reaped,
            Meaning::Resources => Self::Resources { source: error.errno.into() },
            Meaning::Foreign | Meaning::Denied | Meaning::Gone | Meaning::Fault => {
                Self::Fault { source: error.errno.into() }
            }
        }
    }
}

/// What the kernel recorded of a peer when it connected. `None` is *not known*.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct Credentials {
    /// The effective user ID.
    pub uid: Option<u32>,
    /// The effective group ID.
    pub gid: Option<u32>,
    /// The process ID in our pid namespace. It may belong to another process by now: for logs only.
    pub pid: Option<u32>,
    /// The supplementary groups.
    pub groups: Groups,
    /// The label in the security module (AppArmor, SELinux, Smack).
    pub security_label: Option<String>,
}

/// What is known of a peer's supplementary groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Groups {
    /// These and no others.
    Complete(Vec<u32>),
    /// At least these; some systems tell only the first few.
    AtLeast(Vec<u32>),
    /// Nothing.
    #[default]
    Unknown,
}

impl Groups {
    /// Whether the peer is known to be in `group`; `None` where that cannot be told.
    #[must_use]
    pub fn contains(&self, group: u32) -> Option<bool> {
        match self {
            Self::Complete(groups) => Some(groups.contains(&group)),
            Self::AtLeast(groups) => groups.contains(&group).then_some(true),
            Self::Unknown => None,
        }
    }
}

impl Credentials {
    /// Reads the credentials that decide: uid, gid and pid. One call.
    ///
    /// What cannot be had is `None`.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Self {
        let Ok(cred) = sys::peer_cred(socket.as_fd()) else {
            return Self::default();
        };
        // The kernel says -1 for "nobody recorded", and pid 0 for a process that we cannot see.
        let known = |id: u32| (id != u32::MAX).then_some(id);
        Self {
            uid: known(cred.uid),
            gid: known(cred.gid),
            pid: u32::try_from(cred.pid).ok().filter(|&pid| pid != 0),
            ..Self::default()
        }
    }

    /// Reads the supplementary groups and the security label too: two more calls.
    #[must_use]
    pub fn with_details(mut self, socket: impl AsFd) -> Self {
        let socket = socket.as_fd();
        self.groups = sys::peer_groups(socket).map_or(Groups::Unknown, Groups::Complete);
        self.security_label = sys::peer_security(socket)
            .ok()
            .filter(|label| !label.is_empty())
            .map(|label| String::from_utf8_lossy(&label).escape_debug().to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;

    /// The positive control of all the refusals below.
    #[test]
    fn peer_of_a_socket_pair_is_ourselves() {
        let (a, _b) = UnixStream::pair().unwrap();
        let peer = Peer::of(&a).expect("SO_PEERPIDFD works on Linux 6.5 and later, which the tests need");
        assert!(sys::alive(peer.pidfd()).unwrap());
        let cred = Credentials::of(&a).with_details(&a);
        assert_eq!(cred.pid, Some(std::process::id()));
        assert_eq!(cred.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(cred.gid, Some(rustix::process::getegid().as_raw()));
        let mut own: Vec<u32> = rustix::process::getgroups().unwrap().into_iter().map(|g| g.as_raw()).collect();
        own.sort_unstable();
        let Groups::Complete(mut groups) = cred.groups else { panic!("SO_PEERGROUPS is always there") };
        groups.sort_unstable();
        assert_eq!(groups, own);
    }

    #[test]
    fn unconnected_sockets_have_no_peer() {
        let dir = tempdir();
        let listener = UnixListener::bind(dir.join("s")).unwrap();
        let datagram = UnixDatagram::unbound().unwrap();
        assert!(matches!(Peer::of(&datagram), Err(PeerPidfdError::Unavailable)));
        assert_eq!(Credentials::of(&datagram).pid, None);
        assert_eq!(Credentials::of(&datagram).uid, None);
        drop(listener);
        std::fs::remove_dir_all(dir).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(Peer::of(&file), Err(PeerPidfdError::Unavailable)));
        let internet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Peer::of(&internet), Err(PeerPidfdError::Unavailable)));
    }

    #[test]
    fn groups_that_are_not_known_are_not_empty() {
        assert_eq!(Groups::Unknown.contains(0), None);
        assert_eq!(Groups::AtLeast(vec![1]).contains(0), None);
        assert_eq!(Groups::AtLeast(vec![1]).contains(1), Some(true));
        assert_eq!(Groups::Complete(vec![1]).contains(0), Some(false));
    }

    fn tempdir() -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("wayland-auth-peer-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }
}
