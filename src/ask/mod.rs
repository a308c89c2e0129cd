//! Asking somebody before a capability is used.
//!
//! Where a rule says `ask`, a client sees the globals, and each use waits for an answer: [`Asker::authorize`] says whether
//! a use may go on, may not, or [waits](Use::Pending). Who answers is a [`DecisionProvider`]: a prompt on the screen,
//! another program, a test. There is one at most, and none at first.
//!
//! # What is guaranteed
//!
//! * Nothing is given without a yes. No provider, a prompt that is closed, a provider that goes away, time that is up, too
//!   many questions, and anything that goes wrong are a no to this use.
//! * A question is about a labelled application with an engine and an ID. Clients on the host, of an unknown engine or
//!   without an identity are never asked about: they are refused.
//! * There is one question at a time about one application and one capability. All of its clients that use it meanwhile
//!   wait for the same answer.
//! * A client cannot make a storm of questions. After a no without a lifetime, the next uses are refused for a while
//!   without one, and longer each time; a client that leaves before the answer counts as one that got a no. The number of
//!   questions and of waiting uses is limited, for each application and in all.
//! * What a question says was validated: [`Grantee`] has letters, digits and `:_.-` only. There is nothing in it that a
//!   client chose at the time, such as a title.
//!
//! What is to hold longer than for one use becomes a [`Grant`](crate::policy::Grant), which can be listed and revoked.
//!
//! # How to use it
//!
//! ```no_run
//! # use wayland_auth::{ask::{Asker, Outcome, Use}, Authenticator, Capability, ClientAuth};
//! # fn example(authenticator: &Authenticator, client: &ClientAuth) {
//! let asker = Asker::new(authenticator);
//! asker.on_wake(|| { /* make the event loop call `asker.tick` */ });
//! // In the request that copies the screen:
//! match asker.authorize(client, Capability::SCREEN_CAPTURE) {
//!     Use::Done(Outcome::Allowed) => { /* copy */ }
//!     Use::Done(Outcome::Empty) => { /* a black picture */ }
//!     Use::Done(Outcome::Denied) => { /* the protocol's way to fail */ }
//!     Use::Pending(ticket) => { /* keep it, and look at `ticket.outcome()` after each tick */ }
//! }
//! // In the event loop; it returns when it wants to be called again.
//! let _next = asker.tick();
//! # }
//! ```

mod asker;
mod queue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use asker::{Asker, Occupied, Service, Ticket};
use asker::{Inbox, Message};

use crate::identity::Identity;
use crate::policy::{Answer, Grantee};

/// The number of a question, counted from 1. It is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct QuestionId(u64);

impl QuestionId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for QuestionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What somebody is asked: may this application use this capability?
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Question {
    /// Its number.
    pub id: QuestionId,
    /// Whom an answer will be about.
    pub grantee: Grantee,
    /// The name of the capability.
    pub capability: Box<str>,
    /// What that lets a client do, if it is a built-in one.
    pub description: Option<&'static str>,
    /// Who the client is that was the first to need an answer; it says who could have written its label.
    pub identity: Identity,
    /// When it is taken back, and the answer is no.
    pub deadline: Instant,
}

/// Somebody who can answer, later.
///
/// It may be called while a request of a client is handled, with none of our locks held. It must not block.
pub trait DecisionProvider: Send + Sync + 'static {
    /// Puts a question. The answer is given by `reply`, at any time and on any thread; dropping that is a no.
    fn ask(&self, question: Question, reply: Reply);

    /// Nobody waits for the answer any more, or it came too late: a prompt that is still shown should go.
    fn withdraw(&self, question: QuestionId) {
        let _ = question;
    }
}

/// How long an answer is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// For the uses that wait for it.
    Once,
    /// For the connections that wait for it, as long as they are open.
    Connection,
    /// As long as the compositor runs.
    Session,
    /// Until it is revoked.
    Always,
}

impl Keep {
    /// The word for it in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Connection => "connection",
            Self::Session => "session",
            Self::Always => "always",
        }
    }
}

/// An answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Yes or no.
    pub answer: Answer,
    /// For how long.
    pub keep: Keep,
}

impl Decision {
    /// No, this time.
    pub const DENY: Self = Self { answer: Answer::Deny, keep: Keep::Once };
    /// Yes, this time.
    pub const ONCE: Self = Self::allow(Keep::Once);
    /// Yes, while it is connected.
    pub const CONNECTION: Self = Self::allow(Keep::Connection);
    /// Yes, until logout.
    pub const SESSION: Self = Self::allow(Keep::Session);
    /// Yes, always.
    pub const ALWAYS: Self = Self::allow(Keep::Always);

    /// Yes.
    #[must_use]
    pub const fn allow(keep: Keep) -> Self {
        Self { answer: Answer::Allow, keep }
    }

    /// No.
    #[must_use]
    pub const fn deny(keep: Keep) -> Self {
        Self { answer: Answer::Deny, keep }
    }
}

/// The one place where the answer to a question goes. Dropped without an answer, it is a no.
#[derive(Debug)]
#[must_use = "dropping it is a no"]
pub struct Reply {
    id: QuestionId,
    inbox: Option<Arc<Inbox>>,
}

impl Reply {
    fn new(id: QuestionId, inbox: Arc<Inbox>) -> Self {
        Self { id, inbox: Some(inbox) }
    }

    /// Which question it answers.
    #[must_use]
    pub fn question(&self) -> QuestionId {
        self.id
    }

    /// Answers. It takes effect at the next [`Asker::tick`]; if the question was withdrawn meanwhile, it has none.
    pub fn answer(mut self, decision: Decision) {
        if let Some(inbox) = self.inbox.take() {
            inbox.put(Message::Answered(self.id, decision));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.put(Message::Dismissed(self.id));
        }
    }
}

/// What becomes of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may go on.
    Allowed,
    /// It fails, as the protocol has it.
    Denied,
    /// It succeeds and gives nothing: a black picture, an empty offer, input that reaches nobody.
    Empty,
}

/// Whether a client may use a capability this time.
#[derive(Debug)]
pub enum Use {
    /// It is known.
    Done(Outcome),
    /// Somebody is being asked. Keep the ticket for as long as the use waits.
    Pending(Ticket),
}

/// What [`Asker`] puts up with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long a question waits for its answer.
    pub patience: Duration,
    /// For how long nothing is asked again after a no.
    pub pause: Duration,
    /// What that grows to, twice as long each time, as long as the answer is no.
    pub longest_pause: Duration,
    /// How many questions there can be at a time about one application.
    pub questions_per_app: usize,
    /// How many questions there can be at a time.
    pub questions: usize,
    /// How many uses of one application can wait at a time.
    pub waiting_per_app: usize,
    /// How many uses can wait at a time.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(300),
            questions_per_app: 4,
            questions: 32,
            waiting_per_app: 64,
            waiting: 512,
        }
    }
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Questions that were put.
    pub asked: u64,
    /// Uses that joined a question that was there already.
    pub joined: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were dismissed: the prompt was closed, or the provider went away.
    pub dismissed: u64,
    /// Questions that waited for too long.
    pub timed_out: u64,
    /// Questions for whose answer nobody waited any more.
    pub withdrawn: u64,
    /// Uses that were refused because there was nobody to ask.
    pub without_provider: u64,
    /// Uses that were refused because the last answer was a no.
    pub paused: u64,
    /// Uses that were refused because of the limits.
    pub too_many: u64,
}
