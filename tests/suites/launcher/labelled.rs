//! `run` without `--confine`.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::FlockOperation;
use rustix::process::Signal;
use serde_json::Value;
use wayland_auth_tests::cgroups::set_xattr;
use wayland_auth_tests::{Context, Outcome, ensure, ensure_eq};

use super::case::{Case, Talking, expect_code, finish};

const ENGINE: &[&str] = &["--engine", "org.example.Engine"];

/// The arguments of `run` for a label and a shell script.
fn script(script: &str) -> Vec<&str> {
    [ENGINE, &["--", "sh", "-c", script]].concat()
}

pub(crate) fn exit_status_is_passed_through() -> Outcome {
    let case = Case::new()?;
    for (line, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -ABRT $$", 134)]
    {
        case.finish(&script(line))?.expect(code).context(line)?;
        case.expect_empty()?;
    }
    // Also for a parent that ignores its children, as some compositors do.
    let words = [&["run"], &script("exit 7")[..]].concat();
    finish(&mut case.command("exec env --ignore-signal=CHLD", &words)?)?.expect(7)?;
    case.expect_empty()
}

pub(crate) fn missing_command_is_told_from_an_unusable_one() -> Outcome {
    let case = Case::new()?;
    for (name, code) in [("no-such-command-anywhere", 127), ("/no/such/command", 127), ("/etc/passwd", 126), ("/", 126)]
    {
        let finished = case.finish(&[ENGINE, &["--", name]].concat())?;
        finished.expect(code)?;
        ensure!(finished.err.contains(name), "{finished:?}");
        case.expect_empty()?;
    }
    Ok(())
}

pub(crate) fn signals_are_passed_on() -> Outcome {
    let case = Case::new()?;
    let line = "for s in HUP INT QUIT TERM USR1 USR2 CONT WINCH; do trap \"echo got $s; exit 3\" $s; done
                echo ready; read end";
    let signals = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("CONT", Signal::CONT),
        ("WINCH", Signal::WINCH),
    ];
    for (name, signal) in signals {
        let mut talking = Talking::start(&mut case.run(&script(line))?)?;
        talking.signal(signal)?;
        talking.read_until(&format!("got {name}"))?;
        expect_code(talking.wait()?, 3)?;
    }
    case.wait_until_left()?;
    case.expect_empty()
}

pub(crate) fn killed_command_leaves_nothing() -> Outcome {
    let case = Case::new()?;
    case.finish(&script("kill -KILL $$"))?.expect(137)?;
    case.expect_empty()?;
    // Cgroups that the command made below are its own, and go with it.
    let line = "mkdir -p \"$1$(sed -n s/^0:://p /proc/self/cgroup)/a/b\" && kill -KILL $$";
    let root = wayland_auth_tests::cgroups::mount_point()?;
    let root = root.to_str().context("not UTF-8")?;
    case.finish(&[&script(line)[..], &["sh", root]].concat())?.expect(137)?;
    case.expect_empty()
}

pub(crate) fn children_keep_the_cgroup_until_they_end() -> Outcome {
    let case = Case::new()?;
    let line = "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo ready; exit 5";
    let mut talking = Talking::start(&mut case.run(&script(line))?)?;
    expect_code(talking.wait()?, 5)?;
    let labelled = case.labelled()?;
    let procs = fs::read_to_string(labelled.join("payload/cgroup.procs")).context("cgroup.procs")?;
    ensure_eq!(procs.lines().count(), 1, "the child that stayed");
    talking.end_input();
    case.wait_until_left()?;
    case.expect_empty()
}

