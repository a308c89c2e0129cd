//! Findings one by one.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use wayland_auth_tests::{Context, Outcome, World, cgroups, ensure, ensure_eq};

use super::app::{App, Report, bwrap, label, labelled, tool};
use super::cases::{NAMESPACES, NO_USERNS};

/// A BPF program that allows everything: one instruction, "return SECCOMP_RET_ALLOW".
const ALLOW_ALL: [u8; 8] = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];

pub(crate) fn seccomp(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let filter = world.new_dir()?.join("filter");
    fs::write(&filter, ALLOW_ALL).context(filter.display())?;
    let open = format!("exec 9<{};", filter.display());
    let sandbox = bwrap(&[NAMESPACES, &["--seccomp", "9"]].concat());
    let mut app = App::start(cgroup.path(), cgroup.path(), &open, &sandbox)?;
    let report = app.lint()?;
    ensure_eq!(report.verdict, "not-known", "{report:#?}");
    ensure!(report.has("own-cgroup-labelled", "not-known"), "{report:#?}");
    // This filter forbids nothing; had it been called safe, that would have been wrong.
    ensure!(!app.attack(&[])?.is_empty(), "the control does not work");
    Ok(())
}

/// A safe sandbox with a run-time directory.
fn with_runtime_dir(world: &World, dir: &Path) -> Result<Report, String> {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let inside = format!("/run/user/{}", world.uid());
    let dir = dir.to_str().context("not UTF-8")?;
    let sandbox = bwrap(&[NO_USERNS, &["--bind", dir, &inside]].concat());
    App::start(cgroup.path(), payload.path(), "", &sandbox)?.lint()
}

pub(crate) fn user_manager(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    // The control: nothing is there yet, and so nothing is found.
    ensure_eq!(with_runtime_dir(world, &dir)?.verdict, "safe");
    fs::create_dir(dir.join("systemd")).context("systemd")?;
    let listener = UnixListener::bind(dir.join("systemd/private")).context("private")?;
    let report = with_runtime_dir(world, &dir)?;
    ensure!(report.has("user-manager", "unsafe"), "{report:#?}");
    // A socket that nobody listens on starts nothing.
    drop(listener);
    let report = with_runtime_dir(world, &dir)?;
    ensure!(report.verdict == "safe", "{report:#?}");
    real_user_manager(world)
}

/// Where there is a real service manager, it really starts a program without the label.
fn real_user_manager(world: &World) -> Outcome {
    let dir = std::env::var("XDG_RUNTIME_DIR").ok().filter(|dir| Path::new(dir).join("systemd/private").exists());
    let Some(dir) = dir else {
        println!("no systemd user manager is here");
        return Ok(());
    };
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let app = App::start(cgroup.path(), payload.path(), "", &bwrap(&[NO_USERNS, &["--bind", &dir, &dir]].concat()))?;
    let name = cgroup.path().file_name().and_then(|name| name.to_str()).context("no name")?;
    let start = format!(
        "XDG_RUNTIME_DIR={dir} systemd-run --user --quiet --wait --pipe sh -c '! grep {name} /proc/self/cgroup'"
    );
    app.expect("unsafe", Some("user-manager"), &[&start]).map(drop)
}

/// Plays a bus for one connection. Of the calls after `Hello`, those with these serials return; the others are errors.
fn bus(listener: &UnixListener, returning: &[u32]) -> Outcome {
    let (mut stream, _) = listener.accept().context("accept")?;
    let line = |stream: &mut std::os::unix::net::UnixStream| -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).context("line")?;
            line.push(byte[0]);
        }
        Ok(line)
    };
    ensure!(line(&mut stream)?.starts_with(b"\0AUTH EXTERNAL "), "no AUTH");
    stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").context("OK")?;
    ensure_eq!(line(&mut stream)?, b"BEGIN\r\n");
    loop {
        let mut head = [0; 16];
        if stream.read_exact(&mut head).is_err() {
            return Ok(());
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut rest = vec![0; number(12).next_multiple_of(8) as usize + number(4) as usize];
        stream.read_exact(&mut rest).context("message")?;
        let serial = number(8);
        let kind = if serial == 1 || returning.contains(&serial) { 2 } else { 3 };
        let mut reply = vec![b'l', kind, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 5, 1, b'u', 0];
        reply.extend(serial.to_le_bytes());
        stream.write_all(&reply).context("reply")?;
    }
}

fn with_bus(world: &World, returning: &'static [u32]) -> Result<Report, String> {
    let dir = world.new_dir()?;
    let listener = UnixListener::bind(dir.join("bus")).context("bus")?;
    let bus = std::thread::spawn(move || bus(&listener, returning));
    let report = with_runtime_dir(world, &dir)?;
    bus.join().map_err(|_| "panic")??;
    Ok(report)
}

pub(crate) fn quiet_bus(world: &World) -> Outcome {
    let report = with_bus(world, &[])?;
    ensure!(report.verdict == "safe" && report.has("session-bus", "note"), "{report:#?}");
    Ok(())
}

pub(crate) fn talking_bus(world: &World) -> Outcome {
    for answered in [&[2][..], &[3]] {
        let report = with_bus(world, answered)?;
        ensure!(report.has("session-bus", "unsafe"), "{report:#?}");
    }
    Ok(())
}

pub(crate) fn silent_bus(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let _listener = UnixListener::bind(dir.join("bus")).context("bus")?;
    let report = with_runtime_dir(world, &dir)?;
    ensure!(report.verdict == "not-known" && report.has("session-bus", "not-known"), "{report:#?}");
    Ok(())
}

