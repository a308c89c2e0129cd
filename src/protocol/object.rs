//! The objects that clients make, and what becomes of their requests.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use wayland_backend::protocol::{Argument, Message, ProtocolError};
use wayland_backend::server::{ClientId, DisconnectReason, Handle, ObjectData, ObjectId};
use wayland_server::{DisplayHandle, Resource};

use super::generated::xx_client_auth_manager_v1::{self as manager, XxClientAuthManagerV1};
use super::own::TooMany;
use super::shared::Shared;
use crate::wayland::ClientAuth;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Manager,
    Own,
    /// It says what it has to say when it is made; there is nothing to ask of it.
    Inert,
}

/// An object of a client of a compositor with the state `D`.
pub(super) struct Object<D> {
    pub(super) context: Context<D>,
    pub(super) role: Role,
}

/// What an object needs to answer requests.
pub(super) struct Context<D> {
    pub(super) shared: Arc<Shared>,
    /// The client that made the object.
    pub(super) auth: ClientAuth,
    pub(super) _state: std::marker::PhantomData<fn(&mut D)>,
}

impl<D> Clone for Context<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), auth: self.auth.clone(), _state: self._state }
    }
}

impl<D: 'static> ObjectData<D> for Object<D> {
    fn request(
        self: Arc<Self>,
        handle: &Handle,
        _data: &mut D,
        client: ClientId,
        message: Message<ObjectId, OwnedFd>,
    ) -> Option<Arc<dyn ObjectData<D>>> {
        let display = DisplayHandle::from(handle.clone());
        let new = message.args.iter().find_map(|argument| match argument {
            Argument::NewId(id) => Some(id.clone()),
            _ => None,
        });
        let request = Request { object: &self, display: &display, client, new: new.clone() };
        let role = match self.role {
            Role::Manager => request.of_manager(message),
            Role::Own | Role::Inert => Role::Inert,
        };
        // The backend wants data for what a request creates, and for nothing else.
        new.map(|_| Arc::new(Self { context: self.context.clone(), role }) as _)
    }

    fn destroyed(self: Arc<Self>, _: &Handle, _: &mut D, client: ClientId, id: ObjectId) {
        if self.role == Role::Own {
            self.context.shared.objects().own.remove(&client, &id);
        }
    }
}

/// A request that is being answered.
struct Request<'a, D> {
    object: &'a Object<D>,
    display: &'a DisplayHandle,
    client: ClientId,
    /// What it creates.
    new: Option<ObjectId>,
}

impl<D> Request<'_, D> {
    /// The request in the scanner's words. A client that sends anything else is killed, as wayland-server does it.
    fn parse<I: Resource>(&self, message: Message<ObjectId, OwnedFd>) -> Option<(I, I::Request)> {
        let (sender, opcode) = (message.sender_id.protocol_id(), message.opcode);
        let parsed = I::parse_request(self.display, message);
        if parsed.is_err() {
            let error = ProtocolError {
                code: 1,
                object_id: 0,
                object_interface: "wl_display".to_owned(),
                message: format!("Malformed request received for id {sender} and opcode {opcode}."),
            };
            let reason = DisconnectReason::ProtocolError(error);
            self.display.backend_handle().kill_client(self.client.clone(), reason);
        }
        parsed.ok()
    }

    fn of_manager(&self, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((resource, request)) = self.parse::<XxClientAuthManagerV1>(message) else { return Role::Inert };
        let (manager::Request::GetSelf { .. }, Some(id)) = (request, &self.new) else { return Role::Inert };
        let Context { shared, auth, .. } = &self.object.context;
        let policy = shared.authenticator.policy();
        let added = shared.objects().own.add(self.display, &policy, self.client.clone(), id.clone(), auth.clone());
        if let Err(TooMany) = added {
            resource.post_error(manager::Error::TooMany, "too many xx_client_auth_self_v1 objects");
            return Role::Inert;
        }
        Role::Own
    }
}
