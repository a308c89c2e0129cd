//! `run --confine`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::process::Signal;
use wayland_auth_tests::{Context, Outcome, ensure, ensure_eq};

use super::case::{Case, Talking, expect_code, finish};
use super::labelled::other_descriptors;

const APP: &[&str] = &["--confine", "--engine", "org.example.Engine", "--app-id", "org.example.App"];

fn script(script: &str) -> Vec<&str> {
    [APP, &["--", "sh", "-c", script]].concat()
}

/// What a confined application tries, in a shell: `$L` is the labelled directory's path outside. Each must fail.
const ATTEMPTS: &[(&str, &str)] = &[
    ("strip the label by its path", "setfattr -x user.app_id \"$L\""),
    ("change the label by its path", "setfattr -n user.app_id -v org.example.Other \"$L\""),
    ("strip it through the sandbox's first process", "setfattr -x user.app_id \"/proc/1/root$L\""),
    ("strip it through a working directory", "setfattr -x user.app_id \"/proc/1/cwd/../../../../../..$L\""),
    ("label cgroupfs' place", "setfattr -n user.app_id -v org.example.Other /sys/fs/cgroup"),
    ("see any cgroup", "ls -A /sys/fs/cgroup | grep ."),
    ("make a cgroup", "mkdir /sys/fs/cgroup/mine"),
    ("leave through cgroup.procs", "echo 0 >/sys/fs/cgroup/cgroup.procs"),
    ("leave through its path", "echo 0 >\"${L%/*}/cgroup.procs\""),
    ("uncover what is below", "umount /sys/fs/cgroup"),
    ("make a user namespace", "unshare --user true"),
    ("become root of a user namespace", "unshare --user --map-root-user true"),
    ("make a mount namespace", "unshare --mount true"),
    ("make a cgroup namespace", "unshare --cgroup true"),
    ("nest a sandbox", "bwrap --unshare-user --ro-bind / / true"),
    ("mount cgroup2", "mkdir -p /tmp/c && mount -t cgroup2 cgroup2 /tmp/c"),
    ("enter the namespaces of another", "nsenter --target 1 --mount --cgroup true"),
    ("raise the limit of user namespaces", "echo 100 >/proc/sys/user/max_user_namespaces"),
    ("ask the user's service manager", "systemd-run --user --scope true"),
    ("ask the system's service manager", "systemd-run --scope --no-ask-password true"),
];

pub(crate) fn confined_app_cannot_touch_its_label() -> Outcome {
    let case = Case::new()?;
    let mut line = String::from("echo ready; read L\n");
    for (name, attempt) in ATTEMPTS {
        line += &format!(
            "if out=$({{ {attempt}; }} 2>&1); then echo \"DONE {name}: $out\"; else echo \"no: {name}: $out\"; fi\n"
        );
    }
    line += "echo tried; read end";
    let mut talking = Talking::start(&mut case.run(&script(&line))?)?;
    let labelled = case.labelled()?;
    talking.say(labelled.to_str().context("not UTF-8")?)?;
    let answers = talking.read_until("tried")?;
    // What the attempts print may have several lines.
    let refused = answers.iter().filter(|answer| answer.starts_with("no: ")).count();
    let missing = answers.iter().find(|answer| answer.contains(": not found"));
    ensure!(missing.is_none(), "an attempt was none: {missing:?}");
    ensure_eq!(refused, ATTEMPTS.len(), "{answers:#?}");
    for answer in &answers {
        println!("{answer}");
    }

    // It is where it was, and so is its label.
    let xattr = |name: &str| {
        let mut value = [0; 256];
        let len = rustix::fs::getxattr(&labelled, name, &mut value).context(name)?;
        Ok::<_, String>(String::from_utf8_lossy(&value[..len]).into_owned())
    };
    ensure_eq!(xattr("user.app_id")?, "org.example.App");
    ensure_eq!(xattr("user.xdg.sandbox-engine")?, "org.example.Engine");
    let procs = fs::read_to_string(labelled.join("payload/cgroup.procs")).context("cgroup.procs")?;
    ensure_eq!(procs.lines().count(), 3, "bubblewrap, its first process and the shell");
    talking.end_input();
    talking.wait()?;
    case.wait_until_left()?;
    case.expect_empty()
}

pub(crate) fn confined_runtime_dir_holds_only_the_socket() -> Outcome {
    let case = Case::new()?;
    let dir = tempfile::tempdir().context("temporary directory")?;
    let listen = |name: &str| UnixListener::bind(dir.path().join(name)).context(name.to_owned());
    let _sockets = [listen("wayland-9")?, listen("bus")?, listen("pipewire-0")?];
    fs::write(dir.path().join("secret"), "x").context("secret")?;
    let line = "ls -A \"$XDG_RUNTIME_DIR\"; test -S \"$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY\" && echo \"$WAYLAND_DISPLAY\"
                ls -A /tmp /run/user; test -e \"$0/secret\" || echo hidden; env | sed 's/^/env /'";
    let outside = dir.path().to_str().context("not UTF-8")?;
    for display in ["wayland-9".to_owned(), format!("{outside}/wayland-9")] {
        let mut command = case.run(&[&script(line)[..], &[outside]].concat())?;
        command.env("XDG_RUNTIME_DIR", dir.path()).env("WAYLAND_DISPLAY", &display);
        for service in ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "XAUTHORITY", "SSH_AUTH_SOCK", "SWAYSOCK"] {
            command.env(service, "anything");
        }
        let finished = finish(&mut command)?;
        finished.expect(0)?;
        let uid = rustix::process::geteuid().as_raw().to_string();
        let expected = ["wayland-9", "wayland-9", "/run/user:", &uid, "", "/tmp:", "hidden"];
        let lines: Vec<_> = finished.out.lines().filter(|line| !line.starts_with("env ")).collect();
        ensure_eq!(lines, expected, "{finished:?}");
        ensure!(!finished.out.contains("=anything"), "{finished:?}");
        ensure!(finished.err.is_empty(), "{finished:?}");
    }
    // Without a socket it works too, and says so.
    let finished = case.finish(&script("ls -A \"$XDG_RUNTIME_DIR\"; echo \"${WAYLAND_DISPLAY-unset}\""))?;
    finished.expect(0)?;
    ensure_eq!(finished.out, "unset\n");
    ensure!(finished.err.contains("warning: the sandbox gets no Wayland socket"), "{finished:?}");
    case.expect_empty()
}

