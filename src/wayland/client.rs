//! What the compositor keeps of each client.

use std::sync::Arc;

use super::connections::{OverLimit, Place};
use crate::identity::{Evidence, Identity, Reason};
use crate::policy::{Capability, CapabilitySet, Verdict};

/// Who a client is and what it may do.
///
/// A field of the compositor's own client data; it lives and dies with the client. The default
/// is a client that is unidentified and may do nothing beyond the core globals.
///
/// The connection counts towards the policy's `[limits]` until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    inner: Arc<Inner>,
    /// Held for what happens when it is dropped.
    _place: Option<Arc<Place>>,
}

#[derive(Debug)]
struct Inner {
    identity: Identity,
    evidence: Evidence,
    verdict: Verdict,
    over_limit: Option<OverLimit>,
}

impl Default for ClientAuth {
    fn default() -> Self {
        Self::new(Identity::unidentified(Reason::NotAsked), Evidence::default(), Verdict::default())
    }
}

impl ClientAuth {
    pub(crate) fn new(identity: Identity, evidence: Evidence, verdict: Verdict) -> Self {
        Self { inner: Arc::new(Inner { identity, evidence, verdict, over_limit: None }), _place: None }
    }

    /// The same, with its place among the open connections.
    pub(super) fn at(self, place: Option<Place>) -> Self {
        Self { _place: place.map(Arc::new), ..self }
    }

    /// A client that is one too many: it may do nothing.
    pub(super) fn turned_away(identity: Identity, evidence: Evidence, over_limit: OverLimit) -> Self {
        let inner = Inner { identity, evidence, verdict: Verdict::default(), over_limit: Some(over_limit) };
        Self { inner: Arc::new(inner), _place: None }
    }

    /// The same client without its connection, to be kept for longer than that.
    pub(super) fn without_place(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), _place: None }
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

    /// What the policy says about the client, with its reasons.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.inner.verdict
    }

    /// Whether the client may use `capability`: one bit test.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.allowed().contains(capability)
    }

    /// All that the client may use.
    #[must_use]
    pub fn allowed(&self) -> CapabilitySet {
        self.inner.verdict.allowed()
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
