//! What is told of clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::identity::Identity;
use crate::policy::{Answer, Capability, Grant, GrantId, Grantee, Policy, Verdict};
use crate::wayland::{ClientAuth, RefusedBind};

/// Something that happened to the clients of an [`Authenticator`](crate::Authenticator).
///
/// The [`ClientAuth`]s in it are without their connections: whoever keeps one keeps no place taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client was identified.
    Connected(ClientAuth),
    /// Its connection is closed, and nobody has it any more.
    Gone(ClientAuth),
    /// A connection was one too many, by the policy's `[limits]`. In a flood a few are told, then one a second.
    TurnedAway(ClientAuth),
    /// What a client may do is not what it was.
    #[non_exhaustive]
    Changed {
        /// The client. It says what is now.
        client: ClientAuth,
        /// What was.
        before: Arc<Verdict>,
        /// Why it changed.
        cause: Cause,
    },
    /// Another policy decides.
    #[non_exhaustive]
    Reloaded {
        /// The policy that was.
        before: Arc<Policy>,
        /// The policy that is.
        after: Arc<Policy>,
        /// How many clients may do more or less now. Each was told of by [`Event::Changed`].
        changed: usize,
    },
    /// Another policy could not be taken, and the old one stays.
    #[non_exhaustive]
    ReloadFailed {
        /// What is wrong with it, in one or more lines.
        why: Arc<str>,
    },
    /// Somebody gave something to an application, or took it from it, beside the policy.
    Granted(Grant),
    /// A grant does not hold any more.
    #[non_exhaustive]
    Revoked {
        /// What it was.
        grant: Grant,
        /// What ended it.
        by: RevokedBy,
    },
    /// What holds for good could not be written down.
    #[non_exhaustive]
    StateNotWritten {
        /// Why not.
        why: Arc<str>,
    },
    /// The use of a capability waits for somebody's answer.
    #[non_exhaustive]
    Asked {
        /// The number of the question.
        question: u64,
        /// Whom it is about.
        grantee: Grantee,
        /// The name of the capability.
        capability: Box<str>,
    },
    /// Somebody answered, or nobody did in time, which is a no.
    #[non_exhaustive]
    Answered {
        /// The number of the question.
        question: u64,
        /// Whom it is about.
        grantee: Grantee,
        /// The name of the capability.
        capability: Box<str>,
        /// Yes or no.
        answer: Answer,
        /// For how long, in a word; `not answered` if nobody did.
        kept: &'static str,
    },
    /// The labels of a client's directories say somebody else than when it connected. From now on it may do what both may.
    #[non_exhaustive]
    Relabelled {
        /// The client.
        client: ClientAuth,
        /// Who it would be now.
        identity: Identity,
    },
    /// It is not seen any more when the labels of some clients change: they keep what they have.
    #[non_exhaustive]
    LabelsNotWatched {
        /// Why not.
        why: Arc<str>,
    },
    /// A client used something that it sees and may not use.
    #[non_exhaustive]
    UseDenied {
        /// The client.
        client: ClientAuth,
        /// What it used.
        capability: Capability,
    },
    /// A client was killed because it bound what it cannot see.
    #[non_exhaustive]
    HiddenBind {
        /// The client.
        client: ClientAuth,
        /// What it bound.
        bind: RefusedBind,
    },
}

/// Why a client's rights changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Another policy.
    Policy,
    /// A grant.
    Granted(GrantId),
    /// A grant that was taken back.
    Revoked(GrantId),
    /// Grants from the state file.
    StateFile,
    /// Rules or grants whose time is over.
    Expired,
    /// Another label.
    Relabelled,
}

/// What ended a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// [`Authenticator::revoke`](crate::Authenticator::revoke).
    Command,
    /// Its time was over.
    Expiry,
    /// The connection that it was for is closed.
    Disconnect,
    /// Another grant about the same, of this number.
    Another(GrantId),
}

pub(super) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who wants to be told.
#[derive(Default)]
pub(super) struct Listeners {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    listeners: BTreeMap<u64, Listener>,
}

/// Tells its listener of nothing more when it is dropped. A call that is under way goes on to its end.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    number: u64,
    listeners: Weak<Mutex<Inner>>,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listeners {
    pub(super) fn subscribe(&self, listener: Listener) -> Subscription {
        let mut inner = lock(&self.inner);
        inner.last = inner.last.wrapping_add(1);
        let number = inner.last;
        inner.listeners.insert(number, listener);
        Subscription { number, listeners: Arc::downgrade(&self.inner) }
    }

    /// A listener may subscribe, or end a subscription: no lock is held.
    pub(super) fn tell(&self, event: &Event) {
        let listeners: Vec<_> = lock(&self.inner).listeners.values().cloned().collect();
        for listener in listeners {
            listener(event);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(inner) = self.listeners.upgrade() {
            // Dropped outside of the lock: what it owns may be a subscription.
            let listener = lock(&inner).listeners.remove(&self.number);
            drop(listener);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", lock(&self.inner).listeners.len())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.number)
    }
}
