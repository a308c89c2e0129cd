//! The ways round: other sockets, compositors inside the compositor, and crowds.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{POLICY, labelled};
use wayland_auth_tests::wire::{self, Answer};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::Client;
use super::demo::{Demo, events, expect_members};
use super::globals::PRIVILEGED;
use super::peers::Launch;
use super::running::Running;

/// The addresses of the sockets that a process listens on.
fn listening(demo: &Demo) -> Result<BTreeSet<String>, String> {
    let pid = demo.pid().as_raw_nonzero();
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).context("fds")?.flatten();
    let links = fds.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inodes: BTreeSet<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    // Num RefCount Protocol Flags Type St Inode Path; __SO_ACCEPTCON is 0x10000.
    let unix = table("unix");
    let unix = unix.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let listens = u32::from_str_radix(fields.get(3)?, 16).is_ok_and(|flags| flags & 0x10000 != 0);
        (listens && inodes.contains(*fields.get(6)?)).then(|| fields.get(7).unwrap_or(&"unnamed").to_string())
    });
    let mut all: BTreeSet<String> = unix.collect();
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let text = table(name);
        let inode = |line: &str| line.split_ascii_whitespace().nth(9).map(str::to_owned);
        all.extend(
            text.lines().skip(1).filter_map(inode).filter(|i| inodes.contains(i)).map(|i| format!("{name} {i}")),
        );
    }
    Ok(all)
}

/// The compositor opens no door but the one that is looked after; a security context adds its own, which is too.
pub(crate) fn every_socket_that_it_listens_on_is_looked_after(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let ordinary = demo.socket().display().to_string();
    ensure_eq!(listening(&demo)?, [ordinary.clone()].into());
    let path = demo.dir().join("context");
    let listener = UnixListener::bind(&path).context(path.display())?;
    let mut maker = Client::new(demo.connect()?)?;
    let _alive = maker.open_context(&listener, "org.example.Engine", "org.example.Game")?;
    drop(listener);
    maker.roundtrip()?;
    ensure_eq!(listening(&demo)?, [ordinary, path.display().to_string()].into());
    // Through either, an app is the app, and the audit file says so.
    for socket in [demo.socket(), path.clone()] {
        let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Typist")]])?;
        let heard = Launch::Kind(setup).speak_through(world, &mut demo, &socket, &["sync".into()])?;
        let identity = &heard.connect()?["identity"];
        expect_members(identity, &json!({"kind": "app", "app-id": "org.example.Typist"})).context(socket.display())?;
    }
    Ok(())
}

/// What a compositor inside a sandbox gives to its clients is its own: of ours it has what its label allows.
pub(crate) fn compositor_inside_a_label_has_its_rights(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let before = demo.audit()?.len();
    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")], &[]])?;
    let launch = Launch::Kind(setup);
    let weston =
        ["weston", "--backend=wayland-backend.so", "--use-pixman", "--socket=nested", "--no-config", "--idle-time=0"];
    let mut nested = Running::start(&mut launch.command(&demo, &weston)?)?;
    let socket = demo.dir().join("nested");
    let deadline = Instant::now() + PATIENCE;
    let mut client = loop {
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(stream) => break wire::Client::new(stream)?,
            Err(_) if nested.is_alive() && Instant::now() < deadline => std::thread::yield_now(),
            Err(e) => return Err(format!("weston does not run: {e}: {}", nested.errors())),
        }
    };
    ensure_eq!(client.sync()?, Answer::Done);
    let seen: BTreeSet<&str> = client.globals().iter().map(|global| global.interface.as_str()).collect();
    // The control: it is a compositor, and serves this client.
    ensure!(seen.contains("wl_compositor") && seen.contains("xdg_wm_base"), "{seen:?}");
    // It passes on nothing of ours that its label does not allow. (It has an xdg_output of its own.)
    let kept = PRIVILEGED.iter().map(|(interface, _)| *interface).filter(|i| *i != "zxdg_output_manager_v1");
    let passed: Vec<&str> = kept.filter(|interface| seen.contains(interface)).collect();
    ensure_eq!(passed, [""; 0]);
    // For us there is one client, the nested compositor: whoever is behind it is it.
    let lines = demo.audit()?;
    let ours = u64::from(std::process::id());
    let connected: Vec<_> = events(&lines[before..], "connect")
        .filter(|line| line["evidence"]["credentials"]["pid"] != json!(ours))
        .collect();
    let [line] = connected[..] else { return Err(format!("{} clients connected", connected.len())) };
    expect_members(&line["identity"], &json!({"kind": "app", "app-id": "org.example.Game"}))?;
    for (_, capability) in PRIVILEGED {
        let allowed = &line["capabilities"][capability]["allowed"];
        ensure_eq!(*allowed, json!(capability == "output-info"), "{capability}");
    }
    drop(client);
    nested.signal(Signal::TERM)?;
    nested.reap().map(drop)
}

/// So many connect, one after the other, while a client that is there asks and asks.
const CROWD: usize = 20_000;

pub(crate) fn bystander_is_answered_while_a_crowd_connects(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", demo.pid().as_raw_nonzero())).map(Iterator::count);
    let mut bystander = demo.client()?;
    let before = fds().context("fds")?;
    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]])?;
    let mut command = demo.command(world.peer());
    command.args([&setup.steps[0], &format!("burst={},{CROWD}", demo.socket().display())]).stdin(Stdio::null());
    let mut crowd = Running::start(&mut command)?;
    let mut times = Vec::new();
    while crowd.is_alive() {
        let start = Instant::now();
        ensure_eq!(bystander.sync()?, Answer::Done, "the bystander");
        times.push(start.elapsed());
    }
    ensure!(crowd.reap()?.success(), "the crowd failed: {}", crowd.errors());
    times.sort();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    println!(
        "{CROWD} connections: {} round trips of a bystander meanwhile, p99 {p99:?}, longest {longest:?}",
        times.len()
    );
    // How fast is the machine's affair; that it is answered all the time is ours.
    ensure!(times.len() > 20, "only {} round trips: nothing is shown", times.len());
    ensure!(longest < Duration::from_secs(5), "the bystander waited for {longest:?}");
    let deadline = Instant::now() + PATIENCE;
    while fds().context("fds")? > before + 1 {
        ensure!(Instant::now() < deadline, "{} descriptors, {before} before", fds().context("fds")?);
        bystander.sync()?;
    }
    // Nobody of the crowd was taken for more than he is.
    let lines = demo.audit()?;
    let strangers =
        events(&lines, "connect").filter(|line| line["evidence"]["credentials"]["pid"] != json!(std::process::id()));
    let mut count = 0;
    for line in strangers {
        let kind = &line["identity"]["kind"];
        ensure!(kind == "app" || kind == "unidentified", "{line}");
        ensure_eq!(line["capabilities"]["screen-capture"]["allowed"], json!(false));
        count += 1;
    }
    ensure!(count > CROWD / 2, "only {count} are recorded");
    Ok(())
}
