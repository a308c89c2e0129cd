//! Connections that outlive the program, or change hands.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use wayland_auth::identity::{Identity, Trust};
use wayland_auth_tests::expect::{evidence, expect_unidentified, identify, resolvers};
use wayland_auth_tests::harness::program;
use wayland_auth_tests::{Connection, Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};

use crate::hop::{A, labelled};
use crate::tally::word;

/// A socket stays that of the process that connected it, whoever holds it.
pub(crate) fn passed_socket_stays_its_connectors(world: &World) -> Outcome {
    let app = labelled(world, "A")?;
    let plain = world.new_cgroup()?;
    let peers = Peers::new(world)?;
    // The control: who the receivers are when they connect themselves.
    for (cgroup, expected) in [(&app, A), (&plain, "host")] {
        ensure_eq!(word(&identify(&peers.connect(&[&cgroup.join()])?)?), expected);
    }
    // Up: an app's socket in the hands of the host is still the app's. Down: a socket that the host gives away is the
    // host's, whatever the app then does with it; nobody can see that from outside.
    for (from, to, expected) in [(&app, &plain, A), (&plain, &app, "host")] {
        let identity = pass(world, &peers, from, to)?;
        ensure_eq!(word(&identity), expected);
    }
    Ok(())
}

/// Lets a process in `from` connect and give its socket to one in `to`: who is it then? Once the giver is gone, nobody.
fn pass(world: &World, peers: &Peers<'_>, from: &TestCgroup, to: &TestCgroup) -> Result<Identity, String> {
    let meet = world.new_dir()?.join("meet");
    let mut receiver = Command::new(world.peer())
        .args([&to.join(), &format!("receive={}", meet.display()), "hold"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("receiver")?;
    let mut ready = String::new();
    BufReader::new(receiver.stdout.take().context("no output")?).read_line(&mut ready).context("receiver")?;
    ensure_eq!(ready.trim_end(), "ready");

    let mut connection: Connection =
        peers.connect(&[&from.join(), &peers.connect_step(), &format!("send={}", meet.display()), "hold"])?;
    connection.stream.read_exact(&mut [0]).context("the receiver does not have the socket")?;
    let identity = identify(&connection)?;
    ensure_eq!(evidence(&connection)?.credentials.pid, connection.pid());

    connection.end_peer()?;
    for (_, resolver) in resolvers()? {
        let identity = resolver.identify(&connection.stream, &Trust::default()).identity;
        expect_unidentified(&identity, "peer-gone").context("the giver is gone")?;
    }
    ensure!(receiver.try_wait().context("wait")?.is_none(), "nobody held the socket, so nothing is shown");
    drop(connection);
    ensure!(receiver.wait().context("wait")?.success(), "the receiver failed");
    Ok(identity)
}

/// The uid is that of the connection, and the cgroup does not change with the program.
pub(crate) fn setuid_program_does_not_change_who_connected(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let nosuid = rustix::fs::statvfs(&dir).context("statvfs")?.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID);
    ensure!(!nosuid, "{} is mounted nosuid: set TMPDIR to a directory that is not", dir.display());
    let cat = dir.join("cat");
    std::fs::copy(program("cat")?, &cat).context("copy")?;
    world.admin()?.own(&cat, 0, 0, 0o4755)?;
    let peers = Peers::new(world)?;
    let app = labelled(world, "A")?;
    let plain = world.new_cgroup()?;
    for (cgroup, expected) in [(&app, A), (&plain, "host")] {
        let become_cat = format!("become={}", cat.display());
        let mut connection = peers.connect(&[&cgroup.join(), &peers.connect_step(), "wait", &become_cat])?;
        let before = (word(&identify(&connection)?), evidence(&connection)?.credentials);
        ensure_eq!(before.0, expected);
        ensure_eq!(before.1.uid, Some(world.uid()));
        connection.stream.write_all(b"g").context("write")?;
        let pid = connection.pid().context("no pid")?;
        let effective_root = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|l| l.strip_prefix("Uid:").is_some_and(|l| l.split_whitespace().nth(1) == Some("0")))
        };
        let deadline = std::time::Instant::now() + wayland_auth_tests::connect::PATIENCE;
        while !effective_root() {
            ensure!(std::time::Instant::now() < deadline, "the setuid program does not run");
            std::thread::yield_now();
        }
        let after = (word(&identify(&connection)?), evidence(&connection)?.credentials);
        ensure_eq!(after, before, "after the execution of a setuid program");
    }
    Ok(())
}
