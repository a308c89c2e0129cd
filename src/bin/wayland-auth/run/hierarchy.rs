//! The cgroup that this process is in, as a directory to make others in.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::mounts;
use crate::output::shown;

/// `statfs(2)`'s type of cgroup2.
const CGROUP2_MAGIC: u32 = 0x6367_7270;

pub(super) use crate::cgroup2::DIR_FLAGS;

/// What to do where no cgroup can be made.
pub(crate) const REMEDIES: &[&str] = &[
    "run it under `systemd-run --user --scope -p Delegate=yes -- ...`",
    "without systemd: let root run `wayland-auth delegate USER` at the start of your session",
    "as root, or in a container, see that cgroup2 is mounted writable",
];

/// The directory of our own cgroup. We may make directories there, and move processes between them.
#[derive(Debug)]
pub(crate) struct OwnCgroup {
    dir: OwnedFd,
    /// Where it is in the file system, for messages.
    location: PathBuf,
    /// Its path from the root of our cgroup namespace, as `/proc/PID/cgroup` gives it.
    path: PathBuf,
}

/// Why our own cgroup is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// There is no hierarchy.
    #[error("cgroup2 is not mounted as a whole, so no cgroup can be labelled")]
    NotMounted,
    /// `/proc/self/cgroup` has no path that we could open.
    #[error("this process is in no cgroup that it can see: `{0}` in /proc/self/cgroup")]
    Outside(String),
    /// It belongs to somebody else.
    #[error("{path}, in which this process is, cannot be written to")]
    NotWritable {
        /// The directory, or its `cgroup.procs`.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Below a threaded cgroup there are no ordinary ones.
    #[error("{path} is a threaded cgroup ({kind}), below which no process can be started")]
    Threaded {
        /// The directory.
        path: String,
        /// `cgroup.type`.
        kind: String,
    },
    /// It could not be looked at.
    #[error("{path} could not be read")]
    Unreadable {
        /// The file or directory.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl OwnCgroup {
    /// Finds it through `/proc`, and looks whether it is writable.
    ///
    /// Writable counts, whoever delegated it: below `user@UID.service` every cgroup is the user's, and
    /// systemd leaves alone what it finds inside the cgroup of a unit. Both `cgroup.procs` matter, that of
    /// the destination (which we shall make) and that of the common ancestor (which is this directory).
    pub(crate) fn find() -> Result<Self, Unusable> {
        let unreadable = |path: &'static str| move |source| Unusable::Unreadable { path: path.into(), source };
        let text = std::fs::read("/proc/self/cgroup").map_err(unreadable("/proc/self/cgroup"))?;
        let path = unified_path(&text).ok_or(Unusable::NotMounted)?;
        if path.starts_with("/..") {
            return Err(Unusable::Outside(shown(path)));
        }
        let mounts = mounts::read().map_err(unreadable("/proc/self/mountinfo"))?;
        let mut failure = Unusable::NotMounted;
        // Several mounts show the same directories, but perhaps only one is writable.
        for mount in mounts.iter().filter(|mount| mount.kind == "cgroup2" && mount.root == Path::new("/")) {
            match Self::open(&mount.point, path) {
                Ok(own) => return Ok(own),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    fn open(mount_point: &Path, path: &Path) -> Result<Self, Unusable> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let at_root = relative.as_os_str().is_empty();
        let location = if at_root { mount_point.to_owned() } else { mount_point.join(relative) };
        let unreadable = |e: Errno| Unusable::Unreadable { path: shown(&location), source: e.into() };
        let root = rustix::fs::openat(CWD, mount_point, DIR_FLAGS, Mode::empty()).map_err(unreadable)?;
        let magic = rustix::fs::fstatfs(&root).map_err(unreadable)?.f_type;
        if magic as u32 != CGROUP2_MAGIC {
            return Err(Unusable::NotMounted);
        }
        let dir = if at_root {
            root
        } else {
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
            rustix::fs::openat2(&root, relative, DIR_FLAGS, Mode::empty(), beneath).map_err(unreadable)?
        };
        let own = Self { dir, location, path: path.to_owned() };
        own.check()?;
        Ok(own)
    }

    /// Whether processes can be started in directories that we make here.
    fn check(&self) -> Result<(), Unusable> {
        if let Some(kind) = self.read("cgroup.type").map(|text| text.trim().to_owned())
            && kind != "domain"
        {
            return Err(Unusable::Threaded { path: shown(&self.location), kind });
        }
        for (name, access) in [(".", Access::WRITE_OK | Access::EXEC_OK), ("cgroup.procs", Access::WRITE_OK)] {
            rustix::fs::accessat(&self.dir, name, access, AtFlags::empty()).map_err(|e| Unusable::NotWritable {
                path: shown(&if name == "." { self.location.clone() } else { self.location.join(name) }),
                source: e.into(),
            })?;
        }
        Ok(())
    }

    /// A small file of the directory; the root has fewer of them.
    fn read(&self, name: &str) -> Option<String> {
        read_file(self.dir.as_fd(), name).ok()
    }

    /// The open directory.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Where it is in the file system, for messages.
    pub(crate) fn location(&self) -> &Path {
        &self.location
    }

    /// What `/proc/PID/cgroup` says of a process in the directory `below`.
    pub(super) fn path_of(&self, below: &Path) -> PathBuf {
        self.path.join(below)
    }
}

/// Reads a small file of cgroupfs.
pub(super) fn read_file(dir: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    let file = rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    io::read_to_string(std::fs::File::from(file))
}

/// The path in the line of the unified hierarchy.
pub(super) fn unified_path(proc_cgroup: &[u8]) -> Option<&Path> {
    let path = proc_cgroup.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    path.starts_with(b"/").then(|| Path::new(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unified_hierarchy_counts() {
        let hybrid = b"4:memory:/x\n1:name=systemd:/y\n0::/a b\n";
        assert_eq!(unified_path(hybrid), Some(Path::new("/a b")));
        assert_eq!(unified_path(b"4:memory:/x\n"), None);
        assert_eq!(unified_path(b"0::\n"), None);
    }

    #[test]
    fn paths_below_the_root_start_with_one_slash() {
        let path = Path::new("/").join("name/payload");
        assert_eq!(path.as_os_str(), "/name/payload");
    }
}
