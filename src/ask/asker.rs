//! Who asks, and who waits.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::queue::{Key, Pending, Queue, Refusal, Waiter};
use super::{Counts, Decision, DecisionProvider, Keep, Limits, Outcome, Question, QuestionId, Reply, Use};
use crate::policy::{Answer, Capability, ClientSerial, GrantError, Grantee, Lifetime, NewGrant, Standing, Verdict};
use crate::wayland::{Authenticator, ClientAuth, Event, Subscription};

/// Asks somebody before clients use what a rule asks for. Clones are one.
#[derive(Clone, Debug)]
pub struct Asker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    authenticator: Authenticator,
    queue: Mutex<Queue>,
    provider: Mutex<Provider>,
    counts: Mutex<Counts>,
    inbox: Arc<Inbox>,
    /// It puts those who left into the inbox.
    _subscription: Subscription,
}

#[derive(Default)]
struct Provider {
    /// The number of the last one.
    number: u64,
    current: Option<Arc<dyn DecisionProvider>>,
}

/// What is to be done at the next tick. Anybody may put something into it, also while the backend holds its lock.
#[derive(Default)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

#[derive(Debug)]
pub(super) enum Message {
    Answered(QuestionId, Decision),
    Dismissed(QuestionId),
    ProviderLeft(u64),
    ClientLeft(ClientSerial),
}

/// Nothing that is called under these locks could panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    pub(super) fn put(&self, message: Message) {
        lock(&self.messages).push(message);
        self.wake();
    }

    fn wake(&self) {
        let wake = lock(&self.wake).clone();
        if let Some(wake) = wake {
            wake();
        }
    }

    fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *lock(&self.messages))
    }
}

/// There is somebody already who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("somebody else answers already")]
pub struct Occupied;

/// Being the one who answers. Dropped, all questions that were put to him are a no.
#[derive(Debug)]
#[must_use = "dropping it ends the service"]
pub struct Service {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let provider = lock(&self.shared.provider).current.take();
        // What it holds may be replies: they are dropped without the lock.
        drop(provider);
        self.shared.inbox.put(Message::ProviderLeft(self.number));
    }
}

impl Asker {
    /// For the clients of `authenticator`, with the usual [`Limits`].
    #[must_use]
    pub fn new(authenticator: &Authenticator) -> Self {
        Self::with_limits(authenticator, Limits::default())
    }

    /// For the clients of `authenticator`.
    #[must_use]
    pub fn with_limits(authenticator: &Authenticator, limits: Limits) -> Self {
        let inbox = Arc::<Inbox>::default();
        let leavers = Arc::clone(&inbox);
        let subscription = authenticator.subscribe(move |event| match event {
            Event::Gone(client) => leavers.put(Message::ClientLeft(client.serial())),
            // A use that waits may have got its answer by another way.
            Event::Changed { .. } => leavers.wake(),
            _ => {}
        });
        Self {
            shared: Arc::new(Shared {
                authenticator: authenticator.clone(),
                queue: Mutex::new(Queue::new(limits)),
                provider: Mutex::default(),
                counts: Mutex::default(),
                inbox,
                _subscription: subscription,
            }),
        }
    }

    /// Has `provider` answer, until the service is dropped.
    ///
    /// # Errors
    ///
    /// [`Occupied`]: there is one already. Nobody takes another's place.
    pub fn serve(&self, provider: Arc<dyn DecisionProvider>) -> Result<Service, Occupied> {
        let mut slot = lock(&self.shared.provider);
        if slot.current.is_some() {
            return Err(Occupied);
        }
        slot.number += 1;
        slot.current = Some(provider);
        Ok(Service { number: slot.number, shared: Arc::clone(&self.shared) })
    }

