//! What clients, signals and policies cannot do to the compositor.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::json;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{POLICY, labelled};
use wayland_auth_tests::wire::{Answer, message};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::Client;
use super::demo::{Demo, Line, events, expect_members, start_in_vain};
use super::running::Running;

/// So many connections are held at once.
const FLOOD: usize = 300;

pub(crate) fn flood_of_connections_ends_nobody(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let mut earlier = demo.client()?;
    let open = std::fs::read_dir(format!("/proc/{}/fd", demo.pid().as_raw_nonzero())).context("fds")?.count();
    let limit = u64::try_from(open + 8).ok();
    prlimit(Some(demo.pid()), Resource::Nofile, Rlimit { current: limit, maximum: limit }).context("prlimit")?;

    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]])?;
    let join = &setup.steps[0];
    let mut command = demo.command(world.peer());
    command.args([join, &format!("flood={},{FLOOD}", demo.socket().display())]).stdin(Stdio::piped());
    let mut flood = Running::start(&mut command)?;
    flood.wait_for("connections", |out| out.starts_with(b"connected\n"))?;
    // All but a few are turned away. The flood goes on until everybody was let in or turned away: who ends while it
    // still waits to be accepted is gone before anybody can say who it was.
    let ours = u64::from(std::process::id());
    let strangers_of = |lines: &[Line]| -> Vec<Line> {
        let connects = events(lines, "connect");
        connects.filter(|line| line["evidence"]["credentials"]["pid"] != json!(ours)).cloned().collect()
    };
    let deadline = Instant::now() + PATIENCE;
    for line in 2.. {
        ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client");
        flood.say("how many?")?;
        flood.wait_for("number", |out| out.iter().filter(|&&byte| byte == b'\n').count() >= line)?;
        let out = String::from_utf8_lossy(flood.out()).into_owned();
        let closed: usize = out.lines().last().and_then(|n| n.parse().ok()).context("no number")?;
        // Nobody new gets in meanwhile, to ask whether all is written: what is not is in the next turn.
        let let_in = strangers_of(&demo.audit_so_far()?).len();
        if closed + let_in >= FLOOD {
            break;
        }
        ensure!(Instant::now() < deadline, "{closed} of {FLOOD} were turned away and {let_in} let in");
    }
    drop(flood);
    ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client");
    // The limit holds still; what the flood had is free again as soon as the compositor has seen its end.
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = demo.client() {
        ensure!(Instant::now() < deadline, "nobody gets in afterwards: {why}");
    }
    // Nobody was taken for more than he is meanwhile.
    let strangers = strangers_of(&demo.audit()?);
    ensure!(!strangers.is_empty() && strangers.len() <= 20, "{} were let in", strangers.len());
    for line in strangers {
        expect_members(&line["identity"], &json!({"kind": "app", "app-id": "org.example.Game"}))?;
        ensure_eq!(line["capabilities"]["screen-capture"]["allowed"], json!(false));
    }
    Ok(())
}

/// What no client says.
///
/// A string that is null where none may be is missing: on that, wayland-backend's Rust server panics (0.3.17).
fn garbage() -> Result<Vec<Vec<u8>>, String> {
    let registry = message(1, 1, &2_u32.to_ne_bytes())?;
    let with_registry = |bytes: &[u8]| [&registry, bytes].concat();
    let mut all = vec![
        vec![0; 8],
        vec![0xff; 4096],
        // An object that is not there, a request that is not there, a header without a message.
        message(77, 0, &[])?,
        message(1, 99, &[])?,
        registry[..5].to_vec(),
        // Sizes that are too small, and too large for what follows.
        [1_u32, 4 << 16].map(u32::to_ne_bytes).concat(),
        [1_u32, 0xffff << 16].map(u32::to_ne_bytes).concat(),
        // A number that is taken, and one of the server's own.
        message(1, 0, &1_u32.to_ne_bytes())?,
        message(1, 0, &0xff00_0001_u32.to_ne_bytes())?,
        // A bind whose string has no end, or more bytes than there are.
        with_registry(&message(2, 0, &[1_u32, 4, 0x6161_6161, 1, 3].map(u32::to_ne_bytes).concat())?),
        with_registry(&message(2, 0, &[1_u32, u32::MAX, 0, 1, 3].map(u32::to_ne_bytes).concat())?),
        // A string that is not UTF-8.
        with_registry(&message(
            2,
            0,
            &[1_u32, 4, u32::from_ne_bytes([0xff, 0xfe, 0x9b, 0]), 1, 3].map(u32::to_ne_bytes).concat(),
        )?),
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..100 {
        let bytes = (0..8).flat_map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_ne_bytes()
        });
        all.push(bytes.collect());
    }
    Ok(all)
}

