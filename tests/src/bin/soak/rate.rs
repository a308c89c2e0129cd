//! Accept and identify on a bare listener, with the clients on the same two processors.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wayland_auth::Authenticator;
use wayland_auth_tests::Context;

use crate::Scene;
use crate::compositor::{listen, mixed};
use crate::peer::{Peer, Who};
use crate::report::{Row, thousands};

const TIME: Duration = Duration::from_secs(60);
/// Connections in a second.
const TARGET: u64 = 10_000;
/// Connections between two looks at the clock.
const BATCH: u64 = 64;

pub(crate) fn run(scene: &Scene) -> Result<Vec<Row>, String> {
    let authenticator = Authenticator::builder().build().context("authenticator")?;
    let (listener, path) = listen(scene)?;
    let (mut peers, expected) = mixed(scene, &path)?;
    peers.iter_mut().try_for_each(|peer| peer.tell("storm"))?;

    let mut right: HashMap<String, u64> = HashMap::new();
    let (mut all, mut wrong, mut first_wrong) = (0, 0, None);
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    while start.elapsed() < TIME {
        for _ in 0..BATCH {
            let (stream, _) = listener.accept().context("accept")?;
            let asked = Instant::now();
            let auth = authenticator.identify(&stream);
            slowest = slowest.max(asked.elapsed());
            match expected.right(&auth) {
                Some(who) => match right.get_mut(name(who)) {
                    Some(count) => *count += 1,
                    None => drop(right.insert(name(who).to_owned(), 1)),
                },
                None => {
                    wrong += 1;
                    first_wrong.get_or_insert_with(|| format!(", first: {}", auth.identity()));
                }
            }
        }
        all += BATCH;
    }
    let everybody = peers.iter().map(Peer::pid).chain([std::process::id()]);
    let worked: u64 = everybody.map(processor_time).sum::<Result<_, _>>()?;
    let rate = (all as f64 / start.elapsed().as_secs_f64()) as u64;
    // Nobody listens any more, so they end.
    drop(listener);
    peers.iter_mut().try_for_each(|peer| peer.answer().map(drop))?;

    let mut kinds: Vec<_> = right.into_iter().collect();
    kinds.sort();
    // A kind that hardly came would show nothing.
    let mixed = kinds.len() == 4 && kinds.iter().all(|(_, count)| *count > all / 100);
    let shown: Vec<_> = kinds.iter().map(|(who, count)| format!("{who} {}", thousands(*count))).collect();
    let first_wrong = first_wrong.unwrap_or_default();
    Ok(vec![
        Row::new(
            "accept and identify, client included, 60 s",
            format!(">= {}/s", thousands(TARGET)),
            format!(
                "{}/s ({} us of processor time each, at both ends; slowest look-up {} us)",
                thousands(rate),
                worked / all.max(1),
                slowest.as_micros()
            ),
            rate >= TARGET,
        ),
        Row::new(
            "  wrong answers, of four kinds of clients",
            "0",
            format!("{wrong} of {} ({}){first_wrong}", thousands(all), shown.join(", ")),
            wrong == 0 && mixed,
        ),
    ])
}

fn name(who: &Who) -> &str {
    match who {
        Who::Host => "host",
        Who::App(app, _) => app.strip_prefix("org.example.").unwrap_or(app),
    }
}

/// What a process has worked so far, in microseconds: on a busy machine it says more than the time that passed.
fn processor_time(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).context(&path)?;
    // After the name, which may contain anything: the state is the third field, the two times the 14th and 15th.
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
}
