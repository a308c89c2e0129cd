//! Who is who: every kind of peer, looked up as an unprivileged user.

use std::process::ExitCode;

use wayland_auth::identity::{Comparison, Identity, NamespaceRoute, Provenance, Trust};
use wayland_auth_tests::expect::{
    APP_ID, ENGINE, Named, UNKNOWN, evidence, expect_app, expect_host, expect_unidentified, identify,
    identify_trusting, resolvers,
};
use wayland_auth_tests::harness::{THIRD_UID, program};
use wayland_auth_tests::{Connection, Context, Needs, Outcome, Peers, Test, World, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("host_is_host", Needs::Nothing, host_is_host),
    ("app_id_alone_is_a_host_claim", Needs::Nothing, app_id_alone_is_a_host_claim),
    ("labelled_peer_is_the_app", Needs::Nothing, labelled_peer_is_the_app),
    ("short_engine_name_is_the_full_one", Needs::Nothing, short_engine_name_is_the_full_one),
    ("engine_without_app_id_is_an_app", Needs::Nothing, engine_without_app_id_is_an_app),
    ("two_engines_may_share_an_app_id", Needs::Nothing, two_engines_may_share_an_app_id),
    ("t12_t15_outermost_label_is_the_identity", Needs::Nothing, outermost_label_is_the_identity),
    ("t15_host_claim_does_not_shield_a_sandbox_inside", Needs::Nothing, host_claim_does_not_shield_a_sandbox_inside),
    ("t25_malformed_labels_are_unidentified", Needs::Nothing, malformed_labels_are_unidentified),
    ("t31_many_other_xattrs_do_not_hide_a_label", Needs::Nothing, many_other_xattrs_do_not_hide_a_label),
    ("label_on_what_the_compositor_shares_is_ignored", Needs::Nothing, label_on_what_the_compositor_shares_is_ignored),
    ("t23_own_user_namespace_is_an_app", Needs::Nothing, own_user_namespace_is_an_app),
    ("t23_own_mount_namespace_is_an_app", Needs::Nothing, own_mount_namespace_is_an_app),
    ("t23_own_pid_namespace_is_an_app", Needs::Nothing, own_pid_namespace_is_an_app),
    ("undumpable_host_is_host", Needs::Nothing, undumpable_host_is_host),
    ("t20_undumpable_peer_in_bubblewrap_is_an_app", Needs::Program("bwrap"), undumpable_peer_in_bubblewrap_is_an_app),
    ("host_with_an_ambient_capability_is_host", Needs::Root, host_with_an_ambient_capability_is_host),
    ("t20_ambient_capability_in_bubblewrap_is_an_app", Needs::Root, ambient_capability_in_bubblewrap_is_an_app),
    ("t05_t47_reaped_peer_is_unidentified", Needs::Nothing, reaped_peer_is_unidentified),
    ("t07_peer_whose_leader_is_dead_is_unidentified", Needs::Nothing, peer_whose_leader_is_dead_is_unidentified),
    ("t41_untagged_socket_pair_is_unidentified", Needs::Nothing, untagged_socket_pair_is_unidentified),
    ("t46_other_uid_is_unidentified", Needs::Root, other_uid_is_unidentified),
    ("trusted_uid_is_identified", Needs::Root, trusted_uid_is_identified),
    ("t10_directory_of_a_third_uid_is_unidentified", Needs::Root, directory_of_a_third_uid_is_unidentified),
    ("roots_label_is_of_the_system", Needs::Root, roots_label_is_of_the_system),
    ("t10_roots_label_that_others_can_enter_is_not_of_the_system", Needs::Root, roots_label_that_others_can_enter),
    ("system_label_names_another_uid", Needs::Root, system_label_names_another_uid),
    ("t18_t20_unreadable_ancestor_is_unidentified", Needs::Root, unreadable_ancestor_is_unidentified),
    ("t28_no_file_descriptor_leaks", Needs::Nothing, no_file_descriptor_leaks),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn host_is_host(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connection = peers.connect(&[])?;
    let identity = identify(&connection)?;
    expect_host(&identity, None)?;
    expect_uid(&identity, world.uid())?;
    let evidence = evidence(&connection)?;
    ensure_eq!(evidence.credentials.uid, Some(world.uid()));
    ensure_eq!(evidence.credentials.pid, connection.pid());
    ensure_eq!(evidence.namespaces.map(|n| (n.compared.all_same(), n.route)), Some((true, NamespaceRoute::Pidfd)));
    Ok(())
}

fn app_id_alone_is_a_host_claim(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(APP_ID, "org.example.Host")])?;
    expect_host(&identify(&peers.connect(&[&cgroup.join()])?)?, Some("org.example.Host"))
}

