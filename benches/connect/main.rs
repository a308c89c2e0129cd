//! What identification adds to a client's start, on the demo compositor.
//!
//! Two compositors run side by side, one of them with `--without-identification`. A host peer connects, asks for the
//! registry and waits for its end, in turn on both. The policy shows an identified host exactly what it shows to anybody,
//! so that the answers are as long.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use common::stats::Series;
use common::table::{self, Row};
use common::world::{self, Peer, World};
use common::{Context, ROUNDS};
use wayland_auth::{Authenticator, Identity, Policy};

/// Connections in one round, to each.
const CONNECTIONS: usize = 100;

/// How much of identify's own time it may cost in a compositor.
const TARGET: f64 = 1.25;

/// Says where the demo compositor is, built in release.
const DEMO: &str = "WAYLAND_AUTH_DEMO";

/// A host gets no more than anybody.
const POLICY: &str = "[defaults]\nhost = []\n";

fn main() -> ExitCode {
    if let Some(code) = world::play_peer() {
        return code;
    }
    common::exit_code(run())
}

fn run() -> Result<(), String> {
    let demo = std::env::var_os(DEMO).map(PathBuf::from);
    let demo = demo.context(format!("{DEMO} does not say where the demo compositor is: run `cargo xtask bench`"))?;
    let world = World::new()?;
    let policy = world.dir().join("policy.toml");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&policy).context("policy")?;
    std::io::Write::write_all(&mut file, POLICY.as_bytes()).context("policy")?;
    let with = Compositor::start(&demo, world.dir(), &policy, "with", &[])?;
    let without = Compositor::start(&demo, world.dir(), &policy, "without", &["--without-identification"])?;
    let authenticator = Authenticator::builder()
        .policy(Policy::parse("policy.toml", POLICY).context("policy")?)
        .build()
        .context("authenticator")?;
    let (_, leaf) = world.session("host")?;
    let (listener, path) = world.listen("identify")?;
    let mut peer = Peer::start(&leaf, &[])?;

    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    // The first round only warms up.
    for round in 0..=ROUNDS {
        let order = if round % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for which in order {
            let times = match which {
                0 => registry(&mut peer, &with, round)?,
                1 => registry(&mut peer, &without, round)?,
                _ => identify(&mut peer, &authenticator, &listener, &path)?,
            };
            if round > 0 {
                rounds[which].push(Series::new(times).median());
            }
        }
    }
    let [with, without, identify] = rounds.map(Series::new);
    report(&with, &without, &identify);
    Ok(())
}

fn report(with: &Series, without: &Series, identify: &Series) {
    println!(
        "\nconnect, wl_registry, sync, on the demo compositor: medians of {ROUNDS} interleaved rounds of {CONNECTIONS}"
    );
    for (what, series) in [("with identification", with), ("without", without), ("Authenticator::identify", identify)] {
        println!("  {what:24} {}", table::Value::from(series));
    }
    let row = Row {
        name: "added to each connection".to_owned(),
        ours: (with.median() - without.median()).into(),
        floor: identify.into(),
        target: TARGET,
    };
    table::print("Identification in a compositor", "with minus without", "identify alone", &[row]);
}

/// Connects to a compositor; the time of each round trip.
fn registry(peer: &mut Peer, compositor: &Compositor, round: usize) -> Result<Vec<f64>, String> {
    let (times, globals) = peer.registry(&compositor.socket, CONNECTIONS)?;
    if round == 0 {
        println!("{}: {globals} globals", compositor.name);
    }
    Ok(times)
}

/// Identifies as many new connections of the peer, each after it has slept, as a compositor would.
fn identify(
    peer: &mut Peer,
    authenticator: &Authenticator,
    listener: &UnixListener,
    path: &Path,
) -> Result<Vec<f64>, String> {
    peer.visit(path, CONNECTIONS)?;
    let mut times = Vec::new();
    for _ in 0..CONNECTIONS {
        let (stream, _) = listener.accept().context("accept")?;
        let start = Instant::now();
        let auth = black_box(authenticator.identify(&stream));
        times.push(start.elapsed().as_nanos() as f64);
        if !matches!(auth.identity(), Identity::Host(_)) {
            return Err(format!("the peer was identified as: {}", auth.identity()));
        }
    }
    peer.answer("visit")?;
    Ok(times)
}

/// A compositor that accepts clients. Dropping it ends it.
struct Compositor {
    name: &'static str,
    child: Child,
    socket: PathBuf,
}

impl Compositor {
    fn start(
        program: &Path,
        dir: &Path,
        policy: &Path,
        name: &'static str,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["--backend", "headless", "--socket", name, "--policy"]).arg(policy).args(arguments);
        // It warns of this policy, and of the missing identification; that is as it should be.
        let log = dir.join(format!("{name}.log"));
        let stderr = fs::File::create(&log).context(log.display())?;
        command.env("XDG_RUNTIME_DIR", dir).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().context(program.display())?;
        let stdout = child.stdout.take();
        let compositor = Self { name, child, socket: dir.join(name) };
        let mut line = String::new();
        BufReader::new(stdout.context("no pipe")?).read_line(&mut line).context("the compositor")?;
        if line.trim_end() != format!("WAYLAND_DISPLAY={name}") {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("the demo compositor did not start:\n{line}{log}"));
        }
        Ok(compositor)
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
