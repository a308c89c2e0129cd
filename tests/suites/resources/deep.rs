//! A client whose look-up takes more descriptors than there are, reserve and all.

use std::io::Read;
use std::time::{Duration, Instant};

use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::alone::{Scene, alone, set_limit, take_all_but};
use crate::flood::{Server, end};
use crate::limit::nested;

pub(crate) fn client_that_cannot_be_looked_up(world: &World) -> Outcome {
    alone(world, "deep")
}

/// One descriptor is left: it accepts the client, and then there is none to look with.
pub(crate) fn deep(scene: &Scene) -> Outcome {
    let mut server = Server::new(scene)?;
    let labels = nested(scene, 20)?;
    let join = labels.last().context("none")?.join();
    let mut turned_away = scene.start(&[&join, &scene.connect(), "hold"])?;
    let deadline = Instant::now() + PATIENCE;
    while !server.is_waited_for()? {
        ensure!(Instant::now() < deadline, "nobody came");
        std::thread::yield_now();
    }
    set_limit(64)?;
    let taken = take_all_but(1);
    while server.is_waited_for()? {
        ensure!(Instant::now() < deadline, "it is left to wait");
        server.events.dispatch(Duration::from_millis(100), &mut server.state).context("dispatch")?;
    }
    let served = server.state.clients.len();
    drop(taken);
    set_limit(256)?;
    ensure_eq!(served, 0, "a client was served that could not be looked up");
    // It sees the end of its connection, and no more.
    let mut said = String::new();
    turned_away.stdout.take().context("no output")?.read_to_string(&mut said).context("read")?;
    ensure_eq!(said, "");
    end(turned_away)?;
    // The control: with descriptors it is served.
    let again = scene.start(&[&join, &scene.connect(), "hold"])?;
    server.expect_next("org.example.Level0")?;
    drop(server);
    end(again)
}
