//! The event source when more clients come than there are descriptors for.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use rustix::event::{PollFd, PollFlags, poll};
use wayland_auth::source::AuthenticatedSocket;
use wayland_auth::{Authenticator, ClientAuth};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::alone::{Scene, alone, open_descriptors, set_limit, word};

const LIMIT: u64 = 64;
const FLOOD: usize = 200;

pub(crate) fn flood_is_turned_away_and_the_loop_goes_on(world: &World) -> Outcome {
    alone(world, "flood")
}

pub(crate) fn no_descriptor_at_all_does_not_make_it_spin(world: &World) -> Outcome {
    alone(world, "nothing")
}

pub(crate) fn socket_that_was_shut_does_not_make_it_spin(world: &World) -> Outcome {
    alone(world, "shut")
}

pub(crate) fn client_that_closes_at_once_stops_nothing(world: &World) -> Outcome {
    alone(world, "burst")
}

/// A compositor as far as its socket goes.
pub(crate) struct Server {
    pub(crate) events: EventLoop<'static, State>,
    /// To see whether clients wait.
    listener: UnixListener,
    pub(crate) state: State,
    wakeups: usize,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) clients: Vec<(UnixStream, ClientAuth)>,
    /// What the peer that is listened to said.
    heard: String,
}

impl Server {
    pub(crate) fn new(scene: &Scene) -> Result<Self, String> {
        let listener = scene.listen()?;
        let authenticator = Authenticator::builder().build().context("authenticator")?;
        let source = AuthenticatedSocket::from_listener(authenticator, listener.try_clone().context("dup")?)
            .context("source")?;
        let events = EventLoop::try_new().context("event loop")?;
        let insert = events.handle().insert_source(source, |client, (), state: &mut State| state.clients.push(client));
        insert.map_err(|e| e.error).context("source")?;
        Ok(Self { events, listener, state: State::default(), wakeups: 0 })
    }

    /// Listens to a peer too.
    fn hear(&self, output: ChildStdout) -> Outcome {
        let output = Generic::new(output, Interest::READ, Mode::Level);
        let insert = self.events.handle().insert_source(output, |_, output, state| {
            let mut buffer = [0; 256];
            let len = rustix::io::read(output.as_fd(), &mut buffer)?;
            state.heard.push_str(&String::from_utf8_lossy(&buffer[..len]));
            Ok(if len == 0 { PostAction::Remove } else { PostAction::Continue })
        });
        insert.map(drop).map_err(|e| e.error).context("source")
    }

    /// Goes on until this holds.
    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&State) -> bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.state) {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.context(format!("waited too long until {what}; heard: {}", self.state.heard))?;
            self.events.dispatch(left, &mut self.state).context("dispatch")?;
            self.wakeups += 1;
        }
        Ok(())
    }

    /// Goes on until no client waits.
    fn drain(&mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while self.is_waited_for()? {
            ensure!(Instant::now() < deadline, "clients are left to wait");
            self.events.dispatch(PATIENCE, &mut self.state).context("dispatch")?;
            self.wakeups += 1;
        }
        Ok(())
    }

    pub(crate) fn is_waited_for(&self) -> Result<bool, String> {
        let mut fds = [PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
        Ok(poll(&mut fds, Some(&rustix::time::Timespec::default())).context("poll")? > 0)
    }

    /// How often it wakes up in a time in which nothing changes.
    fn wakeups_in(&mut self, time: Duration) -> Result<usize, String> {
        let end = Instant::now() + time;
        let mut wakeups = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.events.dispatch(left, &mut self.state).context("dispatch")?;
            wakeups += 1;
        }
        Ok(wakeups)
    }

    /// Serves one more client, and wants it to be this one.
    pub(crate) fn expect_next(&mut self, expected: &str) -> Outcome {
        let before = self.state.clients.len();
        self.run_until("a client came", |state| state.clients.len() > before)?;
        let (_, auth) = self.state.clients.last().context("no client")?;
        ensure_eq!(word(auth.identity()), expected);
        Ok(())
    }
}

