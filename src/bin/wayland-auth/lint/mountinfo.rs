//! What a process' mount namespace shows, and what of it is covered by something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::mounts;

/// File systems that answer by themselves: no program and no other machine is asked, which could let us wait.
const LOCAL: &[&str] = &[
    "bcachefs", "btrfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs",
    "jfs", "mqueue", "nilfs2", "ntfs3", "overlay", "proc", "ramfs", "rootfs", "squashfs", "sysfs", "tmpfs", "vfat",
    "xfs", "zfs",
];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) id: u64,
    parent: u64,
    /// Major and minor number, as the kernel writes them.
    pub(super) device: String,
    /// The directory of the file system that is mounted.
    pub(super) root: PathBuf,
    /// Where, from the process' root.
    pub(super) point: PathBuf,
    pub(super) kind: String,
    pub(super) read_only: bool,
}

/// All mounts that can be reached from a process' root.
#[derive(Debug)]
pub(super) struct Mounts {
    all: Vec<Mount>,
    /// From a mount and a point on it to what lies over it.
    children: BTreeMap<(u64, PathBuf), usize>,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    /// The mount that it ends on.
    pub(super) last: &'a Mount,
    /// A mount on the way, itself included, that may let us wait.
    pub(super) slow: Option<&'a Mount>,
}

impl Mounts {
    /// Reads `/proc/PID/mountinfo`.
    pub(super) fn parse(text: &[u8]) -> Self {
        let all: Vec<Mount> = text.split(|&b| b == b'\n').filter_map(parse_line).collect();
        let children = all.iter().enumerate().map(|(at, mount)| ((mount.parent, mount.point.clone()), at)).collect();
        Self { all, children }
    }

    pub(super) fn all(&self) -> &[Mount] {
        &self.all
    }

    /// The mount with this ID.
    pub(super) fn by_id(&self, id: u64) -> Option<&Mount> {
        self.all.iter().find(|mount| mount.id == id)
    }

    /// Follows an absolute path, as the kernel would if no part of it were a link. `None` without a root.
    pub(super) fn look_up(&self, path: &Path) -> Option<Lookup<'_>> {
        let is_known = |id: u64| self.all.iter().any(|mount| mount.id == id);
        let mut here = self.all.iter().find(|mount| mount.point == Path::new("/") && !is_known(mount.parent))?;
        let is_slow = |mount: &Mount| !LOCAL.contains(&mount.kind.as_str());
        let mut slow = is_slow(here).then_some(here);
        let mut prefix = PathBuf::new();
        for part in path.components() {
            prefix.push(part);
            while let Some(&over) = self.children.get(&(here.id, prefix.clone())) {
                // A root is its own parent in the list of a process that sees nothing above it.
                if self.all[over].id == here.id {
                    break;
                }
                here = &self.all[over];
                slow = slow.or(is_slow(here).then_some(here));
            }
        }
        Some(Lookup { last: here, slow })
    }

    /// Whether a path leads to this mount: nothing covers it. What cannot be told counts as visible.
    pub(super) fn is_visible(&self, mount: &Mount) -> bool {
        let Some(found) = self.look_up(&mount.point) else { return true };
        found.last.id == mount.id
    }
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let device = text()?.to_owned();
    let root = mounts::path(fields.next()?);
    let point = mounts::path(fields.next()?);
    let options = fields.next()?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    let super_options = rest.nth(1).unwrap_or_default();
    let is_ro = |options: &[u8]| options.split(|&b| b == b',').any(|option| option == b"ro");
    let read_only = is_ro(options) || is_ro(super_options);
    Some(Mount { id, parent, device, root, point, kind, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
10 1 0:1 / / ro - ext4 /dev/a rw
11 10 0:2 / /sys ro,nosuid - sysfs sysfs rw
12 11 0:3 / /sys/fs/cgroup rw - cgroup2 none rw
13 12 0:4 / /sys/fs/cgroup rw - tmpfs none rw
14 10 0:3 /a\\040b /mnt rw - cgroup2 none rw
15 10 0:5 / /home rw - fuse.sshfs x rw
16 15 0:6 / /home/me/run rw - tmpfs x ro
";

    #[test]
    fn what_is_covered_is_not_visible() {
        let mounts = Mounts::parse(TEXT);
        let visible: Vec<_> = mounts.all().iter().filter(|m| mounts.is_visible(m)).map(|m| m.id).collect();
        assert_eq!(visible, [10, 11, 13, 14, 15, 16]);
        assert_eq!(mounts.by_id(14).map(|m| m.root.clone()), Some(PathBuf::from("/a b")));
        assert!(mounts.by_id(16).is_some_and(|m| m.read_only));
        assert!(mounts.by_id(12).is_some_and(|m| !m.read_only));
    }

    #[test]
    fn a_path_through_fuse_is_slow() {
        let mounts = Mounts::parse(TEXT);
        let slow = |path: &str| mounts.look_up(Path::new(path)).and_then(|found| found.slow.map(|m| m.id));
        assert_eq!(slow("/home/me/run/bus"), Some(15));
        assert_eq!(slow("/sys/fs/cgroup/x"), None);
    }

    #[test]
    fn a_mount_under_an_unknown_root_counts_as_visible() {
        let mounts = Mounts::parse(b"14 10 0:3 /x /mnt rw - cgroup2 none rw\n");
        assert!(mounts.all().iter().all(|mount| mounts.is_visible(mount)));
    }
}
