//! The cases of the threat model's table "Relabelling from inside a sandbox".

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wayland_auth_tests::{Context, Outcome, World, cgroups, ensure};

use super::app::{App, bwrap, labelled};
use super::case::Case;

pub(crate) const NO_USERNS: &[&str] = &["--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-cgroup"];
pub(crate) const NAMESPACES: &[&str] = &["--unshare-user", "--unshare-pid", "--unshare-cgroup"];

/// A writable view of cgroupfs in a sandbox.
fn in_sight() -> Result<[String; 3], String> {
    let point = cgroups::mount_point()?.to_str().context("not UTF-8")?.to_owned();
    Ok(["--bind".into(), point.clone(), point])
}

pub(crate) fn case_1(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let app = App::start(cgroup.path(), cgroup.path(), "", &bwrap(NAMESPACES))?;
    app.expect("unsafe", Some("own-cgroup-labelled"), &[]).map(drop)
}

pub(crate) fn case_2_hidden(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let sandbox = bwrap(&[NAMESPACES, &["--tmpfs", "/sys/fs/cgroup"]].concat());
    let app = App::start(cgroup.path(), payload.path(), "", &sandbox)?;
    let report = app.expect("safe", None, &[])?;
    ensure!(report.has("user-namespaces", "weak"), "{report:#?}");
    ensure!(!report.has("cgroupfs-visible", "weak"), "{report:#?}");
    Ok(())
}

pub(crate) fn case_2_in_sight(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let sandbox = [bwrap(NAMESPACES), in_sight()?.to_vec()].concat();
    let app = App::start(cgroup.path(), payload.path(), "", &sandbox)?;
    app.expect("unsafe", Some("cgroupfs-writable"), &[]).map(drop)
}

pub(crate) fn case_2_read_only(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let app = App::start(cgroup.path(), payload.path(), "", &bwrap(NAMESPACES))?;
    let point = cgroups::mount_point()?;
    let remount = format!("unshare -U -r -m sh -c 'mount -o remount,bind,rw {}'", point.display());
    let report = app.expect("safe", None, &[&remount])?;
    ensure!(report.has("cgroupfs-visible", "weak"), "{report:#?}");
    Ok(())
}

pub(crate) fn case_3(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let app = App::start(cgroup.path(), payload.path(), "", &[])?;
    app.expect("unsafe", Some("cgroupfs-writable"), &[]).map(drop)
}

pub(crate) fn case_4(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let app = App::start(cgroup.path(), cgroup.path(), "", &bwrap(NO_USERNS))?;
    let report = app.expect("safe", None, &[])?;
    ensure!(report.has("own-cgroup-labelled", "weak"), "{report:#?}");
    Ok(())
}

/// A labelled cgroup that root owns, in a directory, and in it one of the user's.
fn of_root(world: &World, parent: &Path) -> Result<(PathBuf, PathBuf), String> {
    let admin = world.admin()?;
    let labelled = parent.join("labelled");
    admin.mkdir(&labelled)?;
    admin.label(&labelled, "user.xdg.sandbox-engine", "org.example.Engine")?;
    admin.label(&labelled, "user.app_id", "org.example.App")?;
    let payload = labelled.join("payload");
    admin.mkdir(&payload)?;
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        let (path, mode) = if file.is_empty() { (payload.clone(), 0o755) } else { (payload.join(file), 0o644) };
        admin.own(&path, world.uid(), world.uid(), mode)?;
    }
    Ok((labelled, payload))
}

/// Starts an application as root's own engine would: it moves it into the cgroup.
fn start_moved(world: &World, (label, at): &(PathBuf, PathBuf), sandbox: &[String]) -> Result<App, String> {
    let mut command = Command::new("sh");
    // It waits until it is where it belongs, so that its cgroup namespace begins there.
    let wait = "until grep -q \"$0\\$\" /proc/self/cgroup; do sleep 0.02; done; exec \"$@\"";
    let end: PathBuf = at.components().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
    command.arg("-c").arg(format!("echo $$ >&2; {wait}")).arg(&end).args(sandbox);
    let dir = world.new_dir()?;
    let err = dir.join("pid");
    command.stderr(Stdio::from(std::fs::File::create(&err).context(err.display())?));
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| -> Outcome {
            for _ in 0..1000 {
                let pid = std::fs::read_to_string(&err).unwrap_or_default();
                if let Some(pid) = pid.strip_suffix('\n').and_then(|pid| pid.parse().ok()) {
                    return world.admin()?.join(at, pid);
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err("the application does not start".into())
        });
        let app = App::spawn_kept(label, &mut command);
        mover.join().map_err(|_| "panic")??;
        app
    })
}

