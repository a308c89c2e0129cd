//! How often somebody may be written about.
//!
//! Whoever connects in a loop must not fill the disk, and must not push out of the log what others do. So each identity has
//! a budget of its own, and in it one for each [`Kind`] of line: coming and going a thousand times hides no refusal.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::identity::{AppId, Identity, SandboxEngine};

/// How many lines there may be about one identity, for each kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// So many at once.
    pub burst: u32,
    /// After that one in this time.
    pub every: Duration,
}

impl Rate {
    /// `burst` at once, and then one a second.
    #[must_use]
    pub fn burst(burst: u32) -> Self {
        Self { burst, every: Duration::from_secs(1) }
    }
}

impl Default for Rate {
    /// More at once than a session that starts, and in a day no more about one identity than any disk holds.
    fn default() -> Self {
        Self::burst(512)
    }
}

/// How many applications have a budget of their own at a time. The others share one.
pub(super) const MAX_APPS: usize = 256;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Clients that come and go.
    Presence,
    /// Something was refused.
    Refusal,
    /// Rights that change, and questions about them.
    Rights,
}

const KINDS: usize = 3;

/// Who shares a budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// An application by what its engine calls it: it may be able to make more instances, and more cgroups.
    App(SandboxEngine, Option<AppId>),
    /// All applications that came when there was no room for one more.
    OtherApps,
    /// All in sandboxes of an unknown engine.
    Namespaced,
    /// All that could not be identified.
    Unidentified,
    /// All on the host.
    Host,
    /// The compositor itself, its socket pairs included.
    Compositor,
}

impl Subject {
    pub(super) fn of(identity: &Identity) -> Self {
        match identity {
            Identity::App(app) => match &app.engine {
                Some(engine) => Self::App(engine.clone(), app.app_id.clone()),
                None => Self::Namespaced,
            },
            Identity::Host(_) => Self::Host,
            Identity::Internal(_) => Self::Compositor,
            Identity::Unidentified(_) => Self::Unidentified,
        }
    }
}

/// What was left out, by event.
pub(super) type Dropped = BTreeMap<&'static str, u64>;

/// Lines that may be written at once; they come back one by one.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// Since when none came back.
    since: Instant,
    dropped: Dropped,
}

impl Budget {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, since: now, dropped: Dropped::new() }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let every = rate.every.max(Duration::from_nanos(1));
        let passed = now.saturating_duration_since(self.since).as_nanos() / every.as_nanos();
        let Ok(passed) = u32::try_from(passed) else {
            self.left = rate.burst;
            self.since = now;
            return;
        };
        self.left = self.left.saturating_add(passed).min(rate.burst);
        // What passed of the next one counts for it, unless there is nothing to wait for.
        self.since = match every.checked_mul(passed).and_then(|passed| self.since.checked_add(passed)) {
            Some(since) if self.left < rate.burst => since,
            _ => now.max(self.since),
        };
    }

    fn take(&mut self, rate: Rate, now: Instant, event: &'static str) -> Option<Dropped> {
        self.refill(rate, now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                let count = self.dropped.entry(event).or_default();
                *count = count.saturating_add(1);
                None
            }
        }
    }
}