pub(crate) fn client_that_sends_garbage_dies_alone(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let mut earlier = demo.client()?;
    for bytes in garbage()? {
        let what = format!("{:x?}", &bytes[..bytes.len().min(24)]);
        let mut connection = demo.connect()?;
        connection.set_read_timeout(Some(PATIENCE)).context("timeout")?;
        // It may be over before all is written.
        let _ = connection.write_all(&bytes);
        let _ = connection.shutdown(Shutdown::Write);
        let mut said = Vec::new();
        match connection.read_to_end(&mut said) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(e) => return Err(format!("{what}: the connection lives: {e}")),
        }
        ensure_eq!(earlier.sync()?, Answer::Done, "the earlier client, after {what}");
    }
    demo.expect_alive()
}

pub(crate) fn sigterm_with_clients_ends_well(world: &World) -> Outcome {
    for signal in [Signal::TERM, Signal::INT] {
        let mut demo = Demo::start(world, POLICY)?;
        let (socket, lock) = (demo.socket(), demo.socket().with_extension("lock"));
        ensure!(socket.exists() && lock.exists(), "no {} or no {}", socket.display(), lock.display());
        let mut plain = demo.client()?;
        let mut window = Client::new(demo.connect()?)?;
        window.open_window("window", (20, 20), [0, 255, 0])?;
        let listener = UnixListener::bind(demo.dir().join("context")).context("context")?;
        let _context = window.open_context(&listener, "org.example.Engine", "org.example.Game")?;
        let mut unfinished = demo.connect()?;
        unfinished.write_all(&[1, 0, 0]).context("write")?;
        let _silent = demo.connect()?;
        plain.sync()?;
        ensure_eq!(demo.end(signal)?.code(), Some(0), "{signal:?}");
        ensure!(!socket.exists() && !lock.exists(), "{signal:?}: left behind in {}", demo.dir().display());
        ensure_eq!(plain.sync()?, Answer::Closed);
        drop(std::fs::remove_file(demo.dir().join("context")));
    }
    Ok(())
}

pub(crate) fn policy_with_mistakes_is_refused(world: &World) -> Outcome {
    let cases: [(&str, &[&str]); 4] = [
        ("[defaults]\nsandboxd = []\n", &["policy.toml:2:1"]),
        ("[defaults]\nhost = [\"screen-captur\"]\n", &["policy.toml:2:9", "screen-capture"]),
        (
            "[defaults]\nhost = [\"*\"]\n\n[[rule]]\nmatch = { engine = \"e\", app = \"a\" }\nalow = []\n",
            &["policy.toml:5:", "policy.toml:6:1"],
        ),
        ("[defaults\n", &["policy.toml:1:"]),
    ];
    for (policy, parts) in cases {
        let finished = start_in_vain(world, policy)?;
        finished.expect(2)?;
        ensure!(finished.out.is_empty(), "it says something on standard output");
        for part in parts {
            ensure!(finished.err.contains(part), "no `{part}` in {}", finished.err);
        }
    }
    Ok(())
}