pub(crate) fn confined_app_gets_no_descriptors() -> Outcome {
    let case = Case::new()?;
    let words = [&["run"], APP, &["--", "ls", "-l", "/proc/self/fd"]].concat();
    let finished = finish(&mut case.command("exec 7<\"$0\" 8<\"$0/cgroup.procs\" 9</; exec", &words)?)?;
    finished.expect(0)?;
    ensure_eq!(other_descriptors(&finished.out), Vec::<String>::new());
    Ok(())
}

pub(crate) fn confined_app_gets_no_stream_that_leads_out() -> Outcome {
    let case = Case::new()?;
    let words = [&["run"], &script("echo ran >&2")[..]].concat();
    for (prefix, message) in [
        ("exec </ ;exec", "standard input is a directory"),
        ("exec <\"$0\"; exec", "standard input is a directory"),
        ("exec >\"$0/cgroup.procs\"; exec", "standard output is a file of cgroupfs"),
    ] {
        let finished = finish(&mut case.command(prefix, &words)?)?;
        finished.expect(125)?;
        ensure!(finished.err.contains(message) && !finished.err.contains("ran\n"), "{finished:?}");
    }
    case.expect_empty()
}

pub(crate) fn confined_status_and_signals_are_passed_through() -> Outcome {
    let case = Case::new()?;
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("exit 125", 125), ("kill -KILL $$", 137)] {
        case.finish(&script(line))?.expect(code).context(line)?;
        case.wait_until_left()?;
        case.expect_empty()?;
    }
    case.finish(&[APP, &["--", "no-such-command"]].concat())?.expect(127)?;
    let line = "trap 'echo got it; exit 3' TERM INT; echo ready; read end";
    for signal in [Signal::TERM, Signal::INT] {
        let mut talking = Talking::start(&mut case.run(&script(line))?)?;
        talking.signal(signal)?;
        talking.read_until("got it")?;
        expect_code(talking.wait()?, 3)?;
    }
    case.wait_until_left()?;
    case.expect_empty()
}

pub(crate) fn confined_children_end_with_the_command() -> Outcome {
    let case = Case::new()?;
    // The child ignores everything that can be ignored.
    let line = "(trap '' HUP TERM INT; exec sleep 1000) >/dev/null 2>&1 & exit 4";
    case.finish(&script(line))?.expect(4)?;
    case.wait_until_left()?;
    case.expect_empty()?;
    // And all of it ends with the launcher.
    let mut talking = Talking::start(&mut case.run(&script("echo ready; exec sleep 1000"))?)?;
    talking.signal(Signal::KILL)?;
    talking.wait()?;
    case.wait_until_left()
}

pub(crate) fn confined_app_may_be_unlabelled() -> Outcome {
    let case = Case::new()?;
    let words = ["--confine", "--unlabelled", "--", "sh", "-c", "echo ready; read end; exit 4"];
    let mut talking = Talking::start(&mut case.run(&words)?)?;
    case.expect_empty()?;
    talking.end_input();
    expect_code(talking.wait()?, 4)
}

pub(crate) fn unusable_bubblewrap_is_refused() -> Outcome {
    let case = Case::new()?;
    let dir = tempfile::tempdir().context("temporary directory")?;
    let run = |bwrap: Option<&str>| {
        if let Some(text) = bwrap {
            install(&dir.path().join("bwrap"), text)?;
        }
        let mut command = case.command(
            "PATH=$EMPTY; export PATH; exec",
            &[&["run"], APP, &["--", "/bin/sh", "-c", "echo ran"]].concat(),
        )?;
        finish(command.env("EMPTY", dir.path()))
    };
    let cases = [
        (None, "install the package `bubblewrap`"),
        (Some("echo bubblewrap 0.7.0"), "install bubblewrap 0.8 or newer"),
        (Some("echo something else"), "install bubblewrap 0.8 or newer"),
        (Some("[ \"$1\" = --version ] && echo bubblewrap 0.8.0 || exit 1"), "the sandbox could not be set up"),
    ];
    for (bwrap, message) in cases {
        let finished = run(bwrap)?;
        finished.expect(125)?;
        ensure!(finished.out.is_empty() && finished.err.contains(message), "no `{message}`: {finished:?}");
        case.expect_empty()?;
    }
    Ok(())
}

fn install(path: &Path, text: &str) -> Outcome {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).context(path.display())?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).context(path.display())
}
