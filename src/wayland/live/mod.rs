//! The clients that are connected, and what happens to them.
//!
//! Rights change in this order: what a client loses is taken from its bits, so that no use of it succeeds any more; what it
//! gains is added; then its own registries are told, and nobody else's. What it lost can still be bound for a while, for
//! the client may have asked for it before it was told. Locks are taken in the order: `turn`, `probes`, one client's
//! `change`, the backend's own. A filter and a client's end come while the backend holds its lock: they take none but
//! `grants` and then `roster`, under which nothing else is taken.

mod event;
mod labels;
mod probe;
mod registries;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use wayland_server::DisplayHandle;
use wayland_server::backend::DisconnectReason;

pub use event::{Cause, Event, RevokedBy, Subscription};
use event::{Listener, Listeners};
pub(super) use labels::Labels;
use probe::{Known, Probes};
pub(super) use probe::{MakeData, ProbeData};
use registries::Now;
pub(super) use registries::Registries;
pub(super) use rights::Rights;

use super::client::{ClientAuth, Presence};
use crate::policy::{CapabilitySet, ClientSerial, Grants, Interfaces, StateFile, Verdict};

/// How long a client can bind what was taken from it, if nobody says otherwise.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// When to look again whether the server has answered the probes.
const RETRY: Duration = Duration::from_millis(10);

/// Where all connections of an [`Authenticator`](super::Authenticator) are known.
#[derive(Debug)]
pub(super) struct Live {
    /// Each until the last clone that has the connection is dropped.
    roster: Mutex<BTreeMap<ClientSerial, Weak<Presence>>>,
    /// Those with something left to do.
    busy: Mutex<BTreeSet<ClientSerial>>,
    probes: Mutex<Option<Probes>>,
    /// Whoever changes rights has it.
    turn: Mutex<()>,
    /// How often what rights follow from has changed.
    epoch: AtomicU64,
    grants: Mutex<Grants>,
    state_file: Mutex<Option<StateFile>>,
    grace: Duration,
    /// What the policy says of interfaces itself: no later policy may say otherwise.
    interfaces: Arc<Interfaces>,
    labels: Mutex<Option<Labels>>,
    wake: Mutex<Option<Waker>>,
    /// When it was last looked whether a rule has ended.
    looked: Mutex<SystemTime>,
    listeners: Listeners,
}

/// Makes whoever calls `tick` call it soon.
struct Waker(Arc<dyn Fn() + Send + Sync>);

/// What one client waits for.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) registries: Registries,
    /// What was taken, and when it cannot be bound any more. Disjoint sets.
    grace: Vec<(CapabilitySet, Instant)>,
    doom: Doom,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doom {
    #[default]
    None,
    ToBeDisconnected,
    Disconnected,
}

