//! Whom a process can act as, by `/proc/PID/status` and its user namespace's map.

use rustix::fs::Stat;

/// Capabilities, by number.
const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
/// Those with which a process can act as users other than its own.
const OTHERS: &[u32] = &[CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID, SYS_PTRACE, SYS_ADMIN];

/// What `/proc/PID/status` says. Numbers are those of our user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Real, effective, saved and file system's.
    pub(super) uids: Vec<u32>,
    pub(super) gids: Vec<u32>,
    /// Every capability that it has or could raise.
    caps: u64,
    pub(super) no_new_privs: bool,
    /// 0 none, 1 strict, 2 filters.
    pub(super) seccomp: Option<u32>,
    /// Its pids, the last of them in its own pid namespace.
    pub(super) pids: Vec<u32>,
    /// `Z` and `X` are gone already.
    pub(super) state: char,
}

impl Status {
    /// Reads the file. `None` if a line is missing without which nothing can be said.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        // The name of the process stands in the first line, its control characters escaped.
        let text = String::from_utf8_lossy(text);
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let numbers = |name: &str| -> Option<Vec<u32>> {
            value(name)?.split_whitespace().map(|number| number.parse().ok()).collect()
        };
        let caps = |name: &str| u64::from_str_radix(value(name)?.trim(), 16).ok();
        let mut gids = numbers("Gid")?;
        gids.extend(numbers("Groups")?);
        let uids = numbers("Uid").filter(|uids| !uids.is_empty())?;
        Some(Self {
            uids,
            gids,
            caps: caps("CapEff")? | caps("CapPrm")?,
            no_new_privs: value("NoNewPrivs").is_some_and(|text| text.trim() == "1"),
            seccomp: value("Seccomp").and_then(|text| text.trim().parse().ok()),
            pids: numbers("NSpid").unwrap_or_default(),
            state: value("State")?.trim().chars().next()?,
        })
    }

    /// Whether it may administer its namespaces.
    pub(super) fn is_admin(&self) -> bool {
        self.caps & (1 << SYS_ADMIN) != 0
    }

    /// Whether it can act as more users than its own.
    pub(super) fn has_power(&self) -> bool {
        OTHERS.iter().any(|number| self.caps & (1 << number) != 0)
    }
}

/// `/proc/PID/uid_map` or `gid_map`: ranges of (inside, ours, length).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IdMap(Vec<(u32, u32, u32)>);

impl IdMap {
    /// Reads the file; `None` if it is not understood.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let line = |line: &str| -> Option<(u32, u32, u32)> {
            let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
            Some((numbers.next()??, numbers.next()??, numbers.next()??))
        };
        text.lines().map(line).collect::<Option<_>>().map(Self)
    }

    /// One of our numbers as it is inside.
    pub(super) fn inside(&self, ours: u32) -> Option<u32> {
        self.0.iter().find_map(|&(inside, first, len)| {
            let at = ours.checked_sub(first).filter(|at| *at < len)?;
            inside.checked_add(at)
        })
    }
}

/// Whom a process can act as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Powers {
    pub(super) status: Status,
    pub(super) uid_map: IdMap,
    pub(super) gid_map: IdMap,
}

impl Powers {
    /// Whether it can write to a file with this owner and mode, where it reaches it. An owner can change the mode.
    pub(super) fn may_write(&self, stat: &Stat) -> bool {
        let power = self.status.has_power();
        let is_owner = self.status.uids.contains(&stat.st_uid) || (power && self.uid_map.inside(stat.st_uid).is_some());
        let in_group = self.status.gids.contains(&stat.st_gid) || (power && self.gid_map.inside(stat.st_gid).is_some());
        is_owner || (stat.st_mode & 0o020 != 0 && in_group) || stat.st_mode & 0o002 != 0
    }

    /// Whether it can set and remove the xattrs of a directory: in a sticky one only the owner can.
    pub(super) fn may_label(&self, stat: &Stat) -> bool {
        let closed = if stat.st_mode & 0o1000 != 0 { !0o022 } else { !0 };
        let mut closed_stat = *stat;
        closed_stat.st_mode &= closed;
        self.may_write(&closed_stat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Name:\tUid:\\n1\nState:\tS (sleeping)\nUid:\t1000\t1000\t1000\t1000\n\
        Gid:\t100\t100\t100\t100\nGroups:\t7 8 \nNSpid:\t55\t2\nCapPrm:\t0000000000000000\n\
        CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    fn stat(uid: u32, gid: u32, mode: u32) -> Stat {
        let mut stat = rustix::fs::stat("/").unwrap();
        (stat.st_uid, stat.st_gid, stat.st_mode) = (uid, gid, 0o040_000 | mode);
        stat
    }

    #[test]
    fn a_process_acts_as_itself_and_its_groups() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!((status.seccomp, status.no_new_privs, status.state), (Some(2), true, 'S'));
        assert_eq!(status.pids, [55, 2]);
        let map = IdMap::parse(b"0 1000 1\n").unwrap();
        let powers = Powers { status, uid_map: map.clone(), gid_map: map };
        assert!(powers.may_write(&stat(1000, 0, 0o555)), "an owner can change the mode");
        assert!(!powers.may_write(&stat(0, 0, 0o755)));
        assert!(powers.may_write(&stat(0, 8, 0o775)));
        assert!(!powers.may_write(&stat(0, 9, 0o775)));
        assert!(powers.may_write(&stat(0, 9, 0o757)));
        // In a sticky directory others make entries, but set no xattrs.
        assert!(powers.may_label(&stat(0, 8, 0o775)) && !powers.may_label(&stat(0, 8, 0o1775)));
        assert!(powers.may_label(&stat(1000, 0, 0o1755)));
    }

    #[test]
    fn power_reaches_every_mapped_user() {
        let text = String::from_utf8_lossy(STATUS).replace("CapEff:\t0000000000000000", "CapEff:\t0000000000000002");
        let status = Status::parse(text.as_bytes()).unwrap();
        let map = IdMap::parse(b"         0     100000      65536\n").unwrap();
        assert_eq!((map.inside(100_000), map.inside(165_535), map.inside(165_536)), (Some(0), Some(65535), None));
        let powers = Powers { status, uid_map: map.clone(), gid_map: map };
        assert!(powers.may_write(&stat(100_005, 0, 0o755)));
        assert!(!powers.may_write(&stat(0, 0, 0o755)));
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        assert_eq!(Status::parse(b""), None);
        assert_eq!(IdMap::parse(b"0 x 1\n"), None);
    }
}
