//! One look-up with few descriptors, or none, left to make.

use std::os::unix::net::UnixStream;

use wayland_auth::identity::{Resolver, Tier, Trust};
use wayland_auth_tests::expect::resolvers;
use wayland_auth_tests::{Context, Outcome, TestCgroup, World, ensure, ensure_eq};

use crate::alone::{Scene, alone, set_limit, take_all_but, word};

const LIMIT: u64 = 96;
/// More than any look-up here needs.
const PLENTY: usize = 16;
const SHORT: &str = "unidentified:resources";

pub(crate) fn look_up_at_the_limit_uses_its_reserve(world: &World) -> Outcome {
    alone(world, "limit")
}

pub(crate) fn reserve_is_filled_again_when_there_are_descriptors(world: &World) -> Outcome {
    alone(world, "reserve")
}

pub(crate) fn shared_label_is_still_ignored_at_the_limit(world: &World) -> Outcome {
    alone(world, "shared")
}

fn answer(resolver: &Resolver, stream: &UnixStream) -> String {
    word(&resolver.identify(stream, &Trust::default()).identity)
}

/// Looks up with 0, 1, 2... descriptors left, with resolvers that never did before: the answer is the right one or
/// none. With how few it is the right one, per tier.
fn countdown(stream: &UnixStream, expected: &str) -> Result<Vec<(Tier, usize)>, String> {
    let mut enough = vec![(Tier::CgroupId, PLENTY), (Tier::ProcPath, PLENTY)];
    for free in (0..PLENTY).rev() {
        for ((tier, resolver), (_, enough)) in resolvers()?.into_iter().zip(&mut enough) {
            let taken = take_all_but(free);
            let answer = answer(&resolver, stream);
            drop(taken);
            ensure!(answer == expected || answer == SHORT, "{free} descriptors left, {tier:?}: {answer}");
            if answer == expected && *enough == free + 1 {
                *enough = free;
            }
        }
    }
    Ok(enough)
}

/// Cgroups with one label above the other, so many.
pub(crate) fn nested(scene: &Scene, labels: usize) -> Result<Vec<TestCgroup>, String> {
    let mut cgroups = vec![scene.child(&format!("nested-{labels}"))?];
    for _ in 1..labels {
        let next = cgroups.last().context("none")?.child("inner")?;
        cgroups.push(next);
    }
    cgroups
        .iter()
        .enumerate()
        .try_for_each(|(level, cgroup)| cgroup.label_app(&format!("org.example.Level{level}")))?;
    Ok(cgroups)
}

pub(crate) fn limit(scene: &Scene) -> Outcome {
    let listener = scene.listen()?;
    let plain = scene.child("plain")?;
    let (one, many) = (nested(scene, 1)?, nested(scene, 20)?);
    let host = scene.connected(&listener, &plain)?;
    let app = scene.connected(&listener, one.last().context("none")?)?;
    let deep = scene.connected(&listener, many.last().context("none")?)?;
    set_limit(LIMIT)?;
    for (who, stream, expected) in [("host", &host, "host"), ("app", &app, "org.example.Level0")] {
        for (tier, enough) in countdown(stream, expected)? {
            println!("{who}, {tier:?}: identified with {enough} descriptors left, beside the reserve");
            ensure_eq!(enough, 0, "the reserve does not do for {who}, {tier:?}");
        }
    }
    // More labels take more descriptors than are kept in reserve: then it is nobody, and never the inner one.
    for (tier, enough) in countdown(&deep, "org.example.Level0")? {
        println!("app below 20 labels, {tier:?}: identified with {enough} descriptors left, beside the reserve");
        ensure!(enough > 0, "the reserve was never too small, so nothing is shown");
    }
    // The control: with descriptors it is who it is.
    for (_, resolver) in resolvers()? {
        ensure_eq!(answer(&resolver, &deep), "org.example.Level0");
    }
    Ok(())
}

pub(crate) fn reserve(scene: &Scene) -> Outcome {
    let listener = scene.listen()?;
    let plain = scene.child("plain")?;
    let app = nested(scene, 1)?;
    let streams =
        [("host", scene.connected(&listener, &plain)?), ("org.example.Level0", scene.connected(&listener, &app[0])?)];
    for (tier, resolver) in resolvers()? {
        for &(expected, ref stream) in &streams {
            set_limit(LIMIT)?;
            ensure_eq!(answer(&resolver, stream), expected, "{tier:?}");
            // Now no descriptor can be had at all, whatever is given back: nobody, and the reserve is spent.
            set_limit(3)?;
            ensure_eq!(answer(&resolver, stream), SHORT, "{tier:?}");
            ensure_eq!(answer(&resolver, stream), SHORT, "{tier:?}");
            set_limit(LIMIT)?;
            ensure_eq!(answer(&resolver, stream), expected, "{tier:?}");
            let taken = take_all_but(0);
            let at_the_limit = answer(&resolver, stream);
            drop(taken);
            ensure_eq!(at_the_limit, expected, "the reserve was not filled again ({tier:?})");
        }
    }
    Ok(())
}

/// The compositor itself is inside the labelled directory: who is only there, is not sandboxed.
pub(crate) fn shared(scene: &Scene) -> Outcome {
    let listener = scene.listen()?;
    let session = scene.child("session")?;
    session.label_app("org.example.Session")?;
    std::fs::write(session.path().join("cgroup.procs"), "0").context("move")?;
    let stream = scene.connected(&listener, &session)?;
    set_limit(LIMIT)?;
    for (tier, enough) in countdown(&stream, "host")? {
        println!("host below a shared label, {tier:?}: identified with {enough} descriptors left, beside the reserve");
        ensure_eq!(enough, 0, "the reserve does not do, {tier:?}");
    }
    drop(stream);
    std::fs::write(scene.cgroup().with_file_name("server").join("cgroup.procs"), "0").context("move back")
}
