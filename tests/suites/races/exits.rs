//! Peers that die while they are looked up.

use wayland_auth::identity::Trust;
use wayland_auth_tests::expect::resolvers;
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure};

use crate::hop::{A, labelled, tier_name};
use crate::tally::{GONE, Race, Tally};

const ROUNDS: u64 = 4_000;

/// Answers while processes connect, fork and die as fast as they can.
fn storm(world: &World, what: &str, steps: &[&str], expected: &str) -> Outcome {
    let peers = Peers::new(world)?;
    let exits = format!("exits={}", peers.socket().display());
    let steps: Vec<&str> = steps.iter().copied().chain([exits.as_str()]).collect();
    // The first connection is that of a child which dies like the others; the storm goes on until it is killed.
    let _first = peers.connect(&steps)?.killed_at_the_end();
    for (tier, resolver) in resolvers()? {
        let mut tally = Tally::default();
        let race = Race::new(ROUNDS);
        while race.goes_on(tally.total(), || tally.has_all(&[expected, GONE])) {
            tally.add(&resolver.identify(peers.accept(None)?, &Trust::default()));
        }
        println!("{what}, {}: {tally}", tier_name(tier));
        tally.expect_only(&[expected])?;
        ensure!(tally.of(GONE) > 0, "nobody died in time, so nothing is shown");
    }
    Ok(())
}

pub(crate) fn labelled_peer_that_dies_is_never_the_host(world: &World) -> Outcome {
    let cgroup = labelled(world, "A")?;
    storm(world, "labelled peers that die", &[&cgroup.join()], A)?;
    storm(world, "labelled peers that die and may not be ptraced", &["undumpable", &cgroup.join()], A)?;
    // The control: without the label it is the host that dies.
    storm(world, "peers of the host that die", &[], "host")?;
    let open = std::fs::read_dir("/proc/self/fd").context("fds")?.count();
    ensure!(open < 400, "{} look-ups of dying peers left {open} descriptors", 6 * ROUNDS);
    Ok(())
}
