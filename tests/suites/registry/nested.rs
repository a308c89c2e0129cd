//! Labels inside labels, and processes that are moved to where somebody else's label is.

use std::collections::BTreeSet;

use wayland_auth::identity::Identity;
use wayland_auth::{Authenticator, Policy};
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{Setup, labelled};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

/// Each level may two things, and every two levels have one of them in common.
const LEVELS: [(&str, [&str; 2]); 3] = [
    ("org.example.Outer", ["screen-capture", "layer-shell"]),
    ("org.example.Middle", ["layer-shell", "idle-notify"]),
    ("org.example.Inner", ["idle-notify", "screen-capture"]),
];

fn names(authenticator: &Authenticator, auth: &wayland_auth::ClientAuth) -> BTreeSet<String> {
    let described = auth.verdict().describe(&authenticator.policy());
    described.into_iter().filter(|(_, allowed, _)| *allowed).map(|(name, ..)| name).collect()
}

fn authenticator(policy: &str) -> Result<Authenticator, String> {
    let policy = Policy::parse("test.toml", policy).context("policy")?;
    Authenticator::builder().policy(policy).build().context("authenticator")
}

/// Three directories inside each other, labelled in each of the eight ways.
pub(crate) fn three_levels_in_all_eight_ways(world: &World) -> Outcome {
    let mut policy = "[defaults]\nhost = [\"*\"]\nsandboxed = []\n".to_owned();
    for (app_id, allow) in LEVELS {
        policy.push_str(&format!(
            "[[rule]]\nmatch = {{ engine = \"org.example.Engine\", app-id = \"{app_id}\" }}\nallow = {allow:?}\n"
        ));
    }
    let authenticator = authenticator(&policy)?;
    let peers = Peers::new(world)?;
    for pattern in 0..8_u32 {
        let on: Vec<usize> = (0..3).filter(|level| pattern & 1 << level != 0).collect();
        let labels: Vec<Vec<(&str, &str)>> = (0..3)
            .map(|level| {
                if on.contains(&level) {
                    vec![(ENGINE, "org.example.Engine"), (APP_ID, LEVELS[level].0)]
                } else {
                    Vec::new()
                }
            })
            .collect();
        let labels: Vec<&[(&str, &str)]> = labels.iter().map(Vec::as_slice).collect();
        let setup: Setup = labelled(world, &labels)?;
        let steps: Vec<&str> = setup.steps.iter().map(String::as_str).collect();
        let connection = peers.connect(&steps)?;
        let auth = authenticator.identify(&connection.stream);
        let Some((&outermost, inner)) = on.split_first() else {
            ensure!(matches!(auth.identity(), Identity::Host(_)), "{pattern}: {}", auth.identity());
            continue;
        };
        let Identity::App(app) = auth.identity() else { return Err(format!("{pattern}: {}", auth.identity())) };
        ensure_eq!(app.app_id.as_ref().map(|id| id.as_str()), Some(LEVELS[outermost].0), "{pattern}");
        let nested: Vec<_> = app.nested.iter().filter_map(|n| n.app_id.as_ref()).map(|id| id.as_str()).collect();
        ensure_eq!(nested, inner.iter().map(|&level| LEVELS[level].0).collect::<Vec<_>>(), "{pattern}");
        let all = on.iter().map(|&level| LEVELS[level].1.map(str::to_owned).into_iter().collect::<BTreeSet<_>>());
        let expected = all.reduce(|a, b| &a & &b).unwrap_or_default();
        ensure_eq!(names(&authenticator, &auth), expected, "{pattern}");
        drop(connection);
    }
    Ok(())
}

