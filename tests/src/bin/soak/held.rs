//! As many clients as there are file descriptors.

use std::sync::atomic::Ordering::Relaxed;

use rustix::process::{Resource, getrlimit};

use crate::Scene;
use crate::compositor::{Compositor, Descriptors, Expected, listen, set_limit};
use crate::peer::{Latency, Peer, Who};
use crate::report::{Row, thousands};

/// More are not tried, whatever the limit: each takes memory of the kernel's at both ends.
const MOST: u64 = 20_000;
/// Processes that hold connections: each has the same limit.
const HOLDERS: u64 = 2;
/// So many come too late.
const TOO_MANY: u64 = 200;

const POLICY: &str = "[limits]\nconnections-per-app = 'unlimited'\n";

pub(crate) fn run(scene: &Scene) -> Result<Vec<Row>, String> {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(MOST).min(MOST);
    set_limit(limit)?;
    let (listener, path) = listen(scene)?;
    let kinds = [Who::Host, Who::App("org.example.App".to_owned(), None), Who::Host];
    let mut peers = kinds.iter().map(|who| Peer::start(who, &scene.cgroup, &path)).collect::<Result<Vec<_>, _>>()?;
    let expected = Expected::new(peers.iter().zip(kinds));
    let compositor = Compositor::start(listener, POLICY, expected)?;
    let mut descriptors = Descriptors::new()?;
    let [holders @ .., old] = &mut peers[..] else { return Err("no peers".to_owned()) };
    old.ask("sync 1")?;
    let base = descriptors.count()?;
    let all = limit - base + TOO_MANY;
    for holder in &mut *holders {
        holder.ask(&format!("hold {}", all / HOLDERS))?;
    }
    let mut turned_away = 0;
    compositor.wait_until("everybody was served or turned away", |seen| {
        turned_away = 0;
        for holder in &mut *holders {
            turned_away += holder.ask("closed")?.parse::<u64>().unwrap_or(0);
        }
        Ok(seen.open() - 1 + turned_away == all / HOLDERS * HOLDERS)
    })?;
    let (open, clients) = (descriptors.count()?, compositor.seen.open() - 1);
    let round_trips = Latency::read(&old.ask("sync 500")?)?;
    let wrong = compositor.seen.wrong.load(Relaxed);
    let each = (open - base) as f64 / clients as f64;
    for holder in &mut *holders {
        holder.ask("release")?;
    }
    compositor.wait_until("all are gone", |seen| Ok(seen.open() == 1))?;
    let after = descriptors.count()?;
    Ok(vec![
        Row::new(
            "descriptors for each client held, at the limit",
            "<= 2",
            format!(
                "{each:.2} ({} clients at a limit of {}; {turned_away} turned away)",
                thousands(clients),
                thousands(limit)
            ),
            each <= 2.0 && clients >= (limit - base) / 2 && turned_away > 0 && open + 32 > limit,
        ),
        Row::new(
            "  an older client meanwhile; wrong answers",
            "answered; 0",
            format!("{round_trips}; {wrong} wrong {}", compositor.seen.first_wrong()),
            wrong == 0,
        ),
        Row::new("  descriptors before and after", "equal", format!("{base} and {after}"), base == after),
    ])
}