fn labelled_peer_is_the_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    cgroup.label(&[("user.xdg.instance-id", "42"), ("user.invocation_id", "not ours")])?;
    let payload = cgroup.child("payload")?;
    let connection = peers.connect(&[&payload.join()])?;
    let identity = identify(&connection)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.App"), Provenance::User))?;
    let Identity::App(app) = &identity else { return Err("no app".into()) };
    ensure_eq!(app.instance_id.as_ref().map(|i| i.as_str()), Some("42"));
    ensure_eq!(app.namespaces.map(|n| n.all_same()), Some(true));
    expect_uid(&identity, world.uid())?;
    let evidence = evidence(&connection)?;
    let label = evidence.labels.first().context("no label in the evidence")?;
    ensure!(cgroup.path().ends_with(label.path.trim_start_matches('/')), "{label:?}");
    ensure_eq!((label.owner, label.shared, label.xattrs.len()), (world.uid(), false, 3));
    Ok(())
}

fn short_engine_name_is_the_full_one(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(ENGINE, "flatpak"), (APP_ID, "org.example.App")])?;
    let identity = identify(&peers.connect(&[&cgroup.join()])?)?;
    expect_app(&identity, (Some("org.flatpak"), Some("org.example.App"), Provenance::User))
}

fn engine_without_app_id_is_an_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(ENGINE, "org.example.Engine")])?;
    expect_app(&identify(&peers.connect(&[&cgroup.join()])?)?, (Some("org.example.Engine"), None, Provenance::User))
}

fn two_engines_may_share_an_app_id(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let mut identities = Vec::new();
    for engine in ["org.example.One", "org.example.Two"] {
        let cgroup = world.new_cgroup()?;
        cgroup.label(&[(ENGINE, engine), (APP_ID, "org.example.App")])?;
        identities.push(identify(&peers.connect(&[&cgroup.join()])?)?);
    }
    ensure!(identities[0] != identities[1], "two engines' apps are one: {identities:?}");
    Ok(())
}

fn outermost_label_is_the_identity(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let outer = world.new_cgroup()?;
    outer.label_app("org.example.Outer")?;
    let middle = outer.child("middle")?;
    let inner = middle.child("inner")?;
    inner.label(&[(ENGINE, "org.forged.Engine"), (APP_ID, "org.example.Privileged")])?;
    let identity = identify(&peers.connect(&[&inner.join()])?)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.Outer"), Provenance::User))?;
    let Identity::App(app) = identity else { return Err("no app".into()) };
    let nested: Vec<_> =
        app.nested.iter().map(|n| (n.engine.as_str(), n.app_id.as_ref().map(|a| a.as_str()))).collect();
    ensure_eq!(nested, [("org.forged.Engine", Some("org.example.Privileged"))]);
    Ok(())
}

fn host_claim_does_not_shield_a_sandbox_inside(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let outer = world.new_cgroup()?;
    outer.label(&[(APP_ID, "org.example.Host")])?;
    let inner = outer.child("inner")?;
    inner.label_app("org.example.App")?;
    let identity = identify(&peers.connect(&[&inner.join()])?)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.App"), Provenance::User))
}

fn malformed_labels_are_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let long = "x".repeat(256);
    let huge = "x".repeat(65_536);
    let cases: &[&[(&str, &str)]] = &[
        &[(ENGINE, "")],
        &[(ENGINE, "a b")],
        &[(ENGINE, "org.example.\u{20ac}")],
        &[(ENGINE, "a\0")],
        &[(ENGINE, "\u{1b}[31m")],
        &[(ENGINE, &long)],
        &[(ENGINE, &huge)],
        &[(ENGINE, "e"), (APP_ID, "")],
        &[(ENGINE, "e"), (APP_ID, "org.example/Something")],
        &[(ENGINE, "e"), ("user.xdg.instance-id", "a b")],
        &[(ENGINE, "e"), (APP_ID, "a"), ("user.xdg.app-id", "b")],
        &[(APP_ID, "org.example.Foo@bar")],
        &[(APP_ID, "a"), ("user.xdg.app-id", "a")],
        &[("user.xdg.app-id", "a")],
        &[("user.xdg.instance-id", "1")],
        &[(APP_ID, "a"), ("user.xdg.instance-id", "1")],
    ];
    for xattrs in cases {
        let cgroup = world.new_cgroup()?;
        let payload = cgroup.child("payload")?;
        cgroup.label(xattrs)?;
        let connection = peers.connect(&[&payload.join()])?;
        let shown: Vec<_> = xattrs.iter().map(|(n, v)| (n, v.chars().take(20).collect::<String>())).collect();
        expect_unidentified(&identify(&connection)?, "malformed-label").context(format!("{shown:?}"))?;
    }
    // The longest that is right.
    let cgroup = world.new_cgroup()?;
    let longest = "x".repeat(255);
    cgroup.label(&[(ENGINE, &longest)])?;
    expect_app(&identify(&peers.connect(&[&cgroup.join()])?)?, (Some(&longest), None, Provenance::User))
}