/// A weak host, a stronger app and a stronger service: whom a process gets itself moved to gives it nothing.
const TEMPTING: &str = r#"
[defaults]
host = ["layer-shell"]
sandboxed = ["*"]
namespaced = ["*"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Victim" }
allow = ["screen-capture", "layer-shell"]

[[rule]]
match = { unit = "xdg-desktop-portal-wlr.service" }
allow = ["screen-capture"]
"#;

/// As the user's systemd does for whoever asks (`systemd-run --scope`, `flatpak run`): the process is moved by another,
/// after it connected and before anybody looks.
pub(crate) fn being_moved_into_anothers_scope_gives_nothing(world: &World) -> Outcome {
    let authenticator = authenticator(TEMPTING)?;
    let peers = Peers::new(world)?;
    let may = |connection: &wayland_auth_tests::Connection| -> Result<BTreeSet<String>, String> {
        Ok(names(&authenticator, &authenticator.identify(&connection.stream)))
    };
    let plain = may(&peers.connect(&[])?)?;
    ensure_eq!(plain, ["layer-shell".to_owned()].into(), "the unlabelled");
    let victim = world.new_cgroup()?;
    victim.label_app("org.example.Victim")?;
    let scope = victim.child("app-flatpak-org.example.Victim-140.scope")?;
    let service = wayland_auth_tests::TestCgroup::exactly(world.cgroup().join("xdg-desktop-portal-wlr.service"))?;
    for (what, place) in [("an app's scope", &scope), ("a labelled directory", &victim), ("a service", &service)] {
        let connection = peers.connect(&[])?;
        let pid = connection.pid().context("no pid")?;
        std::fs::write(place.path().join("cgroup.procs"), pid.to_string()).context("move")?;
        let auth = authenticator.identify(&connection.stream);
        let got = names(&authenticator, &auth);
        println!("moved into {what}: {}, may {got:?}", auth.identity());
        ensure!(got.is_subset(&plain), "{what}: {got:?}");
        // The control: it is there, and is told as such.
        let shown = auth.evidence().cgroup.as_ref().map(|c| c.path.clone()).context("no cgroup")?;
        ensure!(place.path().ends_with(shown.trim_start_matches('/')), "{what}: {shown}");
        drop(connection);
    }
    Ok(())
}

/// The same with systemd's own tool: whatever it makes, nothing is gained.
pub(crate) fn systemd_run_gives_nothing(world: &World) -> Outcome {
    let authenticator = authenticator(TEMPTING)?;
    let peers = Peers::new(world)?;
    let plain = names(&authenticator, &authenticator.identify(&peers.connect(&[])?.stream));
    let unit = format!("app-flatpak-org.example.Victim-{}", std::process::id());
    let scope = format!("--unit={unit}.scope");
    for wrapper in
        [&["systemd-run", "--user", "--quiet", "--scope"][..], &["systemd-run", "--user", "--quiet", "--scope", &scope]]
    {
        let connection = peers.connect_through(wrapper, &[])?;
        let auth = authenticator.identify(&connection.stream);
        let got = names(&authenticator, &auth);
        println!("{wrapper:?}: {}, may {got:?}", auth.identity());
        ensure!(got.is_subset(&plain), "{wrapper:?}: {got:?}");
        let path = auth.evidence().cgroup.as_ref().map(|c| c.path.clone()).unwrap_or_default();
        ensure!(path.ends_with(".scope"), "it is in no scope, so nothing is shown: {path}");
    }
    // A service of the very name that the policy trusts is started by whoever likes to, and is capped.
    let peer = world.peer().to_str().context("not UTF-8")?;
    let connect = peers.connect_step();
    let status = std::process::Command::new("systemd-run")
        .args(["--user", "--quiet", "--collect", "--unit=xdg-desktop-portal-wlr.service", peer, &connect, "hold"])
        .status()
        .context("systemd-run")?;
    ensure!(status.success(), "systemd-run: {status}");
    let stream = peers.accept(None)?;
    let auth = authenticator.identify(&stream);
    let got = names(&authenticator, &auth);
    println!("service: {}, may {got:?}", auth.identity());
    ensure!(got.is_subset(&plain), "{got:?}");
    Ok(())
}
