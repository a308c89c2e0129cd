//! Containers: root of a user namespace, with cgroupfs of its own.

use wayland_auth_tests::{Outcome, World, ensure};

use super::app::{App, bwrap, labelled};

/// Root with all capabilities over its own namespaces. Its file system has no cgroupfs, unless `more` says so.
fn container(more: &[&str]) -> Vec<String> {
    let root = ["--unshare-all", "--share-net", "--uid", "0", "--gid", "0", "--cap-add", "ALL"];
    let mut words: Vec<String> = ["bwrap"].map(str::to_owned).into();
    // Not `/` as a whole: what lies below a cover could be uncovered.
    for dir in ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64"] {
        words.extend(["--ro-bind-try", dir, dir].map(str::to_owned));
    }
    words.extend([&root[..], super::app::COMMON, more].concat().into_iter().map(str::to_owned));
    words
}

const MOUNT: &[&str] =
    &["mkdir -p /tmp/d && mount -t cgroup2 none /tmp/d && mkdir -p /tmp/d/own && rmdir /tmp/d/own && false"];

pub(crate) fn below(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    App::start(cgroup.path(), payload.path(), "", &container(&[]))?.expect("safe", None, MOUNT).map(drop)
}

pub(crate) fn at(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let app = App::start(cgroup.path(), cgroup.path(), "", &container(&[]))?;
    app.expect("unsafe", Some("own-cgroup-labelled"), &[]).map(drop)
}

/// A whole file system with something over cgroupfs: who administers the mount namespace may take it off again.
pub(crate) fn uncovered(world: &World) -> Outcome {
    let cgroup = labelled(world)?;
    let payload = cgroup.child("payload")?;
    let words = ["--unshare-all", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--tmpfs", "/sys/fs/cgroup"];
    let mut app = App::start(cgroup.path(), payload.path(), "", &bwrap(&words))?;
    let report = app.lint()?;
    ensure!(report.verdict == "not-known", "{report:#?}");
    ensure!(report.has("cgroupfs-writable", "not-known"), "{report:#?}");
    let point = wayland_auth_tests::cgroups::mount_point()?;
    let uncover = format!("umount /sys/fs/cgroup && mount -o remount,bind,rw {}", point.display());
    // Whether it works or not is the kernel's business; it is printed for whoever wants to know.
    println!("uncovered: {:?}", app.attack(&[&uncover])?);
    Ok(())
}
