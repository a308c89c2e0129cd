//! Linyaps, firejail, and what holds for all.

use std::process::Command;

use serde_json::{Value, json};
use wayland_auth::identity::{EngineSource, EngineStanding, Identity, Provenance, Trust};
use wayland_auth_tests::expect::{APP_ID, ENGINE, expect_app};
use wayland_auth_tests::{Connection, Context, Outcome, Peers, World, ensure, ensure_eq};

use super::sandbox::{
    DENIED, Flatpak, RECORDER, bwrap, connect, expect_unknown, file, info_text, look_in, nested, only_evidence, policy,
};

pub(crate) fn linyaps_is_only_a_claim(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let dir = world.new_dir()?;
    let text = file(world, b"[Application]\nId=org.deepin.calculator\n\n[Instance]\nId=5f3a\n")?;
    let wrapper = bwrap(world, &["--ro-bind", &text, "/.linyaps"])?;
    let found = look_in(&connect(&peers, &wrapper, &[])?, &dir)?;
    expect_unknown(&found.identity)?;
    let evidence = only_evidence(&found)?;
    ensure_eq!((evidence.source, evidence.engine.as_str()), (EngineSource::LinyapsInfo, "cn.org.linyaps"));
    ensure!(matches!(evidence.standing, EngineStanding::Claim(_)), "{:?}", evidence.standing);
    ensure_eq!(evidence.app_id.as_ref().map(|id| id.as_str()), Some("org.deepin.calculator"));
    // Two engines' files: neither names it.
    let flatpak = file(world, info_text(RECORDER, "77").as_bytes())?;
    let both = bwrap(world, &["--ro-bind", &text, "/.linyaps", "--ro-bind", &flatpak, "/.flatpak-info"])?;
    let found = look_in(&connect(&peers, &both, &[])?, &dir)?;
    expect_unknown(&found.identity)?;
    ensure_eq!(found.evidence.engines.len(), 2);
    Ok(())
}

/// The files that firejail writes as root, here written by root for a sandbox that is none of its.
pub(crate) fn firejail_is_known(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let dir = world.new_dir()?;
    let connection = connect(&peers, &bwrap(world, &[])?, &[])?;
    expect_unknown(&look_in(&connection, &dir)?.identity)?;
    // bubblewrap's own process is the first outside its pid namespace, as firejail's is.
    let starter = connection.pid().context("no pid")?;
    let admin = world.admin()?;
    let run = |script: String, done: &dyn Fn() -> bool| -> Outcome {
        admin.spawn(&["sh".into(), "-c".into(), script])?;
        while !done() {
            std::thread::yield_now();
        }
        Ok(())
    };
    let (profile, name) = (format!("/run/firejail/profile/{starter}"), format!("/run/firejail/name/{starter}"));
    let exists = |path: &str| std::path::Path::new(path).exists();
    let existed = exists("/run/firejail");
    let result = (|| {
        for path in [&profile, &name] {
            let script = format!("umask 022; mkdir -p /run/firejail/profile /run/firejail/name; : > {path}");
            run(script, &|| exists(path))?;
            let found = look_in(&connection, &dir)?;
            expect_app(&found.identity, (Some("io.github.netblue30.firejail"), None, Provenance::User))?;
            ensure_eq!(only_evidence(&found)?.standing, EngineStanding::Match);
            // A file that is not root's alone says nothing.
            admin.own(std::path::Path::new(path), world.uid(), world.uid(), 0o644)?;
            expect_unknown(&look_in(&connection, &dir)?.identity)?;
            run(format!("rm -f {path}"), &|| !exists(path))?;
        }
        // Another process' file is nobody else's.
        let other = format!("/run/firejail/profile/{}", std::process::id());
        run(format!(": > {other}"), &|| exists(&other))?;
        let identity = look_in(&connection, &dir)?.identity;
        run(format!("rm -f {other}"), &|| !exists(&other))?;
        expect_unknown(&identity)
    })();
    let rest = if existed { String::new() } else { "rmdir /run/firejail/* /run/firejail".into() };
    run(format!("rm -f {profile} {name}; {rest}"), &|| {
        !exists(&profile) && !exists(&name) && existed == exists("/run/firejail")
    })?;
    result
}

