//! A client of the protocol that writes down what it is told.

use std::fmt::Debug;
use std::os::unix::net::UnixStream;

use wayland_auth::protocol::client::xx_client_auth_manager_v1::XxClientAuthManagerV1;
use wayland_auth_tests::{Context, Outcome};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle};

/// What a client was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    globals: Vec<(u32, String, u32)>,
    events: Vec<String>,
}

impl Dispatch<WlRegistry, ()> for Told {
    fn event(
        told: &mut Self,
        _: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, version } => told.globals.push((name, interface, version)),
            wl_registry::Event::GlobalRemove { name } => told.globals.retain(|global| global.0 != name),
            _ => {}
        }
    }
}

/// Our objects, whose events are kept as text.
#[derive(Debug)]
pub(crate) struct Ours;

impl<I: Proxy<Event: Debug>> Dispatch<I, Ours> for Told {
    fn event(told: &mut Self, object: &I, event: I::Event, _: &Ours, _: &Connection, _: &QueueHandle<Self>) {
        told.events.push(format!("{} {event:?}", object.id().protocol_id()));
    }
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) queue: EventQueue<Told>,
    registry: WlRegistry,
    pub(crate) told: Told,
}

impl Client {
    pub(crate) fn new(stream: UnixStream) -> Result<Self, String> {
        stream.set_read_timeout(Some(wayland_auth_tests::connect::PATIENCE)).context("timeout")?;
        let connection = Connection::from_socket(stream).context("connect")?;
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let mut client = Self { queue, registry, told: Told::default() };
        client.roundtrip()?;
        Ok(client)
    }

    pub(crate) fn roundtrip(&mut self) -> Outcome {
        self.queue.roundtrip(&mut self.told).context("roundtrip").map(drop)
    }

    /// Whether a global of this interface is announced.
    pub(crate) fn sees(&self, interface: &str) -> bool {
        self.told.globals.iter().any(|global| global.1 == interface)
    }

    /// Binds the global of an interface.
    pub(crate) fn bind<I: Proxy<Event: Debug> + 'static>(&self) -> Result<I, String> {
        let interface = I::interface();
        let global = self.told.globals.iter().find(|global| global.1 == interface.name).context(interface.name)?;
        Ok(self.registry.bind(global.0, interface.version, &self.queue.handle(), Ours))
    }

    pub(crate) fn manager(&self) -> Result<XxClientAuthManagerV1, String> {
        self.bind()
    }

    /// Reads a list to its end: what it said.
    pub(crate) fn read<L: Proxy>(&mut self, list: &L, read: impl Fn(&L)) -> Result<Vec<String>, String> {
        let mut said = Vec::new();
        loop {
            read(list);
            self.roundtrip()?;
            let batch = self.said(list);
            let done = batch.last().context("the list did not answer")?.clone();
            said.extend(batch);
            match done.as_str() {
                "Done { more: 0 }" | "Finished" => return Ok(said),
                "Done { more: 1 }" => {}
                other => return Err(format!("the batch ends in {other}")),
            }
        }
    }

    /// What an object said since the last call, without its number.
    pub(crate) fn said(&mut self, object: &impl Proxy) -> Vec<String> {
        let number = format!("{} ", object.id().protocol_id());
        let (said, kept) = std::mem::take(&mut self.told.events).into_iter().partition(|e| e.starts_with(&number));
        self.told.events = kept;
        let said: Vec<String> = said;
        said.into_iter().map(|event| event[number.len()..].to_owned()).collect()
    }
}
