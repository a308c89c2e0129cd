//! A compositor with the protocol, and its clients.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use wayland_auth::ask::Asker;
use wayland_auth::protocol::ClientAuthGlobals;
use wayland_auth::{Authenticator, Capability, ClientAuth, Policy};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::server::{ClientState, Server, State};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure};

use wayland_server::DisplayHandle;

use super::client::Client;

/// A compositor.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a World,
    pub(crate) authenticator: Authenticator,
    pub(crate) server: Server,
    pub(crate) asker: Asker,
    globals: Arc<ClientAuthGlobals>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(world: &'a World, policy: &str) -> Result<Self, String> {
        let policy = Policy::parse("test.toml", policy).context("policy")?;
        let authenticator = Authenticator::builder()
            .policy(policy)
            .holds([Capability::SCREEN_CAPTURE])
            .build()
            .context("authenticator")?;
        let server = Server::start(authenticator.clone(), |_, _| {})?;
        let asker = Asker::new(&authenticator);
        let (ours, ask) = (authenticator.clone(), asker.clone());
        let make = move |handle: &DisplayHandle| {
            ours.attach(handle)?;
            ClientAuthGlobals::builder::<State>().asker(ask).build::<ClientState>(handle, &ours)
        };
        let globals = Arc::new(server.run(make)?.context("globals")?);
        Ok(Self { world, authenticator, server, asker, globals })
    }

    /// Tells clients what has changed.
    pub(crate) fn dispatch(&self) -> Outcome {
        let globals = Arc::clone(&self.globals);
        self.server.run(move |_| globals.dispatch())
    }

    /// Waits until so many clients are left.
    pub(crate) fn wait_for_clients(&self, count: usize) -> Outcome {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.authenticator.clients().len() > count {
            // A client that is gone is noticed when the server looks after its clients.
            self.server.run(|_| ())?;
            ensure!(std::time::Instant::now() < deadline, "clients are left");
        }
        Ok(())
    }

    /// Lets answers take effect, and tells clients.
    pub(crate) fn tick(&self) -> Outcome {
        let asker = self.asker.clone();
        self.server.run(move |_| asker.tick())?;
        self.dispatch()
    }

    /// Takes another policy, and tells clients.
    pub(crate) fn set_policy(&self, policy: &str) -> Outcome {
        self.decide_by(policy)?;
        self.dispatch()
    }

    /// Takes another policy, of which clients are not told yet.
    pub(crate) fn decide_by(&self, policy: &str) -> Outcome {
        let policy = Policy::parse("test.toml", policy).context("policy")?;
        let authenticator = self.authenticator.clone();
        self.server.run(move |_| authenticator.set_policy(policy))?.context("set_policy")
    }

    /// A client of this process with the rights of this one.
    pub(crate) fn client_as(&self, auth: ClientAuth) -> Result<Client, String> {
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        self.server.insert_as(ours, auth)?;
        Client::new(theirs)
    }

    /// A client that is identified as a peer which takes these steps.
    pub(crate) fn client(&self, steps: &[&str]) -> Result<(Client, ClientAuth), String> {
        let peers = Peers::new(self.world)?;
        let connection = peers.connect(steps)?;
        let auth = self.authenticator.identify(&connection.stream);
        Ok((self.client_as(auth.clone())?, auth))
    }

    /// The labelled application of this ID.
    pub(crate) fn app(&self, app_id: &str) -> Result<(Client, ClientAuth), String> {
        let cgroup = self.world.new_cgroup()?;
        cgroup.label_app(app_id)?;
        self.client(&[&cgroup.join()])
    }

    /// A program outside of any sandbox.
    pub(crate) fn host(&self) -> Result<Client, String> {
        Ok(self.client(&[])?.0)
    }
}
