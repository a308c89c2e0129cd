//! Every call, every errno, every position.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use wayland_auth::fault::{self, Answer, Extent, Fault};
use wayland_auth::identity::{Identified, Resolver, Tier, Trust};
use wayland_auth::{Capability, CapabilitySet, Policy};
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::Setup;
use wayland_auth_tests::{Context, Outcome, World, cgroups, ensure, ensure_eq};

use crate::peers::{self, Peer};
use crate::policies;
use crate::table::{HELD_OUT, LASTING, answers};

/// How many answers a look-up may need for each that it needs without a fault: it starts again at most 16 times, and
/// once more with the descriptors of the reserve.
const REPEATS: usize = 2 * 16;
/// How often one call is made that is interrupted for ever.
const INTERRUPTS: usize = 65;

/// What a whole run came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Look-ups with a fault in them.
    pub(crate) cases: usize,
    injected: usize,
    same: usize,
    /// By the word for the outcome.
    outcomes: BTreeMap<String, usize>,
    calls: BTreeSet<&'static str>,
    /// The answers that gave somebody more.
    widened: BTreeSet<(&'static str, String)>,
    widenings: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cases, injected, same, outcomes, calls, .. } = self;
        write!(
            f,
            "{cases} look-ups with a fault ({injected} answers changed), {} calls, {same} unharmed; {outcomes:?}",
            calls.len()
        )
    }
}

/// The faults that can come at each position of a look-up that makes these calls.
pub(crate) fn faults(calls: &[&'static str]) -> Result<Vec<Fault>, String> {
    let mut faults = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let answers = answers(call).context(format!("`{call}` has no row in the table of errnos"))?;
        for answer in answers {
            faults.extend([Extent::Once, Extent::SameCall].map(|extent| Fault { at, extent, answer }));
        }
        let lasting = LASTING.iter().map(|&errno| Answer::Errno(errno));
        faults.extend(lasting.map(|answer| Fault { at, extent: Extent::Everything, answer }));
    }
    Ok(faults)
}

/// How many descriptors this process has open.
pub(crate) fn open_descriptors() -> Result<usize, String> {
    Ok(std::fs::read_dir("/proc/self/fd").context("/proc/self/fd")?.count())
}

/// A resolver that makes all the calls there are on its tier.
fn resolver(tier: Tier) -> Result<Resolver, String> {
    let builder = Resolver::builder().credential_details(true);
    let resolver = match tier {
        Tier::ProcPath => builder.without_pidfd_info(),
        _ => builder,
    };
    let resolver = resolver.build().context("resolver")?;
    let upper = tier == Tier::CgroupId;
    ensure_eq!(resolver.support().pidfd_info, upper, "the tests need PIDFD_GET_INFO (Linux 6.13) for the upper tier");
    Ok(resolver)
}

const TIERS: [Tier; 2] = [Tier::CgroupId, Tier::ProcPath];

