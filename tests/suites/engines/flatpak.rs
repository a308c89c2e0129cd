//! Flatpak's evidence, as flatpak leaves it and as others forge it.

use std::os::unix::fs::symlink;
use std::path::Path;

use wayland_auth::identity::{EngineStanding, Identity, Provenance};
use wayland_auth::wayland::SandboxContext;
use wayland_auth::{Authenticator, ClientAuth};
use wayland_auth_tests::expect::{APP_ID, ENGINE, expect_app};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

use super::sandbox::{
    DENIED, FLATPAK, Flatpak, RECORDER, allows, bwrap, connect, expect_unknown, file, info_text, look_in, nested,
    only_evidence, policy,
};

const IS_RECORDER: wayland_auth_tests::expect::Named<'_> = (Some(FLATPAK), Some(RECORDER), Provenance::User);

pub(crate) fn confirmed_is_the_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let connection = flatpak.connect(world, &peers, &[])?;
    let found = look_in(&connection, &flatpak.runtime_dir)?;
    expect_app(&found.identity, IS_RECORDER)?;
    ensure_eq!(only_evidence(&found)?.standing, EngineStanding::CrossChecked);
    let Identity::App(app) = &found.identity else { return Err("no app".into()) };
    ensure_eq!(app.instance_id.as_ref().map(|id| id.as_str()), Some("77"));
    ensure_eq!(nested(&found.identity)?, []);
    // The rule holds, as far as the host has it itself.
    ensure!(allows(&found.identity, "screen-capture")? && !allows(&found.identity, "virtual-keyboard")?, "the rule");
    let shown = found.evidence.to_string();
    ensure!(shown.contains("confirmed outside the sandbox"), "{shown}");
    Ok(())
}

pub(crate) fn unconfirmed_names_nobody(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let connection = flatpak.connect(world, &peers, &[])?;
    let record = std::fs::read(&flatpak.record).context("record")?;
    let claimed = |why: &str| -> Outcome {
        let found = look_in(&connection, &flatpak.runtime_dir)?;
        expect_unknown(&found.identity).context(why)?;
        let evidence = only_evidence(&found)?;
        ensure!(matches!(evidence.standing, EngineStanding::Claim(_)), "{why}: {:?}", evidence.standing);
        ensure_eq!(evidence.app_id.as_ref().map(|a| a.as_str()), Some(RECORDER), "{why}");
        Ok(())
    };
    // A runtime directory that knows nothing of it.
    expect_unknown(&look_in(&connection, &world.new_dir()?)?.identity)?;
    expect_unknown(&look_in(&connection, Path::new("/nowhere"))?.identity)?;

    let text = String::from_utf8(record.clone()).context("record")?;
    for name in ["mnt-namespace", "pid-namespace", "child-pid"] {
        let number = text.split(name).nth(1).and_then(|rest| rest.split([':', ',', '}']).nth(1)).context(name)?.trim();
        let ours = std::process::id().to_string();
        // Our own pid is that of a live process elsewhere.
        let other = if name == "child-pid" { ours } else { format!("{number}1") };
        let changed = text.replace(&format!("\"{name}\": {number}"), &format!("\"{name}\": {other}"));
        ensure!(changed != text, "nothing was changed: {text}");
        std::fs::write(&flatpak.record, changed).context("record")?;
        claimed(name)?;
    }
    for bytes in [&b""[..], b"{}", b"\xff", &vec![b' '; 1 << 20]] {
        std::fs::write(&flatpak.record, bytes).context("record")?;
        claimed("no record")?;
    }
    // Another sandbox's record.
    let other = Flatpak::new(world, RECORDER, "77")?;
    let _other = other.connect(world, &peers, &[])?;
    std::fs::copy(&other.record, &flatpak.record).context("copy")?;
    claimed("another sandbox's record")?;
    // The right words in the wrong kind of file.
    std::fs::remove_file(&flatpak.record).context("remove")?;
    let elsewhere = file(world, &record)?;
    symlink(&elsewhere, &flatpak.record).context("link")?;
    claimed("a link")?;
    std::fs::remove_file(&flatpak.record).context("remove")?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &flatpak.record,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .context("fifo")?;
    claimed("a pipe")?;
    std::fs::remove_file(&flatpak.record).context("remove")?;
    claimed("nothing")?;
    // The control: with the record back, it is confirmed again.
    std::fs::write(&flatpak.record, &record).context("record")?;
    expect_app(&look_in(&connection, &flatpak.runtime_dir)?.identity, IS_RECORDER)
}

