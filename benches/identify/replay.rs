//! What `identify` asks the kernel about one peer, call for call.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::PidfdFlags;

use super::raw::{self, Buffers};
use super::trace::Budget;
use crate::common::{Context, world};

/// The names of a label's xattrs, in the order in which they are asked for.
const NAMES: [&CStr; 4] = [c"user.xdg.sandbox-engine", c"user.app_id", c"user.xdg.app-id", c"user.xdg.instance-id"];

/// The calls of one look-up: everything that had to be found out to know them is known already.
#[derive(Debug)]
pub(crate) struct Replay {
    procfs: OwnedFd,
    cgroups: OwnedFd,
    proc_cgroup: CString,
    path: CString,
    ourselves: OwnedFd,
    /// From the peer's cgroup up to the one below the root.
    levels: Vec<Level>,
    root_look: Look,
    buffers: Buffers,
}

/// What is asked of one directory.
#[derive(Debug)]
struct Level {
    values: Vec<&'static CStr>,
    look: Look,
}

/// How close a directory's owner and mode are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    None,
    Directory,
    WithProcs,
}

impl Look {
    fn make(self, dir: RawFd) {
        if self != Self::None {
            raw::stat(dir);
        }
        if self == Self::WithProcs {
            raw::stat_at(dir, c"cgroup.procs");
        }
    }
}