/// Waits until no process is in a cgroup.
fn wait_until_empty(path: &Path) -> Outcome {
    for _ in 0..1000 {
        let events = std::fs::read_to_string(path.join("cgroup.events")).context(path.display())?;
        if events.contains("populated 0") {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("processes stay in {}", path.display()))
}

/// Removes what [`of_root`] made.
fn remove(world: &World, parts: &[&Path]) -> Outcome {
    let words = ["rmdir", "--"].into_iter().map(str::to_owned);
    let paths = parts.iter().map(|path| path.display().to_string());
    world.admin()?.spawn(&words.chain(paths).collect::<Vec<_>>())?;
    for _ in 0..1000 {
        if parts.iter().all(|path| !path.exists()) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("{parts:?} stay"))
}

fn with_roots_label(world: &World, parent: &Path, sandbox: &[String], verdict: &str, id: Option<&str>) -> Outcome {
    let places = of_root(world, parent)?;
    let result = start_moved(world, &places, sandbox).and_then(|app| app.expect(verdict, id, &[]));
    wait_until_empty(&places.1)?;
    remove(world, &[&places.1, &places.0])?;
    result.map(drop)
}

pub(crate) fn case_5(world: &World) -> Outcome {
    let parent = world.new_cgroup()?;
    with_roots_label(world, parent.path(), &bwrap(NAMESPACES), "safe", None)
}

pub(crate) fn case_5_in_sight(world: &World) -> Outcome {
    // Beside the tests' own cgroup, which is the user's: here every directory above is root's.
    let beside = world.cgroup().with_extension("roots");
    world.admin()?.mkdir(&beside)?;
    let sandbox = [bwrap(NAMESPACES), in_sight()?.to_vec()].concat();
    let result = with_roots_label(world, &beside, &sandbox, "safe", None);
    remove(world, &[&beside])?;
    result
}

pub(crate) fn case_5_left(world: &World) -> Outcome {
    let parent = world.new_cgroup()?;
    let sandbox = [bwrap(NAMESPACES), in_sight()?.to_vec()].concat();
    with_roots_label(world, parent.path(), &sandbox, "unsafe", Some("cgroupfs-writable"))
}

/// A sandbox as in case 6, with a descriptor.
fn with_descriptor(world: &World, open: &str, verdict: &str, id: Option<&str>, more: &[&str]) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let app = App::start(cgroup.path(), payload.path(), open, &bwrap(NO_USERNS))?;
    app.expect(verdict, id, more).map(drop)
}

pub(crate) fn case_6(world: &World) -> Outcome {
    with_descriptor(world, "exec 7<\"$0/..\";", "unsafe", Some("cgroupfs-descriptor"), &[])
}

pub(crate) fn case_6_without(world: &World) -> Outcome {
    with_descriptor(world, "", "safe", None, &[])
}

pub(crate) fn inherited_procs(world: &World) -> Outcome {
    let open = "exec 7>\"$0/../../cgroup.procs\";";
    with_descriptor(world, open, "unsafe", Some("cgroupfs-descriptor"), &["sh -c 'echo 0 >&7'"])
}

pub(crate) fn inherited_root(world: &World) -> Outcome {
    with_descriptor(world, "exec 7</;", "unsafe", Some("directory-descriptor"), &[])
}

pub(crate) fn case_7(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let sandbox = bwrap(&["--unshare-user", "--disable-userns", "--unshare-cgroup", "--tmpfs", "/sys/fs/cgroup"]);
    let app = App::start(cgroup.path(), payload.path(), "", &sandbox)?;
    let report = app.expect("safe", None, &[])?;
    ensure!(report.has("host-processes", "weak"), "{report:#?}");
    Ok(())
}

/// An application that the launcher starts.
fn launched(words: &[&str]) -> Result<(Case, App), String> {
    let case = Case::new()?;
    let label = ["--engine", "org.example.Engine", "--app-id", "org.example.App", "--"];
    let mut command = case.command("exec", &[&["run"], words, &label].concat())?;
    let mut app = App::spawn(Path::new("/"), &mut command)?;
    app.set_label(&case.labelled()?);
    Ok((case, app))
}

pub(crate) fn run_confine(_: &World) -> Outcome {
    let (case, app) = launched(&["--confine"])?;
    let report = app.expect("safe", None, &[])?;
    let bad = report.findings.iter().filter(|(severity, ..)| severity != "note").count();
    ensure!(bad == 0, "{report:#?}");
    case.wait_until_left()
}

pub(crate) fn run_alone(_: &World) -> Outcome {
    let (case, app) = launched(&[])?;
    app.expect("unsafe", Some("cgroupfs-writable"), &[])?;
    case.wait_until_left()
}
