//! Counting answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use wayland_auth::identity::{Identified, Identity};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::release::rounds;
use wayland_auth_tests::{Outcome, ensure};

/// How long a race goes on: so many look-ups, and then until it was seen what it is there to show. A slow or emulated
/// machine may need more of them; what was not seen after a long time fails.
pub(crate) struct Race {
    rounds: u64,
    start: Instant,
}

impl Race {
    /// So many look-ups, or [fewer](rounds).
    pub(crate) fn new(usual: u64) -> Self {
        Self { rounds: rounds(usual), start: Instant::now() }
    }

    /// Whether it goes on after `done` look-ups. `shown` is asked only after so many that it could end.
    pub(crate) fn goes_on(&self, done: u64, shown: impl FnOnce() -> bool) -> bool {
        done < self.rounds || (self.start.elapsed() < PATIENCE && !shown())
    }
}

/// The answer for a process that has ended.
pub(crate) const GONE: &str = "unidentified:peer-gone";

/// How often each answer came.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answers: BTreeMap<String, u64>,
    retries: u64,
}

/// An answer in one word: `ENGINE/APP/INSTANCE`, `host` or `unidentified:REASON`.
pub(crate) fn word(identity: &Identity) -> String {
    match identity {
        Identity::App(app) => {
            let engine = app.engine.as_ref().map_or("-", |e| e.as_str());
            let app_id = app.app_id.as_ref().map_or("-", |a| a.as_str());
            let instance = app.instance_id.as_ref().map_or("-", |i| i.as_str());
            format!("{engine}/{app_id}/{instance}")
        }
        Identity::Host(host) => host.claim.as_ref().map_or("host".to_owned(), |claim| format!("host:{claim}")),
        Identity::Unidentified(u) => format!("unidentified:{}", u.reason.code()),
        other => format!("{other:?}"),
    }
}

impl Tally {
    pub(crate) fn add(&mut self, identified: &Identified) {
        *self.answers.entry(word(&identified.identity)).or_default() += 1;
        self.retries += u64::from(identified.evidence.retries);
    }

    pub(crate) fn of(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }

    pub(crate) fn answers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.answers.iter().map(|(answer, &count)| (answer.as_str(), count))
    }

    pub(crate) fn total(&self) -> u64 {
        self.answers.values().sum()
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries
    }

    /// Each of these was seen, and beside them only "unidentified", for whatever reason.
    pub(crate) fn expect_only(&self, expected: &[&str]) -> Outcome {
        self.expect_nothing_but(expected)?;
        for answer in expected {
            ensure!(self.of(answer) > 0, "never seen, so nothing is shown: {answer}; {self}");
        }
        Ok(())
    }

    /// Whether each of these was seen.
    pub(crate) fn has_all(&self, expected: &[&str]) -> bool {
        expected.iter().all(|answer| self.of(answer) > 0)
    }

    /// Only these were seen, and "unidentified", for whatever reason.
    pub(crate) fn expect_nothing_but(&self, allowed: &[&str]) -> Outcome {
        for answer in self.answers.keys() {
            let allowed = allowed.contains(&answer.as_str()) || answer.starts_with("unidentified:");
            ensure!(allowed, "wrong answer: {answer}; {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} look-ups, {} retries", self.total(), self.retries)?;
        if self.answers.len() > 20 {
            return write!(f, ", {} different answers", self.answers.len());
        }
        for (answer, count) in &self.answers {
            write!(f, ", {answer} {count}")?;
        }
        Ok(())
    }
}
