//! Peers: real processes that connect to a real socket.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::{Context, World};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A listening socket, and the processes that connect to it.
#[derive(Debug)]
pub struct Peers<'a> {
    world: &'a World,
    listener: UnixListener,
    socket: PathBuf,
}

/// A process that connected.
#[derive(Debug)]
pub struct Connection {
    /// Our end.
    pub stream: UnixStream,
    child: Option<Child>,
    killed: bool,
}

impl<'a> Peers<'a> {
    /// Listens.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn new(world: &'a World) -> Result<Self, String> {
        let socket = world.new_dir()?.join("socket");
        let listener = UnixListener::bind(&socket).context(socket.display())?;
        Ok(Self { world, listener, socket })
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The step that connects.
    #[must_use]
    pub fn connect_step(&self) -> String {
        format!("connect={}", self.socket.display())
    }

    /// Runs a peer that takes these steps, connects and holds the connection.
    ///
    /// # Errors
    ///
    /// If it does not connect.
    pub fn connect(&self, steps: &[&str]) -> Result<Connection, String> {
        self.connect_through(&[], steps)
    }

    /// The same, with the peer run by another program (`bwrap ... --`).
    ///
    /// # Errors
    ///
    /// If it does not connect.
    pub fn connect_through(&self, wrapper: &[&str], steps: &[&str]) -> Result<Connection, String> {
        let connect = self.connect_step();
        let peer = self.world.peer().to_str().context("the peer's path is not UTF-8")?;
        let mut line: Vec<&str> = wrapper.to_vec();
        line.push(peer);
        line.extend(steps);
        // A step of the test's own may connect.
        if !steps.iter().any(|s| s.starts_with("connect") || s.contains(&connect)) {
            line.push(&connect);
            line.push("hold");
        }
        let (program, args) = line.split_first().context("no program")?;
        let mut child = Command::new(program).args(args).stdin(Stdio::null()).spawn().context(program)?;
        let stream = self.accept(Some(&mut child))?;
        Ok(Connection { stream, child: Some(child), killed: false })
    }

    /// Runs a peer as root (that may become somebody else on the way).
    ///
    /// # Errors
    ///
    /// If it does not connect.
    pub fn connect_as_root(&self, wrapper: &[&str], steps: &[&str]) -> Result<Connection, String> {
        let peer = self.world.peer().to_str().context("the peer's path is not UTF-8")?;
        let mut line: Vec<String> = wrapper.iter().map(|&s| s.to_owned()).collect();
        line.push(peer.to_owned());
        line.extend(steps.iter().map(|&s| s.to_owned()));
        line.push(self.connect_step());
        line.push("hold".to_owned());
        self.world.admin()?.spawn(&line)?;
        Ok(Connection { stream: self.accept(None)?, child: None, killed: false })
    }

    /// Takes the next connection; fails if the process that should make it ends without.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub fn accept(&self, mut child: Option<&mut Child>) -> Result<UnixStream, String> {
        let step = rustix::time::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            if poll(&mut fds, Some(&step)).context("poll")? > 0 {
                return self.listener.accept().map(|(stream, _)| stream).context("accept");
            }
            if let Some(child) = child.as_mut()
                && let Some(status) = child.try_wait().context("wait")?
            {
                return Err(format!("the peer ended before it connected: {status}"));
            }
            if std::time::Instant::now() > deadline {
                return Err("the peer did not connect".to_owned());
            }
        }
    }
}

impl Connection {
    /// The peer never ends by itself: it is killed when the connection is dropped.
    #[must_use]
    pub fn killed_at_the_end(mut self) -> Self {
        self.killed = true;
        self
    }

    /// Waits until the process that connected is gone and reaped; others may hold the socket.
    ///
    /// # Errors
    ///
    /// If it failed.
    pub fn reap(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Err("not our child".to_owned()) };
        let status = child.wait().context("wait")?;
        if status.success() { Ok(()) } else { Err(format!("the peer failed: {status}")) }
    }

    /// Kills and reaps the process that connected; others may hold the socket.
    ///
    /// # Errors
    ///
    /// If it is gone already.
    pub fn end_peer(&mut self) -> Result<(), String> {
        let mut child = self.child.take().context("not our child")?;
        child.kill().context("kill")?;
        child.wait().context("wait").map(drop)
    }

    /// Reads what the peer says, to the end.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn read_to_end(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).context("read")?;
        Ok(text)
    }

    /// The pid of our child.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The peer holds on until our end is closed.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(mut child) = self.child.take() {
            if self.killed {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}
