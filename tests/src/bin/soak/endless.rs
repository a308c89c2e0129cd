//! Connections without end: nothing of them stays.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use wayland_auth_tests::Context;

use crate::Scene;
use crate::compositor::{Compositor, Descriptors, listen, mixed};
use crate::report::{Row, thousands};

const WARM_UP: u64 = 100_000;
const MANY: u64 = 1_000_000;
const GROWTH: u64 = 1 << 20;

/// The default limits: if a place were not given back, clients would soon be turned away.
const POLICY: &str = "";

pub(crate) fn run(scene: &Scene) -> Result<Vec<Row>, String> {
    let many = if scene.long { 10 * MANY } else { MANY };
    let (listener, path) = listen(scene)?;
    let (mut peers, expected) = mixed(scene, &path)?;
    let compositor = Compositor::start(listener, POLICY, expected)?;
    let mut descriptors = Descriptors::new()?;
    let mut connect = |times: u64| {
        let before = compositor.seen.served.load(Relaxed);
        let each = times / peers.len() as u64;
        peers.iter_mut().try_for_each(|peer| peer.tell(&format!("burst {each}")))?;
        peers.iter_mut().try_for_each(|peer| peer.answer().map(drop))?;
        compositor
            .wait_until("all came and went", |seen| Ok(seen.served.load(Relaxed) - before == times && seen.open() == 0))
    };
    connect(WARM_UP)?;
    let (fds, memory) = (descriptors.count()?, resident()?);
    let start = Instant::now();
    connect(many)?;
    let time = start.elapsed().as_secs();
    let (fds_after, memory_after) = (descriptors.count()?, resident()?);
    let wrong = compositor.seen.wrong.load(Relaxed);
    let grown = memory_after.saturating_sub(memory);
    Ok(vec![
        Row::new(
            &format!("{} connections to a Wayland server", thousands(many)),
            "all served, 0 wrong",
            format!("{wrong} wrong; {time} s {}", compositor.seen.first_wrong()),
            wrong == 0,
        ),
        Row::new("  descriptors before and after", "equal", format!("{fds} and {fds_after}"), fds == fds_after),
        Row::new(
            "  resident memory grew by",
            "< 1 MiB",
            format!("{} KiB (from {} KiB)", grown >> 10, memory >> 10),
            grown < GROWTH,
        ),
    ])
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/statm").context("statm")?;
    let pages: u64 = text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("statm")?;
    Ok(pages * rustix::param::page_size() as u64)
}