fn many_other_xattrs_do_not_hide_a_label(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    for number in 0..120 {
        cgroup.label(&[(&format!("user.{number}-{}", "x".repeat(200)), "")])?;
    }
    let identity = identify(&peers.connect(&[&cgroup.join()])?)?;
    expect_app(&identity, (Some("org.example.Engine"), Some("org.example.App"), Provenance::User))
}

fn label_on_what_the_compositor_shares_is_ignored(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let server = world.cgroup().join("server");
    wayland_auth_tests::cgroups::set_xattr(&server, ENGINE, b"org.example.Everybody")?;
    let connection = peers.connect(&[])?;
    expect_host(&identify(&connection)?, None)?;
    let labels = evidence(&connection)?.labels;
    ensure_eq!(labels.iter().map(|l| l.shared).collect::<Vec<_>>(), [true]);
    // The control: the same label deeper inside holds.
    let inner = wayland_auth_tests::TestCgroup::new(&server, "inner")?;
    inner.label(&[(ENGINE, "org.example.Engine")])?;
    expect_app(&identify(&peers.connect(&[&inner.join()])?)?, (Some("org.example.Engine"), None, Provenance::User))
}

fn own_user_namespace_is_an_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connection = peers.connect_through(&["unshare", "-U"], &[])?;
    expect_app(&identify(&connection)?, UNKNOWN)?;
    let namespaces = evidence(&connection)?.namespaces.context("no namespaces")?.compared;
    ensure_eq!((namespaces.user, namespaces.mount), (Comparison::Different, Comparison::Same));
    let connection = peers.connect_through(&["unshare", "-U"], &["undumpable"])?;
    expect_app(&identify(&connection)?, UNKNOWN)?;
    let namespaces = evidence(&connection)?.namespaces.context("no namespaces")?.compared;
    ensure_eq!((namespaces.user, namespaces.mount), (Comparison::Different, Comparison::Same));
    Ok(())
}

fn own_mount_namespace_is_an_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    expect_app(&identify(&peers.connect_through(&["unshare", "-Urm"], &[])?)?, UNKNOWN)?;
    if world.admin().is_ok() {
        // As PrivateTmp= does for services: the mount namespace alone.
        let uid = world.uid().to_string();
        let wrapper = ["unshare", "-m", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"];
        let connection = peers.connect_as_root(&wrapper, &[])?;
        expect_app(&identify(&connection)?, UNKNOWN)?;
        let compared = evidence(&connection)?.namespaces.context("no namespaces")?.compared;
        ensure_eq!((compared.user, compared.mount), (Comparison::Same, Comparison::Different));
        let connection = peers.connect_as_root(&wrapper, &["undumpable"])?;
        expect_app(&identify(&connection)?, UNKNOWN)?;
        let compared = evidence(&connection)?.namespaces.context("no namespaces")?.compared;
        ensure_eq!((compared.user, compared.mount), (Comparison::Same, Comparison::Different));
    }
    Ok(())
}

