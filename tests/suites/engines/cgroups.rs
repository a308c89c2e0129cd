//! Names of cgroups.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use wayland_auth::identity::{ClaimSource, Identity, Provenance, Trust};
use wayland_auth_tests::cgroups::mount_point;
use wayland_auth_tests::expect::{
    APP_ID, ENGINE, evidence, expect_app, expect_host, expect_unidentified, identify, identify_trusting,
};
use wayland_auth_tests::harness::THIRD_UID;
use wayland_auth_tests::{Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};

use super::sandbox::{allows, nested};

const UUID: &str = "6c5a4c1e-9f0b-4a1e-8a54-0b1c2d3e4f50";
const SNAP: &str = "io.snapcraft";

fn hex() -> String {
    "0123456789abcdef".repeat(4)
}

pub(crate) fn names_of_cgroups_are_engines(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let hex = hex();
    let cases: &[(String, &str, Option<&str>, Option<&str>)] = &[
        (format!("snap.firefox.firefox-{UUID}.scope"), SNAP, Some("firefox"), Some(UUID)),
        (format!("snap.firefox.firefox.{UUID}.scope"), SNAP, Some("firefox"), Some(UUID)),
        (format!("snap.hello.hook.configure-{UUID}.scope"), SNAP, Some("hello"), Some(UUID)),
        ("snap.lxd.daemon.service".into(), SNAP, Some("lxd"), None),
        ("snap.what is this.scope".into(), SNAP, None, None),
        (format!("libpod-{hex}.scope"), "org.podman", None, Some(&hex)),
        (format!("docker-{hex}.scope"), "com.docker", None, Some(&hex)),
        ("lxc.payload.web".into(), "org.linuxcontainers", None, Some("web")),
        ("machine-deb\\x2d12.scope".into(), "io.systemd.machine", None, Some("deb-12")),
        ("systemd-nspawn@deb.service".into(), "io.systemd.machine", None, Some("deb")),
    ];
    for (name, engine, app_id, instance) in cases {
        let parent = world.new_cgroup()?;
        let cgroup = parent.child(name)?;
        let payload = cgroup.child("payload")?;
        for place in [&cgroup, &payload] {
            let connection = peers.connect(&[&place.join()])?;
            let identity = identify(&connection)?;
            expect_app(&identity, (Some(engine), *app_id, Provenance::User)).context(name)?;
            let Identity::App(app) = &identity else { return Err("no app".into()) };
            ensure_eq!(app.instance_id.as_ref().map(|id| id.as_str()), *instance, "{name}");
            let labels = evidence(&connection)?.labels;
            ensure!(labels.len() == 1 && labels[0].named.is_some() && labels[0].xattrs.is_empty(), "{labels:?}");
            drop(connection);
        }
    }
    // What only looks like them.
    for name in
        [&format!("libpod-conmon-{hex}.scope"), "docker-1.scope", "lxc.monitor.web", "machine.slice", "snapd.service"]
    {
        let parent = world.new_cgroup()?;
        let cgroup = parent.child(name)?;
        expect_host(&identify(&peers.connect(&[&cgroup.join()])?)?, None).context(name)?;
    }
    Ok(())
}

pub(crate) fn outermost_is_the_identity(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    // A container around a forged snap, and a forged container around a label.
    let outer = world.new_cgroup()?;
    let container = outer.child("lxc.payload.web")?;
    let snap = container.child(&format!("snap.firefox.firefox-{UUID}.scope"))?;
    let label = snap.child("label")?;
    label.label_app("org.example.App")?;
    let identity = identify(&peers.connect(&[&label.join()])?)?;
    expect_app(&identity, (Some("org.linuxcontainers"), None, Provenance::User))?;
    let (firefox, app) = (Some("firefox".to_owned()), Some("org.example.App".to_owned()));
    ensure_eq!(nested(&identity)?, [(SNAP.to_owned(), firefox), ("org.example.Engine".to_owned(), app)]);
    // The same snap in itself is one snap.
    let outer = world.new_cgroup()?;
    let one = outer.child("snap.firefox.daemon.service")?;
    let again = one.child(&format!("snap.firefox.hook.x-{UUID}.scope"))?;
    let identity = identify(&peers.connect(&[&again.join()])?)?;
    ensure_eq!(nested(&identity)?, []);
    // A label above is the identity, whatever the names below say.
    let labelled = world.new_cgroup()?;
    labelled.label_app("org.example.App")?;
    let forged = labelled.child("snap.firefox.daemon.service")?;
    let identity = identify(&peers.connect(&[&forged.join()])?)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.App"), Provenance::User))?;
    ensure_eq!(nested(&identity)?, [(SNAP.to_owned(), Some("firefox".to_owned()))]);
    // What is not a label takes from what is one, too: an engine alone has no rule.
    ensure!(!allows(&identity, "screen-capture")?, "a nested name gave something");
    Ok(())
}