/// The number of the next connection, of whichever authenticator, so that none is ever used twice.
pub(super) fn next_serial() -> ClientSerial {
    static LAST: AtomicU64 = AtomicU64::new(0);
    ClientSerial::new(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
}

/// Nothing that is called under these locks could panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn new(grace: Duration, interfaces: Arc<Interfaces>) -> Self {
        Self {
            interfaces,
            roster: Mutex::default(),
            busy: Mutex::default(),
            probes: Mutex::default(),
            turn: Mutex::default(),
            epoch: AtomicU64::new(0),
            grants: Mutex::default(),
            state_file: Mutex::default(),
            grace,
            labels: Mutex::default(),
            wake: Mutex::default(),
            looked: Mutex::new(SystemTime::now()),
            listeners: Listeners::default(),
        }
    }

    pub(super) fn interfaces(&self) -> &Arc<Interfaces> {
        &self.interfaces
    }

    /// Takes in a client that has a connection, and tells of it.
    pub(super) fn arrived(&self, client: &ClientAuth) {
        let Some(presence) = client.presence() else { return };
        lock(&self.roster).insert(client.serial(), Arc::downgrade(presence));
        self.tell(&Event::Connected(client.detached()));
        // Its labels are to be watched.
        self.wake();
    }

    /// The connection is closed; the backend may hold its lock.
    pub(super) fn left(&self, client: &ClientAuth) {
        lock(&self.roster).remove(&client.serial());
        // What was given to it alone ends with it.
        let ended = lock(&self.grants).forget_connection(client.serial());
        for grant in ended {
            self.tell(&Event::Revoked { grant, by: RevokedBy::Disconnect });
        }
        self.tell(&Event::Gone(client.clone()));
    }

    pub(super) fn is_connected(&self, serial: ClientSerial) -> bool {
        lock(&self.roster).contains_key(&serial)
    }

    pub(super) fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    /// When this was asked before, or this was made. For the next time it is `now`.
    pub(super) fn since(&self, now: SystemTime) -> SystemTime {
        std::mem::replace(&mut *lock(&self.looked), now)
    }

    /// The watches on labels, where there are any. Taken after `turn` and before `roster`.
    pub(super) fn labels(&self) -> MutexGuard<'_, Option<Labels>> {
        lock(&self.labels)
    }

    /// Taken after `grants`.
    pub(super) fn state_file(&self) -> MutexGuard<'_, Option<StateFile>> {
        lock(&self.state_file)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Those who are connected, in the order in which they came, without their connections.
    pub(super) fn clients(&self) -> Vec<ClientAuth> {
        // What a presence leaves behind when it goes asks for the roster again.
        let there: Vec<_> = lock(&self.roster).values().filter_map(Weak::upgrade).collect();
        there.iter().map(|presence| presence.client()).collect()
    }

    fn client(&self, serial: ClientSerial) -> Option<ClientAuth> {
        let presence = lock(&self.roster).get(&serial).and_then(Weak::upgrade)?;
        Some(presence.client())
    }

    pub(super) fn subscribe(&self, listener: Listener) -> Subscription {
        self.listeners.subscribe(listener)
    }

    pub(super) fn tell(&self, event: &Event) {
        self.listeners.tell(event);
    }

    /// From now on registries can be told.
    pub(super) fn attach(&self, display: &DisplayHandle, make_data: MakeData) -> io::Result<()> {
        let probes = Probes::new(&display.backend_handle(), make_data, &self.interfaces)?;
        *lock(&self.probes) = Some(probes);
        self.wake();
        Ok(())
    }

    /// Calls `wake` whenever a tick is needed sooner than the last one said.
    pub(super) fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        *lock(&self.wake) = Some(Waker(Arc::new(wake)));
    }

    pub(super) fn wake(&self) {
        let wake = lock(&self.wake).as_ref().map(|waker| Arc::clone(&waker.0));
        if let Some(wake) = wake {
            wake();
        }
    }

    /// The right to change rights. Without it two policies at once could leave a client with something of both.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    /// Gives clients these rights, tells their registries, and says of whom it changed what.
    pub(super) fn replace(&self, verdicts: Vec<(ClientAuth, Verdict)>, cause: &Cause) -> usize {
        let now = Instant::now();
        let mut changed = Vec::new();
        for (client, verdict) in verdicts {
            if let Some(before) = self.replace_one(&client, verdict, now) {
                changed.push((client, before));
            }
        }
        if !changed.is_empty() {
            self.settle(now, false);
            self.wake();
        }
        for (client, before) in &changed {
            let event = Event::Changed { client: client.clone(), before: Arc::clone(before), cause: cause.clone() };
            self.tell(&event);
        }
        changed.len()
    }

    /// What was, if it was anything else.
    fn replace_one(&self, client: &ClientAuth, verdict: Verdict, now: Instant) -> Option<Arc<Verdict>> {
        let mut change = lock(client.change());
        if change.doom != Doom::None {
            return None;
        }
        let verdict = Arc::new(verdict);
        let visible = verdict.visible();
        let taken = client.rights().visible().difference(visible);
        let before = client.rights().replace(Arc::clone(&verdict), now, self.grace);
        for (set, _) in &mut change.grace {
            *set = set.difference(visible.union(taken));
        }
        change.grace.retain(|(set, _)| !set.is_empty());
        if !taken.is_empty() {
            change.grace.push((taken, now.checked_add(self.grace).unwrap_or(now)));
        }
        if before.visible() != visible {
            lock(&self.busy).insert(client.serial());
        }
        let sets = |v: &Verdict| (v.allowed(), v.ask(), v.empty());
        (sets(&before) != sets(&verdict)).then_some(before)
    }

    /// Takes everything from a client, and disconnects it at the next tick.
    pub(super) fn disconnect(&self, client: &ClientAuth) {
        {
            let mut change = lock(client.change());
            if change.doom != Doom::None {
                return;
            }
            change.doom = Doom::ToBeDisconnected;
            change.grace.clear();
            let nothing = Arc::new(Verdict::default());
            client.rights().replace(nothing, Instant::now(), Duration::ZERO);
            client.rights().end_grace(CapabilitySet::from_bits(u64::MAX));
        }
        lock(&self.busy).insert(client.serial());
        self.wake();
    }

    /// Does what there is to do. Returns when there is something again.
    ///
    /// A client is only disconnected if `may_disconnect`: libwayland's backend frees it then, which must not happen
    /// below a request of its own.
    pub(super) fn settle(&self, now: Instant, may_disconnect: bool) -> Option<Instant> {
        let mut probes = lock(&self.probes);
        let known = probes.as_mut().map_or(Known::NoDisplay, Probes::ask);
        let busy: Vec<_> = lock(&self.busy).iter().copied().collect();
        let mut next: Option<Instant> = None;
        let mut disconnected = false;
        for serial in busy {
            let Some(client) = self.client(serial) else {
                lock(&self.busy).remove(&serial);
                continue;
            };
            let mut change = lock(client.change());
            let after = settle_one(&client, &mut change, &known, now);
            if change.doom == Doom::ToBeDisconnected
                && may_disconnect
                && let (Known::All { handle, .. }, Some(id)) = (&known, client.client_id())
            {
                handle.backend_handle().kill_client(id, DisconnectReason::ConnectionClosed);
                change.doom = Doom::Disconnected;
                disconnected = true;
            }
            let after = match change.doom {
                Doom::None => after,
                Doom::ToBeDisconnected => now.checked_add(RETRY),
                Doom::Disconnected => None,
            };
            drop(change);
            match after {
                Some(after) => next = Some(next.map_or(after, |next| next.min(after))),
                None => {
                    lock(&self.busy).remove(&serial);
                }
            }
        }
        if disconnected && let Some(probes) = probes.as_mut() {
            probes.nudge();
        }
        next
    }
}

/// When there is something to do for the client again, if ever.
fn settle_one(client: &ClientAuth, change: &mut Change, known: &Known, now: Instant) -> Option<Instant> {
    let is_over = |at: Instant| at <= now;
    for (set, _) in change.grace.iter().filter(|(_, at)| is_over(*at)) {
        client.rights().end_grace(*set);
    }
    change.grace.retain(|(_, at)| !is_over(*at));
    let after = Now { seen: client.rights().seen(), visible: client.rights().visible() };
    let next = change.grace.iter().map(|(_, at)| *at).min();
    match (known, client.client_id()) {
        (Known::NotYet, _) => {
            return Some(now.checked_add(RETRY).map_or(now, |at| next.map_or(at, |next| at.min(next))));
        }
        (Known::All { handle, globals, gone }, Some(id)) => {
            change.registries.forget(gone);
            change.registries.tell(handle, &id, globals, &after);
        }
        // Without a display nobody can be told, and without a question to a filter there is no registry.
        (Known::NoDisplay, _) | (Known::All { .. }, None) => change.registries.skip(&after),
    }
    next
}

impl Change {
    pub(super) fn new(seen: CapabilitySet) -> Self {
        Self { registries: Registries::new(seen), ..Self::default() }
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}
