//! The clients that are connected, and what happens to them.

mod event;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use event::{Cause, Event, Subscription};
use event::{Listener, Listeners};

use super::client::{ClientAuth, Presence};
use crate::policy::ClientSerial;

/// Where all connections of an [`Authenticator`](super::Authenticator) are known.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Each until the last clone that has the connection is dropped.
    roster: Mutex<BTreeMap<ClientSerial, Weak<Presence>>>,
    listeners: Listeners,
}

/// The number of the next connection, of whichever authenticator, so that none is ever used twice.
pub(super) fn next_serial() -> ClientSerial {
    static LAST: AtomicU64 = AtomicU64::new(0);
    ClientSerial::new(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
}

impl Live {
    /// Nothing is called under the lock that could panic half-way or take another.
    fn roster(&self) -> MutexGuard<'_, BTreeMap<ClientSerial, Weak<Presence>>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a client that has a connection, and tells of it.
    pub(super) fn arrived(&self, client: &ClientAuth) {
        let Some(presence) = client.presence() else { return };
        self.roster().insert(client.serial(), Arc::downgrade(presence));
        self.tell(&Event::Connected(client.detached()));
    }

    /// The connection is closed; the backend may hold its lock.
    pub(super) fn left(&self, client: &ClientAuth) {
        self.roster().remove(&client.serial());
        self.tell(&Event::Gone(client.clone()));
    }

    /// Those who are connected, in the order in which they came, without their connections.
    pub(super) fn clients(&self) -> Vec<ClientAuth> {
        // What a presence leaves behind when it goes asks for the roster again.
        let there: Vec<_> = self.roster().values().filter_map(Weak::upgrade).collect();
        there.iter().map(|presence| presence.client()).collect()
    }

    pub(super) fn subscribe(&self, listener: Listener) -> Subscription {
        self.listeners.subscribe(listener)
    }

    pub(super) fn tell(&self, event: &Event) {
        self.listeners.tell(event);
    }
}
