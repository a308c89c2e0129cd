//! Who speaks for somebody else.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use wayland_auth_tests::wire::{PrintedGlobal, printed_globals as globals_of};
use wayland_auth_tests::{Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};

use crate::{expected, interfaces, start};

/// A proxy in `place` serves a client in `from`: who is it, and what does the client see?
fn through_proxy(world: &World, place: &TestCgroup, from: &TestCgroup) -> Result<(String, Vec<PrintedGlobal>), String> {
    let (_, server) = start()?;
    let peers = Peers::new(world)?;
    let at = world.new_dir()?.join("proxy");
    let mut proxy = Command::new(world.peer())
        .args([&place.join(), &format!("proxy={},{}", at.display(), peers.socket().display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("proxy")?;
    let mut ready = String::new();
    BufReader::new(proxy.stdout.take().context("no output")?).read_line(&mut ready).context("proxy")?;
    ensure_eq!(ready.trim_end(), "ready");
    let mut client = Command::new(world.peer())
        .args([&from.join(), &format!("connect={}", at.display()), "say=globals"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("client")?;
    let auth = server.insert(peers.accept(Some(&mut proxy))?)?;
    let mut said = String::new();
    client.stdout.take().context("no output")?.read_to_string(&mut said).context("read")?;
    ensure!(client.wait().context("wait")?.success(), "the client failed");
    ensure!(proxy.wait().context("wait")?.success(), "the proxy failed");
    let globals = globals_of(&serde_json::from_str(&said).context(said)?)?;
    Ok((auth.identity().to_string(), globals))
}

/// Inside the app's cgroup a proxy is the app; outside it is whoever is there, and lends what it has.
pub(crate) fn client_behind_a_proxy_is_the_proxy(world: &World) -> Outcome {
    let app = world.new_cgroup()?;
    app.label_app("org.example.Game")?;
    let plain = world.new_cgroup()?;
    let (who, globals) = through_proxy(world, &app, &app)?;
    ensure!(who.starts_with("app org.example.Game"), "{who}");
    ensure_eq!(interfaces(&globals), expected(&["output-info"]));
    // A proxy in the app's cgroup takes from whoever comes through it.
    let (who, globals) = through_proxy(world, &app, &plain)?;
    ensure!(who.starts_with("app org.example.Game"), "{who}");
    ensure_eq!(interfaces(&globals), expected(&["output-info"]));
    // The limit: outside it is the host, and so is the app behind it.
    let (who, globals) = through_proxy(world, &plain, &app)?;
    ensure!(who.starts_with("host"), "{who}");
    ensure_eq!(interfaces(&globals), expected(&["*"]));
    Ok(())
}

/// The limit: an app whose sandbox lets it see the user's processes takes the socket of one, and is served as that one.
pub(crate) fn stolen_socket_counts_as_its_owners(world: &World) -> Outcome {
    let (_, server) = start()?;
    let peers = Peers::new(world)?;
    let victim = peers.connect(&[])?.killed_at_the_end();
    let auth = server.insert(victim.stream.try_clone().context("clone")?)?;
    ensure!(auth.identity().to_string().starts_with("host"), "{}", auth.identity());
    let app = world.new_cgroup()?;
    app.label_app("org.example.Game")?;
    let pid = victim.pid().context("no pid")?;
    // Both would read what the server says.
    let child = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
    rustix::process::kill_process(child, rustix::process::Signal::STOP).context("stop")?;
    let thief = Command::new(world.peer())
        .args([&app.join(), &format!("steal={pid}"), "say=globals"])
        .stdin(Stdio::null())
        .output()
        .context("thief")?;
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(scope.trim(), "" | "0") {
        ensure!(!thief.status.success(), "Yama forbids it, and yet it was stolen");
        println!("Yama (ptrace_scope {}) forbids it: the limit is narrower here", scope.trim());
        return Ok(());
    }
    ensure!(thief.status.success(), "{}", String::from_utf8_lossy(&thief.stderr));
    let said = String::from_utf8_lossy(&thief.stdout).into_owned();
    let globals = globals_of(&serde_json::from_str(&said).context(said)?)?;
    ensure_eq!(interfaces(&globals), expected(&["*"]), "it is said to be a limit, and is none");
    // A thief who connects himself is the app.
    let own = server.insert(peers.connect(&[&app.join()])?.stream.try_clone().context("clone")?)?;
    ensure!(own.identity().to_string().starts_with("app org.example.Game"), "{}", own.identity());
    Ok(())
}
