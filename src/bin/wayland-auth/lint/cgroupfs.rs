//! Ways to the hierarchy: mounts that are there, mounts that could be made, descriptors.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use wayland_auth::inside::{self, Place, Step};

use super::Scene;
use super::labels::namespace_root;
use super::mountinfo::{Mount, Mounts};
use super::reach::harm;
use super::report::{Findings, Severity};
use super::status::Powers;
use super::subject::{Namespace, Subject, Target};
use crate::output::shown;

/// Cgroup file systems in a mount namespace.
pub(super) fn mounts(scene: &Scene<'_>, mounts: &Mounts, findings: &mut Findings) {
    const REMEDY: &str = "mount something over cgroupfs in the sandbox, as `bwrap --tmpfs /sys/fs/cgroup` does";
    // Who administers the mount namespace may uncover what is covered and make writable what is read-only, unless the
    // kernel locked it, which cannot be seen.
    let admin = scene.powers.status.is_admin();
    for mount in mounts.all().iter().filter(|mount| mount.kind == "cgroup2") {
        let (from, visible) = (mount_root(mount), mounts.is_visible(mount));
        let open = visible && !mount.read_only;
        let harm = if open || admin { harm(&scene.ancestry, &scene.powers, from) } else { Vec::new() };
        let what = format!("cgroupfs is at {}, from {} on", shown(&mount.point), shown(from));
        let inside = scene.ancestry.own().is_some_and(|own| from.starts_with(own));
        if !harm.is_empty() {
            let how =
                if open { "writable" } else { "covered or read-only, which it may be able to undo (CAP_SYS_ADMIN)" };
            let severity = if open { Severity::Unsafe } else { Severity::Unknown };
            findings.add("cgroupfs-writable", severity, format!("{what}, {how}: {}", harm.join("; ")), REMEDY);
        } else if visible && !inside {
            let how = if mount.read_only { "read-only" } else { "writable, but nothing of it is the application's" };
            findings.add(
                "cgroupfs-visible",
                Severity::Weak,
                format!("{what}, {how}: it shows the host's cgroups"),
                REMEDY,
            );
        }
    }
}

/// The directory that a mount shows, from the root of our cgroup namespace. Where it lies outside, it shows all of it.
fn mount_root(mount: &Mount) -> &Path {
    let outside = mount.root.starts_with("/..");
    if outside { Path::new("/") } else { &mount.root }
}

/// Whether the process can make user namespaces.
#[derive(Debug)]
enum UserNamespaces {
    /// Yes, or it need not.
    Yes(String),
    /// No, whatever it does.
    No(String),
    /// That depends on what cannot be seen from here.
    NotKnown(String),
}

/// Cgroup file systems that the process could mount: in a user namespace it has its own cgroup for their root.
pub(super) fn new_mounts(scene: &Scene<'_>, findings: &mut Findings) {
    const REMEDY: &str = "label a directory above the one in which the application runs, or let root own it; and forbid \
                          user namespaces, as `bwrap --unshare-user --disable-userns` does";
    const FORBID: &str = "forbid user namespaces, as `bwrap --unshare-user --disable-userns` does";
    let Some(own) = scene.ancestry.own() else { return };
    let user_namespaces = user_namespaces(scene);
    let harm = harm(&scene.ancestry, &scene.powers, own);
    match (&user_namespaces, harm.is_empty()) {
        (UserNamespaces::Yes(why), false) => {
            let what = format!("{why}, and so can mount cgroupfs from {} on: {}", shown(own), harm.join("; "));
            findings.add("own-cgroup-labelled", Severity::Unsafe, what, REMEDY);
        }
        (UserNamespaces::NotKnown(why), false) => {
            let what = format!("{why}; if it can, it can mount cgroupfs from {} on: {}", shown(own), harm.join("; "));
            findings.add("own-cgroup-labelled", Severity::Unknown, what, REMEDY);
        }
        (UserNamespaces::No(why), false) => {
            let what =
                format!("the label is on the application's own cgroup, {}; only this guards it: {why}", shown(own));
            findings.add("own-cgroup-labelled", Severity::Weak, what, REMEDY);
        }
        (UserNamespaces::Yes(why) | UserNamespaces::NotKnown(why), true) => {
            findings.add("user-namespaces", Severity::Weak, why.clone(), FORBID);
        }
        (UserNamespaces::No(_), true) => {}
    }
    if scene.powers.status.is_admin() {
        existing_namespace(scene, own, findings);
    }
}

/// What a process that administers its own cgroup namespace can mount: that namespace's root.
fn existing_namespace(scene: &Scene<'_>, own: &Path, findings: &mut Findings) {
    const ID: &str = "cgroup-namespace";
    const REMEDY: &str = "drop all capabilities, and let the cgroup namespace begin below the labelled directory";
    let subject = scene.subject;
    let root = (|| -> io::Result<Option<PathBuf>> {
        if subject.shares(Namespace::Cgroup)? {
            // Ours: the root of all that we see, if it has a say in it at all.
            return Ok(subject.shares(Namespace::User)?.then(|| PathBuf::from("/")));
        }
        let (user, cgroup) = (foreign_user(subject)?, subject.namespace(Namespace::Cgroup)?);
        let file = subject.open("cgroup")?;
        let place = Place { user: user.as_ref().map(AsFd::as_fd), cgroup: Some(cgroup.as_fd()), ids: None };
        let text = inside::read(place, file.as_fd())?.map_err(|refused| refused.source)?;
        namespace_root(own, &text).map(Some)
    })();
    match root {
        Ok(Some(root)) => {
            let harm = harm(&scene.ancestry, &scene.powers, &root);
            if !harm.is_empty() {
                let what = format!("it may mount, and sees cgroups from {} on: {}", shown(&root), harm.join("; "));
                findings.add(ID, Severity::Unsafe, what, REMEDY);
            }
        }
        Ok(None) => {}
        Err(e) => findings.unknown(ID, "where its cgroup namespace begins", &e),
    }
}

