//! A process that changes its cgroup, and cgroups that change under it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wayland_auth::identity::{Tier, Trust};
use wayland_auth_tests::cgroups::remove_tree;
use wayland_auth_tests::expect::{APP_ID, ENGINE, INSTANCE_ID, resolvers};
use wayland_auth_tests::release;
use wayland_auth_tests::{Connection, Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};

use crate::tally::{Race, Tally, word};

/// The two applications between which a process hops.
pub(crate) const A: &str = "org.example.EngineA/org.example.AppA/-";
pub(crate) const B: &str = "org.example.EngineB/org.example.AppB/-";

pub(crate) fn labelled(world: &World, which: &str) -> Result<TestCgroup, String> {
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[(ENGINE, &format!("org.example.Engine{which}")), (APP_ID, &format!("org.example.App{which}"))])?;
    Ok(cgroup)
}

/// Looks up again and again, on each tier, and wants only these answers.
fn look_up(what: &str, rounds: u64, connection: &Connection, expected: &[&str]) -> Outcome {
    for (tier, resolver) in resolvers()? {
        let mut tally = Tally::default();
        let race = Race::new(rounds);
        while race.goes_on(tally.total(), || tally.retries() > 0 && tally.has_all(expected)) {
            tally.add(&resolver.identify(&connection.stream, &Trust::default()));
        }
        println!("{what}, {}: {tally}", tier_name(tier));
        tally.expect_only(expected).context(format!("{tier:?}"))?;
        ensure!(tally.retries() > 0, "the process was never caught moving, so nothing is shown");
    }
    Ok(())
}

pub(crate) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::CgroupId => "by ID",
        Tier::ProcPath => "by path",
        _ => "by something new",
    }
}

pub(crate) fn hopping_process_is_one_app_or_the_other(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (a, b) = (labelled(world, "A")?, labelled(world, "B")?);
    let hop = format!("hop={},{}", a.path().display(), b.path().display());
    let connection = peers.connect(&[&a.join(), &peers.connect_step(), &hop])?.killed_at_the_end();
    look_up("hopping between A and B", 100_000, &connection, &[A, B])
}

/// The path names, one after the other, a directory that the process was never in and one that it is in.
pub(crate) fn cgroups_made_again_under_their_path_are_told_apart(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (a, b) = (labelled(world, "A")?, labelled(world, "B")?);
    let remake = format!("remake={},{}", a.path().display(), b.path().display());
    let connection = peers.connect(&[&a.join(), &peers.connect_step(), &remake])?.killed_at_the_end();
    look_up("hopping between B and an A that is made again", 25_000, &connection, &[A, B])
}

/// A cgroup says something else for as long as the process is not in it. It sits far below, so that it is a long way up
/// to the label.
pub(crate) fn label_of_a_cgroup_that_was_left_is_not_read(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let (a, b) = (labelled(world, "A")?, labelled(world, "B")?);
    a.label(&[(INSTANCE_ID, "1")])?;
    let inside = a.path().join(["d"; 60].join("/"));
    std::fs::create_dir_all(&inside).context("mkdir")?;
    let join = format!("join={}", inside.display());
    let relabel = format!("relabel={},{},{}", a.path().display(), inside.display(), b.path().display());
    let connection = peers.connect(&[&join, &peers.connect_step(), &relabel])?.killed_at_the_end();
    let what = "hopping between B and an A that is labelled otherwise meanwhile";
    let result = look_up(what, 5_000, &connection, &["org.example.EngineA/org.example.AppA/1", B]);
    drop(connection);
    remove_tree(&a.leak())?;
    result
}

