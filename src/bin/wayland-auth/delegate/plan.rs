//! The directories: `wayland-auth` is root's, `wayland-auth/UID` and `wayland-auth/UID/session` are the user's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Stat, Uid};
use rustix::io::Errno;
use wayland_auth::users::User;

use super::session::Session;
use crate::cgroup2::{DIR_FLAGS, Hierarchy, is_cgroup2};
use crate::failure::{FAILED, Failure};
use crate::output::shown;
use crate::run::remove_cgroup;

/// The directory that holds the users' trees.
const HOLDER: &str = "wayland-auth";

/// The directory of a user's tree that his session is in.
const SESSION: &str = "session";

/// The files of a cgroup that belong to whom it is delegated to.
const DELEGATED: &[&str] = &["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// Where the trees are made.
#[derive(Debug)]
pub(super) struct Place {
    /// From the root of the hierarchy.
    path: PathBuf,
    dir: OwnedFd,
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(FAILED, message)
}

/// Whether nobody but root can write here.
fn is_roots(stat: &Stat) -> bool {
    stat.st_uid == 0 && stat.st_mode & 0o022 == 0
}

impl Place {
    /// The root of the hierarchy, or the cgroup that was asked for. Root must own it, and all above it.
    pub(super) fn find(hierarchy: &Hierarchy, at: Option<&Path>) -> Result<Self, Failure> {
        let path = match at {
            None => PathBuf::from("/"),
            Some(at) => {
                let relative =
                    at.strip_prefix(hierarchy.point()).ok().filter(|_| at.is_absolute()).ok_or_else(|| {
                        failed(format!("{} is not below {}", shown(at), shown(hierarchy.point())))
                            .remedy("give the whole path of a cgroup there")
                    })?;
                Path::new("/").join(relative)
            }
        };
        let cannot =
            |path: &Path, e: io::Error| failed(format!("cgroup {} could not be opened", shown(path))).because(e);
        for path in path.ancestors() {
            let dir = hierarchy.open(path).map_err(|e| cannot(path, e))?;
            let stat = rustix::fs::fstat(&dir).map_err(|e| cannot(path, e.into()))?;
            if !is_roots(&stat) {
                return Err(failed(format!("cgroup {} can be written to by others than root", shown(path)))
                    .remedy("see why, and name another one with --at, or `chown root` and `chmod go-w` it"));
            }
        }
        let dir = hierarchy.open(&path).map_err(|e| cannot(&path, e))?;
        Ok(Self { path, dir })
    }

    fn user_path(&self, user: &User) -> PathBuf {
        self.path.join(HOLDER).join(user.uid.to_string())
    }

    /// Makes what is missing, gives it to the user, and moves the session.
    pub(super) fn prepare(
        &self,
        hierarchy: &Hierarchy,
        user: &User,
        session: Option<&Session>,
        dry_run: bool,
        said: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut steps = Steps { hierarchy, dry_run, said };
        let (holder, tree) = (self.path.join(HOLDER), self.user_path(user));
        let target = tree.join(SESSION);
        let holder_dir = steps.directory(Some(&self.dir), &holder)?;
        if let Some(stat) = stat(holder_dir.as_ref(), &holder)?
            && !is_roots(&stat)
        {
            return Err(weird(&holder, &stat));
        }
        let tree_dir = steps.directory(holder_dir.as_ref(), &tree)?;
        steps.give(tree_dir.as_ref(), &tree, user)?;
        let target_dir = steps.directory(tree_dir.as_ref(), &target)?;
        steps.give(target_dir.as_ref(), &target, user)?;
        if let Some(session) = session {
            let at = session.cgroup().map_err(|e| failed("the session's cgroup is not told").because(e))?;
            // Anywhere in the user's tree will do: do not move what he has moved himself.
            if !at.starts_with(&tree) {
                steps.say(&format!("move process {} from {} to {}", session.pid, shown(&at), shown(&target)));
                if let Some(dir) = target_dir.filter(|_| !dry_run) {
                    session.move_to(&dir, &target)?;
                }
            }
        }
        Ok(())
    }

    /// Moves the session out, and removes the tree.
    pub(super) fn remove(
        &self,
        hierarchy: &Hierarchy,
        user: &User,
        session: Option<&Session>,
        dry_run: bool,
        said: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let mut steps = Steps { hierarchy, dry_run, said };
        let (holder, tree) = (self.path.join(HOLDER), self.user_path(user));
        let Some(holder_dir) = steps.existing(Some(&self.dir), &holder)? else { return Ok(()) };
        let Some(tree_dir) = steps.existing(Some(&holder_dir), &tree)? else { return Ok(()) };
        let owner = stat(Some(&tree_dir), &tree)?.filter(|stat| stat.st_uid != 0 && stat.st_uid != user.uid);
        if let Some(stat) = owner {
            return Err(weird(&tree, &stat));
        }
        if let Some(session) = session {
            let at = session.cgroup().map_err(|e| failed("the session's cgroup is not told").because(e))?;
            if at.starts_with(&tree) {
                steps.say(&format!("move process {} from {} to {}", session.pid, shown(&at), shown(&self.path)));
                if !dry_run {
                    session.move_to(&self.dir, &self.path)?;
                }
            }
        }
        drop(tree_dir);
        if !dry_run {
            self.leave(&tree)?;
        }
        steps.say(&format!("remove {}", shown(&steps.hierarchy.point().join(tree.strip_prefix("/").unwrap_or(&tree)))));
        if dry_run {
            return Ok(());
        }
        remove_cgroup(holder_dir.as_fd(), &user.uid.to_string()).map_err(|e| {
            let failure = failed(format!("cgroup {} could not be removed", shown(&tree)));
            match Errno::from_io_error(&e) {
                Some(Errno::BUSY) => failure.because(e).remedy("end what still runs in it, and try again"),
                _ => failure.because(e),
            }
        })?;
        // Other users' trees may be there.
        match rustix::fs::unlinkat(&self.dir, HOLDER, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => Ok(()),
            Err(e) => {
                Err(failed(format!("cgroup {} could not be removed", shown(&holder))).because(io::Error::from(e)))
            }
        }
    }
}

impl Place {
    /// Moves this very process out of the tree, if it is in there: the session started it.
    fn leave(&self, tree: &Path) -> Result<(), Failure> {
        let own = Session::own().map_err(|e| failed("our own cgroup is not told").because(e))?;
        let at = own.cgroup().map_err(|e| failed("our own cgroup is not told").because(e))?;
        if at.starts_with(tree) { own.move_to(&self.dir, &self.path) } else { Ok(()) }
    }
}

/// The owner and mode of a directory, if it is there.
fn stat(dir: Option<&OwnedFd>, path: &Path) -> Result<Option<Stat>, Failure> {
    let stat = dir.map(rustix::fs::fstat).transpose();
    stat.map_err(|e| failed(format!("cgroup {} could not be looked at", shown(path))).because(io::Error::from(e)))
}

fn weird(path: &Path, stat: &Stat) -> Failure {
    let (uid, mode) = (stat.st_uid, stat.st_mode & 0o7777);
    failed(format!("cgroup {} is there already, and belongs to uid {uid} (mode {mode:04o})", shown(path)))
        .remedy("find out who made it, and remove it")
}

/// What is done, or only said.
struct Steps<'a> {
    hierarchy: &'a Hierarchy,
    dry_run: bool,
    said: &'a mut Vec<String>,
}

