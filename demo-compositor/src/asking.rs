//! Uses that may have to wait until somebody answers.

use std::io;

use smithay::reexports::{calloop::LoopHandle, wayland_server::Client};
use wayland_auth::{
    Authenticator, Capability, ClientAuth, HasClientAuth,
    ask::{Asker, Outcome, Ticket, Use},
    policy::Policy,
    source::Questions,
};

use crate::{client::ClientState, error::StartError, handlers::virtual_keyboard, screencopy, state::State};

/// What is checked at each use here.
const HELD: [&str; 2] = [screencopy::INTERFACE, virtual_keyboard::INTERFACE];

/// The capabilities of which each use is checked here. Of the rest, what is to be asked for is hidden.
pub(crate) fn held_by(policy: &Policy) -> Vec<Capability> {
    HELD.iter().filter_map(|interface| policy.class_of(interface).capability()).collect()
}

/// A use of a capability, from the request to what comes of it.
#[derive(Debug)]
pub(crate) struct Held {
    client: ClientAuth,
    capability: Capability,
    begun: Begun,
}

#[derive(Debug)]
enum Begun {
    Done(Outcome),
    Waits(Ticket),
}

impl Held {
    /// What becomes of it by what holds now; `None` as long as it waits.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match &self.begun {
            Begun::Waits(ticket) => ticket.outcome(),
            // It may have been taken back since.
            Begun::Done(Outcome::Allowed) if !self.client.allows(self.capability) => Some(Outcome::Denied),
            Begun::Done(outcome) => Some(*outcome),
        }
    }
}

impl State {
    /// Begins a use of `interface` by `client`: the check at use, beside the filter that hides the global.
    ///
    /// `None` for an interface that needs no capability: there is none here that is held.
    pub(crate) fn begin_use(&self, client: &Client, interface: &str) -> Option<Held> {
        let client = client.get_data::<ClientState>()?.client_auth().detached();
        let capability = client.class_of(interface).capability()?;
        let begun = match &self.asker {
            Some(asker) => match asker.authorize(&client, capability) {
                Use::Done(outcome) => Begun::Done(outcome),
                Use::Pending(ticket) => Begun::Waits(ticket),
            },
            None if client.allows(capability) => Begun::Done(Outcome::Allowed),
            None => Begun::Done(Outcome::Denied),
        };
        Some(Held { client, capability, begun })
    }

    /// Some question was answered, or ended.
    fn answers_came(&mut self) {
        // Pictures that waited for one are made with the next frame.
        self.queue_redraw();
    }
}

/// Makes what asks about the clients of `authenticator`. As long as nobody serves as its provider, what is to be asked
/// for is refused.
pub(crate) fn start(authenticator: &Authenticator, handle: &LoopHandle<'static, State>) -> Result<Asker, StartError> {
    let asker = Asker::new(authenticator);
    let failed = |source: io::Error| StartError::Os { what: "watch for answers", source };
    handle.insert_source(Questions::new(asker.clone()).map_err(failed)?, |(), (), state| state.answers_came())?;
    Ok(asker)
}
