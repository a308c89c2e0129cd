//! `wp_security_context_v1`: sockets that a sandbox engine opens for the application in its sandbox.
//!
//! Who connects there gets no more than the context, its own cgroup and the client that made the context each allow.

use std::{cell::Cell, io, os::unix::net::UnixStream, rc::Rc, time::Duration};

use rustix::io::Errno;
use smithay::{
    delegate_security_context,
    reexports::calloop::{
        self, EventSource, Poll, PostAction, Readiness, Token, TokenFactory,
        timer::{TimeoutAction, Timer},
    },
    wayland::security_context::{SecurityContext, SecurityContextHandler, SecurityContextListenerSource},
};
use wayland_auth::{Capability, ClientAuth, SandboxContext};

use crate::{client::ClientState, state::State};

/// How long a listener rests when the compositor is out of file descriptors.
const REST: Duration = Duration::from_millis(200);

delegate_security_context!(State);

impl SecurityContextHandler for State {
    fn context_created(&mut self, source: SecurityContextListenerSource, context: SecurityContext) {
        // Kept, since the rights of the creator hold after it left.
        let creator = self.creator_of(&context);
        if !creator.allows(Capability::SECURITY_CONTEXT) {
            tracing::warn!(creator = %creator.identity(), "a security context was refused");
            return;
        }
        let context = SandboxContext::new(creator)
            .engine(context.sandbox_engine)
            .app_id(context.app_id)
            .instance_id(context.instance_id);

        let own_token = Rc::new(Cell::new(None));
        let token = own_token.clone();
        let inserted = self.loop_handle.insert_source(Listener { source }, move |event, (), state| match event {
            Event::Connected(stream) => {
                let auth = state.authenticate(|authenticator| authenticator.identify_sandboxed(&stream, &context));
                state.add_client(stream, auth);
            }
            Event::Exhausted(error) => {
                tracing::warn!(%error, "a security context's listener rests");
                let handle = state.loop_handle.clone();
                let token = token.clone();
                let timer = state.loop_handle.insert_source(Timer::from_duration(REST), move |_, (), _| {
                    if let Some(Err(error)) = token.get().map(|token| handle.enable(&token)) {
                        tracing::warn!(%error, "a security context's listener is lost");
                    }
                    TimeoutAction::Drop
                });
                if let Err(error) = timer {
                    tracing::warn!(%error, "a security context's listener is lost");
                }
            }
        });
        match inserted {
            Ok(token) => own_token.set(Some(token)),
            Err(error) => tracing::warn!(%error, "a security context cannot be listened to"),
        }
    }
}

impl State {
    /// The client that made `context`; a client of which nothing is known may do nothing.
    fn creator_of(&self, context: &SecurityContext) -> ClientAuth {
        let data = self.display.backend_handle().get_client_data(context.creator_client_id.clone());
        let data = data.ok().and_then(|data| data.downcast_arc::<ClientState>().ok());
        data.map(|data| data.auth.clone()).unwrap_or_default()
    }
}

/// smithay's listener, with accept errors that end neither it nor the event loop.
#[derive(Debug)]
struct Listener {
    source: SecurityContextListenerSource,
}

enum Event {
    Connected(UnixStream),
    /// There are no file descriptors or no memory left for another connection. The listener is disabled.
    Exhausted(io::Error),
}

impl EventSource for Listener {
    type Event = Event;
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F: FnMut(Event, &mut ())>(
        &mut self,
        readiness: Readiness,
        token: Token,
        mut callback: F,
    ) -> io::Result<PostAction> {
        let accepted =
            self.source.process_events(readiness, token, |stream, ()| callback(Event::Connected(stream), &mut ()));
        let error = match accepted {
            Ok(action) => return Ok(action),
            Err(error) => error,
        };
        Ok(match Errno::from_io_error(&error) {
            Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM) => PostAction::Continue,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                callback(Event::Exhausted(error), &mut ());
                PostAction::Disable
            }
            _ => {
                tracing::warn!(%error, "a security context's socket cannot accept: it is closed");
                PostAction::Remove
            }
        })
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.source.register(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.source.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.source.unregister(poll)
    }
}
