//! Whether a process shares the compositor's user, mount and pid namespaces.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::evidence::{NamespaceEvidence, NamespaceRoute};
use crate::kernel::{field, has_mount, pid_levels};
use crate::sys::{self, Meaning, NamespaceId, NamespaceKind, Procfs, ReadLimit, SysError, unless_short};

/// The map of a user namespace in which every user is himself.
const IDENTITY_MAP: [&str; 3] = ["0", "0", "4294967295"];

/// The most that is read of a peer's `uid_map` and `status`; both are far shorter.
const SMALL: ReadLimit = ReadLimit(64 * 1024);

/// The most that is read of a peer's `mountinfo`. A peer with more mounts counts as unreadable.
const MOUNTINFO: ReadLimit = ReadLimit(256 * 1024);

/// How a process' namespaces compare with the compositor's, or with those of its
/// [host reference](super::ResolverBuilder::host_reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[allow(clippy::exhaustive_structs, reason = "these three are what a sandbox is made of")]
pub struct Namespaces {
    /// The user namespace.
    pub user: Comparison,
    /// The mount namespace.
    pub mount: Comparison,
    /// The pid namespace.
    pub pid: Comparison,
}

/// Whether two processes share a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[allow(clippy::exhaustive_enums, reason = "what is not known has no comparison")]
pub enum Comparison {
    /// They do.
    Same,
    /// They do not.
    Different,
    /// It was not looked at: another namespace had shown already that they are no part of each other.
    NotCompared,
}

impl Comparison {
    fn of(same: bool) -> Self {
        if same { Self::Same } else { Self::Different }
    }
}

impl Namespaces {
    /// All three shared, as the host's are.
    pub const SHARED: Self = Self { user: Comparison::Same, mount: Comparison::Same, pid: Comparison::Same };

    /// Whether all three are shared.
    #[must_use]
    pub fn all_same(&self) -> bool {
        *self == Self::SHARED
    }
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all_same() {
            return f.write_str("user, mount and pid as the compositor's");
        }
        let own = [("user", self.user), ("mount", self.mount), ("pid", self.pid)];
        let own: Vec<_> = own.iter().filter(|(_, c)| *c == Comparison::Different).map(|(name, _)| *name).collect();
        write!(f, "its own {}", own.join(", "))
    }
}

/// Why the namespaces to compare with could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the namespaces to compare with could not be read ({call})")]
#[non_exhaustive]
pub struct ReferenceError {
    /// The call that failed.
    pub call: &'static str,
    /// The kernel's error.
    pub source: std::io::Error,
}

impl From<SysError> for ReferenceError {
    fn from(error: SysError) -> Self {
        Self { call: error.call.name(), source: error.errno.into() }
    }
}

/// The namespaces that make a process a part of the host.
#[derive(Debug)]
pub(super) struct Reference {
    ids: [NamespaceId; 3],
    /// Keeps our namespaces alive, so that their numbers cannot be given to others.
    _held: Vec<OwnedFd>,
    /// What the public files of `/proc/PID` are compared with; `None` where they can prove nothing.
    public: Option<PublicReference>,
}

/// What a process shows to everybody if it is in our namespaces.
#[derive(Debug)]
struct PublicReference {
    /// The mount ID of the root directory. No two mount namespaces have a mount ID in common.
    root_mount: u64,
}

/// Why a comparison came to no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The process, or its first thread, is gone.
    Gone,
    /// Out of file descriptors or memory.
    Resources,
    /// Something could not be read.
    Unreadable(String),
    /// The kernel does not tell it to us of this process.
    Withheld(String),
}

impl Unknown {
    /// Why, in words.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Gone => "the process is gone".to_owned(),
            Self::Resources => "out of file descriptors or memory".to_owned(),
            Self::Unreadable(why) | Self::Withheld(why) => why,
        }
    }
}

/// A comparison, and what was compared.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) evidence: NamespaceEvidence,
    /// The peer's user, mount and pid namespaces; `None` where their numbers are not told.
    pub(super) ids: Option<[NamespaceId; 3]>,
}

impl From<SysError> for Unknown {
    fn from(e: SysError) -> Self {
        match e.meaning() {
            Meaning::Reaped | Meaning::Gone => Self::Gone,
            Meaning::Resources => Self::Resources,
            _ => Self::Unreadable(format!("{}: {}", e.call.name(), e.message())),
        }
    }
}

impl Reference {
    /// Our own namespaces.
    pub(super) fn ours(procfs: &Procfs) -> Result<Self, SysError> {
        let mut held = Vec::new();
        let mut ids = Vec::new();
        for kind in NamespaceKind::ALL {
            let (fd, id) = procfs.own_namespace(kind.file())?;
            held.push(fd);
            ids.push(id);
        }
        let ids = [ids[0], ids[1], ids[2]];
        Ok(Self { ids, _held: held, public: PublicReference::of("self", procfs)? })
    }

