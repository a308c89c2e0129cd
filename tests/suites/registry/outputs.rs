//! Globals that come and go while clients are connected.

use std::os::unix::net::UnixStream;

use wayland_auth_tests::server::{Filter, State};
use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};
use wayland_server::protocol::wl_output::WlOutput;

use crate::start;

const OUTPUTS: usize = 1_000;

/// A thousand outputs that only some may see are plugged in and out.
///
/// The Rust backend announces none of them to the others, but tells everybody the numbers of those that go. libwayland's
/// announces them all, for wayland-backend knows their filter only afterwards; binding them is refused all the same.
/// That is why restricted globals are to be made at start.
pub(crate) fn a_thousand_outputs_that_are_not_for_it(world: &World) -> Outcome {
    let (authenticator, server) = start()?;
    let peers = Peers::new(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[("user.app_id", "a b")])?;
    let held = [peers.connect(&[])?, peers.connect(&[&cgroup.join()])?];
    // Who they are is what counts: they speak through connections of our own.
    let mut clients = Vec::new();
    for connection in &held {
        let auth = authenticator.identify(&connection.stream);
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        server.insert_as(ours, auth)?;
        clients.push(Client::new(theirs)?);
    }
    let before: Vec<usize> = clients.iter().map(|client| client.globals().len()).collect();
    let filter = server.filter("zxdg_output_manager_v1");
    let ids = server.run(move |handle| {
        (0..OUTPUTS).map(|_| handle.create_global::<State, WlOutput, Filter>(4, filter)).collect::<Vec<_>>()
    })?;
    for client in &mut clients {
        ensure_eq!(client.sync()?, Answer::Done);
    }
    let [host, hidden] = &mut clients[..] else { return Err("two clients".into()) };
    // The control: whoever may see them does.
    ensure_eq!(host.globals().len(), before[0] + OUTPUTS);
    let told = hidden.globals().len() - before[1];
    println!("{OUTPUTS} hidden outputs: {told} were announced to a client that may not see them");
    if !cfg!(feature = "server_system") {
        ensure_eq!(told, 0);
    }
    let names: Vec<u32> = host.globals()[before[0]..].iter().map(|global| global.name).collect();
    for name in names.iter().step_by(100) {
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        server.insert_as(ours, authenticator.identify(&held[1].stream))?;
        let mut other = Client::new(theirs)?;
        ensure!(other.bind(*name, "wl_output", 4)? != Answer::Done, "a hidden output was bound");
    }
    ensure_eq!(host.bind(names[0], "wl_output", 4)?, Answer::Done, "the control");
    server.run(move |handle| ids.into_iter().for_each(|id| handle.remove_global::<State>(id)))?;
    ensure_eq!(host.sync()?, Answer::Done);
    ensure_eq!(hidden.sync()?, Answer::Done);
    println!("{} numbers of outputs that went were told to it", hidden.removed().len());
    ensure_eq!(host.globals().len(), before[0]);
    Ok(())
}
