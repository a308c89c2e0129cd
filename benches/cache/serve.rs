//! A whole connection: from `connect` to the first answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use wayland_auth::{Authenticator, Capability, ClientAuth, allow, impl_client_auth};
use wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use wayland_server::protocol::wl_output::{self, WlOutput};
use wayland_server::{Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, New};

use crate::common::stats::Series;
use crate::common::world::{Peer, World};
use crate::common::{Context, ROUNDS};

/// As many as a compositor has.
const GLOBALS: usize = 40;

/// Connections in one round.
const CONNECTIONS: usize = 100;

struct State;

struct ClientState {
    auth: ClientAuth,
    gone: Arc<AtomicBool>,
}

impl_client_auth!(ClientState, auth);

impl ClientData for ClientState {
    fn disconnected(&self, _: ClientId, _: DisconnectReason) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

impl GlobalDispatch<WlOutput, ()> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<WlOutput>,
        (): &(),
        data_init: &mut DataInit<'_, Self>,
    ) {
        data_init.init(resource, ());
    }

    fn can_view(client: Client, (): &()) -> bool {
        allow::<ClientState>(Capability::SCREEN_CAPTURE)(&client)
    }
}

impl Dispatch<WlOutput, ()> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlOutput,
        _: wl_output::Request,
        (): &(),
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
    }
}

/// The medians of rounds of connections of one peer, as it measures them; and the times of `identify` in them.
pub(crate) fn connections(world: &World, leaf: &Path) -> Result<(Series, Series), String> {
    let (listener, path) = world.listen("connections")?;
    let authenticator = Authenticator::builder().build().context("authenticator")?;
    let mut peer = Peer::start(leaf, &[])?;
    let rounds = ROUNDS + 1;
    let server = std::thread::spawn(move || -> Result<Series, String> {
        let mut display = Display::<State>::new().context("display")?;
        let mut handle = display.handle();
        let mut times = Vec::new();
        for _ in 0..GLOBALS {
            handle.create_global::<State, WlOutput, ()>(1, ());
        }
        for _ in 0..rounds * CONNECTIONS {
            let (stream, _) = listener.accept().context("accept")?;
            let start = Instant::now();
            let auth = authenticator.identify(&stream);
            times.push(start.elapsed().as_nanos() as f64);
            let gone = Arc::new(AtomicBool::new(false));
            let data = Arc::new(ClientState { auth, gone: Arc::clone(&gone) });
            handle.insert_client(stream, data).context("client")?;
            while !gone.load(Ordering::Relaxed) {
                let fd = display.backend().poll_fd().try_clone_to_owned().context("poll fd")?;
                poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).context("poll")?;
                display.dispatch_clients(&mut State).context("dispatch")?;
                display.flush_clients().context("flush")?;
            }
        }
        Ok(Series::new(times))
    });
    let mut medians = Vec::new();
    for round in 0..rounds {
        let (times, globals) = peer.registry(&path, CONNECTIONS)?;
        if globals != GLOBALS {
            return Err(format!("the peer saw {globals} globals"));
        }
        // The first round only warms up.
        if round > 0 {
            medians.push(Series::new(times).median());
        }
    }
    let identify = server.join().map_err(|_| "the server panicked".to_owned())??;
    Ok((Series::new(medians), identify))
}
