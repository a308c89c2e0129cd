//! The process that is looked at, pinned: every answer is of the same process, or there is none.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::status::{IdMap, Status};

/// The most of a file that is read.
const FILE_MAX: usize = 16 * 1024 * 1024;

/// The namespaces that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    User,
    Mount,
    Pid,
    Cgroup,
    Network,
}

impl Namespace {
    fn file(self) -> &'static str {
        match self {
            Self::User => "ns/user",
            Self::Mount => "ns/mnt",
            Self::Pid => "ns/pid",
            Self::Cgroup => "ns/cgroup",
            Self::Network => "ns/net",
        }
    }
}

/// A process' directory in `/proc`. Once the process is reaped nothing can be read through it, whoever has its pid then.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) pid: u32,
    dir: OwnedFd,
}

/// What a descriptor, the working directory or the root of a process refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: FileType,
    /// Major and minor number.
    pub(super) device: (u32, u32),
    pub(super) mount: u64,
}

impl Subject {
    /// Pins the process that has this pid now.
    pub(super) fn pin(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { pid, dir: rustix::fs::openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())? })
    }

    /// Opens a file of the process.
    pub(super) fn open(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Reads a file of the process.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        use io::Read as _;
        let mut bytes = Vec::new();
        let file = std::fs::File::from(self.open(name)?);
        file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > FILE_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    pub(super) fn status(&self) -> io::Result<Status> {
        Status::parse(&self.read("status")?).ok_or_else(|| not_understood("status"))
    }

    pub(super) fn id_map(&self, name: &str) -> io::Result<IdMap> {
        IdMap::parse(&self.read(name)?).ok_or_else(|| not_understood(name))
    }

    /// Whether a namespace of the process is ours, too.
    pub(super) fn shares(&self, namespace: Namespace) -> io::Result<bool> {
        let ours = rustix::fs::statat(CWD, format!("/proc/self/{}", namespace.file()), AtFlags::empty())?;
        let theirs = rustix::fs::statat(&self.dir, namespace.file(), AtFlags::empty())?;
        Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino))
    }

    /// Whether another process has the same one.
    pub(super) fn same(&self, other: &Self, namespace: Namespace) -> io::Result<bool> {
        let one = rustix::fs::statat(&self.dir, namespace.file(), AtFlags::empty())?;
        let two = rustix::fs::statat(&other.dir, namespace.file(), AtFlags::empty())?;
        Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
    }

    /// A namespace of the process, to be entered.
    pub(super) fn namespace(&self, namespace: Namespace) -> io::Result<OwnedFd> {
        self.open(namespace.file())
    }

    /// The process' root directory. Nothing is asked of its file system.
    pub(super) fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, "root", flags, Mode::empty())?)
    }

    /// The numbers of its open descriptors.
    pub(super) fn descriptors(&self) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, "fd", flags, Mode::empty())?;
        let mut numbers = Vec::new();
        for entry in Dir::new(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.bytes().all(|b| b.is_ascii_digit()) {
                numbers.push(name);
            }
        }
        Ok(numbers)
    }

    /// What `fd/N`, `cwd` or `root` refers to. A file system that is a program is not asked. `None` if it is closed by now.
    pub(super) fn target(&self, name: &str) -> io::Result<Option<Target>> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let wanted = StatxFlags::TYPE | StatxFlags::MNT_ID;
        let statx: Statx = match rustix::fs::statx(&self.dir, name, flags, wanted) {
            Ok(statx) => statx,
            Err(Errno::NOENT) if self.is_alive() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        if !StatxFlags::from_bits_retain(statx.stx_mask).contains(wanted) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Some(Target {
            kind: FileType::from_raw_mode(statx.stx_mode.into()),
            device: (statx.stx_dev_major, statx.stx_dev_minor),
            mount: statx.stx_mnt_id,
        }))
    }

    /// Where a link such as `fd/3` says that it leads.
    pub(super) fn link(&self, name: &str) -> PathBuf {
        let link = rustix::fs::readlinkat(&self.dir, name, Vec::new());
        link.map_or_else(|_| PathBuf::from("?"), |link| PathBuf::from(OsString::from_vec(link.into_bytes())))
    }

    /// How a descriptor was opened: `open(2)`'s flags.
    pub(super) fn open_flags(&self, number: &str) -> io::Result<u32> {
        let text = self.read(&format!("fdinfo/{number}"))?;
        let text = String::from_utf8_lossy(&text);
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).ok_or_else(|| not_understood("fdinfo"))
    }

    /// A variable of the environment that the process was started with.
    pub(super) fn variable(&self, name: &str) -> io::Result<Option<OsString>> {
        let environment = self.read("environ")?;
        let value = environment.split(|&b| b == 0).find_map(|entry| {
            let (key, value) = entry.split_at_checked(name.len())?;
            (key == name.as_bytes()).then(|| value.strip_prefix(b"="))?
        });
        Ok(value.map(|value| OsString::from_vec(value.to_vec())))
    }

    /// Whether the process is still there, and has not ended.
    pub(super) fn is_alive(&self) -> bool {
        self.status().is_ok_and(|status| !matches!(status.state, 'Z' | 'X'))
    }
}

fn not_understood(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name} is not understood"))
}
