//! The policy's `[limits]`: connections beyond them are closed, and nobody else notices.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use calloop::EventLoop;
use wayland_auth::source::{AuthenticatedContext, AuthenticatedSocket};
use wayland_auth::{Authenticator, ClientAuth, Identity, Policy, SandboxContext};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::expect::INSTANCE_ID;
use wayland_auth_tests::{Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};

use crate::alone::word;

type Clients = Vec<(UnixStream, ClientAuth)>;

/// A compositor as far as its sockets go.
struct Server<'a> {
    world: &'a World,
    events: EventLoop<'static, Clients>,
    authenticator: Authenticator,
    clients: Clients,
    refused: Receiver<String>,
    socket: PathBuf,
}

/// A peer that holds connections, and tells how many of them were closed.
struct Flood {
    child: Child,
    said: BufReader<ChildStdout>,
}

fn policy(limits: &str) -> Result<Policy, String> {
    Policy::parse("policy.toml", &format!("[limits]\n{limits}\n")).context("policy")
}

fn app(world: &World, app_id: &str) -> Result<TestCgroup, String> {
    let cgroup = world.new_cgroup()?;
    cgroup.label_app(app_id)?;
    Ok(cgroup)
}

impl<'a> Server<'a> {
    fn new(world: &'a World, limits: &str) -> Result<Self, String> {
        let authenticator = Authenticator::builder().policy(policy(limits)?).build().context("authenticator")?;
        let socket = world.new_dir()?.join("socket");
        let listener = UnixListener::bind(&socket).context("bind")?;
        let source = AuthenticatedSocket::from_listener(authenticator.clone(), listener).context("source")?;
        let (tell, refused) = channel();
        let source = source.on_refused(move |auth| drop(tell.send(word(auth.identity()))));
        let events = EventLoop::try_new().context("event loop")?;
        let inserted = events.handle().insert_source(source, |client, (), clients: &mut Clients| clients.push(client));
        inserted.map_err(|e| e.error).context("source")?;
        Ok(Self { world, events, authenticator, clients: Vec::new(), refused, socket })
    }

    /// Opens a second socket, for the clients of a context that this client makes.
    fn context(&self, creator: ClientAuth, app_id: &str) -> Result<(PathBuf, UnixStream), String> {
        let path = self.world.new_dir()?.join("context");
        let listener = UnixListener::bind(&path).context("bind")?;
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        let context =
            SandboxContext::new(creator).engine(Some("org.example.Engine".to_owned())).app_id(Some(app_id.to_owned()));
        let source = AuthenticatedContext::new(self.authenticator.clone(), listener.into(), ours.into(), context);
        let inserted = self.events.handle().insert_source(source.context("source")?, |client, (), clients| {
            clients.push(client);
        });
        inserted.map_err(|e| e.error).context("source")?;
        Ok((path, theirs))
    }

    /// Goes on until this holds.
    fn run_until(&mut self, what: &str, mut done: impl FnMut(&Clients) -> Result<bool, String>) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.clients)? {
            ensure!(Instant::now() < deadline, "waited too long until {what}");
            self.events.dispatch(Duration::from_millis(10), &mut self.clients).context("dispatch")?;
        }
        Ok(())
    }

    /// A peer that connects so many times; the server served these, and turned those away.
    fn flood(
        &mut self,
        (cgroup, socket): (Option<&TestCgroup>, &Path),
        count: usize,
        served: usize,
    ) -> Result<Flood, String> {
        self.flood_through(&[], (cgroup, socket), count, served)
    }

    fn flood_through(
        &mut self,
        wrapper: &[&str],
        (cgroup, socket): (Option<&TestCgroup>, &Path),
        count: usize,
        served: usize,
    ) -> Result<Flood, String> {
        let mut words: Vec<String> = wrapper.iter().map(|&word| word.to_owned()).collect();
        words.push(self.world.peer().to_str().context("not UTF-8")?.to_owned());
        words.extend(cgroup.map(TestCgroup::join));
        words.push(format!("flood={},{count}", socket.display()));
        let mut command = Command::new(&words[0]);
        let mut child =
            command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(&words[0])?;
        let said = BufReader::new(child.stdout.take().context("no output")?);
        let mut flood = Flood { child, said };
        ensure_eq!(flood.line()?, "connected");
        let before = self.clients.len();
        self.run_until("all were served or turned away", |clients| {
            Ok(flood.closed()? == count - served && clients.len() == before + served)
        })?;
        Ok(flood)
    }

    /// A program on the host, which is served.
    fn host(&mut self) -> Result<Flood, String> {
        let socket = self.socket.clone();
        let host = self.flood((None, &socket), 1, 1)?;
        let (_, auth) = self.clients.last().context("nobody")?;
        ensure!(matches!(auth.identity(), Identity::Host(_)), "not the host: {}", auth.identity());
        Ok(host)
    }

    /// Who was said to be turned away since the last time.
    fn refused(&self) -> Vec<String> {
        self.refused.try_iter().collect()
    }
}