pub(crate) fn label_is_complete_before_the_command_runs() -> Outcome {
    let case = Case::new()?;
    let label = ["--engine", "flatpak", "--app-id", "org.example.App", "--instance-id", "i-1"];
    for way in [&[][..], &["--without-clone3"]] {
        for _ in 0..10 {
            // The first thing that the command does is to look at itself.
            let words = [way, &label, &["--", "sh", "-c", "exec \"$0\" show --json $$"]].concat();
            let mut command = case.run(&words)?;
            let tool = command.get_args().nth(3).context("no tool")?.to_owned();
            let finished = finish(command.arg(tool))?;
            finished.expect(0)?;
            let answer: Value = serde_json::from_str(&finished.out).context("show")?;
            let evidence = &answer["evidence"];
            let at = evidence["cgroup"]["path"].as_str().context("no path")?;
            let labels = evidence["labels"].as_array().context("no labels")?;
            let own = labels.iter().rfind(|label| label["path"].as_str() == at.strip_suffix("/payload"));
            let own = own.context(format!("no label above {at} in {labels:?}"))?;
            let mut xattrs: Vec<(String, String)> = serde_json::from_value(own["xattrs"].clone()).context("xattrs")?;
            xattrs.sort();
            let expected = [
                ("user.app_id", "org.example.App"),
                ("user.xdg.instance-id", "i-1"),
                ("user.xdg.sandbox-engine", "org.flatpak"),
            ];
            ensure_eq!(xattrs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
    }
    case.expect_empty()
}

pub(crate) fn no_descriptors_are_inherited() -> Outcome {
    let case = Case::new()?;
    for way in [&[][..], &["--without-clone3"]] {
        let words = [&["run"], way, ENGINE, &["--", "ls", "-l", "/proc/self/fd"]].concat();
        let open = "exec 7<\"$0\" 8<\"$0/cgroup.procs\" 9</; exec";
        let finished = finish(case.command(open, &words)?.env("WAYLAND_SOCKET", "9"))?;
        finished.expect(0)?;
        ensure_eq!(other_descriptors(&finished.out), Vec::<String>::new());
    }
    let listed = finish(&mut case.run(&script("env"))?)?;
    ensure!(!listed.out.contains("WAYLAND_SOCKET"), "{listed:?}");
    Ok(())
}

/// The descriptors beside 0, 1 and 2 in the output of `ls -l /proc/self/fd`, without the one that `ls` itself has of that directory.
pub(crate) fn other_descriptors(listing: &str) -> Vec<String> {
    let entries = listing.lines().filter(|line| line.contains(" -> "));
    let other = entries.filter(|line| ![" 0 -> ", " 1 -> ", " 2 -> "].iter().any(|known| line.contains(known)));
    other.filter(|line| !line.ends_with("/fd")).map(str::to_owned).collect()
}

pub(crate) fn bad_values_are_refused_and_nothing_is_made() -> Outcome {
    let case = Case::new()?;
    let long = "x".repeat(256);
    for option in ["--engine", "--app-id", "--instance-id"] {
        for value in ["", "a b", "a/b", "../a", "a\u{1b}[31m", "a\n", "\u{20ac}", &long] {
            let engine: &[&str] = if option == "--engine" { &[] } else { ENGINE };
            let words = [engine, &[option, value, "--", "sh", "-c", "echo ran"]].concat();
            let finished = case.finish(&words)?;
            finished.expect(2)?;
            ensure!(finished.out.is_empty() && !finished.err.contains('\u{1b}'), "{finished:?}");
        }
    }
    for words in [&["--", "true"][..], &["--unlabelled", "--", "true"], ENGINE] {
        case.finish(words)?.expect(2)?;
    }
    case.expect_empty()
}

pub(crate) fn cgroups_of_killed_launchers_are_swept() -> Outcome {
    let case = Case::new()?;
    let mut talking = Talking::start(&mut case.run(&script("echo ready; exec cat >/dev/null 2>&1"))?)?;
    let left = case.labelled()?;
    talking.signal(Signal::KILL)?;
    talking.wait()?;
    // As long as the command runs its cgroup stays, whoever else comes and goes.
    case.finish(&script("exit 0"))?.expect(0)?;
    ensure_eq!(case.labelled()?, left);
    talking.end_input();
    case.wait_until_left()?;
    ensure_eq!(case.labelled()?, left);
    case.finish(&script("exit 0"))?.expect(0)?;
    case.expect_empty()
}

pub(crate) fn only_abandoned_cgroups_are_swept() -> Outcome {
    let case = Case::new()?;
    let make = |name: &str| {
        let path = case.cgroup().join(name);
        fs::create_dir(&path).context(path.display()).map(|()| path)
    };
    let labelled = |name: &str| {
        let path = make(name)?;
        set_xattr(&path, "user.xdg.sandbox-engine", b"org.example.Engine").map(|()| path)
    };
    let unlike = labelled("wayland-auth-not-ours")?;
    let unlabelled = make("wayland-auth-tests-1-0123456789abcdef")?;
    let abandoned = labelled("wayland-auth-org.example-1-0123456789abcdef")?;
    let owned = labelled("wayland-auth-org.example-999999-0123456789abcdef")?;
    let lock = fs::File::open(&owned).context(owned.display())?;
    rustix::fs::flock(lock.as_fd(), FlockOperation::LockExclusive).context("flock")?;
    let there = || [&unlike, &unlabelled, &abandoned, &owned].map(|path| path.is_dir());
    case.finish(&script("exit 0"))?.expect(0)?;
    ensure_eq!(there(), [true, true, false, true]);
    drop(lock);
    case.finish(&script("exit 0"))?.expect(0)?;
    ensure_eq!(there(), [true, true, false, false]);
    Ok(())
}

pub(crate) fn closed_cgroup_is_left_for_a_scope_or_refused() -> Outcome {
    let case = Case::new()?;
    let procs = case.cgroup().join("cgroup.procs");
    let words =
        [&["run"], &script("grep ^0:: /proc/self/cgroup; echo \"$0\"; exit 6")[..], &["$HOME ${HOME}"]].concat();
    // Nothing is closed to root; somebody else whom root starts finds it closed.
    let prefix = if rustix::process::geteuid().is_root() {
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups --"
    } else {
        "chmod a-w \"$0/cgroup.procs\"; exec"
    };
    let finished = finish(&mut case.command(prefix, &words)?)?;
    finished.expect(125)?;
    for part in [procs.to_str().context("not UTF-8")?, "systemd-run --user --scope -p Delegate=yes", "delegate USER"] {
        let part = part.strip_suffix("/cgroup.procs").unwrap_or(part);
        ensure!(finished.err.contains(part), "no `{part}` in {finished:?}");
    }
    case.expect_empty()?;
    // With a manager to ask, it works all the same, elsewhere.
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).join("systemd/private").exists());
    if let Some(dir) = runtime_dir.filter(|_| !rustix::process::geteuid().is_root()) {
        fs::set_permissions(&procs, PermissionsExt::from_mode(0o644)).context("chmod")?;
        let finished = finish(case.command(prefix, &words)?.env("XDG_RUNTIME_DIR", dir).stdin(Stdio::null()))?;
        finished.expect(6)?;
        let mut lines = finished.out.lines();
        ensure!(lines.next().is_some_and(|line| line.contains(".scope/wayland-auth-")), "{finished:?}");
        ensure_eq!(lines.next(), Some("$HOME ${HOME}"), "{finished:?}");
        case.expect_empty()?;
    }
    Ok(())
}

/// What the help says, and the control for the attempts of `confined_app_cannot_touch_its_label`.
pub(crate) fn label_alone_does_not_confine() -> Outcome {
    let case = Case::new()?;
    let line = "echo ready; read L; setfattr -x user.xdg.sandbox-engine \"$L\" && echo 0 >\"${L%/*}/cgroup.procs\" && ls -A \"$L\" | grep .";
    let mut talking = Talking::start(&mut case.run(&script(line))?)?;
    let labelled = case.labelled()?;
    talking.say(labelled.to_str().context("not UTF-8")?)?;
    expect_code(talking.wait()?, 0)
}
