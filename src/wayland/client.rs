//! What the compositor keeps of each client.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use wayland_server::backend::ClientId;

use super::basis::Basis;
use super::connections::{OverLimit, Place};
use super::live::{Change, Event, Live, Rights, next_serial};
use super::refused::RefusedBind;
use crate::identity::{Evidence, Identity, InternalTag, Reason};
use crate::policy::{Capability, CapabilitySet, Class, ClientSerial, Interfaces, Standing, Verdict, class_beside};

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

/// So many labels are told apart after the first.
const MAX_IDENTITIES: usize = 8;

#[derive(Debug)]
struct Inner {
    serial: ClientSerial,
    identity: Identity,
    evidence: Evidence,
    over_limit: Option<OverLimit>,
    basis: Basis,
    rights: Rights,
    change: Mutex<Change>,
    further: Mutex<Vec<Identity>>,
    /// The client for the protocol, as soon as a filter was asked about it.
    client: OnceLock<ClientId>,
    /// What the policy says of interfaces itself; no later policy says otherwise.
    interfaces: Arc<Interfaces>,
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
        let rights = Rights::new(verdict);
        Self::make(next_serial(), identity, evidence, rights, Basis::Fixed, None, Weak::new(), Arc::default())
    }

    /// A client of our own that sees these capabilities and may use none.
    pub(super) fn probe(seen: CapabilitySet, interfaces: Arc<Interfaces>) -> Self {
        let identity = Identity::Internal(InternalTag::new("wayland-auth"));
        let rights = Rights::that_see(seen);
        let evidence = Evidence::default();
        Self::make(next_serial(), identity, evidence, rights, Basis::Fixed, None, Weak::new(), interfaces)
    }

    #[expect(clippy::too_many_arguments, reason = "it is what a client consists of")]
    fn make(
        serial: ClientSerial,
        identity: Identity,
        evidence: Evidence,
        rights: Rights,
        basis: Basis,
        over_limit: Option<OverLimit>,
        live: Weak<Live>,
        interfaces: Arc<Interfaces>,
    ) -> Self {
        let change = Mutex::new(Change::new(rights.visible()));
        let client = OnceLock::new();
        let further = Mutex::default();
        let inner =
            Inner { serial, identity, evidence, over_limit, basis, rights, change, further, client, interfaces, live };
        Self { inner: Arc::new(inner), presence: None }
    }

    /// A client that is connected, with its place among the open connections.
    pub(super) fn connected(
        serial: ClientSerial,
        identity: Identity,
        evidence: Evidence,
        verdict: Verdict,
        basis: Basis,
        place: Option<Place>,
        live: &Arc<Live>,
    ) -> Self {
        let rights = Rights::new(verdict);
        let interfaces = Arc::clone(live.interfaces());
        let Self { inner, .. } =
            Self::make(serial, identity, evidence, rights, basis, None, Arc::downgrade(live), interfaces);
        let presence = Presence { inner: Arc::clone(&inner), _place: place };
        let client = Self { inner, presence: Some(Arc::new(presence)) };
        live.arrived(&client);
        client
    }

    /// A client that is one too many: it may do nothing.
    pub(super) fn turned_away(identity: Identity, evidence: Evidence, over_limit: OverLimit) -> Self {
        let rights = Rights::new(Verdict::default());
        let interfaces = Arc::default();
        Self::make(next_serial(), identity, evidence, rights, Basis::Fixed, Some(over_limit), Weak::new(), interfaces)
    }

    pub(super) fn basis(&self) -> &Basis {
        &self.inner.basis
    }

    /// Who its directories said it is after it connected, each once.
    pub(super) fn further_identities(&self) -> Vec<Identity> {
        self.inner.further.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes down who it would be now; whether that is new. Who changes his label too often is nobody for good.
    pub(super) fn note_identity(&self, by_kernel: &Identity, now: &Identity) -> bool {
        let mut further = self.inner.further.lock().unwrap_or_else(PoisonError::into_inner);
        if now == by_kernel || further.contains(now) || further.len() > MAX_IDENTITIES {
            return false;
        }
        let is_one_too_many = further.len() == MAX_IDENTITIES;
        further.push(if is_one_too_many { Identity::unidentified(Reason::Moved) } else { now.clone() });
        true
    }

    pub(super) fn rights(&self) -> &Rights {
        &self.inner.rights
    }

    pub(super) fn change(&self) -> &Mutex<Change> {
        &self.inner.change
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
        self.inner.rights.verdict()
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
        self.inner.rights.allowed()
    }

    /// Whether the client sees the globals of `capability`. This is for filters: one atomic load and one bit test.
    ///
    /// More than it may use: what is held until somebody answers, what is denied by giving nothing, and for a moment
    /// what was taken from it.
    #[must_use]
    pub fn sees(&self, capability: Capability) -> bool {
        self.inner.rights.sees(capability)
    }

    /// What the client needs for an interface, by the policy and its table.
    ///
    /// Other than a capability that is written down in the compositor, this follows a policy that moves an interface in its
    /// `[capabilities]`, or names it alone as `interface:NAME`.
    #[must_use]
    pub fn class_of(&self, interface: &str) -> Class {
        class_beside(&self.inner.interfaces, interface)
    }

    /// Whether the client sees the globals of this interface. This is for filters: a look into a table that never changes,
    /// and [`sees`](Self::sees).
    #[must_use]
    pub fn sees_interface(&self, interface: &str) -> bool {
        match self.class_of(interface) {
            Class::Core => true,
            Class::Capability(capability) => self.sees(capability),
        }
    }

    /// Whether the client may use this interface now. This is for requests.
    #[must_use]
    pub fn allows_interface(&self, interface: &str) -> bool {
        match self.class_of(interface) {
            Class::Core => true,
            Class::Capability(capability) => self.allows(capability),
        }
    }

    /// How the client stands to `capability` now.
    #[must_use]
    pub fn standing(&self, capability: Capability) -> Standing {
        self.verdict().standing(capability)
    }

    /// A filter was asked about this client. Neither locks nor calls the backend, which may hold its own lock.
    pub(super) fn is_client(&self, client: impl FnOnce() -> ClientId) {
        if self.inner.client.get().is_none() {
            let _ = self.inner.client.set(client());
        }
    }

    /// The client for the protocol, if a filter was asked about it yet.
    #[must_use]
    pub fn client_id(&self) -> Option<ClientId> {
        self.inner.client.get().cloned()
    }

    /// Takes everything from the client now, and closes its connection at the next
    /// [`tick`](super::Authenticator::tick), if the authenticator is [attached](super::Authenticator::attach).
    ///
    /// A client that asked for no registry yet is closed when it does.
    pub fn disconnect(&self) {
        if let Some(live) = self.inner.live.upgrade() {
            live.disconnect(self);
        }
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
