//! `wp_security_context_v1`: sockets that a sandbox engine opens for the application in its sandbox.
//!
//! Who connects there gets no more than the context, its own cgroup and the client that made the context each allow.
//!
//! smithay has this protocol too, but keeps the engine's descriptors to itself, with a listener that accepts without end
//! in one go and has no spare descriptor. So the requests are handled here, and the socket is the library's.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use smithay::reexports::{
    wayland_protocols::wp::security_context::v1::server::{
        wp_security_context_manager_v1::{self as manager, WpSecurityContextManagerV1},
        wp_security_context_v1::{self as context, WpSecurityContextV1},
    },
    wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource},
};
use wayland_auth::{Capability, SandboxContext, allow, auth_of, source::AuthenticatedContext};

use crate::{
    client::{ClientState, may},
    state::State,
};

/// The version of the protocol.
const VERSION: u32 = 1;

/// Makes the global, for those who may open contexts.
pub(crate) fn create_global(display: &DisplayHandle) {
    display.create_global::<State, WpSecurityContextManagerV1, _>(VERSION, Manager);
}

/// The global's data.
#[derive(Debug)]
pub(crate) struct Manager;

/// A context until it is committed; nothing afterwards.
#[derive(Debug)]
pub(crate) struct Context(Mutex<Option<Pending>>);

#[derive(Debug)]
struct Pending {
    listener: OwnedFd,
    close: OwnedFd,
    engine: Option<String>,
    app_id: Option<String>,
    instance_id: Option<String>,
}

impl GlobalDispatch<WpSecurityContextManagerV1, Manager> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        manager: New<WpSecurityContextManagerV1>,
        _: &Manager,
        data_init: &mut DataInit<'_, Self>,
    ) {
        data_init.init(manager, ());
    }

    fn can_view(client: Client, _: &Manager) -> bool {
        allow::<ClientState>(Capability::SECURITY_CONTEXT)(&client)
    }
}

impl Dispatch<WpSecurityContextManagerV1, ()> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        manager: &WpSecurityContextManagerV1,
        request: manager::Request,
        (): &(),
        _: &DisplayHandle,
        data_init: &mut DataInit<'_, Self>,
    ) {
        let manager::Request::CreateListener { id, listen_fd, close_fd } = request else { return };
        let listens = AuthenticatedContext::can_listen(&listen_fd);
        let pending = Pending { listener: listen_fd, close: close_fd, engine: None, app_id: None, instance_id: None };
        data_init.init(id, Context(Mutex::new(listens.then_some(pending))));
        if !listens {
            manager.post_error(manager::Error::InvalidListenFd, "this is not a unix socket that listens");
        }
    }
}

impl Dispatch<WpSecurityContextV1, Context> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        object: &WpSecurityContextV1,
        request: context::Request,
        Context(pending): &Context,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        let mut place = pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (member, value) = match (request, &mut *place) {
            (context::Request::Destroy, _) => return,
            (_, None) => return object.post_error(context::Error::AlreadyUsed, "this context is committed already"),
            (context::Request::SetSandboxEngine { name }, Some(pending)) => (&mut pending.engine, name),
            (context::Request::SetAppId { app_id }, Some(pending)) => (&mut pending.app_id, app_id),
            (context::Request::SetInstanceId { instance_id }, Some(pending)) => (&mut pending.instance_id, instance_id),
            (context::Request::Commit, _) => {
                if let Some(pending) = place.take() {
                    state.listen(client, pending);
                }
                return;
            }
            // The library of the protocol may come to know more requests; clients cannot, by the version.
            _ => return,
        };
        if member.is_some() {
            return object.post_error(context::Error::AlreadySet, "this was set already");
        }
        *member = Some(value);
    }
}

impl State {
    /// Serves the clients of a context that `client` made.
    fn listen(&mut self, client: &Client, pending: Pending) {
        let Pending { listener, close, engine, app_id, instance_id } = pending;
        // A client of which nothing is known may do nothing.
        let creator = auth_of::<ClientState>(client).cloned().unwrap_or_default();
        let Some(authenticator) = self.authenticator.clone().filter(|_| may(client, Capability::SECURITY_CONTEXT))
        else {
            tracing::warn!(creator = %creator.identity(), "a security context was refused");
            return;
        };
        // The rights of the creator hold after it left.
        let context = SandboxContext::new(creator).engine(engine).app_id(app_id).instance_id(instance_id);
        let source = match AuthenticatedContext::new(authenticator, listener, close, context) {
            Ok(source) => source,
            Err(error) => {
                tracing::warn!(%error, "a security context cannot be listened to");
                return;
            }
        };
        let inserted =
            self.loop_handle.insert_source(source, |(stream, auth), (), state| state.add_client(stream, auth));
        if let Err(error) = inserted {
            tracing::warn!(%error, "a security context cannot be listened to");
        }
    }
}
