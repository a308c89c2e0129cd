//! What the compositor keeps about each of its clients.

use std::{
    os::unix::net::UnixStream,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use smithay::{
    reexports::wayland_server::{
        Client,
        backend::{ClientData, ClientId, DisconnectReason},
    },
    wayland::compositor::CompositorClientState,
};
use wayland_auth::{
    Capability, ClientAuth, HasClientAuth, RefusedBind, audit::Audit, impl_client_auth, policy::Standing,
};

use crate::state::State;

/// The data of one client. It is complete before the client exists for the protocol.
#[derive(Debug)]
pub struct ClientState {
    /// Who it is and what it may do.
    pub(crate) auth: ClientAuth,
    /// What smithay keeps about its surfaces.
    pub(crate) compositor_state: CompositorClientState,
    audit: Audit,
    gone: AtomicBool,
}

impl_client_auth!(ClientState, auth);

impl ClientData for ClientState {
    fn disconnected(&self, _client: ClientId, reason: DisconnectReason) {
        // The backend holds its lock and may call this twice: nothing in here may call it.
        if self.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(bind) = RefusedBind::of(&reason) {
            let RefusedBind { interface, name, .. } = &bind;
            tracing::warn!(client = %self.auth.serial(), identity = %self.auth.identity(), interface, name, "a client bound what it cannot see");
            self.auth.report_hidden_bind(bind);
        }
        self.audit.disconnected(&self.auth, &reason);
    }
}

impl State {
    /// Makes `stream` a client that is known as `auth`.
    ///
    /// If that fails, this client is dropped, and no other is affected.
    pub(crate) fn add_client(&mut self, stream: UnixStream, auth: ClientAuth) {
        tracing::debug!(client = %auth.serial(), identity = %auth.identity(), "client connected");
        let data = Arc::new(ClientState {
            auth: auth.clone(),
            compositor_state: CompositorClientState::default(),
            audit: self.audit.clone(),
            gone: AtomicBool::new(false),
        });
        if let Err(error) = self.display.insert_client(stream, data) {
            tracing::warn!(client = %auth.serial(), identity = %auth.identity(), %error, "a client was dropped");
        }
    }
}

/// Whether `client` may use `capability` now: the check at use, beside the filter that hides the global.
#[must_use]
pub(crate) fn may(client: &Client, capability: Capability) -> bool {
    client.get_data::<ClientState>().is_some_and(|data| data.client_auth().allows(capability))
}

/// The same for an interface, which the policy may name by itself.
#[must_use]
pub(crate) fn may_use(client: &Client, interface: &str) -> bool {
    client.get_data::<ClientState>().is_some_and(|data| data.client_auth().allows_interface(interface))
}

/// How `client` stands now to an interface that needs a capability.
pub(crate) fn standing(client: &Client, interface: &str) -> Standing {
    client.get_data::<ClientState>().map_or(Standing::Denied, |data| {
        let auth = data.client_auth();
        auth.class_of(interface).capability().map_or(Standing::Denied, |capability| auth.standing(capability))
    })
}

/// The part of the client's data that belongs to smithay.
pub(crate) fn compositor_state(client: &Client) -> &CompositorClientState {
    /// For clients whose data is of another type. The compositor makes none.
    static STRANGERS: LazyLock<CompositorClientState> = LazyLock::new(CompositorClientState::default);

    client.get_data::<ClientState>().map_or(&*STRANGERS, |data| &data.compositor_state)
}
