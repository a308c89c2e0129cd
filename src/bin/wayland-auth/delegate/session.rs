//! The process that is moved: the first of a session.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use wayland_auth::users::User;

use crate::failure::{FAILED, Failure};
use crate::output::shown;

/// A process, pinned: what is read is of this one, or fails.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pid: i32,
    dir: OwnedFd,
}

impl Session {
    /// Pins the process `pid`, or the one that started us. It must be the user's, or root's on the way to become his.
    pub(super) fn pin(pid: Option<i32>, user: &User) -> Result<Self, Failure> {
        let failed = |message: String| Failure::new(FAILED, message);
        let pid = match pid.or_else(|| rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get())) {
            Some(pid) if pid > 1 => pid,
            _ => {
                return Err(failed(
                    "the process that started this command is the first of the machine, or is not seen".into(),
                )
                .remedies(["name the session's process with --pid", "move none, with --no-move"]));
            }
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())
            .map_err(|e| failed(format!("there is no process {pid}")).because(io::Error::from(e)))?;
        let session = Self { pid, dir };
        let cannot = |e: io::Error| failed(format!("process {pid} could not be looked at")).because(e);
        let uids = session.uids().map_err(cannot)?;
        if !uids.iter().all(|uid| *uid == user.uid || *uid == 0) {
            return Err(failed(format!("process {pid} belongs to neither root nor {}", user.name))
                .remedy("name a process of the session with --pid"));
        }
        // Kernel threads have no memory, and so no address space to describe.
        if session.read("maps").map_err(cannot)?.is_empty() {
            return Err(failed(format!("process {pid} is a thread of the kernel, or has ended")));
        }
        Ok(session)
    }

    /// Pins this process.
    pub(super) fn own() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, "/proc/self", flags, Mode::empty())?;
        Ok(Self { pid: rustix::process::getpid().as_raw_nonzero().get(), dir })
    }

    fn uids(&self) -> io::Result<Vec<u32>> {
        let text = self.read("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uids =
            line.and_then(|line| line.split_whitespace().map(|uid| uid.parse().ok()).collect::<Option<Vec<_>>>());
        uids.filter(|uids| !uids.is_empty()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The path of its cgroup, from the root of our cgroup namespace.
    pub(super) fn cgroup(&self) -> io::Result<PathBuf> {
        let text = self.read("cgroup")?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).ok_or(io::ErrorKind::InvalidData)?;
        Ok(PathBuf::from(path))
    }

    /// Moves it into the cgroup `dir`, which has this path, and makes sure that it is there.
    pub(super) fn move_to(&self, dir: &OwnedFd, path: &Path) -> Result<(), Failure> {
        let place = format!("process {} could not be moved to {}", self.pid, shown(path));
        let failed = |e: io::Error| Failure::new(FAILED, place.clone()).because(e);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let procs = rustix::fs::openat(dir, "cgroup.procs", flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        // Pinned and there, the number is that of this process and of no other.
        self.cgroup().map_err(failed)?;
        rustix::io::retry_on_intr(|| rustix::io::write(&procs, self.pid.to_string().as_bytes()))
            .map_err(|e| failed(e.into()))?;
        let now = self.cgroup().map_err(failed)?;
        if now == path { Ok(()) } else { Err(failed(io::Error::other(format!("it is in {} now", shown(&now))))) }
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, name, flags, Mode::empty())?;
        // Names of cgroups are any bytes; ours are not.
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
