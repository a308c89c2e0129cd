//! From a pidfd to the verified directory of the process' cgroup, and up from there.
//!
//! A path is only ever a hint here. What proves that a directory *is* the cgroup of the process
//! is that the ID in its file handle equals the ID that the kernel gives for the pidfd; inode
//! numbers are not used (they are half of the ID on 32-bit kernels).

pub(crate) mod mount;
mod walk;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

pub use mount::CgroupMountError;
pub(crate) use walk::Walk;

use crate::sys::{self, Meaning, Procfs, SysError};

/// How often a look-up starts again when the process moves under it.
pub(crate) const MAX_ATTEMPTS: u32 = 16;

/// How many directories a cgroup may lie below the root.
///
/// Far deeper than any real hierarchy; it bounds the work that a client can cause.
const MAX_DEPTH: usize = 128;

/// The length at which `/proc/PID/cgroup` cuts a path without a word.
pub(crate) const PATH_CUT: usize = 4095;

/// The longest path that `/proc/PID/cgroup` gives whole, and room for the lines of the
/// hierarchies of cgroup1 beside it.
const PROC_CGROUP_LEN: usize = 8192;
const PROC_CGROUP_MAX: usize = 128 * 1024;

/// The ID of a cgroup: unique until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct CgroupId(pub(crate) u64);

impl CgroupId {
    /// The ID as a number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// The cgroup2 hierarchy, as far as our cgroup namespace shows it.
#[derive(Debug)]
pub struct Cgroups {
    root: OwnedFd,
    mount_point: std::path::PathBuf,
}

/// The cgroup directory of a process.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(crate) dir: OwnedFd,
    pub(crate) id: CgroupId,
    /// The path from the root of our cgroup namespace.
    pub(crate) path: Vec<u8>,
    /// How many directories lie between it and the root, itself included.
    depth: usize,
}

/// Why the cgroup of a process could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// It was removed.
    #[error("it was removed")]
    Removed,
    /// It lies too deep.
    #[error("it lies more than {MAX_DEPTH} directories deep")]
    TooDeep,
    /// It, or a directory above it, may not be read.
    #[error("permission denied ({0})")]
    Denied(&'static str),
    /// `/proc/PID/cgroup` has no line for the unified hierarchy that makes sense.
    #[error("/proc does not tell its path")]
    NoPath,
}

/// Why one attempt did not find the directory.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The process is in another cgroup by now: worth another attempt.
    Moved,
    /// There is no such directory (any more): worth another attempt.
    Gone,
    /// The cgroup is outside our cgroup namespace.
    Outside,
    /// No attempt will do better.
    Cgroup(CgroupError),
    /// A call failed.
    Sys(SysError),
}

impl From<SysError> for Miss {
    fn from(error: SysError) -> Self {
        match error.meaning() {
            Meaning::Gone => Self::Gone,
            Meaning::Denied => Self::Cgroup(CgroupError::Denied(error.call.name())),
            _ => Self::Sys(error),
        }
    }
}