/// The budgets of all.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    budgets: HashMap<Subject, [Budget; KINDS]>,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// It is written, and says what was left out since the last of its kind.
    Write(Dropped),
    /// It is left out, and counted.
    Drop,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, budgets: HashMap::new() }
    }

    /// Whether a line may be written. Budgets that are given up for it are told of through `forgotten`.
    pub(super) fn ask(
        &mut self,
        subject: Subject,
        kind: Kind,
        event: &'static str,
        now: Instant,
        forgotten: impl FnMut(Subject, Dropped),
    ) -> Permit {
        let subject = self.room_for(subject, now, forgotten);
        let rate = self.rate;
        let budgets = self.budgets.entry(subject).or_insert_with(|| std::array::from_fn(|_| Budget::full(rate, now)));
        match budgets[kind as usize].take(rate, now, event) {
            Some(dropped) => Permit::Write(dropped),
            None => Permit::Drop,
        }
    }

    /// Takes back what [`Limiter::ask`] gave, because the line was not written after all.
    pub(super) fn was_not_written(&mut self, subject: &Subject, kind: Kind, dropped: Dropped) {
        let there = self.budgets.contains_key(subject);
        let subject = if there { subject } else { &Subject::OtherApps };
        if let Some(budgets) = self.budgets.get_mut(subject) {
            for (event, count) in dropped {
                let sum = budgets[kind as usize].dropped.entry(event).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// `subject`, if there is room for it or room can be made by forgetting those that have nothing to wait for.
    fn room_for(&mut self, subject: Subject, now: Instant, mut forgotten: impl FnMut(Subject, Dropped)) -> Subject {
        let is_app = |subject: &Subject| matches!(subject, Subject::App(..));
        if !is_app(&subject) || self.budgets.contains_key(&subject) {
            return subject;
        }
        if self.budgets.keys().filter(|subject| is_app(subject)).count() < MAX_APPS {
            return subject;
        }
        let rate = self.rate;
        let mut room = false;
        self.budgets.retain(|subject, budgets| {
            budgets.iter_mut().for_each(|budget| budget.refill(rate, now));
            let idle = is_app(subject) && budgets.iter().all(|budget| budget.left >= rate.burst);
            if idle {
                room = true;
                let dropped = sum(budgets);
                if !dropped.is_empty() {
                    forgotten(subject.clone(), dropped);
                }
            }
            !idle
        });
        if room { subject } else { Subject::OtherApps }
    }

    /// All that was left out and not told yet, of everybody. It counts as told then.
    pub(super) fn untold(&mut self) -> Vec<(Subject, Dropped)> {
        let all = self.budgets.iter_mut().map(|(subject, budgets)| (subject.clone(), sum(budgets)));
        let mut all: Vec<_> = all.filter(|(_, dropped)| !dropped.is_empty()).collect();
        all.sort_by_cached_key(|(subject, _)| format!("{subject:?}"));
        all
    }
}

/// What was left out of all kinds, which counts as told then.
fn sum(budgets: &mut [Budget; KINDS]) -> Dropped {
    let mut all = Dropped::new();
    for (event, count) in budgets.iter_mut().flat_map(|budget| std::mem::take(&mut budget.dropped)) {
        let sum = all.entry(event).or_default();
        *sum = sum.saturating_add(count);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(10) };

    fn app(name: &str) -> Subject {
        Subject::App(SandboxEngine::new("org.example.Engine").unwrap(), Some(AppId::new(name).unwrap()))
    }

    fn nobody_forgotten(subject: Subject, dropped: Dropped) {
        panic!("{subject:?}: {dropped:?}");
    }

    /// How many of `times` lines are written, and what the last of them says was left out.
    fn flood(limiter: &mut Limiter, subject: &Subject, kind: Kind, now: Instant, times: usize) -> (usize, Dropped) {
        let answers = (0..times).map(|_| limiter.ask(subject.clone(), kind, "connect", now, nobody_forgotten));
        let told = |answer| if let Permit::Write(dropped) = answer { Some(dropped) } else { None };
        let written: Vec<Dropped> = answers.filter_map(told).collect();
        let told = written.iter().flat_map(|dropped| dropped.clone()).collect();
        (written.len(), told)
    }

    #[test]
    fn t26_t29_a_flood_is_written_a_few_times_then_rarely_and_nothing_is_left_out_without_a_count() {
        let start = Instant::now();
        let mut limiter = Limiter::new(RATE);
        let app = app("org.example.Flood");
        let mut at = |seconds: u64, times| {
            flood(&mut limiter, &app, Kind::Presence, start + Duration::from_secs(seconds), times)
        };
        assert_eq!(at(0, 1000), (3, Dropped::new()));
        assert_eq!(at(9, 1000), (0, Dropped::new()));
        assert_eq!(at(10, 1000), (1, Dropped::from([("connect", 1997)])));
        // Parts of the time are not lost.
        assert_eq!(at(19, 1000).0, 0);
        assert_eq!(at(25, 1000), (1, Dropped::from([("connect", 1999)])));
        assert_eq!(at(30, 1), (1, Dropped::from([("connect", 999)])));
        // After a long silence it is as at first, and a clock that goes back gives nothing.
        assert_eq!(at(10_000_000, 5), (3, Dropped::new()));
        assert_eq!(at(0, 5), (0, Dropped::new()));
        assert_eq!(limiter.untold(), [(app.clone(), Dropped::from([("connect", 7)]))]);
        assert_eq!(limiter.untold(), []);
    }

    #[test]
    fn t26_a_flood_of_one_identity_hides_nothing_of_another_nor_a_refusal_of_its_own() {
        let now = Instant::now();
        let mut limiter = Limiter::new(RATE);
        let everybody = [app("a"), app("b"), Subject::Host, Subject::Namespaced, Subject::Unidentified];
        for subject in &everybody {
            assert_eq!(flood(&mut limiter, subject, Kind::Presence, now, 1000).0, 3, "{subject:?}");
        }
        for subject in &everybody {
            for kind in [Kind::Refusal, Kind::Rights] {
                assert_eq!(flood(&mut limiter, subject, kind, now, 1000), (3, Dropped::new()), "{subject:?} {kind:?}");
            }
        }
    }

    #[test]
    fn t31_however_many_identities_come_there_are_no_more_budgets() {
        let now = Instant::now();
        let mut limiter = Limiter::new(RATE);
        let mut written = 0;
        for number in 0..10_000 {
            let subject = app(&format!("org.example.App{number}"));
            written += flood(&mut limiter, &subject, Kind::Presence, now, 2).0;
        }
        assert_eq!(limiter.budgets.len(), MAX_APPS + 1);
        // Those that came too late have one budget together.
        assert_eq!(written, MAX_APPS * 2 + 3);
        assert!(limiter.untold().iter().all(|(subject, _)| *subject == Subject::OtherApps));

        // Who has his full budget again makes room, and what was left out of him is told.
        let busy = app("org.example.App7");
        let mut told = Vec::new();
        assert_eq!(
            limiter.ask(busy.clone(), Kind::Refusal, "use-denied", now, nobody_forgotten),
            Permit::Write(Dropped::new())
        );
        for _ in 0..3 {
            limiter.ask(busy.clone(), Kind::Refusal, "use-denied", now, nobody_forgotten);
        }
        let later = now + RATE.every * RATE.burst;
        let new = app("org.example.New");
        limiter.ask(new.clone(), Kind::Presence, "connect", later, |subject, dropped| told.push((subject, dropped)));
        assert_eq!(told, [(busy, Dropped::from([("use-denied", 1)]))]);
        assert!(limiter.budgets.contains_key(&new) && limiter.budgets.len() <= 3);
    }

    #[test]
    fn what_a_line_told_that_was_not_written_is_told_by_the_next() {
        let start = Instant::now();
        let mut limiter = Limiter::new(RATE);
        flood(&mut limiter, &Subject::Host, Kind::Presence, start, 5);
        let later = start + RATE.every * 2;
        let Permit::Write(dropped) = limiter.ask(Subject::Host, Kind::Presence, "connect", later, nobody_forgotten)
        else {
            panic!("nothing came back");
        };
        assert_eq!(dropped, Dropped::from([("connect", 2)]));
        limiter.was_not_written(&Subject::Host, Kind::Presence, dropped.clone());
        assert_eq!(flood(&mut limiter, &Subject::Host, Kind::Presence, later, 1), (1, dropped));
    }
}
