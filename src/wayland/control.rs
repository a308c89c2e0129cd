//! What can be done about clients that are connected.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use wayland_server::DisplayHandle;
use wayland_server::backend::ClientData;

use super::authenticator::{Authenticator, CapabilitiesChanged, Snapshot, warn_of_inability};
use super::client::ClientAuth;
use super::live::{Cause, Event, ProbeData, RevokedBy, Subscription};
use crate::identity::Identity;
use crate::policy::{
    Answer, Because, ClientSerial, Grant, GrantError, GrantId, Lifetime, NewGrant, Policy, StateError, StateFile,
    Verdict,
};

/// So often at least it is looked whether something has expired, as long as something will.
const A_WHILE: Duration = Duration::from_secs(60);

impl Authenticator {
    /// Those who are connected, in the order in which they came.
    ///
    /// They are without their connections, which may close at any time.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientAuth> {
        self.inner.live.clients()
    }

    /// Calls `listener` with everything that happens to clients, until the subscription is dropped.
    ///
    /// It may be called while the backend holds its lock, and on any thread: it only takes note of what it is told, and
    /// calls neither wayland-server nor this authenticator.
    pub fn subscribe(&self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        self.inner.live.subscribe(Arc::new(listener))
    }

    /// Tells those who listen of what happened elsewhere.
    pub(crate) fn tell(&self, event: &Event) {
        self.inner.live.tell(event);
    }

    /// Decides by another policy from now on, about those who are connected too.
    ///
    /// What a client loses it cannot use from now on, whatever it has bound. If this is [attached](Self::attach) to the
    /// display, its own registries are told which globals came and went, and nobody else's; those that went can still be
    /// bound for a moment, since the client may have asked for them before it was told. Who the clients are stays.
    ///
    /// Call it in the thread that serves the clients, and neither in a filter nor in `ClientData::disconnected`.
    ///
    /// # Errors
    ///
    /// [`CapabilitiesChanged`] if the new policy's `[capabilities]` are not those of the old one, which then stays:
    /// the filters of globals were made by them.
    pub fn set_policy(&self, policy: Policy) -> Result<(), CapabilitiesChanged> {
        let turn = self.inner.live.turn();
        let before = {
            let mut snapshot = self.inner.snapshot.write().unwrap_or_else(PoisonError::into_inner);
            if !policy.has_the_capabilities_of(&snapshot.policy) {
                return Err(CapabilitiesChanged);
            }
            warn_of_inability(self.support(), &policy);
            std::mem::replace(&mut *snapshot, Snapshot::new(policy)).policy
        };
        let changed = self.reconsider(&Cause::Policy);
        drop(turn);
        let after = self.policy();
        self.inner.live.tell(&Event::Reloaded { before, after, changed });
        Ok(())
    }

    /// Asks about all clients again, in one's turn. Returns how many may do more or less now.
    ///
    /// Whoever connects from here on is decided by what holds now, or sees in the end that something changed.
    fn reconsider(&self, cause: &Cause) -> usize {
        self.inner.live.next_epoch();
        let snapshot = self.snapshot();
        let verdicts = self.clients().into_iter().map(|client| {
            let verdict = self.verdict_now(&snapshot, &client);
            (client, verdict)
        });
        self.inner.live.replace(verdicts.collect(), cause)
    }

    /// Asks about one client again, in one's turn.
    pub(super) fn reconsider_one(&self, client: &ClientAuth, cause: &Cause) {
        let verdict = self.verdict_now(&self.snapshot(), client);
        self.inner.live.replace(vec![(client.detached(), verdict)], cause);
    }

    fn verdict_now(&self, snapshot: &Snapshot, client: &ClientAuth) -> Verdict {
        self.judge(snapshot)
            .verdict_with(client, |identity, verdict| self.decide(snapshot, identity, verdict, client.serial()))
    }

    /// With the grants that hold now; without what this compositor cannot hold.
    pub(super) fn decide(
        &self,
        snapshot: &Snapshot,
        identity: &Identity,
        verdict: Verdict,
        serial: ClientSerial,
    ) -> Verdict {
        let verdict = snapshot.policy.decide(identity, verdict, &self.inner.live.grants(), serial, SystemTime::now());
        verdict.held_at_use(self.inner.holds)
    }

    /// Keeps answers that hold for good in this file, and takes those up that are in it
    /// ([`StateFile::default_path`] is where one would look for it).
    ///
    /// # Errors
    ///
    /// [`StateError`] if the file is not in order. Then nothing in it holds, and nothing is kept.
    pub fn set_state_file(&self, path: impl Into<PathBuf>) -> Result<(), StateError> {
        let _turn = self.inner.live.turn();
        {
            let mut grants = self.inner.live.grants();
            let file = StateFile::open(path, &mut grants, SystemTime::now())?;
            *self.inner.live.state_file() = Some(file);
        }
        self.reconsider(&Cause::StateFile);
        self.inner.live.wake();
        Ok(())
    }

    /// All answers that hold, the oldest first.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.inner.live.grants().list().cloned().collect()
    }

    /// Gives something to an application, or takes it from it, beside the policy. Those of its clients that are connected
    /// are told as by [`set_policy`](Self::set_policy), which also says where to call this.
    ///
    /// # Errors
    ///
    /// [`GrantError`] if nobody can be given that. A grant for a connection that is closed holds for nobody and is
    /// dropped at the next [`tick`](Self::tick).
    pub fn grant(&self, new: NewGrant) -> Result<GrantId, GrantError> {
        let turn = self.inner.live.turn();
        let for_good = new.lifetime == Lifetime::Always;
        let (replaced, grant) = {
            let mut grants = self.inner.live.grants();
            let mut after = grants.clone();
            let replaced = after.replaced_by(&new).cloned();
            let id = after.insert(new)?;
            let grant = after.get(id).cloned().ok_or(GrantError::TooMany)?;
            if for_good {
                self.inner.live.state_file().as_mut().ok_or(GrantError::NoStateFile)?.save(&after)?;
            }
            *grants = after;
            (replaced, grant)
        };
        self.reconsider(&Cause::Granted(grant.id));
        drop(turn);
        let id = grant.id;
        if let Some(grant) = replaced {
            self.inner.live.tell(&Event::Revoked { grant, by: RevokedBy::Another(id) });
        }
        self.inner.live.tell(&Event::Granted(grant));
        self.inner.live.wake();
        Ok(id)
    }

    /// Takes an answer back. Returns what it was; `None` if there is none of this number.
    ///
    /// With `disconnect`, those who could do something by it are [disconnected](ClientAuth::disconnect) too: what they have
    /// seen or started by then stays theirs otherwise. It is revoked even if the state file cannot be written, which is
    /// [told](Event::StateNotWritten).
    pub fn revoke(&self, id: GrantId, disconnect: bool) -> Option<Grant> {
        let turn = self.inner.live.turn();
        let (grant, written) = {
            let mut grants = self.inner.live.grants();
            let grant = grants.revoke(id)?;
            let mut file = self.inner.live.state_file();
            let file = file.as_mut().filter(|_| grant.lifetime == Lifetime::Always);
            let written = file.map_or(Ok(()), |file| file.save(&grants));
            (grant, written)
        };
        let capability = self.policy().capability(&grant.capability);
        let had_it = |client: &ClientAuth| {
            let verdict = client.verdict();
            capability.is_some_and(|capability| {
                matches!(verdict.reason(capability), Because::Grant { id: by, answer: Answer::Allow, .. } if *by == id)
            })
        };
        let by_it: Vec<_> = self.clients().into_iter().filter(|client| disconnect && had_it(client)).collect();
        self.reconsider(&Cause::Revoked(id));
        by_it.iter().for_each(ClientAuth::disconnect);
        drop(turn);
        self.inner.live.tell(&Event::Revoked { grant: grant.clone(), by: RevokedBy::Command });
        if let Err(why) = written {
            tracing::error!(%grant, %why, "a grant was revoked, and is still in the state file");
            self.inner.live.tell(&Event::StateNotWritten { why: why.to_string().into() });
        }
        Some(grant)
    }

    /// Drops the grants that have ended, and looks whether rules have. Returns when to look again.
    fn drop_ended(&self) -> Option<Instant> {
        let now = SystemTime::now();
        let (expired, gone, next) = {
            // First who is there: who comes meanwhile keeps what he has.
            let mut grants = self.inner.live.grants();
            let expired = grants.drop_expired(now);
            let closed: BTreeSet<_> = grants
                .list()
                .filter_map(|grant| match grant.lifetime {
                    Lifetime::Connection(serial) => Some(serial),
                    _ => None,
                })
                .filter(|serial| !self.inner.live.is_connected(*serial))
                .collect();
            let gone: Vec<_> = closed.into_iter().flat_map(|serial| grants.forget_connection(serial)).collect();
            (expired, gone, grants.next_expiry())
        };
        let policy = self.policy();
        let rule_ended = policy.next_change(self.inner.live.since(now)).is_some_and(|at| at <= now);
        if rule_ended || !expired.is_empty() {
            self.reconsider(&Cause::Expired);
        }
        for (ended, by) in [(expired, RevokedBy::Expiry), (gone, RevokedBy::Disconnect)] {
            for grant in ended {
                self.inner.live.tell(&Event::Revoked { grant, by });
            }
        }
        // The clock of expiries can be set, that of ticks cannot.
        let next = [next, policy.next_change(now)].into_iter().flatten().min()?;
        let left = next.duration_since(now).unwrap_or_default();
        Instant::now().checked_add(left.min(A_WHILE))
    }

    /// Tells whoever [subscribed](Self::subscribe) that another policy could not be taken: `why` in one or more lines.
    pub fn report_failed_reload(&self, why: &str) {
        self.inner.live.tell(&Event::ReloadFailed { why: why.into() });
    }

    /// Lets the registries of `display` be told when rights change.
    ///
    /// It inserts eight clients of our own into the display, by which the library learns which globals there are and who
    /// sees them. They ask for the registry and for nothing else. Filters that [`allow`](super::allow) and
    /// [`gate_global!`](crate::gate_global) make know them. One that takes the data of every client for the compositor's own
    /// type needs [`attach_with`](Self::attach_with).
    ///
    /// Call it once, before the first client is served, and [`tick`](Self::tick) from then on.
    ///
    /// # Errors
    ///
    /// If the clients cannot be made; two descriptors are needed for each.
    pub fn attach(&self, display: &DisplayHandle) -> io::Result<()> {
        self.inner.live.attach(display, Box::new(|auth| Arc::new(ProbeData { auth })))
    }

    /// The same with client data of the compositor's own type, into which `make_data` puts the [`ClientAuth`].
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub fn attach_with(
        &self,
        display: &DisplayHandle,
        make_data: impl Fn(ClientAuth) -> Arc<dyn ClientData> + Send + Sync + 'static,
    ) -> io::Result<()> {
        self.inner.live.attach(display, Box::new(make_data))
    }

    /// Does what has become due: ends grants, times of grace and connections. Returns when to call it again at the latest, if ever.
    ///
    /// [`LiveRights`](crate::source::LiveRights) calls it in a calloop event loop. Without calls, what was taken from
    /// clients cannot be bound any more all the same, a little later.
    ///
    /// Call it in the thread that serves the clients, and not while a request is handled: it disconnects clients.
    #[must_use = "it is to be called again"]
    pub fn tick(&self) -> Option<Instant> {
        let _turn = self.inner.live.turn();
        self.look_at_labels();
        let ends = self.drop_ended();
        let settles = self.inner.live.settle(Instant::now(), true);
        [ends, settles].into_iter().flatten().min()
    }

    /// Calls `wake` when [`tick`](Self::tick) is needed sooner than the last one said; from any thread.
    pub fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.inner.live.on_wake(wake);
    }
}
