//! Floods of a running compositor: of connections beyond a limit, and through a security context.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{POLICY, Setup, labelled};
use wayland_auth_tests::wire::Answer;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::Client;
use super::demo::{Demo, events, expect_members};
use super::running::Running;

const OF_ENGINE: &str = "org.example.Engine";
const FLOOD: usize = 300;

const LIMITED: &str = "[limits]\nconnections-per-app = 4\n";

/// A peer that holds `FLOOD` connections.
fn flood(world: &World, demo: &Demo, setup: &Setup, socket: &std::path::Path) -> Result<Running, String> {
    let mut command = demo.command(world.peer());
    command.args(&setup.steps).arg(format!("flood={},{FLOOD}", socket.display())).stdin(Stdio::piped());
    let mut flood = Running::start(&mut command)?;
    flood.wait_for("connections", |out| out.starts_with(b"connected\n"))?;
    Ok(flood)
}

/// Waits until so many connections of a flood were closed, while an earlier client is answered; how many they are then.
fn wait_until_closed(
    flood: &mut Running,
    at_least: usize,
    earlier: &mut dyn FnMut() -> Outcome,
) -> Result<usize, String> {
    let deadline = Instant::now() + PATIENCE;
    let before = flood.out().iter().filter(|&&byte| byte == b'\n').count();
    for line in before + 1.. {
        earlier()?;
        flood.say("how many?")?;
        flood.wait_for("number", |out| out.iter().filter(|&&byte| byte == b'\n').count() >= line)?;
        let out = String::from_utf8_lossy(flood.out()).into_owned();
        let closed: usize = out.lines().last().and_then(|n| n.parse().ok()).context("no number")?;
        if closed >= at_least {
            return Ok(closed);
        }
        ensure!(Instant::now() < deadline, "only {closed} of {FLOOD} were turned away");
    }
    Err("too many lines".to_owned())
}

pub(crate) fn app_at_its_limit_is_turned_away_and_recorded(world: &World) -> Outcome {
    let mut demo = Demo::start(world, LIMITED)?;
    let mut earlier = demo.client()?;
    let setup = labelled(world, &[&[(ENGINE, OF_ENGINE), (APP_ID, "org.example.Game")]])?;
    let mut answered = || {
        ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client");
        Ok(())
    };
    let mut first = flood(world, &demo, &setup, &demo.socket())?;
    ensure_eq!(wait_until_closed(&mut first, FLOOD - 4, &mut answered)?, FLOOD - 4);
    let lines = demo.audit()?;
    let refused: Vec<_> = events(&lines, "refused").collect();
    // A flood is not recorded line by line.
    ensure!((1..=20).contains(&refused.len()), "{} lines", refused.len());
    for line in refused {
        expect_members(line, &json!({"limit": 4, "identity": {"kind": "app", "app-id": "org.example.Game"}}))?;
        ensure!(line.get("client").is_none(), "a client that never was: {line}");
    }
    let connected = |lines: &[_]| {
        events(lines, "connect").filter(|line| line["identity"]["app-id"] == json!("org.example.Game")).count()
    };
    ensure_eq!(connected(&lines), 4);
    // The places of clients that went are free.
    drop(first);
    demo.wait_for_audit("end of the flood", |lines| {
        events(lines, "disconnect").filter(|line| line["identity"]["app-id"] == json!("org.example.Game")).count() == 4
    })?;
    let mut second = flood(world, &demo, &setup, &demo.socket())?;
    ensure_eq!(wait_until_closed(&mut second, FLOOD - 4, &mut answered)?, FLOOD - 4);
    ensure_eq!(connected(&demo.audit()?), 8);
    Ok(())
}

pub(crate) fn flood_through_a_context_at_the_limit_of_descriptors_ends_nobody(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let mut earlier = demo.client()?;
    let path = demo.dir().join("context");
    let listener = UnixListener::bind(&path).context(path.display())?;
    let mut maker = Client::new(demo.connect()?)?;
    let _alive = maker.open_context(&listener, OF_ENGINE, "org.example.Game")?;
    drop(maker);
    let open = std::fs::read_dir(format!("/proc/{}/fd", demo.pid().as_raw_nonzero())).context("fds")?.count();
    let limit = u64::try_from(open + 8).ok();
    prlimit(Some(demo.pid()), Resource::Nofile, Rlimit { current: limit, maximum: limit }).context("prlimit")?;

    let mut flood = flood(world, &demo, &Setup::default(), &path)?;
    // All but a few are turned away, not left to wait.
    wait_until_closed(&mut flood, FLOOD - 20, &mut || {
        ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client");
        Ok(())
    })?;
    drop(flood);
    ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client");
    // The context goes on, and so does the ordinary socket.
    for socket in [&path, &demo.socket()] {
        let deadline = Instant::now() + PATIENCE;
        let client = || wayland_auth_tests::wire::Client::new(UnixStream::connect(socket).context("connect")?);
        while let Err(why) = client() {
            ensure!(Instant::now() < deadline, "nobody gets in afterwards through {}: {why}", socket.display());
        }
    }
    let lines = demo.audit()?;
    let through = events(&lines, "connect").filter(|line| line["identity"]["app-id"] == json!("org.example.Game"));
    let through: Vec<_> = through.collect();
    ensure!((1..=22).contains(&through.len()), "{} were let in", through.len());
    for line in through {
        ensure_eq!(line["capabilities"]["screen-capture"]["allowed"], json!(false));
    }
    Ok(())
}

pub(crate) fn broken_requests_for_a_context_are_protocol_errors(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let listener = UnixListener::bind(demo.dir().join("context")).context("context")?;
    let (stream, _other) = UnixStream::pair().context("pair")?;
    let no_listener = UnixListener::from(OwnedFd::from(stream));
    let maker = || Client::new(demo.connect()?);
    let refused = |outcome: Outcome, code: u32| match outcome {
        Err(why) if why.contains(&format!("rotocol error {code} ")) => Ok(()),
        other => Err(format!("no protocol error {code}: {other:?}")),
    };
    refused(maker()?.open_context(&no_listener, OF_ENGINE, "org.example.Game").map(drop), 1)?;

    let (_ours, close) = UnixStream::pair().context("pair")?;
    let mut client = maker()?;
    let context = client.new_context(&listener, &close)?;
    context.set_app_id("a".to_owned());
    client.roundtrip()?;
    context.set_app_id("a".to_owned());
    refused(client.roundtrip(), 2)?;

    let mut client = maker()?;
    let context = client.new_context(&listener, &close)?;
    context.commit();
    client.roundtrip()?;
    context.set_instance_id("a".to_owned());
    refused(client.roundtrip(), 1)?;
    demo.expect_alive()
}
