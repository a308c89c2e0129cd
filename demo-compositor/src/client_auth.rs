//! `xx_client_auth_v1`: clients learn who they are held for, and some of them who the others are.

use std::io;

use smithay::{
    reexports::{
        calloop::{Interest, LoopHandle, Mode, PostAction, generic::Generic},
        wayland_protocols::ext::foreign_toplevel_list::v1::server::ext_foreign_toplevel_handle_v1::ExtForeignToplevelHandleV1,
        wayland_server::{DisplayHandle, Resource},
    },
    wayland::foreign_toplevel_list::ForeignToplevelHandle,
};
use wayland_auth::{Authenticator, ClientAuth, ask::Asker, auth_of, protocol::ClientAuthGlobals, source::LiveRights};

use crate::{client::ClientState, error::StartError, state::State};

/// Makes the globals, and lets changes reach the clients that are connected.
pub(crate) fn serve(
    display: &DisplayHandle,
    authenticator: &Authenticator,
    asker: &Asker,
    handle: &LoopHandle<'static, State>,
) -> Result<(), StartError> {
    let failed = |source| StartError::Os { what: "tell clients of changes", source };
    let globals = ClientAuthGlobals::builder::<State>()
        .asker(asker.clone())
        .find_toplevel(|state, toplevel| state.client_of(toplevel))
        .build::<ClientState>(display, authenticator)
        .map_err(failed)?;
    authenticator.attach(display).map_err(failed)?;
    handle.insert_source(LiveRights::new(authenticator.clone()).map_err(failed)?, |(), (), _| ())?;
    let changes = Generic::new(globals, Interest::READ, Mode::Level);
    handle.insert_source(changes, |_, globals, _| -> io::Result<_> {
        globals.dispatch();
        Ok(PostAction::Continue)
    })?;
    Ok(())
}

impl State {
    /// The client whose window is behind an entry of the list.
    fn client_of(&self, toplevel: &ExtForeignToplevelHandleV1) -> Option<ClientAuth> {
        let identifier = ForeignToplevelHandle::from_resource(toplevel)?.identifier();
        let (surface, _) = self.listed.iter().find(|(_, listed)| listed.identifier() == identifier)?;
        auth_of::<ClientState>(&surface.client()?).map(ClientAuth::detached)
    }
}
