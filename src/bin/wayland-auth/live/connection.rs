//! The connection to the compositor of this session.

use std::io::ErrorKind;

use wayland_auth::protocol::client::{
    xx_client_auth_admin_v1::XxClientAuthAdminV1,
    xx_client_auth_agent_v1::{self as agent, XxClientAuthAgentV1},
    xx_client_auth_clients_v1::{self as clients, XxClientAuthClientsV1},
    xx_client_auth_explanation_v1::{self as explanation, XxClientAuthExplanationV1},
    xx_client_auth_grants_v1::{self as grants, XxClientAuthGrantsV1},
    xx_client_auth_manager_v1::XxClientAuthManagerV1,
    xx_client_auth_monitor_v1::XxClientAuthMonitorV1,
    xx_client_auth_result_v1::{self as result, XxClientAuthResultV1},
    xx_client_auth_self_v1::{self as own, XxClientAuthSelfV1},
};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{ConnectError, Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle, WEnum};

use crate::failure::{FAILED, Failure};

/// A connection, and what came over it.
#[derive(Debug)]
pub(crate) struct Compositor {
    pub(crate) queue: EventQueue<Inbox>,
    pub(crate) inbox: Inbox,
    registry: WlRegistry,
}

/// What came and was not looked at.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    globals: Vec<(u32, String)>,
    held_for: Option<String>,
    pub(crate) clients: Vec<clients::Event>,
    pub(crate) explanation: Vec<explanation::Event>,
    pub(crate) agent: Vec<agent::Event>,
    pub(crate) grants: Vec<grants::Event>,
    pub(crate) results: Vec<result::Event>,
}

impl Compositor {
    /// Connects to the compositor that the environment names.
    pub(crate) fn connect() -> Result<Self, Failure> {
        let connection = Connection::connect_to_env().map_err(|error| {
            let failure = Failure::new(FAILED, "cannot connect to a compositor").because(&error);
            match error {
                ConnectError::NoCompositor => {
                    failure.remedy("run this inside the session, where WAYLAND_DISPLAY is set")
                }
                _ => failure,
            }
        })?;
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let mut compositor = Self { queue, inbox: Inbox::default(), registry };
        compositor.roundtrip()?;
        Ok(compositor)
    }

    /// Waits until the compositor has answered what it was asked.
    pub(crate) fn roundtrip(&mut self) -> Result<(), Failure> {
        self.queue.roundtrip(&mut self.inbox).map(drop).map_err(lost)
    }

    /// Waits until something comes.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        self.queue.blocking_dispatch(&mut self.inbox).map(drop).map_err(lost)
    }

    /// Sends what was asked.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.lost_unless(self.queue.flush())
    }

    /// Takes in what has been read already.
    pub(crate) fn pending(&mut self) -> Result<(), Failure> {
        self.queue.dispatch_pending(&mut self.inbox).map(drop).map_err(lost)
    }

    /// What a failure of the connection means.
    pub(crate) fn lost_unless(&self, result: Result<(), WaylandError>) -> Result<(), Failure> {
        match result {
            // It is tried again when there is room, or something to read.
            Err(WaylandError::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result.map_err(|error| lost(DispatchError::Backend(error))),
        }
    }

    fn find<I: Proxy>(&self) -> Option<u32> {
        self.inbox.globals.iter().find(|(_, interface)| interface == I::interface().name).map(|(name, _)| *name)
    }

    /// Binds a global that needs `capability`, or says why it is not there.
    pub(crate) fn bind<I: Proxy + 'static>(&mut self, capability: &str) -> Result<I, Failure>
    where
        Inbox: Dispatch<I, ()>,
    {
        let handle = self.queue.handle();
        if let Some(name) = self.find::<I>() {
            return Ok(self.registry.bind(name, 1, &handle, ()));
        }
        let Some(manager) = self.find::<XxClientAuthManagerV1>() else {
            let message = "this compositor does not tell who its clients are (it has no xx_client_auth_v1)";
            return Err(Failure::new(FAILED, message));
        };
        let manager = self.registry.bind::<XxClientAuthManagerV1, _, _>(manager, 1, &handle, ());
        manager.get_self(&handle, ());
        self.roundtrip()?;
        let held_for = self.inbox.held_for.as_deref().unwrap_or("somebody unknown");
        let message =
            format!("the compositor does not give `{capability}` to this program, which it holds for {held_for}");
        let remedy = format!(
            "name `{capability}` in [defaults] host of the compositor's policy, and run this outside of sandboxes"
        );
        Err(Failure::new(FAILED, message).remedy(remedy))
    }
}

fn lost(error: DispatchError) -> Failure {
    Failure::new(FAILED, "the compositor has ended the connection").because(error)
}

impl Dispatch<WlRegistry, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_registry::Event::Global { name, interface, .. } = event {
            inbox.globals.push((name, interface));
        }
    }
}

impl Dispatch<XxClientAuthSelfV1, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &XxClientAuthSelfV1,
        event: own::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let own::Event::Identity { kind, engine, app_id, .. } = event {
            let names = [app_id, engine].into_iter().flatten().collect::<Vec<_>>().join(" of ");
            inbox.held_for = Some(format!("{} {names}", super::entry::kind(kind)).trim_end().to_owned());
        }
    }
}

macro_rules! kept {
    ($($object:ty, $event:ty => $field:ident;)*) => { $(
        impl Dispatch<$object, ()> for Inbox {
            fn event(inbox: &mut Self, _: &$object, event: $event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
                inbox.$field.push(event);
            }
        }
    )* };
}

kept! {
    XxClientAuthClientsV1, clients::Event => clients;
    XxClientAuthExplanationV1, explanation::Event => explanation;
    XxClientAuthAgentV1, agent::Event => agent;
    XxClientAuthGrantsV1, grants::Event => grants;
    XxClientAuthResultV1, result::Event => results;
}

wayland_client::delegate_noop!(Inbox: ignore XxClientAuthManagerV1);
wayland_client::delegate_noop!(Inbox: ignore XxClientAuthMonitorV1);
wayland_client::delegate_noop!(Inbox: ignore XxClientAuthAdminV1);

/// The value of an enum, if this program knows it.
pub(crate) fn known<T>(value: WEnum<T>) -> Option<T> {
    value.into_result().ok()
}

/// A number of 64 bits from its halves.
pub(crate) fn whole(hi: u32, lo: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}
