//! One rung of the ladder of kernels: what this kernel has, and what each kind of peer is and may do here.
//!
//! `cargo xtask kernels` runs this in a guest for each kernel and compares what it prints, line by line after `rung: `.
//! On the machine itself it is a test like others: the kernel must have what its version claims, and give each kind of
//! peer what it has everywhere.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::json;
use wayland_auth::identity::{Identity, Resolver, Tier, Trust};
use wayland_auth::kernel::Support;
use wayland_auth::{Capability, Policy};
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{KINDS, Kind, POLICY};
use wayland_auth_tests::release::{PEER_PIDFD, PIDFD_INFO, PIDFD_NAMESPACES, PIDFS, claims, version};
use wayland_auth_tests::{Connection, Context, Needs, Outcome, Peers, Test, World, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("kernel_has_what_its_version_claims", Needs::Nothing, kernel_has_what_its_version_claims),
    ("every_kind_of_peer_is_who_it_is", Needs::Nothing, every_kind_of_peer_is_who_it_is),
    ("kinds_that_only_root_can_make_are_who_they_are", Needs::Root, kinds_that_only_root_can_make_are_who_they_are),
    ("t03_moved_peer_is_where_it_is_now", Needs::Nothing, moved_peer_is_where_it_is_now),
    ("t05_labelled_peer_that_was_reaped_is_nobody", Needs::Nothing, labelled_peer_that_was_reaped_is_nobody),
    ("t07_dead_leader_is_nobody", Needs::Nothing, dead_leader_is_nobody),
    ("t41_socket_pair_of_our_own_is_nobody", Needs::Nothing, socket_pair_of_our_own_is_nobody),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn print(line: &serde_json::Value) {
    // One write: a console that others write to as well must not tear it.
    println!("rung: {line}");
}

fn kernel_has_what_its_version_claims(_: &World) -> Outcome {
    let support = Support::probe().context("probe")?;
    print(&json!({ "support": support }));
    for (name, first, has) in [
        ("SO_PEERPIDFD", PEER_PIDFD, support.peer_pidfd),
        ("pidfs", PIDFS, support.pidfs),
        ("PIDFD_GET_*_NAMESPACE", PIDFD_NAMESPACES, support.pidfd_namespaces),
        ("PIDFD_GET_INFO", PIDFD_INFO, support.pidfd_info),
    ] {
        ensure!(has || !claims(first)?, "{:?} claims {name} and has it not:\n{support}", version()?);
    }
    ensure!(support.procfs && support.cgroup2.is_ok(), "the machine is not set up:\n{support}");
    ensure_eq!(support.can_identify(), support.peer_pidfd, "{support}");
    Ok(())
}

/// A way to look peers up: what it is called, what it rests on, and the resolver that goes it.
type Way = (&'static str, Option<Tier>, Resolver);

/// The resolvers that this kernel has a use for; one that it has no use for says so of everybody.
fn tiers() -> Result<Vec<Way>, String> {
    let new = Resolver::builder().build().context("resolver")?;
    let old = Resolver::builder().without_pidfd_info().build().context("resolver")?;
    Ok(if !new.support().can_identify() {
        vec![("none", None, new)]
    } else if new.support().pidfd_info {
        vec![("by ID", Some(Tier::CgroupId), new), ("by path", Some(Tier::ProcPath), old)]
    } else {
        vec![("by path", Some(Tier::ProcPath), old)]
    })
}

/// What a peer was expected to be.
struct Expected<'a> {
    kind: &'a str,
    identity: &'a str,
    reason: Option<&'a str>,
    capabilities: &'a [&'a str],
}

/// Looks a peer up in each way, tells what came of it, and compares that with what is expected of a kernel that can
/// identify anybody; one that cannot must say just that.
fn expect(connection: &std::os::unix::net::UnixStream, expected: &Expected<'_>) -> Outcome {
    let policy = Policy::parse("kinds.toml", POLICY).context("policy")?;
    for (tier, used, resolver) in tiers()? {
        let identified = resolver.identify(connection, &Trust::default());
        let identity = &identified.identity;
        let allowed = policy.evaluate(identity).allowed();
        let names = |capability: Capability| policy.capability_name(capability);
        let capabilities: BTreeSet<&str> = allowed.iter().map(names).collect();
        let (shown, reason) = (identity.to_string(), reason(identity));
        print(&json!({
            "kind": expected.kind, "tier": tier, "identity": shown, "reason": reason, "capabilities": capabilities,
        }));
        let what = format!("{} ({tier}): {shown}", expected.kind);
        if used.is_none() {
            ensure!(!claims(PEER_PIDFD)?, "this kernel claims that it can tell: {what}");
            ensure_eq!((reason, capabilities.len()), (Some("kernel-unsupported"), 0), "{what}");
            continue;
        }
        ensure!(shown.starts_with(expected.identity), "{what}, expected {}", expected.identity);
        ensure_eq!(reason, expected.reason, "{what}");
        if identity.is_identified() {
            ensure_eq!(identified.evidence.tier, used, "{what}");
        }
        if expected.capabilities == ["*"] {
            let all: BTreeSet<&str> = policy.capabilities().map(names).collect();
            ensure!(capabilities.contains("screen-capture") && capabilities.len() + 5 > all.len(), "{what}");
        } else {
            ensure_eq!(capabilities, expected.capabilities.iter().copied().collect(), "{what}");
        }
    }
    Ok(())
}

