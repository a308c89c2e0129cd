//! What this kernel and these mounts can prove. Asked once, printable.

mod place;

use std::fmt;
use std::os::fd::AsFd;

use crate::cgroup::{CgroupMountError, Cgroups};
use crate::sys::{self, Meaning, NamespaceKind, Procfs, ReadLimit, SysError, unless_short};
pub(crate) use place::{field, has_mount, pid_levels};

/// The inode of the initial user namespace (`PROC_USER_INIT_INO`), fixed since Linux 3.8.
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The most of `/proc/self/mountinfo` that is read.
const MOUNTINFO: ReadLimit = ReadLimit(16 * 1024 * 1024);

/// The option by which `/proc` hides processes from those who may not ptrace them.
///
/// # References
///
/// * [proc(5)](https://man7.org/linux/man-pages/man5/proc.5.html), `hidepid`
fn hidepid(mountinfo: &[u8]) -> Option<String> {
    // What is mounted over another comes later.
    let lines = mountinfo.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut proc = lines.filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = file_system.split(' ');
        let is_proc = mount.split(' ').nth(4) == Some("/proc") && fields.next() == Some("proc");
        is_proc.then(|| fields.nth(1).unwrap_or_default())
    });
    let shown = ["hidepid=0", "hidepid=off"];
    let option =
        proc.next_back()?.split(',').find(|option| option.starts_with("hidepid=") && !shown.contains(option))?;
    Some(option.escape_debug().to_string())
}

/// What can be proven here.
///
/// Probed once, on a socket pair and a process of our own: what one peer makes fail says nothing
/// about the machine, and the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct Support {
    /// The kernel's release, for the reader; nothing is decided by it.
    pub release: String,
    /// `SO_PEERPIDFD` (Linux 6.5): without it nobody is identified.
    pub peer_pidfd: bool,
    /// pidfds have inodes of their own (Linux 6.9).
    pub pidfs: bool,
    /// `PIDFD_GET_INFO` with the cgroup's ID (Linux 6.13). Without it the path in `/proc` is
    /// bracketed instead: just as sure, slower.
    pub pidfd_info: bool,
    /// `PIDFD_GET_*_NAMESPACE` (Linux 6.11). Without it `/proc/PID/ns` is read through a pinned directory.
    pub pidfd_namespaces: bool,
    /// Where cgroup2 is, or why it cannot be used.
    pub cgroup2: Result<String, String>,
    /// `/proc` is there, readable, and of our own pid namespace.
    pub procfs: bool,
    /// A security module tells the labels of peers (`SO_PEERSEC`).
    pub security_labels: bool,
    /// The option by which `/proc` hides processes (`hidepid=invisible`), if it does. Those of other users are then
    /// unidentified, and so are our own user's that may not be ptraced.
    pub hidden_processes: Option<String>,
    /// We are in the initial user namespace: without that no label counts as root's.
    pub initial_user_namespace: bool,
    /// The namespaces (`user`, `mount`, `pid`) that are ours alone and not the session's, for which the process with
    /// pid 1 stands: programs outside them look sandboxed to us. `None` where that cannot be told.
    pub apart: Option<Vec<&'static str>>,
}

