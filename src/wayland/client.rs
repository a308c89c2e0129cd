//! What the compositor keeps of each client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use wayland_server::backend::ClientId;

use super::connections::{OverLimit, Place};
use super::live::{Event, Live, next_serial};
use super::refused::RefusedBind;
use crate::identity::{Evidence, Identity, Reason};
use crate::policy::{Capability, CapabilitySet, ClientSerial, Standing, Verdict};

/// Who a client is and what it may do now.
///
/// A field of the compositor's own client data; it lives and dies with the client. Make one for each connection and put
/// it into one client only. The default is a client that is unidentified and may do nothing beyond the core globals.
///
/// All clones are one, and change when the policy does. The connection counts towards the policy's `[limits]`, and among
/// the connected ones, until the last clone is dropped that has it: those that the library hands out itself, in an
/// [`Event`] or from [`Authenticator::clients`](super::Authenticator::clients), do not have it.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    inner: Arc<Inner>,
    presence: Option<Arc<Presence>>,
}

#[derive(Debug)]
struct Inner {
    serial: ClientSerial,
    identity: Identity,
    evidence: Evidence,
    over_limit: Option<OverLimit>,
    /// Bit for bit what `verdict` allows: what a use asks.
    allowed: AtomicU64,
    /// What a filter asks: all of `verdict` that is visible.
    sees: AtomicU64,
    /// Written by one at a time.
    verdict: RwLock<Arc<Verdict>>,
    /// The client for the protocol, as soon as a filter was asked about it.
    client: OnceLock<ClientId>,
    live: Weak<Live>,
}

/// Held for what happens when it is dropped: the connection is closed, and its place free.
#[derive(Debug)]
pub(super) struct Presence {
    inner: Arc<Inner>,
    _place: Option<Place>,
}

impl Presence {
    pub(super) fn client(&self) -> ClientAuth {
        ClientAuth { inner: Arc::clone(&self.inner), presence: None }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(live) = self.inner.live.upgrade() {
            live.left(&self.client());
        }
    }
}

impl Default for ClientAuth {
    fn default() -> Self {
        Self::new(Identity::unidentified(Reason::NotAsked), Evidence::default(), Verdict::default())
    }
}

impl ClientAuth {
    /// A client whose rights stay what they are.
    pub(crate) fn new(identity: Identity, evidence: Evidence, verdict: Verdict) -> Self {
        Self::make(identity, evidence, verdict, None, Weak::new())
    }

    fn make(
        identity: Identity,
        evidence: Evidence,
        verdict: Verdict,
        over_limit: Option<OverLimit>,
        live: Weak<Live>,
    ) -> Self {
        let inner = Inner {
            serial: next_serial(),
            identity,
            evidence,
            over_limit,
            allowed: AtomicU64::new(verdict.allowed().bits()),
            sees: AtomicU64::new(verdict.visible().bits()),
            verdict: RwLock::new(Arc::new(verdict)),
            client: OnceLock::new(),
            live,
        };
        Self { inner: Arc::new(inner), presence: None }
    }

    /// A client that is connected, with its place among the open connections.
    pub(super) fn connected(
        identity: Identity,
        evidence: Evidence,
        verdict: Verdict,
        place: Option<Place>,
        live: &Arc<Live>,
    ) -> Self {
        let Self { inner, .. } = Self::make(identity, evidence, verdict, None, Arc::downgrade(live));
        let presence = Presence { inner: Arc::clone(&inner), _place: place };
        let client = Self { inner, presence: Some(Arc::new(presence)) };
        live.arrived(&client);
        client
    }

    /// A client that is one too many: it may do nothing.
    pub(super) fn turned_away(identity: Identity, evidence: Evidence, over_limit: OverLimit) -> Self {
        Self::make(identity, evidence, Verdict::default(), Some(over_limit), Weak::new())
    }

    pub(super) fn presence(&self) -> Option<&Arc<Presence>> {
        self.presence.as_ref()
    }

    /// The same client without its connection, to be kept for longer than that.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), presence: None }
    }

    /// The number of its connection.
    #[must_use]
    pub fn serial(&self) -> ClientSerial {
        self.inner.serial
    }

    /// Whether this connection is one too many, by the policy's `[limits]`: then close it. It may do nothing beyond the
    /// core globals.
    #[must_use]
    pub fn over_limit(&self) -> Option<OverLimit> {
        self.inner.over_limit
    }

    /// Who the client is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// What that rests on.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.inner.evidence
    }

    /// What the policy says about the client now, with its reasons.
    #[must_use]
    pub fn verdict(&self) -> Arc<Verdict> {
        Arc::clone(&self.inner.verdict.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the client may use `capability` now. This is for requests: one atomic load and one bit test.
    ///
    /// A filter asks [`sees`](Self::sees).
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.allowed().contains(capability)
    }

    /// All that the client may use now.
    #[must_use]
    pub fn allowed(&self) -> CapabilitySet {
        CapabilitySet::from_bits(self.inner.allowed.load(Ordering::Acquire))
    }

    /// Whether the client sees the globals of `capability`. This is for filters: one atomic load and one bit test.
    ///
    /// More than it may use: what is held until somebody answers, and what is denied by giving nothing.
    #[must_use]
    pub fn sees(&self, capability: Capability) -> bool {
        CapabilitySet::from_bits(self.inner.sees.load(Ordering::Acquire)).contains(capability)
    }

    /// How the client stands to `capability` now.
    #[must_use]
    pub fn standing(&self, capability: Capability) -> Standing {
        self.verdict().standing(capability)
    }

    /// A filter was asked about this client. Neither locks nor calls the backend, which may hold its own lock.
    pub(super) fn is_client(&self, client: &wayland_server::Client) {
        if self.inner.client.get().is_none() {
            let _ = self.inner.client.set(client.id());
        }
    }

    /// The client for the protocol, if a filter was asked about it yet.
    #[must_use]
    pub fn client_id(&self) -> Option<ClientId> {
        self.inner.client.get().cloned()
    }

    /// Tells of a use that was refused: [`Event::UseDenied`].
    pub fn report_use_denied(&self, capability: Capability) {
        if let Some(live) = self.inner.live.upgrade() {
            live.tell(&Event::UseDenied { client: self.detached(), capability });
        }
    }

    /// Tells of a bind for which the client was killed: [`Event::HiddenBind`].
    ///
    /// It may be called in `ClientData::disconnected`.
    pub fn report_hidden_bind(&self, bind: RefusedBind) {
        if let Some(live) = self.inner.live.upgrade() {
            live.tell(&Event::HiddenBind { client: self.detached(), bind });
        }
    }
}

/// Client data that says who the client is; [`impl_client_auth!`](crate::impl_client_auth) writes it.
pub trait HasClientAuth: 'static {
    /// The field.
    fn client_auth(&self) -> &ClientAuth;
}

/// Says which field of the compositor's client data is its [`ClientAuth`](crate::wayland::ClientAuth).
///
/// ```
/// # use wayland_auth::wayland::ClientAuth;
/// struct ClientState {
///     auth: ClientAuth,
/// }
/// wayland_auth::impl_client_auth!(ClientState, auth);
/// ```
#[macro_export]
macro_rules! impl_client_auth {
    ($data:ty, $field:ident) => {
        impl $crate::wayland::HasClientAuth for $data {
            fn client_auth(&self) -> &$crate::wayland::ClientAuth {
                &self.$field
            }
        }
    };
}