/// The process' user namespace, unless it is ours.
fn foreign_user(subject: &Subject) -> io::Result<Option<std::os::fd::OwnedFd>> {
    if subject.shares(Namespace::User)? { Ok(None) } else { subject.namespace(Namespace::User).map(Some) }
}

/// Tries it, as a child of ours in the process' user namespace.
fn user_namespaces(scene: &Scene<'_>) -> UserNamespaces {
    if scene.powers.status.is_admin() {
        return UserNamespaces::Yes("it may administer its namespaces (CAP_SYS_ADMIN)".into());
    }
    let tried = (|| {
        let user = foreign_user(scene.subject)?;
        let place = Place { user: user.as_ref().map(AsFd::as_fd), cgroup: None, ids: ids(scene)? };
        inside::make_user_namespace(place)
    })();
    let limit = rustix::io::Errno::NOSPC;
    match tried {
        Ok(Ok(())) if scene.powers.status.seccomp == Some(0) => {
            UserNamespaces::Yes("it can make user namespaces".into())
        }
        Ok(Ok(())) => UserNamespaces::NotKnown(
            "it can make user namespaces unless its seccomp filter forbids it, which cannot be seen from outside"
                .into(),
        ),
        // What the kernel says where their number is limited; everything else may depend on who asks.
        Ok(Err(refused))
            if refused.step == Step::Ask && rustix::io::Errno::from_io_error(&refused.source) == Some(limit) =>
        {
            UserNamespaces::No("no further user namespace is allowed".into())
        }
        Ok(Err(refused)) => UserNamespaces::NotKnown(format!(
            "whether it can make user namespaces is not known ({}, when tried from outside)",
            refused.source
        )),
        Err(e) => UserNamespaces::NotKnown(format!("whether it can make user namespaces is not known ({e})")),
    }
}

/// Whom the child has to become; nobody if we are the process' user already.
fn ids(scene: &Scene<'_>) -> io::Result<Option<(u32, u32)>> {
    let Powers { status, uid_map, gid_map } = &scene.powers;
    // The second of each is the effective one.
    let (uid, gid) = (status.uids.get(1).copied(), status.gids.get(1).copied());
    if uid == Some(rustix::process::geteuid().as_raw()) && gid == Some(rustix::process::getegid().as_raw()) {
        return Ok(None);
    }
    // In our own user namespace the map speaks of the one above.
    if scene.subject.shares(Namespace::User)? {
        return Ok(uid.zip(gid));
    }
    let inside = uid.and_then(|uid| uid_map.inside(uid)).zip(gid.and_then(|gid| gid_map.inside(gid)));
    inside.map(Some).ok_or_else(|| io::Error::other("its user is not mapped in its user namespace"))
}

/// Descriptors, working directory and root of one process, which may be another one in the same sandbox.
pub(super) fn descriptors(
    scene: &Scene<'_>,
    subject: &Subject,
    mounts: &Mounts,
    findings: &mut Findings,
) -> io::Result<()> {
    let numbers = subject.descriptors()?;
    for number in &numbers {
        let name = format!("fd/{number}");
        if let Some(target) = subject.target(&name)? {
            descriptor(scene, subject, mounts, (&name, Some(number)), target, findings)?;
        }
    }
    for name in ["cwd", "root"] {
        if let Some(target) = subject.target(name)? {
            descriptor(scene, subject, mounts, (name, None), target, findings)?;
        }
    }
    Ok(())
}

fn descriptor(
    scene: &Scene<'_>,
    subject: &Subject,
    mounts: &Mounts,
    (name, number): (&str, Option<&String>),
    target: Target,
    findings: &mut Findings,
) -> io::Result<()> {
    const CLOSE: &str = "close every descriptor but 0, 1 and 2 and those that the application needs before it starts, \
                         and start it in a directory of its own mount namespace";
    let on_cgroup2 = scene.cgroup2_device == target.device;
    let mount = mounts.by_id(target.mount);
    let what = format!("process {} has {} as {name}", subject.pid, shown(&subject.link(name)));
    if target.kind == FileType::Directory {
        let from = mount.map_or(Path::new("/"), mount_root);
        match mount {
            // Its paths lead there as well, so it is looked at with the mounts, covered ones excepted.
            Some(mount) if mount.kind != "cgroup2" || mount.read_only => {}
            _ if on_cgroup2 => {
                let harm = harm(&scene.ancestry, &scene.powers, from);
                if !harm.is_empty() {
                    let what = format!("{what}, a directory of cgroupfs: {}", harm.join("; "));
                    findings.add("cgroupfs-descriptor", Severity::Unsafe, what, CLOSE);
                }
            }
            Some(_) => {}
            None => {
                let what =
                    format!("{what}, a directory outside of its mount namespace: the sandbox can be left through it");
                findings.add("directory-descriptor", Severity::Unsafe, what, CLOSE);
            }
        }
        return Ok(());
    }
    // Who may write to `cgroup.procs` was decided when it was opened.
    if let Some(number) = number.filter(|_| on_cgroup2) {
        const ACCESS_MODE: u32 = 0o3;
        const PATH: u32 = 0o10_000_000;
        let flags = subject.open_flags(number)?;
        if flags & PATH == 0 && flags & ACCESS_MODE != 0 {
            let what = format!("{what}, a file of cgroupfs, open for writing");
            findings.add("cgroupfs-descriptor", Severity::Unsafe, what, CLOSE);
        }
    }
    Ok(())
}