type Policies = Vec<(&'static str, Policy)>;

fn allowed(policies: &Policies, identified: &Identified) -> Vec<CapabilitySet> {
    policies.iter().map(|(_, policy)| policy.evaluate(&identified.identity).allowed()).collect()
}

/// What an outcome is called.
fn word(identified: &Identified) -> String {
    match &identified.identity {
        wayland_auth::Identity::Unidentified(u) => u.reason.code().to_owned(),
        other => other.to_string().split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// Looks a peer up with each fault in turn. `cold` takes a new resolver each time, which has not looked at its own
/// place yet.
fn try_all(peer: &Peer, policies: &Policies, tier: Tier, cold: bool, tally: &mut Tally) -> Outcome {
    let trust = Trust::default();
    let stream = &peer.connection.stream;
    let mut resolver_now = resolver(tier)?;
    if !cold {
        drop(resolver_now.identify(stream, &trust));
    }
    let (truth, trace) = fault::run(None, || resolver_now.identify(stream, &trust));
    let truth_shown = truth.identity.to_string();
    ensure!(truth_shown.starts_with(&peer.identity), "{}: identified as {truth_shown}", peer.name);
    let most = allowed(policies, &truth);
    tally.calls.extend(trace.calls.iter().copied());
    for fault in faults(&trace.calls)? {
        if cold {
            resolver_now = resolver(tier)?;
        }
        let call = trace.calls[fault.at];
        let what = || format!("{} ({tier:?}): {call}, {fault:?}", peer.name);
        let before = open_descriptors()?;
        let looked =
            catch_unwind(AssertUnwindSafe(|| fault::run(Some(fault), || resolver_now.identify(stream, &trust))));
        let (found, happened) = looked.map_err(|_| format!("it panicked: {}", what()))?;
        ensure_eq!(open_descriptors()?, before, "descriptors are left: {}", what());
        if happened.injected == 0 {
            // Only an answer that is no error can be the one that would have come anyway.
            ensure!(!matches!(fault.answer, Answer::Errno(_)), "nothing failed: {}", what());
            continue;
        }
        let interrupts = if fault.answer == Answer::Errno(libc::EINTR) { INTERRUPTS } else { 1 };
        let cut = if fault.answer == Answer::Cut { 64 * 1024 } else { 0 };
        let most_calls = (trace.calls.len() * REPEATS + cut) * interrupts;
        ensure!(happened.calls.len() <= most_calls, "{} calls: {}", happened.calls.len(), what());
        tally.cases += 1;
        tally.injected += happened.injected;
        tally.same += usize::from(found.identity == truth.identity);
        *tally.outcomes.entry(word(&found)).or_default() += 1;
        for ((policy, _), (now, most)) in policies.iter().zip(allowed(policies, &found).into_iter().zip(&most)) {
            if now.difference(*most).is_empty() {
                continue;
            }
            tally.widenings += 1;
            if tally.widened.insert((call, format!("{:?}", fault.answer))) || !is_held_out(call, fault.answer) {
                let gained = now.difference(*most);
                println!(
                    "{}: {truth_shown} became {}; by policy {policy} it gained {gained:?}",
                    what(),
                    found.identity
                );
            }
        }
    }
    Ok(())
}

fn is_held_out(call: &str, answer: Answer) -> bool {
    HELD_OUT.contains(&(call, answer))
}

/// The property: nobody gained, but by answers that nothing can tell from the truth.
fn expect_nobody_gained(tally: &Tally, held_out_widen: bool) -> Outcome {
    println!("{tally}");
    println!("{} times somebody gained, by {:?}, which are held out", tally.widenings, tally.widened);
    let held: BTreeSet<_> = HELD_OUT.iter().map(|(call, answer)| (*call, format!("{answer:?}"))).collect();
    let others: Vec<_> = tally.widened.difference(&held).collect();
    ensure!(others.is_empty(), "a failure gives somebody more: {others:?}");
    // If they did not, they would not have to be held out.
    ensure!(!held_out_widen || tally.widened == held, "{:?} need not be held out", held.difference(&tally.widened));
    Ok(())
}

pub(crate) fn no_failed_call_gives_anybody_more(world: &World) -> Outcome {
    let (policies, peers) = (policies::all()?, peers::ordinary(world)?);
    let mut tally = Tally::default();
    for peer in &peers {
        for tier in TIERS {
            let before = tally.cases;
            try_all(peer, &policies, tier, false, &mut tally)?;
            println!("{}, {tier:?}: {} faults", peer.name, tally.cases - before);
        }
    }
    ensure!(tally.cases > 10_000, "only {} cases", tally.cases);
    ensure!(tally.same > 0 && tally.same < tally.cases / 2, "{} of {} faults did nothing", tally.same, tally.cases);
    println!("{} kinds of peers, {} policies", peers.len(), policies.len());
    expect_nobody_gained(&tally, true)
}

pub(crate) fn no_failed_call_gives_more_to_peers_that_need_root(world: &World) -> Outcome {
    let (policies, peers) = (policies::all()?, peers::of_root(world)?);
    let mut tally = Tally::default();
    let result = peers
        .iter()
        .try_for_each(|peer| TIERS.iter().try_for_each(|&tier| try_all(peer, &policies, tier, false, &mut tally)));
    let count = peers.len();
    peers::remove(world, peers)?;
    result?;
    println!("{count} kinds of peers, {} policies", policies.len());
    expect_nobody_gained(&tally, false)
}

/// A label on a directory that holds this process, as long as this lives.
struct SharedLabel<'a>(&'a World);

impl<'a> SharedLabel<'a> {
    fn new(world: &'a World) -> Result<Self, String> {
        for (name, value) in [(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")] {
            cgroups::set_xattr(world.cgroup(), name, value.as_bytes())?;
        }
        Ok(Self(world))
    }
}

impl Drop for SharedLabel<'_> {
    fn drop(&mut self) {
        for name in [ENGINE, APP_ID] {
            let _ = rustix::fs::removexattr(self.0.cgroup(), name);
        }
    }
}

/// What labels the compositor too labels everybody, and is nobody's identity: not even if the compositor cannot find
/// out where it is itself.
pub(crate) fn own_place_that_cannot_be_read(world: &World) -> Outcome {
    let policies = policies::all()?;
    let label = SharedLabel::new(world)?;
    let cgroup = world.new_cgroup()?;
    let setup = Setup { steps: vec![cgroup.join()], ..Setup::default() };
    let mut tally = Tally::default();
    let peer = peers::connect(world, "host beside the compositor, below its label", "host", setup)?;
    for (tier, cold) in TIERS.into_iter().flat_map(|tier| [(tier, false), (tier, true)]) {
        try_all(&peer, &policies, tier, cold, &mut tally)?;
    }
    drop(peer);
    drop(cgroup);
    drop(label);
    // The label is the compositor's own: to lose it changes nothing.
    expect_nobody_gained(&tally, false)?;
    ensure!(tally.widened.is_empty(), "{:?}", tally.widened);
    Ok(())
}

/// A rule denies it: whatever the application breaks, it does not get it.
pub(crate) fn denied_stays_denied(world: &World) -> Outcome {
    let policy = policies::generous()?;
    let denied = CapabilitySet::of([Capability::CLIPBOARD_MANAGER, Capability::SCREEN_CAPTURE]);
    let policies = vec![("generous", policies::generous()?)];
    let trust = Trust::default();
    let (mut cases, mut tally) = (0, Tally::default());
    for peer in peers::ordinary(world)?.iter().filter(|peer| peer.name.contains("that a rule denies")) {
        for tier in TIERS {
            let resolver = resolver(tier)?;
            let stream = &peer.connection.stream;
            drop(resolver.identify(stream, &trust));
            let (_, trace) = fault::run(None, || resolver.identify(stream, &trust));
            for fault in faults(&trace.calls)? {
                if is_held_out(trace.calls[fault.at], fault.answer) {
                    continue;
                }
                let (found, _) = fault::run(Some(fault), || resolver.identify(stream, &trust));
                let has = policy.evaluate(&found.identity).allowed().intersection(denied);
                ensure!(has.is_empty(), "{} got {has:?} as {} by {fault:?}", peer.name, found.identity);
                cases += 1;
            }
            try_all(peer, &policies, tier, false, &mut tally)?;
        }
    }
    ensure!(cases > 1000, "only {cases} cases");
    println!("{cases} faults, none gave what a rule denies");
    // The control: the policy gives it to the others, known or not, if no rule denies it.
    let host = peers::connect(world, "host", "host", Setup::default())?;
    let found = resolver(Tier::CgroupId)?.identify(&host.connection.stream, &trust);
    ensure!(policy.evaluate(&found.identity).allows(Capability::SCREEN_CAPTURE), "not even the host has it");
    let nobody = wayland_auth::Identity::unidentified(wayland_auth::identity::Reason::Moved);
    ensure!(policy.evaluate(&nobody).allows(Capability::LAYER_SHELL), "who is not known has nothing at all");
    Ok(())
}

/// A label that is listed has a value. If it has none, somebody is changing it, or the call lies: no look-up ends there.
pub(crate) fn listed_name_without_a_value(world: &World) -> Outcome {
    let trust = Trust::default();
    let mut cases = 0;
    let wanted = ["engine without app ID", "app with a rule", "app that a rule denies"];
    for peer in peers::ordinary(world)?.iter().filter(|peer| wanted.contains(&peer.name.as_str())) {
        for tier in TIERS {
            let resolver = resolver(tier)?;
            let look = || resolver.identify(&peer.connection.stream, &trust);
            drop(look());
            let (truth, trace) = fault::run(None, look);
            for at in (0..trace.calls.len()).filter(|&at| trace.calls[at] == "fgetxattr") {
                let answer = Answer::Errno(libc::ENODATA);
                let (found, _) = fault::run(Some(Fault { at, extent: Extent::Once, answer }), look);
                ensure_eq!(found.identity, truth.identity, "{} ({tier:?}), call {at}, once", peer.name);
                let (found, _) = fault::run(Some(Fault { at, extent: Extent::SameCall, answer }), look);
                ensure!(!found.identity.is_identified(), "{} became {} by call {at}", peer.name, found.identity);
                cases += 1;
            }
        }
    }
    ensure!(cases >= 12, "only {cases} cases");
    Ok(())
}

/// The last call of a look-up proves that all before it was about the process that connected: without it there is no
/// answer.
pub(crate) fn end_of_the_look_up(world: &World) -> Outcome {
    let trust = Trust::default();
    for peer in peers::ordinary(world)?.iter().filter(|peer| !peer.identity.starts_with("unidentified")) {
        for (tier, last) in TIERS.into_iter().zip(["ioctl(PIDFD_GET_INFO)", "poll"]) {
            let resolver = resolver(tier)?;
            let look = || resolver.identify(&peer.connection.stream, &trust);
            drop(look());
            let (_, trace) = fault::run(None, look);
            let at = trace.calls.len() - 1;
            ensure_eq!(trace.calls[at], last, "{} ({tier:?})", peer.name);
            for answer in answers(last).context("no row")? {
                let (found, _) = fault::run(Some(Fault { at, extent: Extent::SameCall, answer }), look);
                ensure!(!found.identity.is_identified(), "{} is {} after {answer:?}", peer.name, found.identity);
            }
        }
    }
    Ok(())
}