/// One that a rule denies something makes a sandbox in its own, with the file of another that runs as well.
pub(crate) fn forged_copy_gains_nothing(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let recorder = Flatpak::new(world, RECORDER, "77")?;
    let denied = Flatpak::in_dir(world, recorder.runtime_dir.clone(), DENIED, "78")?;
    let honest = recorder.connect(world, &peers, &[])?;
    expect_app(&look_in(&honest, &recorder.runtime_dir)?.identity, IS_RECORDER)?;
    let itself = look_in(&denied.connect(world, &peers, &[])?, &recorder.runtime_dir)?.identity;
    expect_app(&itself, (Some(FLATPAK), Some(DENIED), Provenance::User))?;
    ensure!(!allows(&itself, "output-info")?, "the rule does not take it");

    let own = info_text(DENIED, "78");
    for (what, forged) in
        [("another's file", info_text(RECORDER, "77")), ("its own file", own), ("none", String::new())]
    {
        let forged = file(world, forged.as_bytes())?;
        let mut wrapper = denied.wrapper(world, None, &["--proc", "/proc"])?;
        let mut inner = vec!["--ro-bind", "/proc", "/proc"];
        if what != "none" {
            inner.extend(["--ro-bind", &forged, "/.flatpak-info"]);
        }
        wrapper.extend(bwrap(world, &inner)?);
        let connection = connect(&peers, &wrapper, &[])?;
        let found = look_in(&connection, &recorder.runtime_dir)?;
        expect_unknown(&found.identity).context(what)?;
        if what == "none" {
            ensure_eq!(found.evidence.engines, []);
        } else {
            let standing = &only_evidence(&found)?.standing;
            ensure!(matches!(standing, EngineStanding::Claim(_)), "{what}: {standing:?}");
        }
        for capability in policy()?.capabilities() {
            let gained = policy()?.evaluate(&found.identity).allows(capability)
                && !policy()?.evaluate(&itself).allows(capability);
            ensure!(!gained, "{what}: it gained {}", policy()?.capability_name(capability));
        }
    }
    Ok(())
}

pub(crate) fn odd_files_name_nobody(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let dir = world.new_dir()?;
    let good = info_text(RECORDER, "77");
    let fifo = dir.join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .context("fifo")?;
    let fifo = fifo.to_str().context("not UTF-8")?.to_owned();
    let mut long = good.clone().into_bytes();
    long.resize(1 << 20, b'\n');
    let link_to = file(world, good.as_bytes())?;
    let as_file =
        |bytes: &[u8]| Ok::<_, String>(vec!["--ro-bind".into(), file(world, bytes)?, "/.flatpak-info".into()]);
    let claims: Vec<Vec<String>> = vec![
        as_file(b"")?,
        as_file(b"nonsense")?,
        as_file(b"[Application]\nname=org.example.Recorder\0\n[Instance]\ninstance-id=77\n")?,
        as_file(format!("[Application]\nname=a b\n{good}").as_bytes())?,
    ];
    let errors: Vec<Vec<String>> = vec![
        as_file(&long)?,
        vec!["--bind".into(), fifo, "/.flatpak-info".into()],
        vec!["--symlink".into(), link_to, "/.flatpak-info".into()],
        vec!["--dir".into(), "/.flatpak-info".into()],
        vec!["--dev-bind".into(), "/dev/zero".into(), "/.flatpak-info".into()],
    ];
    for (is_error, cases) in [(false, claims), (true, errors)] {
        for args in cases {
            let more: Vec<&str> = args.iter().map(String::as_str).collect();
            let connection = connect(&peers, &bwrap(world, &more)?, &[])?;
            let found = look_in(&connection, &dir)?;
            expect_unknown(&found.identity).context(format!("{args:?}"))?;
            let evidence = only_evidence(&found).context(format!("{args:?}"))?;
            ensure_eq!(evidence.app_id, None, "{args:?}");
            let standing = &evidence.standing;
            let as_expected = if is_error {
                matches!(standing, EngineStanding::Error(_))
            } else {
                matches!(standing, EngineStanding::Claim(_))
            };
            ensure!(as_expected, "{args:?}: {standing:?}");
        }
    }
    Ok(())
}