pub(crate) fn contradiction_is_nested(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let name = format!("snap.firefox.firefox-{UUID}.scope");
    let said = [
        (&[(ENGINE, SNAP), (APP_ID, "firefox")][..], vec![]),
        (&[(ENGINE, "snap"), (APP_ID, "firefox")], vec![]),
        (&[(ENGINE, SNAP), (APP_ID, "other")], vec![(SNAP.to_owned(), Some("firefox".to_owned()))]),
        (&[(ENGINE, SNAP)], vec![(SNAP.to_owned(), Some("firefox".to_owned()))]),
        (&[(ENGINE, "org.example.E"), (APP_ID, "firefox")], vec![(SNAP.to_owned(), Some("firefox".to_owned()))]),
    ];
    for (xattrs, expected) in said {
        let parent = world.new_cgroup()?;
        let cgroup = parent.child(&name)?;
        cgroup.label(xattrs)?;
        let identity = identify(&peers.connect(&[&cgroup.join()])?)?;
        ensure_eq!(nested(&identity)?, expected, "{xattrs:?}");
    }
    // As systemd-appd labels a snap's scope: a host's claim takes nothing from the name.
    let parent = world.new_cgroup()?;
    let cgroup = parent.child(&name)?;
    cgroup.label(&[(APP_ID, "org.mozilla.firefox")])?;
    expect_app(&identify(&peers.connect(&[&cgroup.join()])?)?, (Some(SNAP), Some("firefox"), Provenance::User))?;
    cgroup.label(&[(ENGINE, "a b")])?;
    expect_unidentified(&identify(&peers.connect(&[&cgroup.join()])?)?, "malformed-label")
}

/// What a process sees of another: kind and engine, and for each label whether it is shared.
fn seen_from(world: &World, place: &TestCgroup, pid: u32) -> Result<(Value, Value, Vec<Value>), String> {
    let who = format!("who={pid}");
    let output = Command::new(world.peer()).args([&place.join(), &who]).output().context("peer")?;
    let said: Value = serde_json::from_slice(&output.stdout).context("not JSON")?;
    let labels = said["evidence"]["labels"].as_array().context("no labels")?;
    let shared = labels.iter().map(|label| label["shared"].clone()).collect();
    Ok((said["identity"]["kind"].clone(), said["identity"]["engine"].clone(), shared))
}

/// A compositor in a container is in its cgroup as well.
pub(crate) fn shared_name_is_ignored(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let parent = world.new_cgroup()?;
    let container = parent.child("lxc.payload.compositor")?;
    let (server, beside) = (container.child("server")?, container.child("beside")?);
    let snap = container.child("snap.firefox.daemon.service")?;
    let host = peers.connect(&[&beside.join()])?;
    let app = peers.connect(&[&snap.join()])?;
    let (host, app) = (host.pid().context("no pid")?, app.pid().context("no pid")?);
    let is = |kind: &str, engine: Value, shared: &[bool]| {
        (json!(kind), engine, shared.iter().map(|&shared| json!(shared)).collect::<Vec<_>>())
    };
    ensure_eq!(seen_from(world, &server, host)?, is("host", Value::Null, &[true]));
    ensure_eq!(seen_from(world, &server, app)?, is("app", json!(SNAP), &[true, false]));
    // The control: from outside it is a container.
    ensure_eq!(seen_from(world, &parent, host)?, is("app", json!("org.linuxcontainers"), &[false]));
    Ok(())
}

pub(crate) fn foreign_name_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let parent = world.new_cgroup()?;
    let cgroup = parent.child("snap.firefox.daemon.service")?;
    let payload = cgroup.child("payload")?;
    world.admin()?.own(cgroup.path(), THIRD_UID, THIRD_UID, 0o755)?;
    let connection = peers.connect(&[&payload.join()])?;
    expect_unidentified(&identify(&connection)?, "foreign-label-owner")?;
    let trusted = identify_trusting(&connection, &Trust::uids([THIRD_UID]))?;
    expect_app(&trusted, (Some(SNAP), Some("firefox"), Provenance::User))
}

/// A directory at the very top, which only root can make: no unit's name is below another's.
fn at_the_top(world: &World, name: &str, test: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let dir = mount_point()?.join(name);
    world.admin()?.mkdir(&dir)?;
    let result = test(&dir);
    let path = dir.to_str().context("not UTF-8")?;
    let script = format!("while [ -d '{path}' ]; do rmdir '{path}' 2>/dev/null; done");
    world.admin()?.spawn(&["sh".into(), "-c".into(), script])?;
    while dir.exists() {
        std::thread::yield_now();
    }
    result
}

fn number() -> Result<u128, String> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("clock")?.as_nanos())
}

pub(crate) fn roots_name_is_of_the_system(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let name = format!("machine-wa{:x}.scope", number()?);
    at_the_top(world, &name, |dir| {
        let connection = peers.connect(&[])?;
        world.admin()?.join(dir, connection.pid().context("no pid")?)?;
        expect_app(&identify(&connection)?, (Some("io.systemd.machine"), None, Provenance::System))?;
        world.admin()?.own(dir, 0, world.uid(), 0o775)?;
        expect_app(&identify(&connection)?, (Some("io.systemd.machine"), None, Provenance::User))
    })
}

pub(crate) fn unit_is_a_host_claim(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let name = format!("app-gnome-org.example.Claimed-{:x}.scope", number()?);
    at_the_top(world, &name, |dir| {
        let connection = peers.connect(&[])?;
        world.admin()?.join(dir, connection.pid().context("no pid")?)?;
        let identity = identify(&connection)?;
        expect_host(&identity, Some("org.example.Claimed"))?;
        let Identity::Host(host) = &identity else { return Err("not the host".into()) };
        ensure_eq!(host.claim_source, Some(ClaimSource::UnitName));
        // What systemd-appd has checked comes before what the name says.
        world.admin()?.label(dir, APP_ID, "org.example.Labelled")?;
        let identity = identify(&connection)?;
        expect_host(&identity, Some("org.example.Labelled"))?;
        let Identity::Host(host) = &identity else { return Err("not the host".into()) };
        ensure_eq!(host.claim_source, Some(ClaimSource::Xattr));
        Ok(())
    })
}