fn reason(identity: &Identity) -> Option<&str> {
    match identity {
        Identity::Unidentified(unidentified) => Some(unidentified.reason.code()),
        _ => None,
    }
}

fn expect_kind(world: &World, kind: &Kind) -> Outcome {
    let setup = (kind.setup)(world)?;
    let peers = Peers::new(world)?;
    let connect = peers.connect_step();
    let words = |words: &'_ [String]| words.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let (wrapper, steps) = (words(&setup.wrapper), words(&setup.steps));
    let wrapper: Vec<&str> = wrapper.lines().collect();
    let mut steps: Vec<&str> = steps.lines().collect();
    let connection: Connection = if kind.name == "other uid" {
        peers.connect_as_root(&[], &[])?
    } else if setup.reap {
        steps.extend([connect.as_str(), "leave", "hold"]);
        let mut connection = peers.connect_through(&wrapper, &steps)?;
        connection.reap()?;
        connection
    } else {
        peers.connect_through(&wrapper, &steps)?
    };
    let recorded: serde_json::Value = serde_json::from_str(kind.recorded).context(kind.recorded)?;
    let expected = Expected {
        kind: kind.name,
        identity: kind.identity,
        reason: recorded["reason"].as_str(),
        capabilities: kind.capabilities,
    };
    expect(&connection.stream, &expected)
}

/// All are tried, whatever comes of one.
fn each_kind(world: &World, needs_root: bool) -> Outcome {
    let kinds = KINDS.iter().filter(|kind| kind.needs_root == needs_root);
    let wrong: Vec<String> =
        kinds.filter_map(|kind| expect_kind(world, kind).err().map(|e| format!("{}: {e}", kind.name))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn every_kind_of_peer_is_who_it_is(world: &World) -> Outcome {
    each_kind(world, false)
}

fn kinds_that_only_root_can_make_are_who_they_are(world: &World) -> Outcome {
    each_kind(world, true)
}

const NOBODY: Expected<'_> = Expected { kind: "", identity: "unidentified", reason: None, capabilities: &[] };

fn moved_peer_is_where_it_is_now(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (before, after) = (world.new_cgroup()?, world.new_cgroup()?);
    after.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")])?;
    let connection = peers.connect(&[&before.join()])?;
    let host = Expected { kind: "not moved yet", identity: "host", reason: None, capabilities: &["*"] };
    expect(&connection.stream, &host)?;
    let pid = connection.pid().context("no pid")?.to_string();
    std::fs::write(after.path().join("cgroup.procs"), pid).context("move")?;
    let moved = Expected {
        kind: "moved into a sandbox",
        identity: "app org.example.Recorder of org.example.Engine",
        reason: None,
        capabilities: &["screen-capture", "output-info"],
    };
    let result = expect(&connection.stream, &moved);
    drop(connection);
    result
}

fn labelled_peer_that_was_reaped_is_nobody(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")])?;
    let connect = peers.connect_step();
    let mut connection = peers.connect(&[&cgroup.join(), &connect, "leave", "hold"])?;
    connection.reap()?;
    let kind = Expected { kind: "labelled peer, reaped", reason: Some("peer-gone"), ..NOBODY };
    expect(&connection.stream, &kind)
}

fn dead_leader_is_nobody(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let connect = peers.connect_step();
    for (kind, steps) in [
        ("dead leader", &["leaderless", &connect, "hold"][..]),
        ("dead leader, non-dumpable", &["undumpable", "leaderless", &connect, "hold"]),
    ] {
        let connection = peers.connect(steps)?;
        let kind = Expected { kind, reason: Some("peer-gone"), ..NOBODY };
        expect(&connection.stream, &kind)?;
    }
    Ok(())
}

fn socket_pair_of_our_own_is_nobody(_: &World) -> Outcome {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().context("pair")?;
    let kind = Expected { kind: "socket pair of our own", reason: Some("own-socket"), ..NOBODY };
    expect(&ours, &kind)
}