/// In a user namespace of our user's, what may not be ptraced can be looked at all the same.
pub(crate) fn undumpable_is_still_the_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let connection = flatpak.connect(world, &peers, &["undumpable"])?;
    let found = look_in(&connection, &flatpak.runtime_dir)?;
    expect_app(&found.identity, IS_RECORDER)?;
    ensure_eq!(only_evidence(&found)?.standing, EngineStanding::CrossChecked);
    Ok(())
}

/// Without one (as with a set-user-ID bubblewrap) it cannot; that there is something is for everybody to see.
pub(crate) fn hidden_file_takes(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let info = file(world, info_text(DENIED, "78").as_bytes())?;
    for (xattrs, hidden, expected) in [
        (&[][..], true, None),
        (&[], false, None),
        (&[(ENGINE, "org.example.Engine"), (APP_ID, "a")], true, Some(vec![(FLATPAK.to_owned(), None)])),
        (&[(ENGINE, "org.example.Engine"), (APP_ID, "a")], false, Some(vec![])),
        (&[(ENGINE, FLATPAK), (APP_ID, RECORDER)], true, Some(vec![])),
    ] {
        let peers = Peers::new(world)?;
        let cgroup = world.new_cgroup()?;
        cgroup.label(xattrs)?;
        let wrapper = root_of_its_own(world, &peers, cgroup.path(), hidden.then_some(&info))?;
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let connection = peers.connect_as_root(&wrapper, &["undumpable"])?;
        let found = look_in(&connection, &dir)?;
        ensure_eq!(found.evidence.engines.len(), usize::from(hidden), "{:?}", found.evidence.engines);
        if hidden {
            ensure!(
                matches!(only_evidence(&found)?.standing, EngineStanding::Error(_)),
                "{:?}",
                found.evidence.engines
            );
        }
        match expected {
            None => expect_unknown(&found.identity)?,
            Some(expected) => {
                ensure_eq!(nested(&found.identity)?, expected, "{xattrs:?}");
                let may = allows(&found.identity, "output-info")?;
                ensure_eq!(may, !hidden || xattrs[0].1 == FLATPAK, "{xattrs:?}");
            }
        }
    }
    Ok(())
}