pub(crate) fn flood(scene: &Scene) -> Outcome {
    let evil = scene.child("evil")?;
    evil.label_app("org.example.Evil")?;
    let mut server = Server::new(scene)?;
    let old = scene.start(&[&scene.connect(), "hold"])?;
    server.expect_next("host")?;
    let before = open_descriptors()?;
    let mut flooder = scene.start(&[&evil.join(), &format!("flood={},{FLOOD}", scene.socket().display())])?;
    server.hear(flooder.stdout.take().context("no output")?)?;
    set_limit(LIMIT)?;

    // The loop goes on: it hears that all are connected, and nobody waits any more.
    server.wakeups = 0;
    server.run_until("the flood was there", |state| state.heard.contains("connected\n"))?;
    server.drain()?;
    let served = server.state.clients.len() - 1;
    ensure!(server.wakeups <= FLOOD + 10, "{} wake-ups for {FLOOD} clients", server.wakeups);
    let wakeups = server.wakeups;
    ensure!(served > 10 && served < FLOOD / 2, "{served} of {FLOOD} served: the limit was not reached");
    for (_, auth) in &server.state.clients[1..] {
        ensure_eq!(word(auth.identity()), "org.example.Evil", "one of the flood");
    }
    let quiet = server.wakeups_in(Duration::from_millis(100))?;
    ensure!(quiet <= 3, "{quiet} wake-ups although nothing happens");

    // Those turned away see the end of their connections, and they alone.
    server.state.heard.clear();
    flooder.stdin.as_ref().context("no input")?.write_all(b"count\n").context("write")?;
    server.run_until("the flood was counted", |state| state.heard.contains('\n'))?;
    ensure_eq!(server.state.heard.trim_end(), (FLOOD - served).to_string());
    println!(
        "{FLOOD} clients at a limit of {LIMIT}: {served} served, {} turned away, {wakeups} wake-ups",
        FLOOD - served
    );

    // When they go, all is as before.
    end(flooder)?;
    for (stream, _) in server.state.clients.drain(1..) {
        stream.set_nonblocking(false).context("blocking")?;
        ensure_eq!((&stream).read(&mut [0]).context("read")?, 0);
    }
    let heard = server.wakeups_in(Duration::from_millis(1))?;
    ensure!(heard < 100, "{heard} wake-ups although nothing happens");
    ensure_eq!(open_descriptors()?, before, "descriptors after the flood");
    let new = scene.start(&[&scene.connect(), "hold"])?;
    server.expect_next("host")?;
    let app = scene.start(&[&evil.join(), &scene.connect(), "hold"])?;
    server.expect_next("org.example.Evil")?;
    drop(server);
    [old, new, app].into_iter().try_for_each(end)
}

/// Not even the spare descriptor helps: somebody else has it, or the whole system has none left.
/// Whoever shares the socket can shut it down: from then on it is always ready, and never has a client.
pub(crate) fn shut(scene: &Scene) -> Outcome {
    let mut server = Server::new(scene)?;
    rustix::net::shutdown(&server.listener, rustix::net::Shutdown::Both).context("shutdown")?;
    ensure!(UnixStream::connect(scene.socket()).is_err(), "it still listens");
    let wakeups = server.wakeups_in(Duration::from_millis(500))?;
    println!("a socket that was shut: {wakeups} wake-ups in half a second");
    ensure!(wakeups > 0, "it was not even looked at");
    ensure!(wakeups < 50, "it spins: {wakeups} wake-ups in half a second");
    Ok(())
}

pub(crate) fn nothing(scene: &Scene) -> Outcome {
    let mut server = Server::new(scene)?;
    let burst = format!("burst={},3", scene.socket().display());
    let mut other = scene.start(&[&scene.connect(), "wait", &burst, "hold"])?;
    server.expect_next("host")?;
    server.hear(other.stdout.take().context("no output")?)?;
    set_limit(3)?;
    server.state.clients[0].0.write_all(b"g").context("write")?;
    let deadline = Instant::now() + PATIENCE;
    while !server.is_waited_for()? {
        ensure!(Instant::now() < deadline, "nobody came");
        std::thread::yield_now();
    }
    let wakeups = server.wakeups_in(Duration::from_millis(500))?;
    println!("no descriptor at all: {wakeups} wake-ups in half a second while clients wait");
    ensure!(server.is_waited_for()?, "somebody was accepted, so nothing is shown");
    ensure_eq!(server.state.clients.len(), 1);
    ensure!(wakeups < 50, "it spins: {wakeups} wake-ups in half a second");
    // Those who waited are served when there are descriptors again.
    set_limit(LIMIT)?;
    server.run_until("those who waited were served", |state| state.clients.len() == 4)?;
    let new = scene.start(&[&scene.connect(), "hold"])?;
    server.expect_next("host")?;
    drop(server);
    [other, new].into_iter().try_for_each(end)
}

pub(crate) fn burst(scene: &Scene) -> Outcome {
    const BURST: usize = 1000;
    let mut server = Server::new(scene)?;
    let before = open_descriptors()?;
    let burst = scene.start(&[&format!("burst={},{BURST}", scene.socket().display())])?;
    let mut served = 0;
    while served < BURST {
        server.run_until("a client came", |state| !state.clients.is_empty())?;
        for (_, auth) in server.state.clients.drain(..) {
            let word = word(auth.identity());
            ensure!(word == "host" || word.starts_with("unidentified:"), "{word}");
            served += 1;
        }
    }
    ensure_eq!(served, BURST);
    end(burst)?;
    ensure_eq!(open_descriptors()?, before);
    let new = scene.start(&[&scene.connect(), "hold"])?;
    server.expect_next("host")?;
    drop(server);
    end(new)
}

/// Lets a peer go, and waits for it.
pub(crate) fn end(mut peer: Child) -> Outcome {
    drop(peer.stdin.take());
    let status = peer.wait().context("wait")?;
    ensure!(status.success(), "a peer failed: {status}");
    Ok(())
}