    /// The namespaces of another process, which must stay alive.
    pub(super) fn of(procfs: &Procfs, pidfd: BorrowedFd<'_>, pid: u32) -> Result<Self, SysError> {
        let mut held = Vec::new();
        let mut ids = Vec::new();
        for kind in NamespaceKind::ALL {
            let fd = procfs.open_file(&format!("{pid}/{}", kind.file()))?;
            ids.push(sys::namespace_fd_id(fd.as_fd())?);
            held.push(fd);
        }
        let public = PublicReference::of(&pid.to_string(), procfs)?;
        if !sys::alive(pidfd)? {
            return Err(SysError::new(sys::Call::PidfdPoll, rustix::io::Errno::SRCH));
        }
        Ok(Self { ids: [ids[0], ids[1], ids[2]], _held: held, public })
    }

    /// Compares with the namespaces of a process.
    ///
    /// The answer holds only if the caller sees afterwards that the process was not reaped meanwhile.
    pub(super) fn compare(
        &self,
        procfs: &Procfs,
        pidfd: BorrowedFd<'_>,
        pid: u32,
        by_pidfd: bool,
    ) -> Result<Compared, Unknown> {
        let compared = |compared, route, ids| Compared { evidence: NamespaceEvidence { compared, route }, ids };
        if by_pidfd {
            match self.compare_ids(|kind| sys::namespace(pidfd, kind)) {
                Ok((namespaces, ids)) => return Ok(compared(namespaces, NamespaceRoute::Pidfd, Some(ids))),
                Err(e) if e.meaning() == Meaning::Denied => {}
                Err(e) => return Err(e.into()),
            }
        }
        let process = procfs.pin(pid)?;
        if !by_pidfd {
            match self.compare_ids(|kind| sys::pinned_namespace(process.as_fd(), kind.file())) {
                Ok((namespaces, ids)) => return Ok(compared(namespaces, NamespaceRoute::ProcNs, Some(ids))),
                Err(e) if e.meaning() == Meaning::Denied => {}
                Err(e) => return Err(e.into()),
            }
        }
        let Some(public) = &self.public else {
            return Err(Unknown::Withheld(
                "they may not be asked for, and from inside a user or pid namespace /proc proves nothing".to_owned(),
            ));
        };
        Ok(compared(public.compare(process.as_fd())?, NamespaceRoute::ProcPublic, None))
    }

    fn compare_ids(
        &self,
        id_of: impl Fn(NamespaceKind) -> Result<NamespaceId, SysError>,
    ) -> Result<(Namespaces, [NamespaceId; 3]), SysError> {
        let [user, mount, pid] = NamespaceKind::ALL;
        let ids = [id_of(user)?, id_of(mount)?, id_of(pid)?];
        let same = |index: usize| Comparison::of(ids[index] == self.ids[index]);
        Ok((Namespaces { user: same(0), mount: same(1), pid: same(2) }, ids))
    }
}

impl PublicReference {
    /// What the process `name` (`self` or a pid) shows; `None` where that would not tell its
    /// namespaces from those of others. An error is a shortage, which tells nothing.
    fn of(name: &str, procfs: &Procfs) -> Result<Option<Self>, SysError> {
        let Some(uid_map) = unless_short(procfs.read(&format!("{name}/uid_map"), SMALL))? else { return Ok(None) };
        let Some(status) = unless_short(procfs.read(&format!("{name}/status"), SMALL))? else { return Ok(None) };
        // In any other user namespace a child could be given the very map that we have, and in any
        // other pid namespace a process of ours has several pids.
        if !is_identity_map(&uid_map) || pid_levels(&status) != Some(1) {
            return Ok(None);
        }
        let root_mount = unless_short(procfs.root_mount_of(name))?;
        Ok(root_mount.map(|root_mount| Self { root_mount }))
    }

    fn compare(&self, process: BorrowedFd<'_>) -> Result<Namespaces, Unknown> {
        let status = sys::read_pinned(process, "status", SMALL)?;
        if is_dead(&status) {
            return Err(Unknown::Gone);
        }
        let levels = pid_levels(&status).ok_or_else(|| Unknown::Unreadable("status has no NSpid".to_owned()))?;
        let uid_map = sys::read_pinned(process, "uid_map", SMALL)?;
        if uid_map.is_empty() {
            return Err(Unknown::Unreadable("/proc/PID shows no user map".to_owned()));
        }
        let (user, pid) = (Comparison::of(is_identity_map(&uid_map)), Comparison::of(levels == 1));
        if user == Comparison::Different {
            // Whoever is root of a user namespace can make any number of mounts, and reading them would be our time.
            return Ok(Namespaces { user, mount: Comparison::NotCompared, pid });
        }
        let mountinfo = sys::read_pinned(process, "mountinfo", MOUNTINFO)?;
        if mountinfo.is_empty() {
            return Err(Unknown::Unreadable("/proc/PID shows no mounts".to_owned()));
        }
        Ok(Namespaces { user, mount: Comparison::of(has_mount(&mountinfo, self.root_mount)), pid })
    }
}