/// Every kind of evidence, by what the policy gives for it.
pub(crate) fn no_evidence_gives_more(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let policy = policy()?;
    let host = policy.evaluate(&look_in(&peers.connect(&[])?, &world.new_dir()?)?.identity);
    let recorder = Flatpak::new(world, RECORDER, "77")?;
    let denied = Flatpak::new(world, DENIED, "78")?;
    let claim = file(world, info_text(RECORDER, "1").as_bytes())?;
    let unknown = connect(&peers, &bwrap(world, &[])?, &[])?;
    let unknown = policy.evaluate(&look_in(&unknown, &world.new_dir()?)?.identity);
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(ENGINE, "org.flatpak"), (APP_ID, RECORDER)])?;
    let snap = cgroup.child("snap.firefox.daemon.service")?;
    let at = |sandbox: Vec<String>, steps: &[&str]| connect(&peers, &sandbox, steps);
    // Confirmed or written on the path, or not.
    let cases: Vec<(&str, bool, Connection)> = vec![
        ("confirmed", true, recorder.connect(world, &peers, &[])?),
        ("denied", true, denied.connect(world, &peers, &[])?),
        ("label", true, peers.connect(&[&cgroup.join()])?),
        ("label and name", true, peers.connect(&[&snap.join()])?),
        ("label and flatpak", true, at(denied.wrapper(world, Some(cgroup.path()), &[])?, &[])?),
        ("claim", false, at(bwrap(world, &["--ro-bind", &claim, "/.flatpak-info"])?, &[])?),
        ("linyaps", false, at(bwrap(world, &["--ro-bind", &claim, "/.linyaps"])?, &[])?),
        ("directory", false, at(bwrap(world, &["--dir", "/.flatpak-info"])?, &[])?),
        ("undumpable", true, recorder.connect(world, &peers, &["undumpable"])?),
    ];
    for (what, holds, connection) in &cases {
        for runtime_dir in [&recorder.runtime_dir, &denied.runtime_dir] {
            let identity = look_in(connection, runtime_dir)?.identity;
            let verdict = policy.evaluate(&identity);
            ensure!(!matches!(identity, Identity::Host(_)), "{what} is the host");
            for capability in policy.capabilities() {
                let name = policy.capability_name(capability);
                ensure!(host.allows(capability) || !verdict.allows(capability), "{what} gives {name} beyond the host");
                let more = verdict.allows(capability) && !unknown.allows(capability);
                ensure!(*holds || !more, "{what} gives {name} beyond an unknown sandbox");
            }
        }
    }
    Ok(())
}

/// What the compositor is in itself says nothing of those who are in it too.
pub(crate) fn shared_sandbox_is_ignored(world: &World) -> Outcome {
    let info = file(world, info_text(RECORDER, "77").as_bytes())?;
    let more = ["--proc", "/proc", "--bind", "/sys", "/sys", "--dev", "/dev", "--ro-bind", &info, "/.flatpak-info"];
    let peer = world.peer().to_str().context("not UTF-8")?;
    let mut line = bwrap(world, &more)?;
    // A compositor and its client, side by side; the client lives until the sandbox ends.
    line.extend(["sh", "-c", r#"sleep 60 & exec "$0" "who=$!""#, peer].map(str::to_owned));
    let (program, args) = line.split_first().context("no program")?;
    let output = Command::new(program).args(args).output().context("bwrap")?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .context(format!("not JSON: {}", String::from_utf8_lossy(&output.stderr)))?;
    ensure_eq!((&said["identity"]["kind"], &said["evidence"]["engines"]), (&json!("host"), &json!([])));
    Ok(())
}

pub(crate) fn no_descriptor_leaks(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let confirmed = flatpak.connect(world, &peers, &[])?;
    let hidden = flatpak.connect(world, &peers, &["undumpable"])?;
    let odd = connect(&peers, &bwrap(world, &["--dir", "/.flatpak-info"])?, &[])?;
    ensure_eq!(nested(&look_in(&odd, &flatpak.runtime_dir)?.identity)?, []);
    let resolver = wayland_auth::Resolver::builder().runtime_dir(&flatpak.runtime_dir).build().context("resolver")?;
    for _ in 0..300 {
        for connection in [&confirmed, &hidden, &odd] {
            let _ = resolver.identify(&connection.stream, &Trust::default());
        }
    }
    // Other tests open descriptors too, but not a thousand.
    let open = std::fs::read_dir("/proc/self/fd").context("fds")?.count();
    ensure!(open < 400, "900 look-ups left {open} descriptors");
    Ok(())
}
