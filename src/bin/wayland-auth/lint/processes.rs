//! Other processes: those in the same sandbox, whose descriptors count as well, and those outside.

use std::io;
use std::path::Path;

use super::labels::Ancestry;
use super::mountinfo::Mounts;
use super::report::{Findings, Severity};
use super::subject::{Namespace, Subject};
use super::{Scene, cgroupfs};
use crate::cgroup2::Hierarchy;
use crate::output::shown;

/// The processes in the same pid namespace, if it is not ours: the application sees them, and what they hold.
pub(super) fn neighbours(scene: &Scene<'_>, findings: &mut Findings) {
    const ID: &str = "neighbours";
    match scene.subject.shares(Namespace::Pid) {
        Ok(true) => return,
        Ok(false) => {}
        Err(e) => return findings.unknown(ID, "its pid namespace", &e),
    }
    let mut ours = Findings::default();
    let looked = each(|process| {
        if process.pid != scene.subject.pid
            && let Err(e) = neighbour(scene, &process, &mut ours)
            && process.is_alive()
        {
            ours.unknown(ID, format!("process {}, which may be in the same sandbox", process.pid), &e);
        }
        Ok(None::<()>)
    });
    findings.append(ours);
    if let Err(e) = looked {
        findings.unknown(ID, "the processes in its sandbox", &e);
    }
}

fn neighbour(scene: &Scene<'_>, process: &Subject, findings: &mut Findings) -> io::Result<()> {
    let status = process.status()?;
    let own = &scene.powers.status;
    // Who is not as deep in pid namespaces is in another one, and so is hardly anybody of another user whom we may not ask.
    if status.pids.len() < own.pids.len() || !status.uids.iter().any(|uid| own.uids.contains(uid)) {
        return Ok(());
    }
    if !process.same(scene.subject, Namespace::Pid)? {
        return Ok(());
    }
    let mounts = Mounts::parse(&process.read("mountinfo")?);
    if !process.same(scene.subject, Namespace::Mount)? {
        cgroupfs::mounts(scene, &mounts, findings);
    }
    cgroupfs::descriptors(scene, process, &mounts, findings)
}

/// Processes outside of the sandbox that the application sees.
pub(super) fn outside(scene: &Scene<'_>, findings: &mut Findings) {
    const ID: &str = "host-processes";
    const REMEDY: &str = "give the sandbox a pid namespace, a /proc of its own and a user namespace";
    let seen = scene.subject.shares(Namespace::Pid).and_then(|shared| Ok(shared || shows_our_processes(scene)?));
    let same_user = scene.subject.shares(Namespace::User);
    match (seen, same_user) {
        (Ok(false), _) => {}
        (Ok(true), Ok(false)) => {
            let what = "it sees the host's processes; its user namespace keeps it from looking into them";
            findings.add(ID, Severity::Weak, what, REMEDY);
        }
        (Ok(true), Ok(true)) => match victim(scene) {
            Ok(Some(victim)) => {
                let what =
                    format!("it can look into and take over process {victim}, of its own user and without its label");
                findings.add(ID, Severity::Unsafe, what, REMEDY);
            }
            Ok(None) => findings.add(ID, Severity::Weak, "it sees the host's processes; none is its user's", REMEDY),
            Err(e) => findings.unknown(ID, "whether processes outside are in its power", &e),
        },
        (Err(e), _) | (_, Err(e)) => findings.unknown(ID, "whether it sees the host's processes", &e),
    }
}

/// Whether a procfs of our pid namespace is mounted where it sees it: each pid namespace has a device of its own.
fn shows_our_processes(scene: &Scene<'_>) -> io::Result<bool> {
    let device = rustix::fs::stat("/proc")?.st_dev;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mut mounts = scene.mounts.all().iter().filter(|mount| mount.kind == "proc" && mount.device == device);
    Ok(mounts.any(|mount| mount.root == Path::new("/") && scene.mounts.is_visible(mount)))
}

/// A process of the same user (or of any, if it has the power) that does not carry all the labels that the application does.
fn victim(scene: &Scene<'_>) -> io::Result<Option<String>> {
    let hierarchy = Hierarchy::find()?.ok_or(io::ErrorKind::NotFound)?;
    let label = scene.ancestry.labelled().next();
    let own = &scene.powers.status;
    each(|process| {
        let Ok(status) = process.status() else { return Ok(None) };
        let is_target = own.has_power() || status.uids.iter().all(|uid| own.uids.contains(uid));
        // One that has ended leaves nothing to take over.
        if !is_target || matches!(status.state, 'Z' | 'X') || process.pid == scene.subject.pid {
            return Ok(None);
        }
        let ancestry = match Ancestry::of(&process, &hierarchy) {
            Ok(ancestry) => ancestry,
            Err(e) if process.is_alive() => return Err(e),
            Err(_) => return Ok(None),
        };
        let is_inside = |path: &Path| label.is_some_and(|label| path.starts_with(&label.path));
        let outside = ancestry.own().filter(|path| !is_inside(path));
        Ok(outside.map(|path| format!("{} (in {})", process.pid, shown(path))))
    })
}

/// Looks at each process that our `/proc` shows, one at a time, until `look` finds something.
fn each<T>(mut look: impl FnMut(Subject) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let found = match Subject::pin(pid) {
            Ok(process) => look(process)?,
            // Gone meanwhile. Anything else, such as a shortage of descriptors, must not pass for nothing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
