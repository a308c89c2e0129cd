//! `lint`: could the application in a process rewrite, strip or leave its label?

mod bus;
mod cgroupfs;
mod doors;
mod inside;
mod labels;
mod mountinfo;
mod processes;
mod reach;
mod report;
mod status;
mod subject;

use std::io;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wayland_auth::identity::{Identified, Identity, Resolver, Trust};

use crate::cgroup2::Hierarchy;
use crate::failure::Failure;
use crate::output::{self, shown};
use inside::Inside;
use labels::Ancestry;
use mountinfo::Mounts;
use report::{Findings, Severity, Verdict};
use status::Powers;
use subject::Subject;

/// The exit status when the label is not safe.
const UNSAFE: u8 = 1;
/// The exit status when the process could not be looked at.
const ERROR: u8 = 2;
/// The exit status when something could not be looked at.
const NOT_KNOWN: u8 = 3;

/// Look whether the application in a process could rewrite, strip or leave its label
///
/// For authors of sandbox engines: start an application as the engine does, and give the pid of the application, not
/// that of the engine. It is looked at from outside, as it is now: through /proc, and by trying what the application could
/// try. Nothing is changed. Run it as the user who started the sandbox, or as root.
///
/// Every finding has a remedy. `unsafe`: the label can be got rid of. `not known`: this could not be looked at.
/// `weak`: something else guards the label, but this does not; or a door is open that no label guards. `note`: good to know.
///
/// What it cannot see: descriptors that come later through a socket, the services behind connections that are open
/// already, holes in the kernel or the engine, and what a seccomp filter forbids (it says so where that matters).
///
/// The exit status is 0 if the label is safe, 1 if it is unsafe, 3 if that is not known, and 2 if the process could not be
/// looked at.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The application's process
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pid: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that several checks need.
#[derive(Debug)]
struct Scene<'a> {
    subject: &'a Subject,
    ancestry: Ancestry,
    powers: Powers,
    mounts: Mounts,
    /// Major and minor number of the hierarchy.
    cgroup2_device: (u32, u32),
}

/// Carries out `lint`.
pub(crate) fn lint(args: &LintArgs) -> Result<ExitCode, Failure> {
    let failed = |what: &str| Failure::new(ERROR, what.to_owned());
    let hierarchy = Hierarchy::find()
        .map_err(|e| failed("could not look for cgroup2").because(e))?
        .ok_or_else(|| failed("cgroup2 is not mounted as a whole").remedy("run `wayland-auth doctor`"))?;
    let gone = |e: io::Error| Failure::new(ERROR, format!("process {} could not be looked at", args.pid)).because(e);
    let subject = Subject::pin(args.pid).map_err(gone)?;
    let scene = Scene::of(&subject, &hierarchy).map_err(gone)?;
    let resolver = Resolver::builder().build().map_err(|e| failed("could not start the look-up").because(e))?;
    let identified = resolver.identify_process(args.pid, &Trust::default());
    let identified = identified.map_err(|e| failed("the process could not be looked up").because(e))?;
    let findings = check(&scene, &identified);
    // Pinned and alive after all of it: the pid was that of the same process all the time.
    if !subject.is_alive() {
        return Err(failed("the process has ended meanwhile"));
    }
    let again = Scene::of(&subject, &hierarchy).map_err(gone)?;
    if again.ancestry.own() != scene.ancestry.own() {
        return Err(failed("the process moved to another cgroup meanwhile").remedy("try again"));
    }
    let findings = findings.sorted();
    let verdict = findings.verdict();
    if args.json {
        output::print_json(&to_json(args.pid, &scene, &identified, &findings));
    } else {
        let own = scene.ancestry.own().map(shown).unwrap_or_default();
        output::print(format_args!(
            "process {} in {own}\n{}\n{}verdict: {}",
            args.pid,
            identified.identity,
            findings.to_text(),
            verdict.word()
        ));
    }
    Ok(match verdict {
        Verdict::Safe => ExitCode::SUCCESS,
        Verdict::Unsafe => ExitCode::from(UNSAFE),
        Verdict::NotKnown => ExitCode::from(NOT_KNOWN),
    })
}

impl<'a> Scene<'a> {
    fn of(subject: &'a Subject, hierarchy: &Hierarchy) -> io::Result<Self> {
        let status = subject.status()?;
        if matches!(status.state, 'Z' | 'X') {
            return Err(io::Error::other("it has ended"));
        }
        let device = rustix::fs::fstat(hierarchy.root())?.st_dev;
        Ok(Self {
            subject,
            ancestry: Ancestry::of(subject, hierarchy)?,
            powers: Powers { status, uid_map: subject.id_map("uid_map")?, gid_map: subject.id_map("gid_map")? },
            mounts: Mounts::parse(&subject.read("mountinfo")?),
            cgroup2_device: (rustix::fs::major(device), rustix::fs::minor(device)),
        })
    }
}

fn check(scene: &Scene<'_>, identified: &Identified) -> Findings {
    let mut findings = Findings::default();
    label(scene, identified, &mut findings);
    cgroupfs::mounts(scene, &scene.mounts, &mut findings);
    cgroupfs::new_mounts(scene, &mut findings);
    if let Err(e) = cgroupfs::descriptors(scene, scene.subject, &scene.mounts, &mut findings) {
        findings.unknown("descriptors", "its descriptors, working directory and root", &e);
    }
    processes::neighbours(scene, &mut findings);
    processes::outside(scene, &mut findings);
    match scene.subject.root() {
        Ok(root) => {
            let inside = Inside { root, mounts: &scene.mounts };
            doors::user_manager(scene, &inside, &mut findings);
            doors::displays(scene, &inside, &mut findings);
        }
        Err(e) => findings.unknown("root", "its root directory", &e),
    }
    if !scene.powers.status.no_new_privs {
        let what = "programs with the set-user-ID bit or file capabilities give it more rights than it has";
        findings.add("new-privileges", Severity::Weak, what, "set no_new_privs, as bubblewrap does");
    }
    findings
}

/// Whether there is a label, and whether a compositor would take it for one.
fn label(scene: &Scene<'_>, identified: &Identified, findings: &mut Findings) {
    const ID: &str = "label";
    if scene.ancestry.labelled().next().is_none() {
        const REMEDY: &str = "label a directory above the application's cgroup, as `wayland-auth run` does";
        findings.add(ID, Severity::Unsafe, "no directory on its path carries a sandbox label", REMEDY);
        return;
    }
    if let Identity::Unidentified(unidentified) = &identified.identity
        && unidentified.reason.code() == "malformed-label"
    {
        const REMEDY: &str = "write the engine, and valid IDs; a malformed label is worth nothing to the application";
        findings.add(ID, Severity::Unsafe, unidentified.reason.to_string(), REMEDY);
    }
}

fn to_json(pid: u32, scene: &Scene<'_>, identified: &Identified, findings: &Findings) -> serde_json::Value {
    let labels = scene
        .ancestry
        .labelled()
        .map(|directory| json!({ "path": shown(&directory.path), "owner": directory.stat.st_uid }));
    json!({
        "pid": pid,
        "verdict": findings.verdict().word().replace(' ', "-"),
        "identity": identified.identity.to_string(),
        "cgroup": scene.ancestry.own().map(shown),
        "labels": labels.collect::<serde_json::Value>(),
        "findings": findings.to_json(),
    })
}
