//! The objects that clients make, and what becomes of their requests.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use wayland_backend::protocol::{Argument, Message, ProtocolError};
use wayland_backend::server::{ClientId, DisconnectReason, Handle, ObjectData, ObjectId};
use wayland_protocols::ext::foreign_toplevel_list::v1::server::ext_foreign_toplevel_handle_v1::ExtForeignToplevelHandleV1;
use wayland_server::{DisplayHandle, Resource, WEnum};

use super::agent::Agent;
use super::batch::{halves, whole};
use super::explanation;
use super::grants::{self, Failure, Wanted, Whom};
use super::own::TooMany;
use super::shared::Shared;
use super::text::Names;
use crate::identity::Identity;
use crate::policy::{Capability, ClientSerial, GrantId};
use crate::protocol::server::{
    xx_client_auth_admin_v1::{self as admin, XxClientAuthAdminV1},
    xx_client_auth_agent_v1::{self as agent, XxClientAuthAgentV1},
    xx_client_auth_clients_v1::{self as clients, XxClientAuthClientsV1},
    xx_client_auth_explanation_v1::XxClientAuthExplanationV1,
    xx_client_auth_grants_v1::{self as list, XxClientAuthGrantsV1},
    xx_client_auth_manager_v1::{self as manager, XxClientAuthManagerV1},
    xx_client_auth_monitor_v1::{self as monitor, XxClientAuthMonitorV1},
    xx_client_auth_result_v1::XxClientAuthResultV1,
    xx_client_auth_toplevel_identity_v1::XxClientAuthToplevelIdentityV1,
};
use crate::wayland::ClientAuth;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Manager,
    Own,
    Monitor,
    Clients,
    Admin,
    Grants,
    Agent,
    /// It says what it has to say when it is made; there is nothing to ask of it.
    Inert,
}

/// An object of a client of a compositor with the state `D`.
pub(super) struct Object<D> {
    pub(super) context: Context<D>,
    pub(super) role: Role,
}

/// How the compositor finds the client of a toplevel.
pub(super) type FindToplevel<D> = Arc<dyn Fn(&mut D, &ExtForeignToplevelHandleV1) -> Option<ClientAuth> + Send + Sync>;

/// What an object needs to answer requests.
pub(super) struct Context<D> {
    pub(super) shared: Arc<Shared>,
    pub(super) find_toplevel: FindToplevel<D>,
    /// The client that made the object.
    pub(super) auth: ClientAuth,
}

impl<D> Clone for Context<D> {
    fn clone(&self) -> Self {
        let (shared, find_toplevel) = (Arc::clone(&self.shared), Arc::clone(&self.find_toplevel));
        Self { shared, find_toplevel, auth: self.auth.clone() }
    }
}

impl<D: 'static> ObjectData<D> for Object<D> {
    fn request(
        self: Arc<Self>,
        handle: &Handle,
        state: &mut D,
        client: ClientId,
        message: Message<ObjectId, OwnedFd>,
    ) -> Option<Arc<dyn ObjectData<D>>> {
        let display = DisplayHandle::from(handle.clone());
        let new = message.args.iter().find_map(|argument| match argument {
            Argument::NewId(id) => Some(id.clone()),
            _ => None,
        });
        let request = Request { context: &self.context, display: &display, client, new: new.clone() };
        let role = match self.role {
            Role::Manager => request.of_manager(message),
            Role::Monitor => request.of_monitor(state, message),
            Role::Clients => request.of_clients(message),
            Role::Admin => request.of_admin(message),
            Role::Grants => request.of_grants(message),
            Role::Agent => request.of_agent(message),
            Role::Own | Role::Inert => Role::Inert,
        };
        // The backend wants data for what a request creates, and for nothing else.
        new.map(|_| Arc::new(Self { context: self.context.clone(), role }) as _)
    }

    fn destroyed(self: Arc<Self>, _: &Handle, _: &mut D, client: ClientId, id: ObjectId) {
        match self.role {
            Role::Own => self.context.shared.objects().own.remove(&client, &id),
            Role::Clients => self.context.shared.objects().clients.remove(&id),
            Role::Grants => self.context.shared.objects().grants.remove(&id),
            Role::Agent => {
                let left = self.context.shared.objects().agent.take_if(|agent| agent.id == id);
                // What it leaves behind is told to others: without the lock.
                drop(left);
            }
            Role::Manager | Role::Monitor | Role::Admin | Role::Inert => {}
        }
    }
}

