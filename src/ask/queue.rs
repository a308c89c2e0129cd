//! The questions that wait for an answer. No clock of its own, no locks, nobody that is called.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Limits, QuestionId};
use crate::policy::{Answer, Capability, Grantee, Standing};
use crate::wayland::ClientAuth;

/// For how many applications and capabilities a no is remembered at a time.
const MAX_PAUSES: usize = 256;

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) grantee: Grantee,
    /// Its name: its number may mean something else in another policy.
    pub(super) capability: Box<str>,
}

/// A use that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Without its connection.
    pub(super) client: ClientAuth,
    pub(super) capability: Capability,
    answer: AtomicU8,
}

const NONE: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

impl Waiter {
    pub(super) fn new(client: ClientAuth, capability: Capability) -> Self {
        Self { client, capability, answer: AtomicU8::new(NONE) }
    }

    /// The first answer stays.
    pub(super) fn tell(&self, answer: Answer) {
        let value = match answer {
            Answer::Allow => YES,
            Answer::Deny => NO,
        };
        let _ = self.answer.compare_exchange(NONE, value, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn answer(&self) -> Option<Answer> {
        match self.answer.load(Ordering::Acquire) {
            NONE => None,
            YES => Some(Answer::Allow),
            _ => Some(Answer::Deny),
        }
    }

    /// Whether an answer still matters.
    fn waits(&self) -> bool {
        self.answer().is_none() && self.client.standing(self.capability) == Standing::Ask
    }
}

/// A question that was put.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) key: Key,
    /// Who was asked.
    pub(super) provider: u64,
    deadline: Instant,
    waiting: Vec<Weak<Waiter>>,
}

impl Pending {
    /// Who waits for the answer.
    pub(super) fn waiting(&self) -> Vec<Arc<Waiter>> {
        self.waiting.iter().filter_map(Weak::upgrade).filter(|waiter| waiter.waits()).collect()
    }
}

/// Why nothing is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The last answer was a no.
    Paused,
    /// There is too much to ask already.
    TooMany,
}

/// A no that is remembered.
#[derive(Debug)]
struct Pause {
    ends: Instant,
    length: Duration,
}

/// All questions.
#[derive(Debug, Default)]
pub(super) struct Queue {
    limits: Limits,
    last: u64,
    questions: HashMap<QuestionId, Pending>,
    pauses: HashMap<Key, Pause>,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Has `waiter` wait for the answer to the question about `key`. Returns the question if it is a new one.
    pub(super) fn wait(
        &mut self,
        key: Key,
        waiter: &Arc<Waiter>,
        provider: u64,
        now: Instant,
    ) -> Result<Option<(QuestionId, Instant)>, Refusal> {
        self.forget_pauses(now);
        let of_app = |pending: &&Pending| pending.key.grantee == key.grantee;
        let waiting: usize = self.questions.values().map(|pending| pending.waiting().len()).sum();
        let of_this_app: usize = self.questions.values().filter(of_app).map(|pending| pending.waiting().len()).sum();
        if waiting >= self.limits.waiting || of_this_app >= self.limits.waiting_per_app {
            return Err(Refusal::TooMany);
        }
        if let Some(pending) = self.questions.values_mut().find(|pending| pending.key == key) {
            pending.waiting.retain(|waiter| waiter.strong_count() > 0);
            pending.waiting.push(Arc::downgrade(waiter));
            return Ok(None);
        }
        if self.pauses.get(&key).is_some_and(|pause| now < pause.ends) {
            return Err(Refusal::Paused);
        }
        // Without room to remember a no there are no questions to which it could be the answer.
        let no_room = self.pauses.len() + self.questions.len() >= MAX_PAUSES && !self.pauses.contains_key(&key);
        let too_many = self.questions.len() >= self.limits.questions
            || self.questions.values().filter(of_app).count() >= self.limits.questions_per_app;
        let Some(deadline) = now.checked_add(self.limits.patience).filter(|_| !no_room && !too_many) else {
            return Err(Refusal::TooMany);
        };
        self.last += 1;
        let id = QuestionId(self.last);
        self.questions.insert(id, Pending { key, provider, deadline, waiting: vec![Arc::downgrade(waiter)] });
        Ok(Some((id, deadline)))
    }

    /// Takes a question out that got a yes.
    pub(super) fn allowed(&mut self, id: QuestionId) -> Option<Pending> {
        let pending = self.questions.remove(&id)?;
        self.pauses.remove(&pending.key);
        Some(pending)
    }

    /// Takes a question out that got a no, or none; the next one has to wait for a while.
    pub(super) fn denied(&mut self, id: QuestionId, now: Instant) -> Option<Pending> {
        let pending = self.questions.remove(&id)?;
        let before = self.pauses.get(&pending.key).map(|pause| pause.length.saturating_mul(2));
        let length = before.unwrap_or(self.limits.pause).min(self.limits.longest_pause);
        let ends = now.checked_add(length).unwrap_or(now);
        self.pauses.insert(pending.key.clone(), Pause { ends, length });
        Some(pending)
    }

    /// The questions whose time is up.
    pub(super) fn late(&self, now: Instant) -> Vec<QuestionId> {
        self.those(|pending| pending.deadline <= now)
    }

    /// The questions for whose answer nobody waits.
    pub(super) fn idle(&self) -> Vec<QuestionId> {
        self.those(|pending| pending.waiting().is_empty())
    }

    /// The questions that were put to this provider.
    pub(super) fn put_to(&self, provider: u64) -> Vec<QuestionId> {
        self.those(|pending| pending.provider == provider)
    }

    /// All uses that wait.
    pub(super) fn waiting(&self) -> Vec<Arc<Waiter>> {
        self.questions.values().flat_map(Pending::waiting).collect()
    }

    /// When the next question's time is up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.questions.values().map(|pending| pending.deadline).min()
    }

    fn those(&self, which: impl Fn(&Pending) -> bool) -> Vec<QuestionId> {
        let mut ids: Vec<_> = self.questions.iter().filter(|(_, p)| which(p)).map(|(id, _)| *id).collect();
        ids.sort();
        ids
    }

    /// A no is remembered for as long again as it counted.
    fn forget_pauses(&mut self, now: Instant) {
        self.pauses.retain(|_, pause| match pause.ends.checked_add(pause.length) {
            Some(forgotten) => now < forgotten,
            None => true,
        });
    }
}
