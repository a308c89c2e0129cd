//! Directories of the cgroup2 hierarchy by their path.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use crate::mounts;

/// `statfs(2)`'s type of cgroup2.
const MAGIC: u32 = 0x6367_7270;

/// How a directory is opened: not through a link.
pub(crate) const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The hierarchy, from the root of our cgroup namespace down.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    root: OwnedFd,
    point: PathBuf,
}

impl Hierarchy {
    /// Finds where it is mounted as a whole. `None` if it is not.
    pub(crate) fn find() -> io::Result<Option<Self>> {
        for mount in mounts::read()? {
            if mount.kind != "cgroup2" || mount.root != Path::new("/") {
                continue;
            }
            if let Ok(root) = rustix::fs::openat(CWD, &mount.point, DIR_FLAGS, Mode::empty())
                && is_cgroup2(&root)?
            {
                return Ok(Some(Self { root, point: mount.point }));
            }
        }
        Ok(None)
    }

    /// Where it is mounted.
    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// Its root.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Opens the directory with this path, `/` being the root; through no link, and on no other file system.
    pub(crate) fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        if relative.as_os_str().is_empty() {
            return self.root.try_clone();
        }
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        Ok(rustix::fs::openat2(&self.root, relative, DIR_FLAGS, Mode::empty(), beneath)?)
    }
}

/// Whether a directory is one of cgroup2.
pub(crate) fn is_cgroup2(dir: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(dir)?.f_type as u32 == MAGIC)
}
