//! Sockets other than the usual one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use wayland_auth::source::AuthenticatedSocket;
use wayland_auth::{Authenticator, ClientAuth};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, World, ensure};

/// A socket without a path is looked up like any other.
pub(crate) fn abstract_socket(world: &World) -> Outcome {
    let name = format!("wayland-auth-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).context("address")?;
    let listener = UnixListener::bind_addr(&address).context("bind")?;
    let authenticator = Authenticator::builder().build().context("authenticator")?;
    let source = AuthenticatedSocket::from_listener(authenticator, listener).context("source")?;
    let mut events = calloop::EventLoop::<Vec<ClientAuth>>::try_new().context("event loop")?;
    // The stream is closed at once: who it was is known.
    let insert = events.handle().insert_source(source, |(_, auth), (), seen: &mut Vec<ClientAuth>| seen.push(auth));
    insert.map_err(|e| e.error).context("source")?;
    let app = world.new_cgroup()?;
    app.label_app("org.example.Game")?;
    let plain = world.new_cgroup()?;
    for (cgroup, expected) in [(&app, "app org.example.Game of org.example.Engine"), (&plain, "host")] {
        let mut peer = Command::new(world.peer())
            .args([&cgroup.join(), &format!("connect-abstract={name}"), "hold"])
            .stdin(Stdio::null())
            .spawn()
            .context("peer")?;
        let mut seen = Vec::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        while seen.is_empty() && std::time::Instant::now() < deadline {
            events.dispatch(PATIENCE, &mut seen).context("dispatch")?;
        }
        let [auth] = &seen[..] else { return Err(format!("{} clients came", seen.len())) };
        ensure!(auth.identity().to_string().starts_with(expected), "{}", auth.identity());
        peer.wait().context("wait")?;
    }
    Ok(())
}