pub(crate) fn x11(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let _listener = UnixListener::bind(dir.join("X77")).context("X77")?;
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let bind = ["--bind", dir.to_str().context("not UTF-8")?, "/tmp/.X11-unix"];
    let sandbox = bwrap(&[NO_USERNS, &bind].concat());
    let report = App::start(cgroup.path(), payload.path(), "", &sandbox)?.lint()?;
    let found =
        report.findings.iter().any(|(severity, id, seen)| severity == "weak" && id == "x11" && seen.contains("X77"));
    ensure!(found && report.verdict == "safe", "{report:#?}");
    Ok(())
}

pub(crate) fn no_label(world: &World) -> Outcome {
    let cgroup = world.new_cgroup()?;
    let app = App::start(cgroup.path(), cgroup.path(), "", &bwrap(NO_USERNS))?;
    let report = app.lint()?;
    ensure!(report.has("label", "unsafe"), "{report:#?}");
    Ok(())
}

pub(crate) fn malformed(world: &World) -> Outcome {
    for (name, value) in [("user.app_id", "a b"), ("user.xdg.sandbox-engine", ""), ("user.xdg.app-id", "org.other")] {
        let cgroup = labelled(world)?;
        cgroups::set_xattr(cgroup.path(), name, value.as_bytes())?;
        let app = App::start(cgroup.path(), cgroup.path(), "", &bwrap(NO_USERNS))?;
        let report = app.lint()?;
        ensure!(report.has("label", "unsafe"), "{name}={value}: {report:#?}");
    }
    Ok(())
}

pub(crate) fn not_permitted(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    // Root's process, without anything that would be unsafe: the user may not look at it.
    let words = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--unshare-pid",
        "--proc",
        "/proc",
        "--tmpfs",
        "/sys/fs/cgroup",
        "--die-with-parent",
    ];
    let pid = world.admin()?.spawn(
        &[&words[..], &["--cap-drop", "ALL", "sleep", "1000"]]
            .concat()
            .iter()
            .map(|w| (*w).to_owned())
            .collect::<Vec<_>>(),
    )?;
    world.admin()?.join(payload.path(), pid)?;
    let report = Report::of(pid)?;
    ensure!(report.verdict != "safe", "{report:#?}");
    ensure!(report.has("descriptors", "not-known"), "{report:#?}");
    world.admin()?.spawn(&["kill".into(), pid.to_string()])?;
    Ok(())
}

pub(crate) fn as_root(world: &World) -> Outcome {
    let tool = tool()?;
    for (own, sandbox, verdict) in
        [(true, NAMESPACES, "unsafe"), (true, NO_USERNS, "safe"), (false, NAMESPACES, "safe")]
    {
        let cgroup = labelled(world)?;
        let payload = cgroup.child("payload")?;
        let at = if own { cgroup.path() } else { payload.path() };
        // A cgroup with processes has none below it that have any; there is none.
        let app = App::start(cgroup.path(), at, "", &bwrap(sandbox))?;
        ensure_eq!(app.lint()?.verdict, verdict, "as the user");
        let dir = world.new_dir()?;
        let line =
            format!("{} lint --json {} >out 2>err; echo $? >status.new; mv status.new status", tool.display(), app.pid);
        let words = ["sh", "-c", &format!("cd {} && {line}", dir.display())].map(str::to_owned);
        world.admin()?.spawn(&words)?;
        let status = wait_for(&dir.join("status"))?;
        let out = fs::read(dir.join("out")).context("out")?;
        let report = Report::parse(&out, status.trim().parse().ok())?;
        ensure_eq!(report.verdict, verdict, "as root: {report:#?}");
    }
    Ok(())
}

/// Reads a file that is there all at once, or not yet.
pub(crate) fn wait_for(path: &Path) -> Result<String, String> {
    for _ in 0..2000 {
        if let Ok(text) = fs::read_to_string(path) {
            return Ok(text);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("{} does not appear", path.display()))
}

pub(crate) fn nobody(_: &World) -> Outcome {
    let run = |pid: &str| Command::new(tool()?).args(["lint", pid]).output().context("lint");
    for pid in ["0", "-1", "x", "4294967295", "2147483647"] {
        let output = run(pid)?;
        ensure_eq!(output.status.code(), Some(2), "{pid}: {output:?}");
        ensure!(output.stdout.is_empty(), "{pid}: {output:?}");
    }
    // One that has ended and is not reaped is still there, and is nobody's application any more.
    let mut child = Command::new("true").spawn().context("true")?;
    let pidfd =
        rustix::process::pidfd_open(rustix::process::Pid::from_child(&child), rustix::process::PidfdFlags::empty());
    let pidfd = pidfd.context("pidfd_open")?;
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).context("poll")?;
    let output = run(&child.id().to_string())?;
    ensure_eq!(output.status.code(), Some(2), "{output:?}");
    child.wait().context("wait")?;
    let _ = pidfd.as_fd();
    Ok(())
}

pub(crate) fn text(world: &World) -> Outcome {
    let outer = world.new_cgroup()?;
    let cgroup = cgroups::TestCgroup::exactly(outer.path().join("a\u{1b}[31m\u{202e}b"))?;
    label(cgroup.path())?;
    let app = App::start(cgroup.path(), cgroup.path(), "", &bwrap(NAMESPACES))?;
    let output = Command::new(tool()?).args(["lint", &app.pid.to_string()]).output().context("lint")?;
    ensure_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).context("not UTF-8")?;
    ensure!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("\\u{1b}"), "{text}");
    ensure!(text.ends_with("verdict: unsafe\n"), "{text}");
    let count = |what: &str| text.lines().filter(|line| line.trim_start().starts_with(what)).count();
    let findings = count("unsafe  ") + count("weak  ") + count("note  ") + count("not known  ");
    ensure!(findings > 0 && findings == count("to do: "), "{text}");
    Ok(())
}
