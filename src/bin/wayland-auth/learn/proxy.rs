//! The socket that the application takes for the compositor's, and all that comes through it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::connection::Connection;
use super::flow::CHUNK;
use super::record::Record;
use super::tracker::Hides;

/// So many connections are open at a time; the next waits.
const MAX_CONNECTIONS: usize = 128;
/// How long to wait before what had no room is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the compositor has to take what the application said last.
const LAST: Duration = Duration::from_secs(1);
/// So many names are tried for the directory.
const ATTEMPTS: u32 = 100;

/// A socket in a directory of its own, which is removed with it.
#[derive(Debug)]
pub(super) struct Socket {
    dir: PathBuf,
    listener: UnixListener,
}

impl Socket {
    const NAME: &'static str = "wayland";

    /// Makes it in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        let dir = Self::make_dir(parent)?;
        let listener = UnixListener::bind(dir.join(Self::NAME)).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self { dir, listener }),
            Err(e) => {
                let _ = std::fs::remove_file(dir.join(Self::NAME));
                let _ = std::fs::remove_dir(&dir);
                Err(e)
            }
        }
    }

    fn make_dir(parent: &Path) -> io::Result<PathBuf> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let dir = parent.join(format!("wayland-auth-learn-{}-{attempt}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(dir),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    /// Where it is, for `WAYLAND_DISPLAY`.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(Self::NAME)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// Everything between an application and the compositor.
pub(super) struct Proxy {
    socket: Socket,
    compositor: PathBuf,
    hides: Option<Box<Hides>>,
    /// Ends it, by being closed at the other end.
    stop: UnixStream,
    connections: Vec<Connection>,
    /// Somebody whom the compositor had no room for yet.
    waiting: Option<UnixStream>,
    record: Record,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Source {
    Stop,
    Listener,
    /// The end of one connection: the application's, or the compositor's.
    Connection {
        at: usize,
        end: usize,
    },
}

impl Proxy {
    /// Makes one for a compositor; it ends when the other end of `stop` is closed.
    pub(super) fn new(socket: Socket, compositor: PathBuf, hides: Option<Box<Hides>>, stop: UnixStream) -> Self {
        let record = Record::default();
        Self { socket, compositor, hides, stop, connections: Vec::new(), waiting: None, record }
    }

    /// Serves until it is stopped, and gives what was seen.
    pub(super) fn run(mut self) -> io::Result<Record> {
        let mut chunk = vec![0; CHUNK];
        let mut deadline = None;
        let mut room = true;
        loop {
            let timeout = match deadline {
                Some(at) if self.connections.iter().any(Connection::has) => Some(remaining(at)),
                Some(_) => Some(Duration::ZERO),
                None if self.waiting.is_some() || !room => Some(PAUSE),
                None => None,
            };
            let ready = self.wait(timeout, deadline.is_none(), room)?;
            if deadline.is_some_and(|at| ready.is_empty() || remaining(at).is_zero()) {
                break;
            }
            room = true;
            let mut came = vec![[PollFlags::empty(); 2]; self.connections.len()];
            for (source, flags) in ready {
                match source {
                    Source::Stop => deadline = Some(Instant::now() + LAST),
                    Source::Listener => room = self.accept(),
                    Source::Connection { at, end } => {
                        if let Some(flag) = came.get_mut(at).and_then(|ends| ends.get_mut(end)) {
                            *flag = flags;
                        }
                    }
                }
            }
            for (connection, flags) in self.connections.iter_mut().zip(came) {
                if flags.iter().any(|flags| !flags.is_empty()) {
                    connection.go_on(flags, &mut chunk, &mut self.record, self.hides.as_deref());
                }
            }
            self.sweep();
            self.connect_waiting();
        }
        for connection in std::mem::take(&mut self.connections) {
            connection.finish(&mut self.record);
        }
        Ok(self.record)
    }

    fn wait(&self, timeout: Option<Duration>, stoppable: bool, room: bool) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut sources = Vec::with_capacity(2 + 2 * self.connections.len());
        let mut fds = Vec::with_capacity(sources.capacity());
        if stoppable {
            sources.push(Source::Stop);
            fds.push(PollFd::new(&self.stop, PollFlags::IN));
        }
        if room && self.waiting.is_none() && self.connections.len() < MAX_CONNECTIONS {
            sources.push(Source::Listener);
            fds.push(PollFd::new(&self.socket.listener, PollFlags::IN));
        }
        for (at, connection) in self.connections.iter().enumerate() {
            for (end, (fd, flags)) in connection.interests().into_iter().enumerate() {
                if !flags.is_empty() {
                    sources.push(Source::Connection { at, end });
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                }
            }
        }
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN | Errno::NOMEM) => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        }
        let ready = sources.into_iter().zip(&fds).map(|(source, fd)| (source, fd.revents()));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    /// Accepts one connection. Whether there was room for it.
    fn accept(&mut self) -> bool {
        match self.socket.listener.accept() {
            Ok((client, _)) => {
                self.record.connections = self.record.connections.saturating_add(1);
                self.waiting = Some(client);
                true
            }
            Err(e) => matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
            ),
        }
    }

    /// Connects whoever waits, if the compositor has room.
    fn connect_waiting(&mut self) {
        let Some(client) = self.waiting.take() else { return };
        match reach(&self.compositor) {
            Ok(server) => self.connections.push(Connection::new(client, server)),
            Err(Errno::AGAIN | Errno::INTR) => self.waiting = Some(client),
            // The application sees that its connection is closed.
            Err(e) => self.record.unreachable = Some(io::Error::from(e).to_string()),
        }
    }

    /// Removes the connections that are over.
    fn sweep(&mut self) {
        let mut at = 0;
        while let Some(connection) = self.connections.get(at) {
            if connection.is_over() {
                self.connections.swap_remove(at).finish(&mut self.record);
            } else {
                at += 1;
            }
        }
    }
}

fn remaining(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

/// Connects without waiting for the other side to accept.
fn reach(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(socket.as_fd(), &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}
