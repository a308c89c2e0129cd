//! `identify` against the very system calls that it makes.
//!
//! The floor is a [replay](replay::Replay) of these calls by `libc::syscall`, planned beforehand: no path is made, no
//! answer is looked at. That it *is* what `identify` does is not believed but checked under strace, arguments and results
//! included; and what `identify` does is held against what the job needs.

#[path = "../common/mod.rs"]
mod common;
mod raw;
mod replay;
mod trace;

use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use common::stats::{interleave, timed};
use common::table::{self, Row};
use common::world::{self, Peer, World};
use common::{Context, ROUNDS};
use replay::Replay;
use rustix::fs::XattrFlags;
use wayland_auth::identity::{Identity, Resolver, Trust};
use wayland_auth::peer::Credentials;

/// Look-ups in one round.
const ITERATIONS: u32 = 100;

/// How much of the calls' own time a look-up may take.
const TARGET: f64 = 1.25;

/// Makes this program do one look-up and one replay, of the connection on its standard input.
const TRACED: &str = "--traced";

fn main() -> ExitCode {
    if let Some(code) = world::play_peer() {
        return code;
    }
    let traced = std::env::args_os().nth(1).is_some_and(|argument| argument == TRACED);
    common::exit_code(if traced { be_traced() } else { run() })
}

/// A peer that is connected to us.
struct Case {
    name: &'static str,
    socket: UnixStream,
    _peer: Peer,
}

fn run() -> Result<(), String> {
    let world = World::new()?;
    let cases = [
        case(&world, "labelled", &[], true)?,
        case(&world, "host", &[], false)?,
        case(&world, "namespaced", &["unshare", "-U"], false)?,
    ];
    let resolver = Resolver::builder().build().context("resolver")?;
    let trust = Trust::default();
    let mut rows = Vec::new();
    for case in &cases {
        let identity = resolver.identify(&case.socket, &trust).identity;
        if !is_expected(case.name, &identity) {
            return Err(format!("the {} peer was identified as: {identity}", case.name));
        }
        let mut replay = plan(&case.socket, &resolver)?;
        trace::check(case.name, &case.socket, world.dir(), &replay.budget())?;
        let fd = case.socket.as_raw_fd();
        let [ours, floor] = interleave(
            ROUNDS,
            ITERATIONS,
            |n| timed(n, || drop(black_box(resolver.identify(black_box(&case.socket), &trust)))),
            |n| timed(n, || replay.run(black_box(fd))),
        );
        let name = format!("{}, {} directories deep", case.name, replay.depth());
        rows.push(Row { name, ours: (&ours).into(), floor: (&floor).into(), target: TARGET });
    }
    let title = format!("Resolver::identify, {ROUNDS} interleaved rounds of {ITERATIONS}");
    table::print(&title, "identify", "its system calls alone", &rows);
    Ok(())
}

fn case(world: &World, name: &'static str, through: &[&str], labelled: bool) -> Result<Case, String> {
    let (app, leaf) = world.session(name)?;
    if labelled {
        for (xattr, value) in [
            ("user.xdg.sandbox-engine", "org.flatpak"),
            ("user.app_id", "org.example.Application"),
            ("user.xdg.instance-id", "1234567890"),
        ] {
            rustix::fs::setxattr(&app, xattr, value.as_bytes(), XattrFlags::empty()).context(app.display())?;
        }
    }
    let (listener, path) = world.listen(name)?;
    let mut peer = Peer::start(&leaf, through)?;
    let socket = peer.hold(&listener, &path)?;
    Ok(Case { name, socket, _peer: peer })
}

fn is_expected(name: &str, identity: &Identity) -> bool {
    match identity {
        Identity::App(app) => name == if app.engine.is_some() { "labelled" } else { "namespaced" },
        Identity::Host(_) => name == "host",
        _ => false,
    }
}

fn plan(socket: impl AsFd, resolver: &Resolver) -> Result<Replay, String> {
    let credentials = Credentials::of(socket);
    let pid = credentials.pid.context("the peer has no pid")?;
    let uid = credentials.uid.context("the peer has no uid")?;
    Replay::plan(pid, uid, resolver.support().initial_user_namespace)
}

/// One look-up and one replay between marks, both after a first one that fetches what is fetched once.
fn be_traced() -> Result<(), String> {
    let socket = io::stdin();
    let resolver = Resolver::builder().build().context("resolver")?;
    let trust = Trust::default();
    let mut replay = plan(&socket, &resolver)?;
    drop(resolver.identify(&socket, &trust));
    replay.run(socket.as_fd().as_raw_fd());
    raw::mark();
    drop(resolver.identify(&socket, &trust));
    raw::mark();
    replay.run(socket.as_fd().as_raw_fd());
    raw::mark();
    Ok(())
}
