//! Compositors where nobody expects them: in a sandbox's cgroup, in namespaces of their own, as root, on a machine that can
//! prove nothing. For each place: what every kind of client becomes.

mod engines;
mod outcomes;
mod place;

use std::process::ExitCode;

use outcomes::{Outcomes, expect_all, expect_one};
use place::{Place, Start, enter};
use serde_json::json;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{POLICY, Setup, labelled, wrapped};
use wayland_auth_tests::{Needs, Outcome, Test, World, cgroups, ensure_eq};

const TESTS: &[Test] = &[
    ("in_a_labelled_scope_the_label_is_nobodys", Needs::Nothing, in_a_labelled_scope),
    ("in_its_own_user_and_mount_namespace_nobody_is_host_by_mistake", Needs::Nothing, in_private_users),
    ("in_its_own_mount_namespace_the_session_is_namespaced", Needs::Root, in_its_own_mount_namespace),
    ("host_reference_makes_the_session_the_host_again", Needs::Root, with_a_host_reference),
    ("systemd_service_with_private_tmp_takes_nobody_for_the_host_by_mistake", Needs::UserManager, in_private_tmp),
    ("firejail_is_firejail_and_names_no_application", Needs::Firejail, engines::firejail),
    ("container_of_systemd_is_known_by_its_cgroup_and_else_by_its_namespaces", Needs::Root, engines::nspawn),
    ("t17_in_a_container_those_outside_are_nobody", Needs::Nothing, in_a_container),
    ("t17_in_a_container_without_its_own_cgroup2_everybody_is_nobody", Needs::Nothing, in_a_blind_container),
    ("t17_in_its_own_pid_namespace_everybody_is_nobody", Needs::Nothing, in_its_own_pid_namespace),
    ("t17_in_its_own_cgroup_namespace_those_outside_are_nobody", Needs::Nothing, in_its_own_cgroup_namespace),
    ("t46_root_takes_users_for_strangers_unless_told_otherwise", Needs::Root, as_root),
    ("t16_t24_without_cgroup2_the_policy_decides", Needs::Nothing, without_cgroup2),
    ("t19_without_peer_pidfd_the_policy_decides", Needs::Nothing, without_peer_pidfd),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

/// What a client of the compositor's own, in its place, is where its place proves something.
const HOST: Setup =
    Setup { wrapper: Vec::new(), steps: Vec::new(), reap: false, keep: wayland_auth_tests::kinds::Nested::NONE };

/// A compositor that is itself in a sandbox's cgroup cannot tell its clients by that sandbox's label.
fn in_a_labelled_scope(world: &World) -> Outcome {
    let scope = world.new_cgroup()?;
    scope.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")])?;
    let payload = scope.child("payload")?;
    for options in [&[][..], &["lower"]] {
        let start = Start { wrapper: &enter(payload.path())?, policy: POLICY, options, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        ensure_eq!(place.start, json!({"can-identify": true, "apart": []}));
        expect_all(world, &mut place, &Outcomes::USUAL)?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
        // Further down a label is a label again.
        let inner = payload.child(&format!("inner-{}", options.len()))?;
        inner.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")])?;
        let peer = Setup { steps: vec![inner.join()], ..Setup::default() };
        let app = "app org.example.Recorder of org.example.Engine";
        expect_one(&place.inside(&peer)?, app, &["screen-capture", "output-info"])?;
    }
    Ok(())
}

/// What systemd does for a user's service with `PrivateTmp=`: a user namespace and a mount namespace.
fn in_private_users(world: &World) -> Outcome {
    for options in [&[][..], &["lower"]] {
        let wrapper = &["unshare", "--user", "--map-current-user", "--mount"];
        let mut place = Place::start(world, &Start { wrapper, policy: POLICY, options, ..Start::default() })?;
        ensure_eq!(place.start, json!({"can-identify": true, "apart": ["user", "mount"]}));
        expect_all(world, &mut place, &Outcomes::SESSION_IS_NOBODY)?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
        expect_one(
            &place.inside(&wrapped(&["unshare", "-Ur"]))?,
            "app in a sandbox of an unknown engine",
            &["output-info"],
        )?;
    }
    Ok(())
}

/// What systemd does for a system's service with `PrivateTmp=` and `User=`.
fn in_its_own_mount_namespace(world: &World) -> Outcome {
    let wrapper = as_us_in_a_mount_namespace(world);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    for options in [&[][..], &["lower"]] {
        let start = Start { wrapper: &wrapper, policy: POLICY, options, by_root: true, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        ensure_eq!(place.start, json!({"can-identify": true, "apart": ["mount"]}));
        expect_all(world, &mut place, &Outcomes::SESSION_IS_NAMESPACED)?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
    }
    Ok(())
}

fn with_a_host_reference(world: &World) -> Outcome {
    let wrapper = as_us_in_a_mount_namespace(world);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let reference = format!("reference={}", std::process::id());
    for options in [&[reference.as_str()][..], &[&reference, "lower"]] {
        let start = Start { wrapper: &wrapper, policy: POLICY, options, by_root: true, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        ensure_eq!(place.start, json!({"can-identify": true, "apart": []}));
        expect_all(world, &mut place, &Outcomes::USUAL)?;
        // Now it is what shares the compositor's own place that stands apart.
        expect_one(&place.inside(&HOST)?, "app in a sandbox of an unknown engine", &["output-info"])?;
    }
    Ok(())
}

/// Root makes the mount namespace, and the tests' own user goes into it.
fn as_us_in_a_mount_namespace(world: &World) -> Vec<String> {
    let uid = world.uid().to_string();
    let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    let words = ["unshare", "--mount", "setpriv", &user, &group, "--clear-groups", "--inh-caps=-all"];
    words.map(str::to_owned).to_vec()
}

/// The real thing: a service of the user's own systemd, which must have users of its own to have a `/tmp` of its own.
fn in_private_tmp(world: &World) -> Outcome {
    let unit = format!("--unit=wayland-auth-place-{}", std::process::id());
    let service = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect", &unit];
    let wrapper = [&service[..], &["-p", "PrivateTmp=yes", "-p", "PrivateUsers=yes"]].concat();
    let start = Start { wrapper: &wrapper, policy: POLICY, own_tmp: true, ..Start::default() };
    let mut place = Place::start(world, &start)?;
    ensure_eq!(place.start, json!({"can-identify": true, "apart": ["user", "mount"]}));
    expect_all(world, &mut place, &Outcomes::SESSION_IS_NOBODY)?;
    expect_one(&place.inside(&HOST)?, "host", &["*"])
}

/// Everything of its own, cgroup2 too.
fn in_a_container(world: &World) -> Outcome {
    let mount = fresh_cgroup2()?;
    let wrapper = [&CONTAINER[..], &["sh", "-c", &mount, "sh"]].concat();
    for options in [&[][..], &["lower"]] {
        let start = Start { wrapper: &wrapper, policy: POLICY, options, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        ensure_eq!(place.start["can-identify"], json!(true));
        expect_all(world, &mut place, &Outcomes::nobody("foreign-pid-namespace"))?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
        expect_one(
            &place.inside(&wrapped(&["unshare", "-Ur"]))?,
            "app in a sandbox of an unknown engine",
            &["output-info"],
        )?;
    }
    Ok(())
}

/// Mounts cgroup2 as our own cgroup namespace shows it, over what is there; that alone counts as mounted already.
fn fresh_cgroup2() -> Result<String, String> {
    let at = cgroups::mount_point()?;
    let at = at.display();
    Ok(format!("mount -t tmpfs none '{at}' && mount -t cgroup2 none '{at}' && exec \"$@\""))
}

const CONTAINER: [&str; 8] =
    ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--cgroup"];

/// The host's cgroup2 is still mounted there, but its paths are not those of the container.
fn in_a_blind_container(world: &World) -> Outcome {
    let mut place = Place::start(world, &Start { wrapper: &CONTAINER, policy: POLICY, ..Start::default() })?;
    ensure_eq!(place.start["can-identify"], json!(false));
    expect_all(world, &mut place, &Outcomes::nobody("kernel-unsupported"))?;
    expect_nobody(&place.inside(&HOST)?)
}

/// `/proc` is still that of the session: it knows processes by other pids than the kernel tells us.
fn in_its_own_pid_namespace(world: &World) -> Outcome {
    for options in [&[][..], &["lower"]] {
        let wrapper = &["unshare", "--user", "--map-current-user", "--pid", "--fork"];
        let mut place = Place::start(world, &Start { wrapper, policy: POLICY, options, ..Start::default() })?;
        ensure_eq!(place.start["can-identify"], json!(false));
        expect_all(world, &mut place, &Outcomes::nobody("kernel-unsupported"))?;
        expect_nobody(&place.inside(&HOST)?)?;
    }
    Ok(())
}

fn in_its_own_cgroup_namespace(world: &World) -> Outcome {
    let cgroup = world.new_cgroup()?;
    let mount = fresh_cgroup2()?;
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "--cgroup", "sh", "-c", &mount, "sh"];
    let wrapper = [&enter(cgroup.path())?[..], &unshare].concat();
    for options in [&[][..], &["lower"]] {
        let start = Start { wrapper: &wrapper, policy: POLICY, options, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        ensure_eq!(place.start["can-identify"], json!(true));
        expect_all(world, &mut place, &Outcomes::nobody("outside-cgroup-namespace"))?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
    }
    Ok(())
}

/// A greeter's compositor.
fn as_root(world: &World) -> Outcome {
    let start = Start { policy: POLICY, by_root: true, ..Start::default() };
    let mut place = Place::start(world, &start)?;
    ensure_eq!(place.start, json!({"can-identify": true, "apart": []}));
    expect_all(world, &mut place, &Outcomes::nobody("foreign-uid"))?;
    expect_one(&place.of_root(&HOST)?, "host", &["*"])?;
    // A user's label has no say over root's programs; root's has, and is the system's only if no user can get at it.
    let game: &[(&str, &str)] = &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")];
    let strange = place.of_root(&labelled(world, &[game])?)?;
    expect_nobody(&strange)?;
    ensure_eq!(strange.reason(), Some("foreign-label-owner"));
    let admin = world.admin()?;
    let cgroup = world.new_cgroup()?;
    admin.own(cgroup.path(), 0, 0, 0o755)?;
    game.iter().try_for_each(|(name, value)| admin.label(cgroup.path(), name, value))?;
    let peer = Setup { steps: vec![cgroup.join()], ..Setup::default() };
    let taken = place.of_root(&peer)?;
    expect_one(&taken, "app org.example.Game of org.example.Engine", &["output-info"])?;
    ensure_eq!(taken.identity["provenance"], json!("user"));
    drop(place);

    let policy = format!("{POLICY}\n[trust]\nuids = [{}]\n", world.uid());
    let mut place = Place::start(world, &Start { policy: &policy, by_root: true, ..Start::default() })?;
    expect_all(world, &mut place, &Outcomes::of_user(world.uid()))
}

/// A machine without cgroup2, as far as the compositor can see.
fn without_cgroup2(world: &World) -> Outcome {
    let hide = format!("mount -t tmpfs none '{}' && exec \"$@\"", cgroups::mount_point()?.display());
    let wrapper = ["unshare", "--user", "--map-current-user", "--mount", "--keep-caps", "sh", "-c", &hide, "sh"];
    machine_without(world, &wrapper, &[])
}

/// A kernel before Linux 6.5.
fn without_peer_pidfd(world: &World) -> Outcome {
    machine_without(world, &[], &["old-kernel"])
}

fn machine_without(world: &World, wrapper: &[&str], options: &[&str]) -> Outcome {
    let mut place = Place::start(world, &Start { wrapper, policy: POLICY, options, ..Start::default() })?;
    ensure_eq!(place.start["can-identify"], json!(false));
    expect_all(world, &mut place, &Outcomes::nobody("kernel-unsupported"))?;
    expect_nobody(&place.inside(&HOST)?)?;
    drop(place);

    // What the policy says about such machines: everybody on the socket is the host, loudly.
    let policy = format!("{POLICY}\n[machine]\nwithout-kernel-identity = 'as-before'\n");
    let mut place = Place::start(world, &Start { wrapper, policy: &policy, options, ..Start::default() })?;
    expect_all(world, &mut place, &Outcomes::EVERYBODY_IS_HOST)
}

fn expect_nobody(taken: &place::Taken) -> Outcome {
    expect_one(taken, "unidentified", &[])
}
