//! Labels that are rewritten while they are read.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use wayland_auth::identity::Trust;
use wayland_auth_tests::cgroups::set_xattr;
use wayland_auth_tests::expect::{APP_ID, ENGINE, INSTANCE_ID, resolvers};
use wayland_auth_tests::{Outcome, Peers, World, ensure};

use crate::hop::tier_name;
use crate::tally::{Race, Tally};

const ROUNDS: u64 = 20_000;

/// Rewrites a label as an engine should: the engine's name is gone first and comes last, so that
/// what lies between says that it is not whole.
fn relabel(dir: &Path, engine: &str, app_id: &str, instance: &str) -> Outcome {
    match rustix::fs::removexattr(dir, ENGINE) {
        Ok(()) | Err(rustix::io::Errno::NODATA) => {}
        Err(e) => return Err(e.to_string()),
    }
    set_xattr(dir, APP_ID, app_id.as_bytes())?;
    set_xattr(dir, INSTANCE_ID, instance.as_bytes())?;
    set_xattr(dir, ENGINE, engine.as_bytes())
}

/// Looks up on both tiers while `write` runs again and again.
fn race(
    world: &World,
    what: &str,
    write: impl Fn(&Path, u64) -> Outcome + Sync,
    check: impl Fn(&Tally) -> Outcome,
) -> Outcome {
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    write(cgroup.path(), 0)?;
    let connection = peers.connect(&[&cgroup.join()])?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let labeller = scope.spawn(|| {
            let mut writes = (1..).take_while(|_| !done.load(Ordering::SeqCst));
            writes.try_for_each(|n| write(cgroup.path(), n))
        });
        let result = (|| {
            for (tier, resolver) in resolvers()? {
                let mut tally = Tally::default();
                let race = Race::new(ROUNDS);
                while race.goes_on(tally.total(), || tally.retries() > 0 && check(&tally).is_ok()) {
                    tally.add(&resolver.identify(&connection.stream, &Trust::default()));
                }
                println!("{what}, {}: {}", tier_name(tier), tally);
                check(&tally)?;
                ensure!(tally.retries() > 0, "no look-up met the labeller, so nothing is shown");
            }
            Ok(())
        })();
        done.store(true, Ordering::SeqCst);
        labeller.join().map_err(|_| "the labeller panicked".to_owned())?.and(result)
    })
}

/// No two labels have a value in common, so that each value tells which label it is of.
pub(crate) fn label_being_rewritten_is_read_whole_or_not_at_all(world: &World) -> Outcome {
    race(
        world,
        "a new label each time",
        |dir, n| relabel(dir, &format!("org.example.E{n}"), &format!("org.example.A{n}"), &n.to_string()),
        |tally| {
            let mut whole = 0;
            for (answer, count) in tally.answers() {
                let parts: Vec<&str> = answer.split('/').collect();
                if let [engine, app_id, instance] = parts[..] {
                    let same = engine.strip_prefix("org.example.E") == Some(instance)
                        && app_id.strip_prefix("org.example.A") == Some(instance);
                    ensure!(same, "a mixed label: {answer}");
                    whole += count;
                } else {
                    ensure!(answer.starts_with("unidentified:"), "wrong answer: {answer}");
                }
            }
            ensure!(whole > 0, "no label was ever read, so nothing is shown");
            Ok(())
        },
    )
}

/// Values that come back can fool two readings that both meet a change half-way; but who writes so fast may write what
/// he likes. Once in some million look-ups is to be expected here; the proof is the test above.
pub(crate) fn label_going_back_and_forth_is_never_mixed(world: &World) -> Outcome {
    race(
        world,
        "two labels in turn",
        |dir, n| {
            let which = if n % 2 == 0 { "A" } else { "B" };
            relabel(dir, &format!("org.example.Engine{which}"), &format!("org.example.App{which}"), which)
        },
        |tally| {
            tally.expect_only(&["org.example.EngineA/org.example.AppA/A", "org.example.EngineB/org.example.AppB/B"])
        },
    )
}
