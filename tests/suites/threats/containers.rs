//! Threaded cgroups, and containers that may write to cgroupfs.

use wayland_auth::identity::{Identity, Provenance};
use wayland_auth::{Authenticator, Capability, Policy};
use wayland_auth_tests::expect::{APP_ID, ENGINE, expect_app, identify};
use wayland_auth_tests::kinds::POLICY;
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

/// A thread may sit in a cgroup of its own below its process's, and somebody may have labelled that. The kernel tells the
/// process's, and so do we.
pub(crate) fn thread_in_a_cgroup_of_its_own(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let app = world.new_cgroup()?;
    app.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")])?;
    let domain = app.child("domain")?;
    let thread = domain.child("thread")?;
    std::fs::write(thread.path().join("cgroup.type"), "threaded").context("threaded")?;
    thread.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")])?;
    let step = format!("thread-in={}", thread.path().display());
    let connection = peers.connect(&[&domain.join(), &step, &peers.connect_step(), "hold"])?;
    let threads = std::fs::read_to_string(thread.path().join("cgroup.threads")).context("threads")?;
    ensure_eq!(threads.lines().count(), 1, "no thread is in its own cgroup, so nothing is shown");
    let identity = identify(&connection)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.Game"), Provenance::User))?;
    let Identity::App(app) = &identity else { return Err("no app".into()) };
    ensure!(app.nested.is_empty(), "the thread's label counts: {identity:?}");
    Ok(())
}

/// The container owns everything from `payload` down, sees no other cgroupfs, and writes what it likes there.
pub(crate) fn container_that_writes(world: &World) -> Outcome {
    let policy = Policy::parse("test.toml", POLICY).context("policy")?;
    let authenticator = Authenticator::builder().policy(policy).build().context("authenticator")?;
    let peers = Peers::new(world)?;
    let outer = world.new_cgroup()?;
    outer.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")])?;
    let payload = outer.child("payload")?;
    let enter = "echo 0 >\"$0/cgroup.procs\" && exec unshare -UrmC \"$@\"";
    let at = payload.path().to_str().context("not UTF-8")?;
    let mount = world.new_dir()?;
    let step = format!("container={}", mount.display());
    let connection = peers.connect_through(&["sh", "-c", enter, at], &[&step])?;
    let identity = identify(&connection)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.Game"), Provenance::User))?;
    let Identity::App(app) = &identity else { return Err("no app".into()) };
    let nested: Vec<_> = app.nested.iter().filter_map(|n| n.app_id.as_ref()).map(|id| id.as_str()).collect();
    // The control: what it wrote is there, twice, and is seen.
    ensure_eq!(nested, ["org.example.Recorder", "org.example.Recorder"]);
    let auth = authenticator.identify(&connection.stream);
    ensure!(!auth.allows(Capability::SCREEN_CAPTURE), "{:?}", auth.allowed());
    drop(connection);
    wayland_auth_tests::cgroups::remove_tree(&payload.leak())
}
