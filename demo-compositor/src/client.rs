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
use wayland_auth::{Capability, ClientAuth, HasClientAuth, impl_client_auth};

use crate::{audit::Audit, state::State};

/// The data of one client. It is complete before the client exists for the protocol.
#[derive(Debug)]
pub struct ClientState {
    /// Who it is and what it may do.
    pub(crate) auth: ClientAuth,
    /// What smithay keeps about its surfaces.
    pub(crate) compositor_state: CompositorClientState,
    /// Its number, counted from 1 in the order in which clients came.
    pub(crate) number: u64,
    audit: Arc<Audit>,
    gone: AtomicBool,
}

impl_client_auth!(ClientState, auth);

impl ClientData for ClientState {
    fn disconnected(&self, _client: ClientId, reason: DisconnectReason) {
        // The backend holds its lock and may call this twice: nothing in here may call it.
        if !self.gone.swap(true, Ordering::Relaxed) {
            self.audit.disconnected(self.number, &self.auth, &reason);
        }
    }
}

impl State {
    /// Makes `stream` a client that is known as `auth`.
    ///
    /// If that fails, this client is dropped, and no other is affected.
    pub(crate) fn add_client(&mut self, stream: UnixStream, auth: ClientAuth) {
        self.clients_seen += 1;
        let number = self.clients_seen;
        tracing::debug!(client = number, identity = %auth.identity(), "client connected");
        self.audit.connected(number, &auth);
        let data = Arc::new(ClientState {
            auth: auth.clone(),
            compositor_state: CompositorClientState::default(),
            number,
            audit: self.audit.clone(),
            gone: AtomicBool::new(false),
        });
        if let Err(error) = self.display.insert_client(stream, data.clone()) {
            tracing::warn!(client = number, identity = %auth.identity(), %error, "a client was dropped");
            data.disconnected_before_it_began();
        }
    }
}

impl ClientState {
    fn disconnected_before_it_began(&self) {
        if !self.gone.swap(true, Ordering::Relaxed) {
            self.audit.disconnected(self.number, &self.auth, &DisconnectReason::ConnectionClosed);
        }
    }
}

/// Whether `client` may use `capability` now: the check at use, beside the filter that hides the global.
#[must_use]
pub(crate) fn may(client: &Client, capability: Capability) -> bool {
    client.get_data::<ClientState>().is_some_and(|data| data.client_auth().allows(capability))
}

/// The part of the client's data that belongs to smithay.
pub(crate) fn compositor_state(client: &Client) -> &CompositorClientState {
    /// For clients whose data is of another type. The compositor makes none.
    static STRANGERS: LazyLock<CompositorClientState> = LazyLock::new(CompositorClientState::default);

    client.get_data::<ClientState>().map_or(&*STRANGERS, |data| &data.compositor_state)
}