/// What root runs in order to run a program as the tests' user, in a mount namespace and a root directory of its own.
fn root_of_its_own(
    world: &World,
    peers: &Peers<'_>,
    cgroup: &Path,
    info: Option<&String>,
) -> Result<Vec<String>, String> {
    let top = |path: &Path| path.iter().nth(1).and_then(|top| top.to_str()).map(str::to_owned).context("no top");
    let (peer, socket) = (top(world.peer())?, top(peers.socket())?);
    let script = format!(
        "c=$1 m=$2 i=$3; shift 3; echo 0 > \"$c/cgroup.procs\"; mount -t tmpfs tmpfs \"$m\" || exit 8
         for d in usr bin lib lib64 '{peer}' '{socket}'; do
             [ -e \"/$d\" ] || continue; mkdir -p \"$m/$d\"; mount --rbind \"/$d\" \"$m/$d\" || exit 9
         done
         [ -z \"$i\" ] || {{ : > \"$m/.flatpak-info\"; mount --bind \"$i\" \"$m/.flatpak-info\"; }} || exit 7
         exec chroot \"$m\" setpriv --reuid {uid} --regid {uid} --clear-groups \"$@\"",
        uid = world.uid()
    );
    let place = cgroup.to_str().context("not UTF-8")?;
    let mount_point = world.new_dir()?;
    let mount_point = mount_point.to_str().context("not UTF-8")?;
    let info = info.map_or("", String::as_str);
    Ok(["unshare", "-m", "sh", "-c", &script, "sh", place, mount_point, info].map(str::to_owned).to_vec())
}

pub(crate) fn label_and_flatpak_must_both_allow(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let of = |engine: &str, app: &str| (engine.to_owned(), Some(app.to_owned()));
    for (xattrs, expected, may_capture) in [
        (&[(ENGINE, "org.example.Engine"), (APP_ID, "a")][..], vec![of(FLATPAK, RECORDER)], false),
        (&[(ENGINE, FLATPAK), (APP_ID, DENIED)], vec![of(FLATPAK, RECORDER)], false),
        (&[(ENGINE, "flatpak"), (APP_ID, RECORDER)], vec![], true),
        (&[(ENGINE, FLATPAK), (APP_ID, RECORDER), ("user.xdg.instance-id", "1")], vec![of(FLATPAK, RECORDER)], true),
    ] {
        let cgroup = world.new_cgroup()?;
        cgroup.label(xattrs)?;
        let connection = connect(&peers, &flatpak.wrapper(world, Some(cgroup.path()), &[])?, &[])?;
        let identity = look_in(&connection, &flatpak.runtime_dir)?.identity;
        let label: Vec<_> = xattrs.iter().map(|(_, v)| *v).collect();
        expect_app(
            &identity,
            (Some(if label[0] == "flatpak" { FLATPAK } else { label[0] }), Some(label[1]), Provenance::User),
        )?;
        ensure_eq!(nested(&identity)?, expected, "{xattrs:?}");
        ensure_eq!(allows(&identity, "screen-capture")?, may_capture, "{xattrs:?}");
        // A claim takes as well.
        let identity = look_in(&connection, &world.new_dir()?)?.identity;
        ensure_eq!(nested(&identity)?, expected, "unconfirmed, {xattrs:?}");
    }
    Ok(())
}

pub(crate) fn context_and_flatpak_must_both_allow(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let flatpak = Flatpak::new(world, RECORDER, "77")?;
    let connection = flatpak.connect(world, &peers, &[])?;
    let forged = file(world, info_text(DENIED, "9").as_bytes())?;
    let claims = connect(&peers, &bwrap(world, &["--ro-bind", &forged, "/.flatpak-info"])?, &[])?;
    let unnamed = connect(&peers, &bwrap(world, &[])?, &[])?;
    let authenticator = Authenticator::builder()
        .policy(policy()?)
        .runtime_dir(&flatpak.runtime_dir)
        .build()
        .context("authenticator")?;
    let host = authenticator.identify(&peers.connect(&[])?.stream);
    ensure!(matches!(host.identity(), Identity::Host(_)), "{:?}", host.identity());
    let context = |engine: &str, app: &str| {
        SandboxContext::new(host.clone())
            .engine(Some(engine.into()))
            .app_id(Some(app.into()))
            .instance_id(Some("77".into()))
    };
    let capture = wayland_auth::Capability::SCREEN_CAPTURE;
    let may = |auth: &ClientAuth| auth.allows(capture);

    // Both say the same: the context stays the identity.
    let same = authenticator.identify_sandboxed(&connection.stream, &context("flatpak", RECORDER));
    expect_app(same.identity(), IS_RECORDER)?;
    ensure!(may(&same) && nested(same.identity())?.is_empty(), "{:?}", same.identity());
    // They disagree: what the kernel shows is the identity, and both must allow.
    for (engine, app) in [(FLATPAK, DENIED), ("org.example.Engine", RECORDER)] {
        let other = authenticator.identify_sandboxed(&connection.stream, &context(engine, app));
        expect_app(other.identity(), IS_RECORDER)?;
        ensure!(!may(&other), "{engine} {app}: {:?}", other.verdict());
    }
    // A claim that contradicts the context takes, and no claim takes nothing.
    let contradicted = authenticator.identify_sandboxed(&claims.stream, &context(FLATPAK, RECORDER));
    ensure!(!may(&contradicted), "{:?}", contradicted.verdict());
    let plain = authenticator.identify_sandboxed(&unnamed.stream, &context(FLATPAK, RECORDER));
    expect_app(plain.identity(), IS_RECORDER)?;
    ensure!(may(&plain), "{:?}", plain.verdict());
    Ok(())
}