/// One line of [`Support`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What its answer means.
    pub state: State,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What the answer to a [`Check`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum State {
    /// As it should be.
    Ok,
    /// Something is missing that identification can do without.
    Limited,
    /// Without this nobody is identified.
    Failed,
}

impl Support {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// The kernel's error if file descriptors or memory ran out: that says nothing about the machine.
    pub fn probe() -> std::io::Result<Self> {
        let procfs = unless_short(Procfs::open()).map_err(|e| e.errno)?;
        let cgroups = match procfs.as_ref().map_or(Err(CgroupMountError::NoProc), Cgroups::open) {
            Err(CgroupMountError::Resources { source }) => return Err(source),
            cgroups => cgroups,
        };
        Self::probe_with(procfs.as_ref(), &cgroups).map_err(|e| e.errno.into())
    }

    /// Fails only for want of resources.
    pub(crate) fn probe_with(
        procfs: Option<&Procfs>,
        cgroups: &Result<Cgroups, CgroupMountError>,
    ) -> Result<Self, SysError> {
        let pair = unless_short(sys::own_socket_pair())?;
        let ours = pair.as_ref().map(|(ours, _)| ours.as_fd());
        let (mut security_labels, mut own) = (false, None);
        if let Some(ours) = ours {
            security_labels = unless_short(sys::peer_security(ours))?.is_some();
            own = unless_short(sys::peer_pidfd(ours))?;
        }
        let (mut pidfs, mut pidfd_info, mut pidfd_namespaces) = (false, false, false);
        if let Some(own) = own.as_ref().map(AsFd::as_fd) {
            pidfs = unless_short(sys::file_system_type(own))? == Some(sys::PIDFS_MAGIC);
            pidfd_info = unless_short(sys::pidfd_info(own))?.is_some_and(|info| info.cgroup.is_some());
            pidfd_namespaces = match sys::namespace(own, NamespaceKind::User) {
                Ok(_) => true,
                Err(e) if e.meaning() == Meaning::Resources => return Err(e),
                Err(e) => e.meaning() != Meaning::Unsupported,
            };
        }
        let initial_user_namespace = match procfs {
            Some(procfs) => unless_short(procfs.own_namespace(NamespaceKind::User.file()))?
                .is_some_and(|(_, id)| id.inode == INITIAL_USER_NAMESPACE),
            None => false,
        };
        let hidden_processes = match procfs {
            Some(procfs) => unless_short(procfs.read("self/mountinfo", MOUNTINFO))?.as_deref().and_then(hidepid),
            None => None,
        };
        let apart = match procfs {
            Some(procfs) => place::apart_from_first_process(procfs)?,
            None => None,
        };
        let cgroups = cgroups.as_ref();
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            peer_pidfd: own.is_some(),
            pidfs,
            pidfd_info,
            pidfd_namespaces,
            cgroup2: match cgroups {
                Ok(cgroups) => Ok(cgroups.mount_point().display().to_string().escape_debug().to_string()),
                Err(e) => Err(e.to_string()),
            },
            procfs: procfs.is_some(),
            security_labels,
            hidden_processes,
            initial_user_namespace,
            apart,
        })
    }

    /// Whether anybody can be identified here at all.
    ///
    /// If not, that is the machine's failure and no client's; a policy's `[machine]` section says
    /// what then becomes of the clients.
    #[must_use]
    pub fn can_identify(&self) -> bool {
        self.peer_pidfd && self.procfs && self.cgroup2.is_ok()
    }

    /// What was found, line by line, each with what to do about it.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let newer = |what: &str| Some(format!("run Linux {what} or newer"));
        let check = |name, state, finding: String, remedy| Check { name, state, finding, remedy };
        let limited = |ok| if ok { State::Ok } else { State::Limited };
        let needed = |ok| if ok { State::Ok } else { State::Failed };
        let yes = |ok, yes: &str, no: &str| if ok { yes.to_owned() } else { no.to_owned() };
        vec![
            check(
                "peer pidfd",
                needed(self.peer_pidfd),
                yes(self.peer_pidfd, "SO_PEERPIDFD names the process that connected", "the kernel has no SO_PEERPIDFD"),
                newer("6.5").filter(|_| !self.peer_pidfd),
            ),
            check(
                "cgroup by pidfd",
                limited(self.pidfd_info),
                yes(
                    self.pidfd_info,
                    "PIDFD_GET_INFO names the cgroup",
                    "no PIDFD_GET_INFO: the path in /proc is bracketed instead, just as sure and slower",
                ),
                newer("6.13").filter(|_| !self.pidfd_info),
            ),
            check(
                "cgroup2",
                needed(self.cgroup2.is_ok()),
                self.cgroup2.as_ref().map_or_else(Clone::clone, |at| format!("mounted at {at}")),
                self.cgroup2.is_err().then(|| {
                    "mount it: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`, or boot with `systemd.unified_cgroup_hierarchy=1`"
                        .to_owned()
                }),
            ),
            check(
                "procfs",
                needed(self.procfs),
                yes(self.procfs, "/proc is readable", "/proc is not there, or is that of another pid namespace"),
                (!self.procfs).then(|| "mount it where the compositor runs: `mount -t proc proc /proc`".to_owned()),
            ),
            check(
                "processes of others",
                limited(self.hidden_processes.is_none()),
                self.hidden_processes.as_ref().map_or_else(
                    || "/proc shows every process".to_owned(),
                    |option| {
                        format!("/proc is mounted with {option}: clients that may not be ptraced are unidentified")
                    },
                ),
                self.hidden_processes.is_some().then(|| {
                    "mount it without, or with `gid=` of a group that the compositor is in: `mount -o remount,hidepid=0 /proc`"
                        .to_owned()
                }),
            ),
            check(
                "namespaces",
                limited(self.pidfd_namespaces),
                yes(
                    self.pidfd_namespaces,
                    "pidfds tell their process' namespaces",
                    "pidfds do not tell namespaces: /proc/PID/ns is read instead",
                ),
                newer("6.11").filter(|_| !self.pidfd_namespaces),
            ),
            check(
                "security labels",
                State::Ok,
                yes(
                    self.security_labels,
                    "a security module tells them: snaps are known by theirs",
                    "no security module tells them: snaps are known by their cgroups alone",
                ),
                None,
            ),
            check(
                "root's labels",
                limited(self.initial_user_namespace),
                yes(
                    self.initial_user_namespace,
                    "in the initial user namespace: labels that only root can write are told apart",
                    "in a user namespace: no label can count as root's",
                ),
                (!self.initial_user_namespace).then(|| "run the compositor outside containers".to_owned()),
            ),
            self.place(),
        ]
    }

    /// Whether the session's programs can be told from sandboxed ones.
    fn place(&self) -> Check {
        let (state, finding) = match self.apart.as_deref() {
            Some([]) => (State::Ok, "in the namespaces of the session".to_owned()),
            Some(apart) => (
                State::Limited,
                format!(
                    "in namespaces that the session does not share ({}): its programs count as sandboxed or unidentified",
                    apart.join(", ")
                ),
            ),
            None => (State::Limited, "not known whether the session shares our namespaces".to_owned()),
        };
        let remedy = (state != State::Ok).then(|| {
            "start the compositor outside containers and without PrivateTmp=, PrivateUsers= and the like, or let it name \
             a process of the session (`host_reference`)"
                .to_owned()
        });
        Check { name: "our place", state, finding, remedy }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Linux {}", self.release.escape_debug())?;
        for check in self.checks() {
            let mark = match check.state {
                State::Ok => "ok",
                State::Limited => "limited",
                State::Failed => "FAILED",
            };
            writeln!(f, "{mark:>8}  {}: {}", check.name, check.finding)?;
            if let Some(remedy) = check.remedy {
                writeln!(f, "          to do: {remedy}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_proc_says_whom_it_hides() {
        let plain = "22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw\n";
        let other = "23 1 0:22 / /mnt/proc rw - proc proc rw,hidepid=invisible\n";
        let hides = "40 1 0:50 / /proc rw - proc none rw,gid=5,hidepid=invisible\n";
        assert_eq!(hidepid(plain.as_bytes()), None);
        assert_eq!(hidepid(format!("{plain}{other}").as_bytes()), None);
        assert_eq!(hidepid(format!("{plain}{hides}").as_bytes()).as_deref(), Some("hidepid=invisible"));
        assert_eq!(hidepid(format!("{hides}{plain}").as_bytes()), None);
        assert_eq!(hidepid(b"40 1 0:50 / /proc rw - proc none rw,hidepid=off\n"), None);
        assert_eq!(hidepid(b"garbage - proc\n"), None);
    }
}