/// A request that is being answered: with the role of what it makes.
struct Request<'a, D> {
    context: &'a Context<D>,
    display: &'a DisplayHandle,
    client: ClientId,
    /// What it makes.
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
        let Context { shared, auth, .. } = self.context;
        let policy = shared.authenticator.policy();
        let added = shared.objects().own.add(self.display, &policy, self.client.clone(), id.clone(), auth.clone());
        if let Err(TooMany) = added {
            resource.post_error(manager::Error::TooMany, "too many xx_client_auth_self_v1 objects");
            return Role::Inert;
        }
        Role::Own
    }

    fn of_monitor(&self, state: &mut D, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((_, request)) = self.parse::<XxClientAuthMonitorV1>(message) else { return Role::Inert };
        let (Some(id), Context { shared, auth, .. }) = (&self.new, self.context) else { return Role::Inert };
        match request {
            monitor::Request::GetClients { .. } => {
                shared.objects().clients.add(id.clone(), auth.clone());
                Role::Clients
            }
            monitor::Request::GetToplevelIdentity { toplevel, .. } => {
                // The compositor's own function is called without any lock.
                let may = auth.allows(Capability::IDENTITY_MONITOR);
                let found = if may { (self.context.find_toplevel)(state, &toplevel) } else { None };
                if let Ok(answer) = XxClientAuthToplevelIdentityV1::from_id(self.display, id.clone()) {
                    tell_toplevel(&answer, found.as_ref());
                }
                Role::Inert
            }
            monitor::Request::GetExplanation { serial_hi, serial_lo, name, .. } => {
                if let Ok(answer) = XxClientAuthExplanationV1::from_id(self.display, id.clone()) {
                    let may = auth.allows(Capability::IDENTITY_MONITOR);
                    let serial = ClientSerial::new(whole(serial_hi, serial_lo));
                    let client = if may {
                        shared.authenticator.clients().into_iter().find(|auth| auth.serial() == serial)
                    } else {
                        None
                    };
                    explanation::tell(&answer, &shared.authenticator.policy(), client.as_ref(), name.as_deref());
                }
                Role::Inert
            }
            _ => Role::Inert,
        }
    }

    fn of_clients(&self, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((resource, request)) = self.parse::<XxClientAuthClientsV1>(message) else { return Role::Inert };
        if let clients::Request::Read = request {
            let shared = &self.context.shared;
            // What was heard until now is part of the answer, and not news afterwards.
            shared.dispatch();
            shared.objects().clients.read(self.display, &shared.authenticator, &resource.id());
        }
        Role::Inert
    }

    fn of_admin(&self, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((resource, request)) = self.parse::<XxClientAuthAdminV1>(message) else { return Role::Inert };
        let (Some(id), Context { shared, auth, .. }) = (&self.new, self.context) else { return Role::Inert };
        let authenticator = &shared.authenticator;
        // Which objects a client has made says nothing: what it may do now does.
        let may = may_administrate(auth);
        let wanted = match request {
            admin::Request::GetGrants { .. } => {
                shared.objects().grants.add(id.clone(), auth.clone());
                return Role::Grants;
            }
            admin::Request::GetAgent { .. } => {
                if let Ok(resource) = XxClientAuthAgentV1::from_id(self.display, id.clone()) {
                    let agent = Agent::start(&resource, shared.asker.as_ref(), &shared.news, auth);
                    if let Some(agent) = agent {
                        // There was none: the asker has one at most.
                        let before = shared.objects().agent.replace(agent);
                        drop(before);
                    }
                }
                return Role::Agent;
            }
            admin::Request::Revoke { id_hi, id_lo, disposition: WEnum::Value(disposition), .. } => {
                let revoke = || {
                    let disconnect = disposition == admin::Disposition::Disconnect;
                    grants::revoke(authenticator, GrantId::new(whole(id_hi, id_lo)), disconnect)
                };
                let revoked = if may { revoke() } else { Err(Failure::not_permitted()) };
                if let Ok(result) = XxClientAuthResultV1::from_id(self.display, id.clone()) {
                    match revoked {
                        Ok(()) => result.revoked(),
                        Err(failure) => failure.tell(&result),
                    }
                }
                return Role::Inert;
            }
            admin::Request::GrantClient { serial_hi, serial_lo, capability, answer, lifetime, seconds, .. } => {
                let whom = Whom::Client(ClientSerial::new(whole(serial_hi, serial_lo)));
                (whom, capability, answer, lifetime, seconds)
            }
            admin::Request::GrantApp { engine, app_id, instance_id, capability, answer, lifetime, seconds, .. } => {
                (Whom::App { engine, app_id, instance_id }, capability, answer, lifetime, seconds)
            }
            admin::Request::Revoke { .. } => return self.invalid(&resource),
            _ => return Role::Inert,
        };
        let (whom, capability, WEnum::Value(answer), WEnum::Value(lifetime), seconds) = wanted else {
            return self.invalid(&resource);
        };
        let wanted = Wanted { whom, capability, answer, lifetime, seconds };
        let granted = if may { grants::grant(authenticator, wanted) } else { Err(Failure::not_permitted()) };
        if let Ok(result) = XxClientAuthResultV1::from_id(self.display, id.clone()) {
            match granted {
                Ok(id) => {
                    let (hi, lo) = halves(id.get());
                    result.granted(hi, lo);
                }
                Err(failure) => failure.tell(&result),
            }
        }
        Role::Inert
    }

    /// The client is ended for a value that no enum has.
    fn invalid(&self, resource: &XxClientAuthAdminV1) -> Role {
        resource.post_error(admin::Error::InvalidValue, "an argument is not a value of its enum");
        Role::Inert
    }

    fn of_agent(&self, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((resource, request)) = self.parse::<XxClientAuthAgentV1>(message) else { return Role::Inert };
        let agent::Request::Answer { question, decision } = request else { return Role::Inert };
        let WEnum::Value(decision) = decision else {
            resource.post_error(agent::Error::InvalidValue, "an argument is not a value of its enum");
            return Role::Inert;
        };
        let mut objects = self.context.shared.objects();
        if let Some(agent) = objects.agent.as_mut().filter(|agent| agent.id == resource.id()) {
            agent.answer(question, decision);
        }
        Role::Inert
    }

    fn of_grants(&self, message: Message<ObjectId, OwnedFd>) -> Role {
        let Some((resource, request)) = self.parse::<XxClientAuthGrantsV1>(message) else { return Role::Inert };
        if let list::Request::Read = request {
            let shared = &self.context.shared;
            shared.dispatch();
            shared.objects().grants.read(self.display, &shared.authenticator, &resource.id());
        }
        Role::Inert
    }
}

/// No policy gives it to an application or to who is not known; that is looked at here once more.
pub(super) fn may_administrate(auth: &ClientAuth) -> bool {
    let can = matches!(auth.identity(), Identity::Host(_) | Identity::Internal(_));
    can && auth.allows(Capability::IDENTITY_ADMIN)
}

fn tell_toplevel(answer: &XxClientAuthToplevelIdentityV1, found: Option<&ClientAuth>) {
    if let Some(auth) = found {
        let (hi, lo) = halves(auth.serial().get());
        let Names { kind, engine, app_id, instance_id, provenance } = Names::of(auth.identity());
        answer.client(hi, lo, kind, engine, app_id, instance_id, provenance);
    }
    answer.done();
}
