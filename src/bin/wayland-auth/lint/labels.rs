//! The directories from a process' cgroup up to the root, and which of them are labelled.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;
use wayland_auth::identity::label::XattrNames;

use super::subject::Subject;
use crate::cgroup2::Hierarchy;

/// How often it is looked at anew if the process moves meanwhile.
const ATTEMPTS: u32 = 16;

/// The length at which the kernel cuts a path without a word.
const PATH_CUT: usize = 4095;

/// One directory.
#[derive(Debug)]
pub(super) struct Directory {
    /// From the root of our cgroup namespace.
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    /// The ownership of its `cgroup.procs`.
    pub(super) procs: Stat,
    /// Whether a sandbox engine's name, or another part of a sandbox label, is on it.
    pub(super) labelled: bool,
}

/// The cgroup of a process with all above it.
#[derive(Debug)]
pub(super) struct Ancestry {
    /// The process' own first, the root last.
    pub(super) directories: Vec<Directory>,
}

impl Ancestry {
    /// Looks at it, all in one moment: the process was in the same cgroup before and after, and a cgroup's name means one
    /// directory for as long as it exists.
    pub(super) fn of(subject: &Subject, hierarchy: &Hierarchy) -> io::Result<Self> {
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let before = path_of(subject)?;
            let directories =
                before.ancestors().map(|path| Directory::open(hierarchy, path)).collect::<io::Result<_>>();
            let unmoved = path_of(subject)? == before;
            match directories {
                Ok(directories) if unmoved => return Ok(Self { directories }),
                Ok(_) => {}
                Err(e) => failed = Some(e),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("it moves from cgroup to cgroup")))
    }

    /// The process' own cgroup.
    pub(super) fn own(&self) -> Option<&Path> {
        self.directories.first().map(|directory| directory.path.as_path())
    }

    /// The labelled directories, innermost first.
    pub(super) fn labelled(&self) -> impl Iterator<Item = &Directory> {
        self.directories.iter().filter(|directory| directory.labelled)
    }
}

impl Directory {
    fn open(hierarchy: &Hierarchy, path: &Path) -> io::Result<Self> {
        let dir = hierarchy.open(path)?;
        let is_root = path.parent().is_none();
        Ok(Self {
            path: path.to_owned(),
            stat: rustix::fs::fstat(&dir)?,
            procs: rustix::fs::statat(&dir, "cgroup.procs", AtFlags::SYMLINK_NOFOLLOW)?,
            // The root holds everybody; nobody's label stands there.
            labelled: !is_root && is_labelled(&dir)?,
        })
    }
}

fn is_labelled(dir: &OwnedFd) -> io::Result<bool> {
    let names = XattrNames::default();
    for name in [&names.engine, &names.app_id_alias, &names.instance_id] {
        match rustix::fs::fgetxattr(dir, name.as_str(), &mut [0_u8; 0]) {
            Ok(_) | Err(Errno::RANGE) => return Ok(true),
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(false)
}

/// The path of a process' cgroup in our cgroup namespace.
fn path_of(subject: &Subject) -> io::Result<PathBuf> {
    parse_path(&subject.read("cgroup")?)
}

/// The path in the line of the unified hierarchy.
fn parse_path(text: &[u8]) -> io::Result<PathBuf> {
    let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let path = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"0::"));
    match path {
        Some(path) if path == b"/.." || path.starts_with(b"/../") => invalid("its cgroup lies outside of ours"),
        Some(path) if path.len() >= PATH_CUT => invalid("its cgroup's path is too long to be told whole"),
        Some(path) if path.ends_with(b" (deleted)") => invalid("its cgroup may have been removed"),
        Some(path) if path.starts_with(b"/") => Ok(PathBuf::from(OsStr::from_bytes(path))),
        _ => invalid("its cgroup is not told"),
    }
}

/// What `/proc/PID/cgroup` says to somebody in another cgroup namespace leads to that namespace's root: the process' own
/// path without what lies between.
pub(super) fn namespace_root(own: &Path, from_there: &[u8]) -> io::Result<PathBuf> {
    let relative = parse_path(from_there)?;
    let mut root = own;
    for name in relative.components().rev() {
        if let std::path::Component::Normal(name) = name {
            let matches = root.file_name() == Some(name);
            root = root.parent().filter(|_| matches).ok_or_else(|| io::Error::other("the paths disagree"))?;
        }
    }
    Ok(root.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_may_be_forged_is_refused() {
        assert_eq!(parse_path(b"5:x:/y\n0::/a b/c\n").unwrap(), Path::new("/a b/c"));
        let long = [&b"0::/"[..], &[b'x'; 4095], b"\n"].concat();
        for bad in [&b"0::/../a\n"[..], b"0::/..\n", b"0::/a (deleted)\n", b"4:memory:/x\n", b"", &long] {
            assert!(parse_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_root_of_a_cgroup_namespace_is_found() {
        let root = |text: &[u8]| namespace_root(Path::new("/a/b/c"), text).ok();
        assert_eq!(root(b"0::/\n"), Some("/a/b/c".into()));
        assert_eq!(root(b"0::/b/c\n"), Some("/a".into()));
        assert_eq!(root(b"0::/a/b/c\n"), Some("/".into()));
        assert_eq!(root(b"0::/x\n"), None);
        assert_eq!(root(b"0::/../x\n"), None);
    }
}