    /// Calls `wake` whenever [`tick`](Self::tick) is needed sooner than the last one said; from any thread, also while the
    /// backend holds its lock. It only makes the event loop turn.
    pub fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        *lock(&self.shared.inbox.wake) = Some(Arc::new(wake));
    }

    /// How often what happened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *lock(&self.shared.counts)
    }

    /// Whether `client` may use `capability` this time. Nothing is asked unless a rule says so.
    ///
    /// A use that is refused is told of by [`Event::UseDenied`].
    #[must_use]
    pub fn authorize(&self, client: &ClientAuth, capability: Capability) -> Use {
        self.authorize_at(client, capability, Instant::now())
    }

    pub(super) fn authorize_at(&self, client: &ClientAuth, capability: Capability, now: Instant) -> Use {
        let verdict = client.verdict();
        let refused = || {
            client.report_use_denied(capability);
            Use::Done(when_refused(&verdict, capability))
        };
        match verdict.standing(capability) {
            Standing::Allowed => return Use::Done(Outcome::Allowed),
            Standing::Ask => {}
            Standing::Denied | Standing::Empty => return refused(),
        }
        let policy = self.shared.authenticator.policy();
        let name = policy.capability_name(capability);
        let Some(grantee) = Grantee::of(client.identity()).filter(|_| !name.is_empty()) else { return refused() };
        let provider = {
            let slot = lock(&self.shared.provider);
            slot.current.clone().map(|provider| (slot.number, provider))
        };
        let Some((number, provider)) = provider else {
            self.count(|counts| &mut counts.without_provider);
            return refused();
        };
        let waiter = Arc::new(Waiter::new(client.detached(), capability));
        let key = Key { grantee: grantee.clone(), capability: name.into() };
        let asked = lock(&self.shared.queue).wait(key, &waiter, number, now);
        match asked {
            Ok(None) => self.count(|counts| &mut counts.joined),
            Ok(Some((id, deadline))) => {
                self.count(|counts| &mut counts.asked);
                let description = capability.description();
                let identity = client.identity().clone();
                let (question, about) = (id.get(), grantee.clone());
                let asked = Event::Asked { question, grantee: about, capability: name.into() };
                self.shared.authenticator.tell(&asked);
                let question = Question { id, grantee, capability: name.into(), description, identity, deadline };
                provider.ask(question, Reply::new(id, Arc::clone(&self.shared.inbox)));
                // Its deadline may be the next thing to come.
                self.shared.inbox.wake();
            }
            Err(Refusal::Paused) => {
                self.count(|counts| &mut counts.paused);
                return refused();
            }
            Err(Refusal::TooMany) => {
                self.count(|counts| &mut counts.too_many);
                return refused();
            }
        }
        Use::Pending(Ticket { waiter, inbox: Arc::clone(&self.shared.inbox) })
    }

    /// Takes in what was answered and who left, and ends the questions whose time is up. Returns when the next one's is.
    ///
    /// To be called when [`on_wake`](Self::on_wake) says so and at the time that the last call returned, not while the
    /// backend holds its lock.
    #[must_use = "it says when to call it again"]
    pub fn tick(&self) -> Option<Instant> {
        self.tick_at(Instant::now())
    }

    pub(super) fn tick_at(&self, now: Instant) -> Option<Instant> {
        // What came in was there before any time was up.
        for message in self.shared.inbox.take() {
            match message {
                Message::Answered(id, decision) => self.answered(id, decision, now),
                Message::Dismissed(id) => self.ended(id, now, |counts| &mut counts.dismissed),
                Message::ProviderLeft(number) => {
                    let ids = lock(&self.shared.queue).put_to(number);
                    for id in ids {
                        self.ended(id, now, |counts| &mut counts.dismissed);
                    }
                }
                Message::ClientLeft(serial) => {
                    let waiting = lock(&self.shared.queue).waiting();
                    for waiter in waiting.iter().filter(|waiter| waiter.client.serial() == serial) {
                        waiter.tell(Answer::Deny);
                    }
                }
            }
        }
        let idle = lock(&self.shared.queue).idle();
        for id in idle {
            self.ended(id, now, |counts| &mut counts.withdrawn);
        }
        let late = lock(&self.shared.queue).late(now);
        for id in late {
            self.ended(id, now, |counts| &mut counts.timed_out);
        }
        lock(&self.shared.queue).next_deadline()
    }

    /// As if the connection had been closed.
    #[cfg(test)]
    pub(super) fn left(&self, serial: ClientSerial) {
        self.shared.inbox.put(Message::ClientLeft(serial));
    }

    fn answered(&self, id: QuestionId, decision: Decision, now: Instant) {
        let pending = {
            let mut queue = lock(&self.shared.queue);
            match decision.answer {
                Answer::Allow => queue.allowed(id),
                Answer::Deny => queue.denied(id, now),
            }
        };
        // An answer that comes too late is none.
        let Some(pending) = pending else { return };
        self.count(|counts| &mut counts.answered);
        self.tell_answer(id, &pending.key, decision.answer, decision.keep.as_str());
        let waiting = pending.waiting();
        for lifetime in lifetimes(decision.keep, &waiting) {
            self.grant(&pending.key, decision.answer, lifetime);
        }
        tell(&waiting, decision.answer);
    }

    /// What is to hold for good and cannot be written down holds until the compositor ends.
    fn grant(&self, key: &Key, answer: Answer, lifetime: Lifetime) {
        let grant = |lifetime| {
            let Key { grantee, capability } = key.clone();
            self.shared.authenticator.grant(NewGrant { grantee, capability, answer, lifetime, expires: None })
        };
        let mut granted = grant(lifetime);
        if let Err(error @ (GrantError::NoStateFile | GrantError::State(_))) = &granted {
            tracing::warn!(%error, grantee = %key.grantee, "an answer cannot be kept for good, and is until the session ends");
            granted = grant(Lifetime::Session);
        }
        if let Err(error) = granted {
            tracing::warn!(%error, grantee = %key.grantee, "an answer holds for this use only");
        }
    }

    /// A question that ends without an answer: a no.
    fn ended(&self, id: QuestionId, now: Instant, why: impl Fn(&mut Counts) -> &mut u64) {
        let Some(pending) = lock(&self.shared.queue).denied(id, now) else { return };
        self.count(why);
        self.tell_answer(id, &pending.key, Answer::Deny, "not answered");
        tell(&pending.waiting(), Answer::Deny);
        self.withdraw(id, &pending);
    }

    fn tell_answer(&self, id: QuestionId, key: &Key, answer: Answer, kept: &'static str) {
        let Key { grantee, capability } = key.clone();
        self.shared.authenticator.tell(&Event::Answered { question: id.get(), grantee, capability, answer, kept });
    }

    fn withdraw(&self, id: QuestionId, pending: &Pending) {
        let provider = {
            let slot = lock(&self.shared.provider);
            slot.current.clone().filter(|_| slot.number == pending.provider)
        };
        if let Some(provider) = provider {
            provider.withdraw(id);
        }
    }

    fn count(&self, which: impl Fn(&mut Counts) -> &mut u64) {
        let mut counts = lock(&self.shared.counts);
        let count = which(&mut counts);
        *count = count.saturating_add(1);
    }
}