fn own_pid_namespace_is_an_app(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    expect_app(&identify(&peers.connect_through(&["unshare", "-Urpf"], &[])?)?, UNKNOWN)?;
    if world.admin().is_ok() {
        // The pid namespace alone.
        let uid = world.uid().to_string();
        let wrapper = ["unshare", "-pf", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"];
        for steps in [&[][..], &["undumpable"]] {
            let connection = peers.connect_as_root(&wrapper, steps)?;
            expect_app(&identify(&connection)?, UNKNOWN)?;
            let compared = evidence(&connection)?.namespaces.context("no namespaces")?.compared;
            ensure_eq!(
                (compared.user, compared.mount, compared.pid),
                (Comparison::Same, Comparison::Same, Comparison::Different)
            );
        }
    }
    Ok(())
}

fn undumpable_host_is_host(world: &World) -> Outcome {
    let connection = Peers::new(world)?.connect(&["undumpable"])?;
    expect_host(&identify(&connection)?, None)?;
    let route = evidence(&connection)?.namespaces.context("no namespaces")?.route;
    ensure_eq!(route, NamespaceRoute::ProcPublic);
    Ok(())
}

fn undumpable_peer_in_bubblewrap_is_an_app(world: &World) -> Outcome {
    let bwrap = program("bwrap")?;
    let bwrap = bwrap.to_str().context("not UTF-8")?;
    let peers = Peers::new(world)?;
    for namespaces in [&["--unshare-user"][..], &["--unshare-pid"], &["--unshare-all", "--share-net"]] {
        let mut wrapper = vec![bwrap, "--bind", "/", "/", "--dev", "/dev"];
        wrapper.extend(namespaces);
        let connection = peers.connect_through(&wrapper, &["undumpable"])?;
        expect_app(&identify(&connection)?, UNKNOWN).context(format!("{namespaces:?}"))?;
        expect_app(&identify(&peers.connect_through(&wrapper, &[])?)?, UNKNOWN).context(format!("{namespaces:?}"))?;
    }
    Ok(())
}

/// As pam_systemd gives to every session.
const AMBIENT: [&str; 2] = ["--inh-caps=+wake_alarm", "--ambient-caps=+wake_alarm"];

fn host_with_an_ambient_capability_is_host(world: &World) -> Outcome {
    let uid = world.uid().to_string();
    let wrapper = ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", AMBIENT[0], AMBIENT[1]];
    let connection = Peers::new(world)?.connect_as_root(&wrapper, &[])?;
    expect_host(&identify(&connection)?, None)?;
    let route = evidence(&connection)?.namespaces.context("no namespaces")?.route;
    ensure_eq!(route, NamespaceRoute::ProcPublic);
    Ok(())
}

fn ambient_capability_in_bubblewrap_is_an_app(world: &World) -> Outcome {
    let bwrap = program("bwrap")?;
    let bwrap = bwrap.to_str().context("not UTF-8")?;
    let uid = world.uid().to_string();
    let wrapper =
        ["unshare", "-m", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", AMBIENT[0], AMBIENT[1]];
    let connection = Peers::new(world)?.connect_as_root(&wrapper, &[])?;
    expect_app(&identify(&connection)?, UNKNOWN)?;
    let route = evidence(&connection)?.namespaces.context("no namespaces")?.route;
    ensure_eq!(route, NamespaceRoute::ProcPublic, "an ambient capability keeps the pidfd from telling");
    // bubblewrap itself refuses to start with an ambient capability; one that is given inside shows no less.
    let mut wrapper = vec![bwrap, "--bind", "/", "/", "--dev", "/dev", "--unshare-user", "--cap-add", "CAP_WAKE_ALARM"];
    wrapper.extend(["setpriv", AMBIENT[0], AMBIENT[1]]);
    let connection = Peers::new(world)?.connect_through(&wrapper, &[])?;
    expect_app(&identify(&connection)?, UNKNOWN)
}

fn reaped_peer_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connect = peers.connect_step();
    let cgroup = world.new_cgroup()?;
    for steps in [&[connect.as_str(), "leave", "hold"][..], &[&cgroup.join(), &connect, "leave", "hold"]] {
        let mut connection = peers.connect(steps)?;
        connection.reap()?;
        expect_unidentified(&identify(&connection)?, "peer-gone")?;
    }
    Ok(())
}

fn peer_whose_leader_is_dead_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connect = peers.connect_step();
    let connection = peers.connect(&["leaderless", &connect, "hold"])?;
    expect_unidentified(&identify(&connection)?, "peer-gone")?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    let connection = peers.connect(&[&cgroup.join(), "leaderless", &connect, "hold"])?;
    expect_unidentified(&identify(&connection)?, "peer-gone")?;
    let connection = peers.connect(&["undumpable", "leaderless", &connect, "hold"])?;
    expect_unidentified(&identify(&connection)?, "peer-gone")
}

fn untagged_socket_pair_is_unidentified(_: &World) -> Outcome {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().context("pair")?;
    for (_, resolver) in resolvers()? {
        expect_unidentified(&resolver.identify(&ours, &Trust::default()).identity, "own-socket")?;
    }
    Ok(())
}