impl Cgroups {
    /// Finds the hierarchy through `/proc/self/mountinfo`.
    pub(crate) fn open(procfs: &Procfs) -> Result<Self, CgroupMountError> {
        let (root, mount_point) = mount::find(procfs)?;
        // Without file handles no directory can be verified: better told now than by every look-up.
        sys::handle_id(root.as_fd()).map_err(CgroupMountError::from)?;
        Ok(Self { root, mount_point })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the cgroup `id`, in which the process `pid` was a moment ago.
    pub(crate) fn open_verified(&self, procfs: &Procfs, pid: u32, id: CgroupId) -> Result<Cgroup, Miss> {
        let path = read_path(&open_proc_cgroup(procfs, pid)?)?;
        let cgroup = self.open_path(path)?;
        if cgroup.id == id { Ok(cgroup) } else { Err(Miss::Moved) }
    }

    /// Opens the directory that has this path now.
    pub(crate) fn open_path(&self, path: Vec<u8>) -> Result<Cgroup, Miss> {
        let depth = depth_of(&path)?;
        let dir = if depth == 0 { sys::duplicate(self.root())? } else { sys::open_beneath(self.root(), &path[1..])? };
        let id = CgroupId(sys::handle_id(dir.as_fd())?);
        Ok(Cgroup { dir, id, path, depth })
    }

    /// Opens our own cgroup.
    pub(crate) fn open_own(&self, procfs: &Procfs) -> Result<Cgroup, Miss> {
        self.open_path(read_path(&procfs.open_file("self/cgroup")?)?)
    }
}

impl Cgroup {
    /// The cgroup itself and the directories above it, up to the root of our cgroup namespace but
    /// without it: the root holds everybody.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    /// A directory that [`Walk::keep`] kept, or our own.
    pub(crate) fn dir_at<'a>(&'a self, above: Option<&'a Rc<OwnedFd>>) -> BorrowedFd<'a> {
        above.map_or(self.dir.as_fd(), |dir| dir.as_fd())
    }
}

/// Opens `/proc/PID/cgroup`.
pub(crate) fn open_proc_cgroup(procfs: &Procfs, pid: u32) -> Result<OwnedFd, SysError> {
    procfs.open_file(&format!("{pid}/cgroup"))
}

/// Reads the path in the unified hierarchy out of an open `/proc/PID/cgroup`.
pub(crate) fn read_path(file: &OwnedFd) -> Result<Vec<u8>, Miss> {
    let mut buffer = [0; PROC_CGROUP_LEN];
    let long;
    let text = match sys::read_single(file.as_fd(), &mut buffer) {
        Ok(len) => &buffer[..len],
        Err(e) if e.errno == rustix::io::Errno::FBIG => {
            let mut large = vec![0; PROC_CGROUP_MAX];
            let len = sys::read_single(file.as_fd(), &mut large)?;
            large.truncate(len);
            long = large;
            &long[..]
        }
        // A process that is being reaped has no cgroups to tell.
        Err(e) if e.meaning() == Meaning::Reaped => return Err(Miss::Gone),
        Err(e) => return Err(e.into()),
    };
    parse_proc_cgroup(text)
}

/// The path in the `0::` line, if it lies in our cgroup namespace.
pub(crate) fn parse_proc_cgroup(text: &[u8]) -> Result<Vec<u8>, Miss> {
    let mut lines = text.split(|&b| b == b'\n').filter_map(|line| line.strip_prefix(b"0::"));
    match lines.next() {
        Some(path) if path == b"/.." || path.starts_with(b"/../") => Err(Miss::Outside),
        Some(path) if path.starts_with(b"/") => Ok(path.to_vec()),
        _ => Err(Miss::Cgroup(CgroupError::NoPath)),
    }
}

/// How many names a path has. One that has other things in it is not a path of a cgroup.
pub(crate) fn depth_of(path: &[u8]) -> Result<usize, Miss> {
    let Some(relative) = path.strip_prefix(b"/") else { return Err(Miss::Cgroup(CgroupError::NoPath)) };
    if relative.is_empty() {
        return Ok(0);
    }
    let mut depth = 0;
    for name in relative.split(|&b| b == b'/') {
        if matches!(name, b"" | b"." | b"..") {
            return Err(Miss::Cgroup(CgroupError::NoPath));
        }
        depth += 1;
    }
    if depth > MAX_DEPTH { Err(Miss::Cgroup(CgroupError::TooDeep)) } else { Ok(depth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t16_only_the_unified_hierarchy_counts() {
        let hybrid = b"4:memory:/x\n1:cpu:/0::\n0::/a/b (deleted)\n";
        assert_eq!(parse_proc_cgroup(hybrid).unwrap(), b"/a/b (deleted)");
        assert_eq!(parse_proc_cgroup(b"0::/\n").unwrap(), b"/");
        for bad in [&b""[..], b"4:memory:/x\n", b"0::\n", b"0::x\n"] {
            assert!(matches!(parse_proc_cgroup(bad), Err(Miss::Cgroup(CgroupError::NoPath))), "{bad:?}");
        }
        for outside in [&b"0::/..\n"[..], b"0::/../c\n"] {
            assert!(matches!(parse_proc_cgroup(outside), Err(Miss::Outside)));
        }
        assert_eq!(parse_proc_cgroup(b"0::/..c\n").unwrap(), b"/..c");
    }

    #[test]
    fn a_path_has_names_and_nothing_else() {
        assert!(matches!(depth_of(b"/"), Ok(0)));
        assert!(matches!(depth_of(b"/a/b"), Ok(2)));
        for bad in [&b""[..], b"a", b"//a", b"/a/", b"/a/../b", b"/./a"] {
            assert!(depth_of(bad).is_err(), "{bad:?}");
        }
        assert!(matches!(depth_of(&b"/a".repeat(MAX_DEPTH)), Ok(MAX_DEPTH)));
        assert!(matches!(depth_of(&b"/a".repeat(MAX_DEPTH + 1)), Err(Miss::Cgroup(CgroupError::TooDeep))));
    }
}
