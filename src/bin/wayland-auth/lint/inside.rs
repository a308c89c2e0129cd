//! Looking for sockets in a process' root directory, without waiting for anybody.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::mountinfo::Mounts;

/// The most entries of a directory that are looked at.
const ENTRIES_MAX: usize = 4096;

/// A process' root directory, with what is mounted in it.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    pub(super) root: OwnedFd,
    pub(super) mounts: &'a Mounts,
}

impl Inside<'_> {
    /// Opens a path, which may be nothing but a name of something. `None` if there is nothing.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<Option<OwnedFd>> {
        let found = self.mounts.look_up(path).ok_or_else(|| io::Error::other("its root is not among its mounts"))?;
        if let Some(slow) = found.slow {
            let what = format!("{} is {}, which could let us wait", slow.point.display(), slow.kind);
            return Err(io::Error::other(what));
        }
        // No link, since the mounts that it leads through were not looked at.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Connects to the socket at a path. `None` if there is none, nobody listens, or it is closed to us.
    pub(super) fn connect(&self, path: &Path) -> io::Result<Option<UnixStream>> {
        let Some(fd) = self.open(path, OFlags::PATH)? else { return Ok(None) };
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Socket {
            return Ok(None);
        }
        // Not through the path, which could lead elsewhere by now.
        let address = rustix::net::SocketAddrUnix::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        connect(&address)
    }

    /// The sockets in a directory whose names begin so.
    pub(super) fn sockets(&self, dir: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
        let Some(fd) = self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY)? else { return Ok(Vec::new()) };
        let mut sockets = Vec::new();
        for entry in Dir::new(fd)?.take(ENTRIES_MAX) {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && name.starts_with(prefix)
                && entry.file_type() == FileType::Socket
            {
                sockets.push(dir.join(name));
            }
        }
        sockets.sort();
        Ok(sockets)
    }
}

/// Connects without waiting for a listener whose queue is full: somebody listens then.
pub(super) fn connect(address: &rustix::net::SocketAddrUnix) -> io::Result<Option<UnixStream>> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, address) {
        Ok(()) | Err(Errno::AGAIN) => Ok(Some(UnixStream::from(socket))),
        // Nobody listens; another kind of socket; closed to this user.
        Err(Errno::CONNREFUSED | Errno::PROTOTYPE | Errno::ACCESS | Errno::PERM | Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