/// Somebody else moves the process into its sandbox and out again while it connects and connects. Whoever looks while
/// it stays where it is gets exactly that.
pub(crate) fn process_moved_while_it_connects_is_where_it_is(world: &World) -> Outcome {
    const ROUNDS: u64 = 20_000;
    let peers = Peers::new(world)?;
    let (outside, inside) = (world.new_cgroup()?, labelled(world, "A")?);
    let storm = format!("storm={}", peers.socket().display());
    // The first connection is held, the storm makes the others.
    let connection = peers.connect(&[&outside.join(), &peers.connect_step(), &storm])?.killed_at_the_end();
    let pid = connection.pid().context("no pid")?.to_string();
    // 4n: outside; 4n + 2: inside; odd: on the way.
    let place = AtomicU64::new(0);
    // Where it was at the end of the last look-up.
    let looked = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let resolvers = resolvers()?;
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                for cgroup in [&inside, &outside] {
                    place.fetch_add(1, Ordering::SeqCst);
                    std::fs::write(cgroup.path().join("cgroup.procs"), &pid).context("move")?;
                    let settled = place.fetch_add(1, Ordering::SeqCst) + 1;
                    // It stays for one look-up; the next one races with the move.
                    while !done.load(Ordering::SeqCst) && looked.load(Ordering::SeqCst) < settled {
                        std::thread::yield_now();
                    }
                }
            }
            Ok::<_, String>(())
        });
        let result = (|| {
            for (tier, resolver) in &resolvers {
                let mut all = Tally::default();
                let (mut host, mut app) = (0, 0);
                let race = Race::new(ROUNDS);
                while race.goes_on(all.total(), || host > 0 && app > 0) {
                    let stream = peers.accept(None)?;
                    let before = place.load(Ordering::SeqCst);
                    let identified = resolver.identify(&stream, &Trust::default());
                    let after = place.load(Ordering::SeqCst);
                    all.add(&identified);
                    looked.store(after, Ordering::SeqCst);
                    if before != after || before % 2 == 1 {
                        continue;
                    }
                    let (expected, count) = if before.is_multiple_of(4) { ("host", &mut host) } else { (A, &mut app) };
                    ensure_eq!(word(&identified.identity), expected, "it stayed where it is ({tier:?})");
                    *count += 1;
                }
                println!(
                    "connecting while moved, {}: {all}; while it stayed: host {host}, app {app}, all right",
                    tier_name(*tier)
                );
                all.expect_only(&["host", A])?;
                ensure!(host > 0 && app > 0, "it never stayed long enough");
            }
            Ok(())
        })();
        done.store(true, Ordering::SeqCst);
        mover.join().map_err(|_| "the mover panicked".to_owned())?.and(result)
    })
}

/// Ten thousand cgroups come and go beside the peers'.
pub(crate) fn churn_of_other_cgroups_disturbs_nobody(world: &World) -> Outcome {
    const CHURN: u64 = 10_000;
    let peers = Peers::new(world)?;
    let home = world.new_cgroup()?;
    let app = home.child("app")?;
    app.label(&[(ENGINE, "org.example.EngineA"), (APP_ID, "org.example.AppA")])?;
    let plain = home.child("plain")?;
    let connections = [(A, peers.connect(&[&app.join()])?), ("host", peers.connect(&[&plain.join()])?)];
    // So many at least, and until so many look-ups met them.
    let enough = release::rounds(1_000);
    let (done, looked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let race = Race::new(CHURN);
            let met = || looked.load(Ordering::SeqCst) > enough;
            let result = (0..).take_while(|&n| race.goes_on(n, met)).try_fold(0, |_, n| {
                let cgroup = home.child(&format!("churn-{}", n % 50))?;
                cgroup.label(&[(ENGINE, "org.example.Churn"), (APP_ID, "org.example.Churn")])?;
                Ok::<_, String>(n + 1)
            });
            done.store(true, Ordering::SeqCst);
            result
        });
        let result = (|| {
            let resolvers = resolvers()?;
            let mut tallies = [Tally::default(), Tally::default()];
            while !done.load(Ordering::SeqCst) {
                for (_, resolver) in &resolvers {
                    for ((expected, connection), tally) in connections.iter().zip(&mut tallies) {
                        let identified = resolver.identify(&connection.stream, &Trust::default());
                        ensure_eq!(&word(&identified.identity), expected, "during the churn");
                        tally.add(&identified);
                    }
                    looked.store(tallies[0].total(), Ordering::SeqCst);
                }
            }
            Ok::<_, String>(tallies)
        })();
        let churns = churn.join().map_err(|_| "the churn panicked".to_owned())??;
        let tallies = result?;
        println!("{churns} cgroups made and removed beside: {}; {}", tallies[0], tallies[1]);
        ensure!(tallies[0].total() > enough, "too few look-ups to show anything: {}", tallies[0]);
        Ok(())
    })
}