pub(crate) fn is_identity_map(uid_map: &[u8]) -> bool {
    std::str::from_utf8(uid_map).is_ok_and(|text| text.split_ascii_whitespace().eq(IDENTITY_MAP))
}

/// Whether the first thread is dead; others may live on.
pub(crate) fn is_dead(status: &[u8]) -> bool {
    field(status, "State").is_some_and(|state| state.starts_with('Z') || state.starts_with('X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_map_is_the_identity() {
        assert!(is_identity_map(b"         0          0 4294967295\n"));
        for other in ["", "0 0 4294967294", "0 1000 1\n", "0 0 1000\n1000 1000 4294966295\n", "0 0 4294967295\n1 1 1\n"]
        {
            assert!(!is_identity_map(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn status_is_read_by_its_fields() {
        let status = b"Name:\tx\\nNSpid:\\t1\nState:\tS (sleeping)\nNSpid:\t44\t3\n";
        assert_eq!(pid_levels(status), Some(2));
        assert!(!is_dead(status));
        assert!(is_dead(b"State:\tZ (zombie)\n"));
        assert_eq!(pid_levels(b"Name:\tx\n"), None);
        assert_eq!(pid_levels(b"NSpid:\t\n"), None);
    }

    /// Compares with a process whose `/proc/PID` has these files.
    fn compare(files: &[(&str, &str)]) -> Result<Namespaces, Unknown> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("wayland-auth-proc-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        let result = PublicReference { root_mount: 29 }.compare(sys::open_dir(&dir).unwrap().as_fd());
        std::fs::remove_dir_all(&dir).unwrap();
        result
    }

    const HOST: [(&str, &str); 3] = [
        ("status", "Name:\tx\nState:\tS (sleeping)\nNSpid:\t44\n"),
        ("uid_map", "         0          0 4294967295\n"),
        ("mountinfo", "28 1 0:5 / /proc rw - proc x rw\n29 1 0:5 / / rw - ext4 x rw\n"),
    ];

    fn with(name: &'static str, text: &'static str) -> [(&'static str, &'static str); 3] {
        HOST.map(|file| if file.0 == name { (name, text) } else { file })
    }

    #[test]
    fn what_proc_shows_to_everybody_tells_each_namespace() {
        use Comparison::{Different, NotCompared, Same};
        let namespaces = |user, mount, pid| Some(Namespaces { user, mount, pid });
        assert_eq!(compare(&HOST).ok(), namespaces(Same, Same, Same));
        let other_mounts = with("mountinfo", "129 1 0:5 / / rw - ext4 x rw\n");
        assert_eq!(compare(&other_mounts).ok(), namespaces(Same, Different, Same));
        let two_pids = with("status", "State:\tS\nNSpid:\t44\t1\n");
        assert_eq!(compare(&two_pids).ok(), namespaces(Same, Same, Different));
        // The mounts of a user namespace are as many as its root likes: they are not even opened.
        let no_mounts = [HOST[0], ("uid_map", "0 1000 1\n")];
        assert_eq!(compare(&no_mounts).ok(), namespaces(Different, NotCompared, Same));
    }

    #[test]
    fn t20_what_proc_does_not_show_is_not_known() {
        assert!(matches!(compare(&with("status", "State:\tZ (zombie)\nNSpid:\t44\n")), Err(Unknown::Gone)));
        assert!(matches!(compare(&with("status", "State:\tS\n")), Err(Unknown::Unreadable(_))));
        assert!(matches!(compare(&with("uid_map", "")), Err(Unknown::Unreadable(_))));
        assert!(matches!(compare(&with("mountinfo", "")), Err(Unknown::Unreadable(_))));
        assert!(matches!(compare(&HOST[..2]), Err(Unknown::Gone)));
    }

    #[test]
    fn t30_more_mounts_than_anybody_has_are_not_read() {
        let many = "1 1 0:5 / /x rw - tmpfs x rw\n".repeat(MOUNTINFO.0 / 20) + HOST[2].1;
        assert!(matches!(compare(&[HOST[0], HOST[1], ("mountinfo", &many)]), Err(Unknown::Unreadable(_))));
    }

    #[test]
    fn a_mount_is_known_by_its_whole_id() {
        let mountinfo = b"129 1 0:5 / / rw - ext4 x rw\n30 29 0:6 / /29 rw - tmpfs x rw\n";
        assert!(has_mount(mountinfo, 129) && has_mount(mountinfo, 30));
        assert!(!has_mount(mountinfo, 29) && !has_mount(mountinfo, 12));
    }
}