impl Replay {
    /// Plans the calls for the process `pid` of user `uid`, as the look-up would make them.
    pub(crate) fn plan(pid: u32, uid: u32, in_initial_user_namespace: bool) -> Result<Self, String> {
        let mount = world::cgroup_mount()?;
        let path = world::cgroup_path(&pid.to_string())?;
        let may_be_closed = in_initial_user_namespace && uid != 0;
        let mut levels: Vec<Level> = Vec::new();
        // Whether only root could have written some label so far.
        let mut closed = false;
        let mut dir = Path::new(&path);
        while !dir.as_os_str().is_empty() {
            let whole = mount.join(dir);
            let values = names_on(&whole)?;
            let look = if !values.is_empty() || closed { look_at(&whole, may_be_closed)? } else { Look::None };
            if look != Look::None {
                closed = look == Look::WithProcs && is_closed(&whole.join("cgroup.procs"))?;
            }
            levels.push(Level { values, look });
            dir = dir.parent().context("a path without an end")?;
        }
        let root_look = if closed { look_at(&mount, true)? } else { Look::None };
        let open = |path: &Path| fs::File::open(path).context(path.display()).map(OwnedFd::from);
        Ok(Self {
            procfs: open(Path::new("/proc"))?,
            cgroups: open(&mount)?,
            proc_cgroup: CString::new(format!("{pid}/cgroup")).context("pid")?,
            path: CString::new(path).context("path")?,
            ourselves: rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).context("pidfd")?,
            levels,
            root_look,
            buffers: Buffers::new(),
        })
    }

    /// How deep the peer's cgroup lies.
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The calls that the job needs, counted by what it is and not by what is made.
    pub(crate) fn budget(&self) -> Budget {
        let depth = self.levels.len();
        let labelled = self.levels.iter().filter(|level| !level.values.is_empty()).count();
        let values: usize = self.levels.iter().map(|level| level.values.len()).sum();
        let looks = self.levels.iter().map(|level| level.look).chain([self.root_look]);
        let (directories, files): (Vec<_>, Vec<_>) =
            looks.map(|look| (usize::from(look != Look::None), usize::from(look == Look::WithProcs))).unzip();
        let any = usize::from(labelled > 0);
        let above = self.levels.iter().skip(1).filter(|level| !level.values.is_empty()).count();
        let namespaces = raw::GET_NAMESPACES.len();
        Budget::from([
            // Who connected: credentials and pidfd. It is not we.
            ("getsockopt", 2),
            ("getpid", 1 + any),
            // Before and after; the namespaces; if there is a label, whether we are where we were, and whether the peer still
            // is between the two readings.
            ("ioctl", 2 + namespaces + 2 * any),
            // The path, and whether what it leads to is the cgroup.
            ("pread64", 1),
            ("openat2", 1),
            // Whether what is labelled holds us too; of its own cgroup that is known.
            ("name_to_handle_at", 1 + above),
            // The file in /proc, and each directory above.
            ("openat", 1 + depth - 1),
            ("close", 1 + (depth - 1) + namespaces + 2),
            // The names on each directory, the values only where there are some; both again where there are.
            ("flistxattr", depth + labelled),
            ("fgetxattr", 2 * values),
            // Who could have written a label.
            ("fstat", namespaces + directories.iter().sum::<usize>()),
            ("newfstatat", files.iter().sum()),
        ])
    }

    /// Makes the calls.
    pub(crate) fn run(&mut self, socket: RawFd) {
        raw::peer_cred(socket);
        let pidfd = raw::peer_pidfd(socket);
        raw::pidfd_info(pidfd);
        raw::getpid();
        let cgroup = self.open_cgroup();
        let labelled = self.walk(cgroup);
        if !labelled.is_empty() {
            self.root_look.make(self.cgroups.as_raw_fd());
            raw::pidfd_info(self.ourselves.as_raw_fd());
            raw::getpid();
            labelled.iter().filter(|&&(_, level)| level > 0).for_each(|&(dir, _)| raw::handle(dir));
        }
        for request in raw::GET_NAMESPACES {
            let namespace = raw::namespace(pidfd, request);
            raw::stat(namespace);
            raw::close(namespace);
        }
        if !labelled.is_empty() {
            raw::pidfd_info(pidfd);
        }
        for &(dir, level) in &labelled {
            read_label(&mut self.buffers, dir, &self.levels[level]);
        }
        raw::pidfd_info(pidfd);
        raw::close(cgroup);
        labelled.iter().filter(|&&(_, level)| level > 0).for_each(|&(dir, _)| raw::close(dir));
        raw::close(pidfd);
    }

    fn open_cgroup(&mut self) -> RawFd {
        let file = raw::open_file(self.procfs.as_raw_fd(), &self.proc_cgroup);
        raw::pread(file, &mut self.buffers.text[..]);
        raw::close(file);
        let cgroup = raw::open_beneath(self.cgroups.as_raw_fd(), &self.path);
        raw::handle(cgroup);
        cgroup
    }

    /// Up to the root; the directories with a label, and which levels these are.
    fn walk(&mut self, cgroup: RawFd) -> Vec<(RawFd, usize)> {
        let mut labelled = Vec::new();
        // Whose descriptor is closed once its parent is open: not that of a directory with a label.
        let mut passing = None;
        let mut dir = cgroup;
        for (index, level) in self.levels.iter().enumerate() {
            if index > 0 {
                dir = raw::open_parent(dir);
                if let Some(below) = passing.replace(dir) {
                    raw::close(below);
                }
            }
            read_label(&mut self.buffers, dir, level);
            level.look.make(dir);
            if !level.values.is_empty() {
                labelled.push((dir, index));
                passing = None;
            }
        }
        if let Some(last) = passing {
            raw::close(last);
        }
        labelled
    }
}

fn read_label(buffers: &mut Buffers, dir: RawFd, level: &Level) {
    raw::list_xattrs(dir, &mut buffers.names[..]);
    for name in &level.values {
        raw::get_xattr(dir, name, &mut buffers.value[..]);
    }
}

/// Which of our names a directory has.
fn names_on(dir: &Path) -> Result<Vec<&'static CStr>, String> {
    let mut buffer = vec![0; 64 * 1024];
    let len = rustix::fs::listxattr(dir, &mut buffer).context(dir.display())?;
    let is_there = |name: &CStr| buffer[..len].split(|&b| b == 0).any(|n| n == name.to_bytes());
    Ok(NAMES.into_iter().filter(|name| is_there(name)).collect())
}

/// The look at a directory: at its `cgroup.procs` only if the directory itself is closed to all but root.
fn look_at(dir: &Path, may_be_closed: bool) -> Result<Look, String> {
    Ok(if may_be_closed && is_closed(dir)? { Look::WithProcs } else { Look::Directory })
}

/// Whether only root can write here; others may make their own entries in a sticky directory.
fn is_closed(path: &Path) -> Result<bool, String> {
    let metadata = fs::metadata(path).context(path.display())?;
    let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    Ok(metadata.uid() == 0 && (metadata.mode() & 0o022 == 0 || sticky))
}
