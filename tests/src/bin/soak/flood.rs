//! A flood, and those who were there before.

use std::sync::atomic::Ordering::Relaxed;

use crate::Scene;
use crate::compositor::{Compositor, Descriptors, Expected, listen, set_limit};
use crate::peer::{Latency, Peer, Who};
use crate::report::Row;

const LIMIT: u64 = 64;
/// Connections that a client tries to hold.
const HELD: u64 = 500;
/// Connections that it makes and closes.
const BURST: u64 = 10_000;
/// Rounds without and with a flood, in milliseconds each.
const ROUND: u64 = 1_000;
const ROUNDS: usize = 7;
/// Connections that make a flood, again and again.
const WAVE: u64 = 1_000;

/// How much longer the slowest hundredth of a bystander's round trips may take.
const RATIO: u64 = 100;

fn flooder(name: &str) -> Who {
    Who::App(format!("org.example.{name}"), None)
}

/// At 64 descriptors.
pub(crate) fn run(scene: &Scene) -> Result<Vec<Row>, String> {
    let (listener, path) = listen(scene)?;
    let kinds = [flooder("Evil"), flooder("Worse"), Who::Host, flooder("Old"), Who::Host];
    let mut peers = kinds.iter().map(|who| Peer::start(who, &scene.cgroup, &path)).collect::<Result<Vec<_>, _>>()?;
    let expected = Expected::new(peers.iter().zip(kinds));
    let compositor = Compositor::start(listener, "", expected)?;
    let mut descriptors = Descriptors::new()?;
    let [evil, worse, host, app, new] = &mut peers[..] else { return Err("no peers".to_owned()) };
    host.ask("sync 1")?;
    app.ask("sync 1")?;
    let base = descriptors.count()?;
    set_limit(LIMIT)?;

    // Two hold what they can get while two others speak; then one of them connects and closes as fast as it can.
    evil.tell(&format!("hold {HELD}"))?;
    worse.tell(&format!("hold {HELD}"))?;
    host.tell("sync 2000")?;
    app.tell("sync 2000")?;
    evil.answer()?;
    worse.answer()?;
    let mut turned_away = 0;
    compositor.wait_until("all were served or turned away", |seen| {
        turned_away = 0;
        for flooder in [&mut *evil, &mut *worse] {
            turned_away += flooder.ask("closed")?.parse::<u64>().unwrap_or(0);
        }
        Ok(seen.open() - 2 + turned_away == 2 * HELD)
    })?;
    let at_the_limit = compositor.seen.open();
    evil.tell(&format!("burst {BURST}"))?;
    let answered = [Latency::read(&host.answer()?)?, Latency::read(&app.answer()?)?];
    evil.answer()?;
    for peer in [&mut *host, &mut *app] {
        peer.ask("sync 200")?;
    }
    evil.ask("release")?;
    worse.ask("release")?;
    compositor.wait_until("the flood is over", |seen| Ok(seen.open() == 2))?;
    let after = descriptors.count()?;
    let served = compositor.seen.served.load(Relaxed);
    let served_after = new.ask("sync 1").is_ok() && compositor.seen.served.load(Relaxed) > served;
    let wrong = compositor.seen.wrong.load(Relaxed);
    Ok(vec![
        Row::new(
            "flood at a limit of 64 descriptors",
            "older clients answered",
            format!("{}; {at_the_limit} clients at the limit, {turned_away} turned away", answered[0]),
            turned_away > HELD && at_the_limit > 10,
        ),
        Row::new(
            "  afterwards a new client is",
            "served",
            format!(
                "{}; {wrong} wrong {}",
                if served_after { "served" } else { "not served" },
                compositor.seen.first_wrong()
            ),
            served_after && wrong == 0,
        ),
        Row::new("  descriptors before and after", "equal", format!("{base} and {after}"), base == after),
    ])
}

/// What a bystander notices.
pub(crate) fn bystander(scene: &Scene) -> Result<Vec<Row>, String> {
    let (listener, path) = listen(scene)?;
    let kinds = [flooder("Evil"), flooder("Worse"), Who::Host];
    let mut peers = kinds.iter().map(|who| Peer::start(who, &scene.cgroup, &path)).collect::<Result<Vec<_>, _>>()?;
    let expected = Expected::new(peers.iter().zip(kinds));
    let compositor = Compositor::start(listener, "", expected)?;
    let [evil, worse, bystander] = &mut peers[..] else { return Err("no peers".to_owned()) };
    // One of them holds all that it may first, so that most of its connections are one too many.
    evil.ask(&format!("hold {HELD}"))?;
    let (mut calm, mut flooded) = (Vec::new(), Vec::new());
    let (mut floods, before) = (0_u64, compositor.seen.served.load(Relaxed));
    // In turn, so that whatever else the machine does is the same for both.
    for _ in 0..ROUNDS {
        calm.push(Latency::read(&bystander.ask(&format!("sync {ROUND}"))?)?);
        bystander.tell(&format!("sync {ROUND}"))?;
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < u128::from(ROUND) {
            evil.tell(&format!("burst {WAVE}"))?;
            worse.ask(&format!("burst {WAVE}"))?;
            evil.answer()?;
            floods += 2 * WAVE;
        }
        flooded.push(Latency::read(&bystander.answer()?)?);
    }
    let [calm, flooded] = [calm, flooded].map(middle);
    let served = compositor.seen.served.load(Relaxed) - before;
    let ratio = flooded.p99 as f64 / calm.p99.max(1) as f64;
    Ok(vec![
        Row::new("a bystander without a flood, the middle of 7 rounds", "(for comparison)", calm.to_string(), true),
        Row::new(
            "  during a flood",
            format!("p99 <= {RATIO} times"),
            format!("{ratio:.1} times: {flooded}; {floods} connections, {} of them one too many", floods - served),
            ratio <= RATIO as f64 && served < floods,
        ),
    ])
}

/// The round with the middle p99.
fn middle(mut rounds: Vec<Latency>) -> Latency {
    rounds.sort_by_key(|round| round.p99);
    rounds[rounds.len() / 2]
}