/// One grant for all, or one for each connection that waits.
fn lifetimes(keep: Keep, waiting: &[Arc<Waiter>]) -> Vec<Lifetime> {
    match keep {
        Keep::Once => Vec::new(),
        Keep::Session => vec![Lifetime::Session],
        Keep::Always => vec![Lifetime::Always],
        Keep::Connection => {
            let mut serials: Vec<_> = waiting.iter().map(|waiter| waiter.client.serial()).collect();
            serials.sort();
            serials.dedup();
            serials.into_iter().map(Lifetime::Connection).collect()
        }
    }
}

fn tell(waiting: &[Arc<Waiter>], answer: Answer) {
    for waiter in waiting {
        waiter.tell(answer);
        if answer == Answer::Deny {
            waiter.client.report_use_denied(waiter.capability);
        }
    }
}

/// How a no looks to the client.
fn when_refused(verdict: &Verdict, capability: Capability) -> Outcome {
    match verdict.when_refused(capability) {
        Standing::Empty => Outcome::Empty,
        _ => Outcome::Denied,
    }
}

/// A use that waits for an answer. Dropped, it waits no more; if nobody else does, the question is withdrawn.
#[derive(Debug)]
#[must_use = "dropping it withdraws the question"]
pub struct Ticket {
    waiter: Arc<Waiter>,
    inbox: Arc<Inbox>,
}

impl Ticket {
    /// What becomes of the use; `None` as long as it waits. It is looked at after each [`Asker::tick`].
    ///
    /// It is for one use: a yes may have been for this one only. What the policy says by now counts, also when
    /// somebody has said yes.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let Waiter { client, capability, .. } = &*self.waiter;
        let verdict = client.verdict();
        match (self.waiter.answer(), verdict.standing(*capability)) {
            (None, Standing::Ask) => None,
            (Some(Answer::Allow), Standing::Allowed | Standing::Ask) | (None, Standing::Allowed) => {
                Some(Outcome::Allowed)
            }
            _ => Some(when_refused(&verdict, *capability)),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.waiter.answer().is_none() {
            self.waiter.tell(Answer::Deny);
            self.inbox.wake();
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({}, {})", self.number, self.current.is_some())
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbox({} messages)", lock(&self.messages).len())
    }
}