fn connect_as<'a>(peers: &'a Peers<'a>, uid: u32, steps: &[&str]) -> Result<Connection, String> {
    let uid = uid.to_string();
    open_to_all(peers)?;
    peers.connect_as_root(&["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"], steps)
}

fn expect_uid(identity: &Identity, uid: u32) -> Outcome {
    let said = match identity {
        Identity::App(app) => app.uid,
        Identity::Host(host) => host.uid,
        other => return Err(format!("{other} has no user")),
    };
    ensure_eq!(said, Some(uid));
    Ok(())
}

fn open_to_all(peers: &Peers<'_>) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    for path in peers.socket().ancestors().take(3) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).context(path.display())?;
    }
    Ok(())
}

fn other_uid_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    expect_unidentified(&identify(&connect_as(&peers, THIRD_UID, &[])?)?, "foreign-uid")?;
    open_to_all(&peers)?;
    expect_unidentified(&identify(&peers.connect_as_root(&[], &[])?)?, "foreign-uid")?;
    // A label that the user could have written does not change that.
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    let connection = peers.connect_as_root(&[], &[&cgroup.join()])?;
    expect_unidentified(&identify(&connection)?, "foreign-uid")
}

fn trusted_uid_is_identified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connection = connect_as(&peers, THIRD_UID, &[])?;
    let trusted = identify_trusting(&connection, &Trust::uids([THIRD_UID]))?;
    expect_host(&trusted, None)?;
    expect_uid(&trusted, THIRD_UID)?;
    ensure_eq!(trusted.to_string(), format!("host, of uid {THIRD_UID}"));
    expect_unidentified(&identify_trusting(&connection, &Trust::uids([THIRD_UID + 1]))?, "foreign-uid")
}

fn directory_of_a_third_uid_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    let payload = cgroup.child("payload")?;
    world.admin()?.own(cgroup.path(), THIRD_UID, THIRD_UID, 0o755)?;
    let connection = peers.connect(&[&payload.join()])?;
    let identity = identify(&connection)?;
    expect_unidentified(&identity, "foreign-label-owner")?;
    let listed = identify_trusting(&connection, &Trust::uids([THIRD_UID]))?;
    expect_app(&listed, (Some("org.example.Engine"), Some("org.example.App"), Provenance::User))
}

/// A directory of root's beside ours, for it must not lie below one that the user can write to.
fn system_cgroup(world: &World) -> Result<(std::path::PathBuf, std::path::PathBuf), String> {
    let parent = world.cgroup().parent().context("no parent")?;
    let name = world.cgroup().file_name().and_then(|n| n.to_str()).context("no name")?;
    let number = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("clock")?.as_nanos();
    let outer = parent.join(format!("{name}-system-{number:x}"));
    let admin = world.admin()?;
    admin.mkdir(&outer)?;
    let payload = outer.join("payload");
    admin.mkdir(&payload)?;
    admin.label(&outer, ENGINE, "org.example.Engine")?;
    admin.label(&outer, APP_ID, "org.example.App")?;
    Ok((outer, payload))
}

fn roots_label_is_of_the_system(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (outer, payload) = system_cgroup(world)?;
    let result = (|| {
        let connection = peers.connect(&[])?;
        world.admin()?.join(&payload, connection.pid().context("no pid")?)?;
        expect_app(&identify(&connection)?, (Some("org.example.Engine"), Some("org.example.App"), Provenance::System))?;
        // The payload may belong to the user: the label stands above it.
        world.admin()?.own(&payload, world.uid(), world.uid(), 0o755)?;
        let provenance = (Some("org.example.Engine"), Some("org.example.App"), Provenance::System);
        expect_app(&identify(&connection)?, provenance)
    })();
    remove_as_root(world, &outer)?;
    result
}