impl Steps<'_> {
    fn say(&mut self, what: &str) {
        self.said.push(if self.dry_run { format!("would {what}") } else { what.to_owned() });
    }

    fn location(&self, path: &Path) -> PathBuf {
        self.hierarchy.point().join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Opens a directory through no link; `None` if it is not there.
    fn existing(&self, parent: Option<&OwnedFd>, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        let (Some(parent), Some(name)) = (parent, path.file_name()) else { return Ok(None) };
        let cannot =
            |e: io::Error| failed(format!("cgroup {} could not be opened", shown(&self.location(path)))).because(e);
        match rustix::fs::openat(parent, name, DIR_FLAGS, Mode::empty()) {
            Ok(dir) if is_cgroup2(&dir).map_err(cannot)? => Ok(Some(dir)),
            Ok(_) => Err(cannot(io::Error::other("something else is mounted there"))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(cannot(e.into())),
        }
    }

    /// Opens a directory, and makes it before if it is not there. `None` where it only would be made.
    fn directory(&mut self, parent: Option<&OwnedFd>, path: &Path) -> Result<Option<OwnedFd>, Failure> {
        if let Some(dir) = self.existing(parent, path)? {
            return Ok(Some(dir));
        }
        self.say(&format!("make {}", shown(&self.location(path))));
        let (Some(parent), Some(name), false) = (parent, path.file_name(), self.dry_run) else { return Ok(None) };
        let cannot =
            |e: io::Error| failed(format!("cgroup {} could not be made", shown(&self.location(path)))).because(e);
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {}
            Err(e) => return Err(cannot(e.into())),
        }
        let dir = self.existing(Some(parent), path)?.ok_or_else(|| cannot(io::ErrorKind::NotFound.into()))?;
        // Whatever the umask is, a compositor must be able to read labels here.
        let made_by_root = rustix::fs::fstat(&dir).map_err(|e| cannot(e.into()))?.st_uid == 0;
        if made_by_root {
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755)).map_err(|e| cannot(e.into()))?;
        }
        Ok(Some(dir))
    }

    /// Gives a directory and the files of delegation to the user, unless they are his.
    fn give(&mut self, dir: Option<&OwnedFd>, path: &Path, user: &User) -> Result<(), Failure> {
        let owner = Some(Uid::from_raw(user.uid));
        let location = self.location(path);
        let Some(dir) = dir else {
            self.say(&format!("give {} to {} (uid {})", shown(&location), user.name, user.uid));
            return Ok(());
        };
        let cannot = |e: Errno| {
            failed(format!("cgroup {} could not be given away", shown(&location))).because(io::Error::from(e))
        };
        let stat = rustix::fs::fstat(dir).map_err(cannot)?;
        if stat.st_uid != 0 && stat.st_uid != user.uid {
            return Err(weird(path, &stat));
        }
        let files: Vec<Stat> = DELEGATED
            .iter()
            .map(|file| rustix::fs::statat(dir, *file, AtFlags::SYMLINK_NOFOLLOW))
            .collect::<Result<_, _>>()
            .map_err(cannot)?;
        if files.iter().all(|file| file.st_uid == user.uid) && stat.st_uid == user.uid {
            return Ok(());
        }
        self.say(&format!("give {} to {} (uid {})", shown(&location), user.name, user.uid));
        if self.dry_run {
            return Ok(());
        }
        let group = Some(Gid::from_raw(user.gid));
        // The files first: as long as the directory is root's, nobody else changes what is in it.
        for file in DELEGATED {
            rustix::fs::chownat(dir, *file, owner, group, AtFlags::SYMLINK_NOFOLLOW).map_err(cannot)?;
        }
        rustix::fs::fchown(dir, owner, group).map_err(cannot)
    }
}
