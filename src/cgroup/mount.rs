//! Where cgroup2 is mounted.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::sys::{self, Meaning, Procfs, ReadLimit, SysError};

/// The most of `/proc/self/mountinfo` that is read.
const MOUNTINFO_MAX: usize = 16 * 1024 * 1024;

/// Why there is no hierarchy to look anything up in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupMountError {
    /// `/proc` is not mounted, or it is that of another pid namespace.
    #[error("/proc is not mounted, or is that of another pid namespace")]
    NoProc,
    /// cgroup2 is not mounted, or only a part of it is.
    #[error("cgroup2 is not mounted as a whole")]
    NotMounted,
    /// This process or the system is out of file descriptors or memory.
    #[error("out of file descriptors or memory")]
    #[non_exhaustive]
    Resources {
        /// The kernel's error.
        source: io::Error,
    },
    /// It could not be opened.
    #[error("cgroup2 could not be opened ({call})")]
    #[non_exhaustive]
    Fault {
        /// The call that failed.
        call: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

impl From<SysError> for CgroupMountError {
    fn from(error: SysError) -> Self {
        let source = error.errno.into();
        match error.meaning() {
            Meaning::Resources => Self::Resources { source },
            _ => Self::Fault { call: error.call.name(), source },
        }
    }
}

/// Opens the root of the hierarchy.
///
/// Of several mounts the first that can be opened and really is cgroup2 serves: all show the
/// same directories. A mount whose root is not that of our cgroup namespace is of no use, since
/// the paths in `/proc/PID/cgroup` start at the latter.
pub(super) fn find(procfs: &Procfs) -> Result<(OwnedFd, PathBuf), CgroupMountError> {
    let mountinfo = procfs.read("self/mountinfo", ReadLimit(MOUNTINFO_MAX))?;
    let mut failed = CgroupMountError::NotMounted;
    for mount_point in mount_points(&mountinfo) {
        match open(&mount_point) {
            Ok(Some(root)) => return Ok((root, mount_point)),
            Ok(None) => {}
            Err(e) => failed = e.into(),
        }
    }
    Err(failed)
}

/// Opens `path` if it is on cgroup2; something else may be mounted over it.
fn open(path: &std::path::Path) -> Result<Option<OwnedFd>, SysError> {
    let root = sys::open_dir(path)?;
    let is_cgroup2 = sys::file_system_type(root.as_fd())? == sys::CGROUP2_MAGIC;
    Ok(is_cgroup2.then_some(root))
}

/// The mount points of whole cgroup2 hierarchies.
pub(crate) fn mount_points(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    mountinfo.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let root = fields.nth(3)?;
        let mount_point = fields.next()?;
        let file_system = fields.skip_while(|f| *f != b"-").nth(1)?;
        (file_system == b"cgroup2" && root == b"/").then(|| PathBuf::from(OsString::from_vec(unescape(mount_point))))
    })
}

/// Undoes the kernel's escapes (`\040` for a space and the like).
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\').then(|| after.get(..3)).flatten().and_then(|digits| {
            // `from_str_radix` would take a sign too, which the kernel never writes.
            let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
            u8::from_str_radix(text, 8).ok()
        });
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t16_whole_cgroup2_mounts_are_found_wherever_they_are() {
        let text = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:10 master:1 - cgroup2 cgroup2 rw
42 31 0:38 /part /mnt/part rw - cgroup2 cgroup2 rw
43 31 0:38 /.. /mnt/outside rw - cgroup2 cgroup2 rw
44 31 0:38 / /mnt/a\\040b rw - cgroup2 none rw
45 31 0:39 / /mnt/cgroup2 rw - tmpfs cgroup2 rw
";
        let found: Vec<_> = mount_points(text).collect();
        assert_eq!(found, [PathBuf::from("/sys/fs/cgroup/unified"), PathBuf::from("/mnt/a b")]);
        assert_eq!(mount_points(b"").count(), 0);
        assert_eq!(mount_points(b"garbage\n1 2 3\n").count(), 0);
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_left_alone() {
        assert_eq!(unescape(b"a\\040\\134b"), b"a \\b");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999"), b"\\999");
        assert_eq!(unescape(b"\\+12"), b"\\+12");
    }
}