fn roots_label_that_others_can_enter(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (outer, payload) = system_cgroup(world)?;
    let admin = world.admin()?;
    let uid = world.uid();
    let user = (Some("org.example.Engine"), Some("org.example.App"), Provenance::User);
    let system = (user.0, user.1, Provenance::System);
    let result = (|| {
        let connection = peers.connect(&[])?;
        admin.join(&payload, connection.pid().context("no pid")?)?;
        let procs = outer.join("cgroup.procs");
        // Each clause is broken and mended, one at a time.
        let clauses: [(&std::path::Path, u32, u32, u32, Named<'_>); 7] = [
            (&outer, 0, uid, 0o775, user),
            (&outer, 0, 0, 0o757, user),
            (&outer, uid, uid, 0o755, user),
            (&outer, 0, uid, 0o1775, system),
            (&procs, uid, 0, 0o644, user),
            (&procs, 0, uid, 0o664, user),
            (&procs, 0, 0, 0o646, user),
        ];
        for (path, owner, group, mode, expected) in clauses {
            let restore = if path == procs { 0o644 } else { 0o755 };
            admin.own(path, owner, group, mode)?;
            let what = format!("{} {owner}:{group} {mode:o}", path.display());
            expect_app(&identify(&connection)?, expected).context(what)?;
            admin.own(path, 0, 0, restore)?;
            expect_app(&identify(&connection)?, system).context("restored")?;
        }
        // A label of root's below a directory of the user's counts as the user's.
        let below = world.new_cgroup()?;
        let inner = below.path().join("of-root");
        admin.mkdir(&inner)?;
        admin.label(&inner, ENGINE, "org.example.Engine")?;
        admin.label(&inner, APP_ID, "org.example.App")?;
        admin.join(&inner, connection.pid().context("no pid")?)?;
        let result = expect_app(&identify(&connection)?, user);
        drop(connection);
        remove_as_root(world, &inner)?;
        result
    })();
    remove_as_root(world, &outer)?;
    result
}

fn system_label_names_another_uid(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (outer, payload) = system_cgroup(world)?;
    let result = (|| {
        let join = format!("join={}", payload.display());
        open_to_all(&peers)?;
        // The step is taken as root; the peer becomes somebody else by running itself again.
        let uid = THIRD_UID.to_string();
        let script = format!(
            "echo 0 > {}/cgroup.procs && exec setpriv --reuid {uid} --regid {uid} --clear-groups \"$0\" \"$@\"",
            payload.display()
        );
        let connection = peers.connect_as_root(&["sh", "-c", &script], &[])?;
        expect_app(&identify(&connection)?, (Some("org.example.Engine"), Some("org.example.App"), Provenance::System))?;
        drop(connection);
        // Root itself could have written it: then it is the user's, and he is another.
        let connection = peers.connect_as_root(&[], &[&join])?;
        expect_unidentified(&identify(&connection)?, "foreign-uid")
    })();
    remove_as_root(world, &outer)?;
    result
}

fn remove_as_root(world: &World, path: &std::path::Path) -> Outcome {
    // The peers in it have been told to go; root waits until they have.
    let path = path.to_str().context("not UTF-8")?;
    let script = format!(
        "while [ -d '{path}' ]; do rmdir '{path}'/payload '{path}' 2>/dev/null || rmdir '{path}' 2>/dev/null; done"
    );
    world.admin()?.spawn(&["sh".into(), "-c".into(), script])?;
    while std::path::Path::new(path).exists() {
        std::thread::yield_now();
    }
    Ok(())
}

fn unreadable_ancestor_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    let payload = cgroup.child("payload")?;
    let connection = peers.connect(&[&payload.join()])?;
    expect_host(&identify(&connection)?, None)?;
    world.admin()?.own(cgroup.path(), 0, 0, 0o711)?;
    let identity = identify(&connection)?;
    world.admin()?.own(cgroup.path(), world.uid(), world.uid(), 0o755)?;
    expect_unidentified(&identity, "cgroup")
}

fn open_descriptors() -> Result<usize, String> {
    Ok(std::fs::read_dir("/proc/self/fd").context("fds")?.count())
}

/// Runs alone in a process of its own, since other tests open descriptors all the time.
fn no_file_descriptor_leaks(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.App")?;
    let labelled = peers.connect(&[&cgroup.join()])?;
    let host = peers.connect(&["undumpable"])?;
    let resolvers = resolvers()?;
    let marker = || -> Result<Vec<String>, String> {
        // Only descriptors of the kinds that a look-up opens count, so that other tests do not disturb.
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc/self/fd").context("fds")?.flatten() {
            if let Ok(target) = std::fs::read_link(entry.path())
                && target.starts_with(cgroup.path())
            {
                found.push(target.display().to_string());
            }
        }
        Ok(found)
    };
    for _ in 0..200 {
        for (_, resolver) in &resolvers {
            let _ = resolver.identify(&labelled.stream, &Trust::default());
            let _ = resolver.identify(&host.stream, &Trust::default());
        }
    }
    ensure_eq!(marker()?, Vec::<String>::new());
    ensure!(open_descriptors()? < 400, "1,600 look-ups left {} descriptors", open_descriptors()?);
    Ok(())
}
