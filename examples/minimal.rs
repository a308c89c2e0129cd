//! The smallest compositor with the module: two globals without any function, one of them only
//! for those who may capture the screen. No smithay.
//!
//! ```sh
//! cargo run --example minimal &                                       # prints the socket's name
//! WAYLAND_DISPLAY=wayland-1 wayland-info                              # the host sees both
//! WAYLAND_DISPLAY=wayland-1 unshare -U wayland-info                   # a sandbox sees one
//! ```

use std::error::Error;
use std::sync::Arc;

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use wayland_auth::source::AuthenticatedSocket;
use wayland_auth::{Authenticator, Capability, ClientAuth, allow, impl_client_auth};
use wayland_protocols_wlr::screencopy::v1::server::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;
use wayland_server::backend::ClientData;
use wayland_server::protocol::wl_shm::WlShm;
use wayland_server::{
    Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, ListeningSocket, New, Resource,
};

/// The compositor's client data, with the module's field in it.
#[derive(Default)]
struct ClientState {
    auth: ClientAuth,
}

impl ClientData for ClientState {}
impl_client_auth!(ClientState, auth);

struct State {
    handle: DisplayHandle,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut event_loop = EventLoop::<State>::try_new()?;
    let display = Display::<State>::new()?;
    let mut state = State { handle: display.handle() };
    state.handle.create_global::<State, WlShm, Needs>(1, Needs(None));
    state.handle.create_global::<State, ZwlrScreencopyManagerV1, Needs>(3, Needs(Some(Capability::SCREEN_CAPTURE)));

    let authenticator = Authenticator::builder().build()?;
    let socket = ListeningSocket::bind_auto("wayland", 1..33)?;
    println!("WAYLAND_DISPLAY={}", socket.socket_name().unwrap_or_default().display());
    let source = AuthenticatedSocket::new(authenticator, socket);
    event_loop.handle().insert_source(source, |(stream, auth), (), state| {
        eprintln!("{}", auth.identity());
        if let Err(e) = state.handle.insert_client(stream, Arc::new(ClientState { auth })) {
            eprintln!("a client could not be made: {e}");
        }
    })?;
    let display = Generic::new(display, Interest::READ, Mode::Level);
    event_loop.handle().insert_source(display, |_, display, state| {
        // SAFETY: the display is neither dropped nor replaced.
        unsafe { display.get_mut() }.dispatch_clients(state)?;
        Ok(PostAction::Continue)
    })?;
    event_loop.run(None, &mut state, |state| {
        if let Err(e) = state.handle.flush_clients() {
            eprintln!("{e}");
        }
    })?;
    Ok(())
}

/// What a client needs in order to see a global.
struct Needs(Option<Capability>);

impl<I: Resource + 'static> GlobalDispatch<I, Needs> for State {
    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, new: New<I>, _: &Needs, init: &mut DataInit<'_, Self>) {
        init.init(new, ());
    }

    fn can_view(client: Client, needs: &Needs) -> bool {
        match needs.0 {
            None => true,
            Some(capability) => allow::<ClientState>(capability)(&client),
        }
    }
}

impl<I: Resource + 'static> Dispatch<I, ()> for State {
    fn request(_: &mut Self, _: &Client, _: &I, _: I::Request, (): &(), _: &DisplayHandle, _: &mut DataInit<'_, Self>) {
    }
}