impl Flood {
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.said.read_line(&mut line).context("a peer")?;
        Ok(line.trim_end().to_owned())
    }

    /// How many of its connections the server closed.
    fn closed(&mut self) -> Result<usize, String> {
        self.child.stdin.as_ref().context("no input")?.write_all(b"?\n").context("a peer")?;
        self.line()?.parse().context("a number")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The clients of a flood, who are all this.
fn expect_all(clients: &[(UnixStream, ClientAuth)], expected: &str) -> Outcome {
    clients.iter().try_for_each(|(_, auth)| {
        ensure_eq!(word(auth.identity()), expected);
        Ok(())
    })
}

pub(crate) fn app_at_its_limit_is_turned_away_and_others_are_served(world: &World) -> Outcome {
    let mut server = Server::new(world, "connections-per-app = 3")?;
    let socket = server.socket.clone();
    let evil = app(world, "org.example.Evil")?;
    let mut first = server.flood((Some(&evil), &socket), 5, 3)?;
    expect_all(&server.clients, "org.example.Evil")?;
    ensure_eq!(server.refused(), ["org.example.Evil"; 2]);
    // Another instance in another cgroup, and a sandbox inside its own, are the same application.
    let again = app(world, "org.example.Evil")?;
    again.label(&[(INSTANCE_ID, "another")])?;
    let inner = evil.child("inner")?;
    inner.label_app("org.example.Harmless")?;
    for cgroup in [&again, &inner] {
        drop(server.flood((Some(cgroup), &socket), 1, 0)?);
    }
    // Others are not.
    let other = app(world, "org.example.Other")?;
    let second = server.flood((Some(&other), &socket), 3, 3)?;
    let hosts = server.flood((None, &socket), 10, 10)?;
    // Nothing happened to those who were served.
    ensure_eq!(first.closed()?, 2);
    for (stream, _) in server.clients.iter_mut().take(3) {
        stream.write_all(b"alive").context("an old client")?;
    }
    // As many as go may come.
    server.clients.drain(..2);
    drop(server.flood((Some(&again), &socket), 4, 2)?);
    drop((first, second, hosts));
    Ok(())
}

pub(crate) fn place_is_held_by_every_clone_and_by_nothing_else(world: &World) -> Outcome {
    let mut server = Server::new(world, "connections-per-app = 1")?;
    let socket = server.socket.clone();
    let cgroup = app(world, "org.example.App")?;
    let first = server.flood((Some(&cgroup), &socket), 1, 1)?;
    let (stream, auth) = server.clients.pop().context("no client")?;
    let clone = auth.clone();
    drop((stream, auth));
    drop(server.flood((Some(&cgroup), &socket), 1, 0)?);
    // What a context keeps of its creator takes no place.
    let context = SandboxContext::new(clone.clone());
    drop(clone);
    let second = server.flood((Some(&cgroup), &socket), 1, 1)?;
    drop((context, first, second));
    Ok(())
}

pub(crate) fn clients_of_unknown_engines_and_unidentified_ones_have_limits(world: &World) -> Outcome {
    let mut server = Server::new(world, "connections-namespaced = 2\nconnections-unidentified = 1")?;
    let socket = server.socket.clone();
    // Two sandboxes of unknown engines share one limit: whoever can make one can make another.
    let first = server.flood_through(&["unshare", "-U"], (None, &socket), 1, 1)?;
    let cgroup = world.new_cgroup()?;
    let second = server.flood_through(&["unshare", "-U"], (Some(&cgroup), &socket), 4, 1)?;
    expect_all(&server.clients, "app")?;
    // Who fails on purpose has a limit too.
    let malformed = app(world, "a b")?;
    let third = server.flood((Some(&malformed), &socket), 3, 1)?;
    expect_all(&server.clients[2..], "unidentified:malformed-label")?;
    drop(server.host()?);
    drop((first, second, third));
    Ok(())
}

pub(crate) fn reload_changes_the_limit_for_those_who_come(world: &World) -> Outcome {
    let mut server = Server::new(world, "connections-per-app = 2")?;
    let socket = server.socket.clone();
    let cgroup = app(world, "org.example.App")?;
    let mut old = server.flood((Some(&cgroup), &socket), 3, 2)?;
    let reload = |server: &Server<'_>, limits| server.authenticator.set_policy(policy(limits)?).context("set");
    reload(&server, "connections-per-app = 4")?;
    let more = server.flood((Some(&cgroup), &socket), 3, 2)?;
    reload(&server, "connections-per-app = 1")?;
    drop(server.flood((Some(&cgroup), &socket), 1, 0)?);
    ensure_eq!(old.closed()?, 1, "a reload closed somebody");
    server.clients.clear();
    let last = server.flood((Some(&cgroup), &socket), 2, 1)?;
    drop((more, last));
    Ok(())
}

pub(crate) fn security_context_does_not_give_an_app_more_connections(world: &World) -> Outcome {
    let mut server = Server::new(world, "connections-per-app = 2\nconnections-host = 1")?;
    let socket = server.socket.clone();
    let maker = server.host()?;
    let (path, alive) = server.context(server.clients[0].1.clone(), "org.example.App")?;
    let cgroup = app(world, "org.example.App")?;
    let labelled = server.flood((Some(&cgroup), &socket), 1, 1)?;
    // Whom only the context names is counted with those whom the kernel names.
    let mut named = server.flood((None, &path), 3, 1)?;
    expect_all(&server.clients[1..], "org.example.App")?;
    // The maker leaves: its place is free although its context goes on.
    drop(maker);
    server.clients.remove(0);
    let next = server.host()?;
    ensure_eq!(named.closed()?, 2);
    drop((labelled, next, alive));
    Ok(())
}

/// A client that is over the limit may do nothing, should a compositor keep it all the same.
pub(crate) fn client_over_the_limit_has_no_rights(world: &World) -> Outcome {
    let authenticator = Authenticator::builder().policy(policy("connections-host = 1")?).build();
    let authenticator = authenticator.context("authenticator")?;
    let peers = Peers::new(world)?;
    let connections = [peers.connect(&[])?, peers.connect(&[])?];
    let auths = connections.each_ref().map(|connection| authenticator.identify(&connection.stream));
    ensure!(auths[0].over_limit().is_none() && !auths[0].allowed().is_empty(), "the first is not let in");
    ensure_eq!(auths[1].over_limit().map(|over| over.limit.get()), Some(1));
    ensure!(auths[1].allowed().is_empty(), "{:?}", auths[1].allowed());
    // It is known all the same who it is.
    ensure_eq!(word(auths[1].identity()), "host");
    Ok(())
}

pub(crate) fn engine_that_ends_its_context_ends_no_client(world: &World) -> Outcome {
    let mut server = Server::new(world, "")?;
    let maker = server.host()?;
    let (path, alive) = server.context(server.clients[0].1.clone(), "org.example.App")?;
    let mut flood = server.flood((None, &path), 2, 2)?;
    drop(alive);
    server.run_until("the context is closed", |_| Ok(UnixStream::connect(&path).is_err()))?;
    ensure_eq!(flood.closed()?, 0);
    drop(maker);
    Ok(())
}

/// The engine shares the socket of its context, and with it whether that blocks.
pub(crate) fn engine_cannot_make_the_compositor_wait(world: &World) -> Outcome {
    let mut server = Server::new(world, "")?;
    let maker = server.host()?;
    let path = world.new_dir()?.join("context");
    let listener = UnixListener::bind(&path).context("bind")?;
    let shared = listener.try_clone().context("dup")?;
    let (ours, _alive) = UnixStream::pair().context("pair")?;
    let context = SandboxContext::new(server.clients[0].1.clone());
    let source = AuthenticatedContext::new(server.authenticator.clone(), listener.into(), ours.into(), context);
    let inserted = server.events.handle().insert_source(source.context("source")?, |client, (), clients| {
        clients.push(client);
    });
    inserted.map_err(|e| e.error).context("source")?;
    for _ in 0..3 {
        shared.set_nonblocking(false).context("blocking")?;
        let mut peer = UnixStream::connect(&path).context("connect")?;
        let before = server.clients.len();
        // If it waited for one more client, this would be the end.
        let guard = Watchdog::start(&path)?;
        server.run_until("the client was served", |clients| Ok(clients.len() > before))?;
        ensure!(!guard.barked()?, "it waited for a client");
        server.clients.truncate(before);
        peer.set_nonblocking(false).context("blocking")?;
        ensure_eq!(peer.read(&mut [0]).context("read")?, 0);
    }
    drop(maker);
    Ok(())
}

/// Connects again and again after a while, so that whoever waits for a client goes on and the test can say so.
struct Watchdog {
    done: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Watchdog {
    fn start(path: &Path) -> Result<Self, String> {
        let (done, waits) = channel();
        let path = path.to_owned();
        let bark = move || {
            let mut late = PATIENCE / 3;
            let mut barked = false;
            while let Err(RecvTimeoutError::Timeout) = waits.recv_timeout(late) {
                barked |= UnixStream::connect(&path).is_ok();
                late = Duration::from_millis(10);
            }
            barked
        };
        let thread = std::thread::Builder::new().spawn(bark).context("thread")?;
        Ok(Self { done, thread })
    }

    fn barked(self) -> Result<bool, String> {
        let _ = self.done.send(());
        self.thread.join().ok().context("the watchdog died")
    }
}

pub(crate) fn what_does_not_listen_is_no_context(world: &World) -> Outcome {
    let server = Server::new(world, "")?;
    let (stream, _other) = UnixStream::pair().context("pair")?;
    let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).context("tcp")?;
    let file = std::fs::File::open("/dev/null").context("file")?;
    for (what, fd) in [("stream", stream.into()), ("tcp", tcp.into()), ("file", file.into())] {
        let (ours, _alive) = UnixStream::pair().context("pair")?;
        let context = SandboxContext::new(ClientAuth::default());
        let made = AuthenticatedContext::new(server.authenticator.clone(), fd, ours.into(), context);
        ensure!(made.is_err(), "{what} is taken for a listening socket");
    }
    Ok(())
}
