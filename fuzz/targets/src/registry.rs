//! The filter of globals over any sequence of requests, on a real server in this process (T36).
//!
//! A client never learns of, and never gets an object of, a global that its verdict does not give it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};

use wayland_auth::fuzzing::{self, App};
use wayland_auth::identity::{AppId, Identity, InternalTag, Provenance, Reason, SandboxEngine};
use wayland_auth::policy::{CapabilitySet, Class, Policy};
use wayland_auth::{ClientAuth, allow, impl_client_auth};
use wayland_protocols::ext::foreign_toplevel_list::v1::server::ext_foreign_toplevel_list_v1::ExtForeignToplevelListV1;
use wayland_protocols::ext::session_lock::v1::server::ext_session_lock_manager_v1::ExtSessionLockManagerV1;
use wayland_protocols::wp::security_context::v1::server::wp_security_context_manager_v1::WpSecurityContextManagerV1;
use wayland_protocols::wp::viewporter::server::wp_viewporter::WpViewporter;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::server::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_wlr::data_control::v1::server::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1;
use wayland_protocols_wlr::layer_shell::v1::server::zwlr_layer_shell_v1::ZwlrLayerShellV1;
use wayland_protocols_wlr::screencopy::v1::server::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;
use wayland_server::backend::{ClientData, GlobalId};
use wayland_server::protocol::{wl_compositor::WlCompositor, wl_shm::WlShm};
use wayland_server::{Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, New, Resource};

use super::source::Source;

const POLICY: &str = r#"
[defaults]
sandboxed = ["layer-shell"]
unidentified = []
[defaults.internal]
shell = ["layer-shell", "toplevel-list", "session-lock"]
[[rule]]
match = { engine = "e", app-id = "recorder" }
allow = ["screen-capture", "toplevel-list"]
[[rule]]
match = { engine = "e", app-id = "clipboard" }
allow = ["*"]
deny = ["virtual-keyboard"]
[capabilities]
mine = ["wp_viewporter"]
"#;

static SHARED_POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::parse("p", POLICY).expect("it is one"));

/// How many steps one run has at most.
const MAX_STEPS: usize = 64;

/// How many globals there are at most.
const MAX_GLOBALS: usize = 24;

struct State {
    /// What each object was made of: the client and the capabilities that it has, the interface and what that needs.
    bound: Vec<(CapabilitySet, &'static str, Class)>,
}

struct ClientState {
    auth: ClientAuth,
}

impl ClientData for ClientState {}
impl_client_auth!(ClientState, auth);

/// Client data of another type, as Xwayland's is.
struct Foreign;

impl ClientData for Foreign {}

struct Filter(Class);

impl<I: Resource + 'static> GlobalDispatch<I, Filter> for State {
    fn bind(
        state: &mut Self,
        _: &DisplayHandle,
        client: &Client,
        resource: New<I>,
        filter: &Filter,
        data_init: &mut DataInit<'_, Self>,
    ) {
        let allowed = client.get_data::<ClientState>().map_or(CapabilitySet::EMPTY, |state| state.auth.allowed());
        state.bound.push((allowed, I::interface().name, filter.0));
        data_init.init(resource, ());
    }

    fn can_view(client: Client, filter: &Filter) -> bool {
        match filter.0 {
            Class::Core => true,
            Class::Capability(capability) => allow::<ClientState>(capability)(&client),
            _ => false,
        }
    }
}

impl<I: Resource + 'static> Dispatch<I, ()> for State {
    fn request(_: &mut Self, _: &Client, _: &I, _: I::Request, (): &(), _: &DisplayHandle, _: &mut DataInit<'_, Self>) {
    }
}

type Make = fn(&DisplayHandle, &Policy) -> GlobalId;

macro_rules! globals {
    ($($type:ty),*) => {
        const GLOBALS: &[(fn() -> &'static str, Make)] = &[$((
            || <$type>::interface().name,
            |handle, policy| {
                let interface = <$type>::interface();
                handle.create_global::<State, $type, Filter>(interface.version, Filter(policy.class_of(interface.name)))
            },
        )),*];
    };
}

globals!(
    WlCompositor,
    WlShm,
    WpViewporter,
    ZwlrScreencopyManagerV1,
    ZwlrLayerShellV1,
    ZwlrDataControlManagerV1,
    ZwpVirtualKeyboardManagerV1,
    ExtForeignToplevelListV1,
    ExtSessionLockManagerV1,
    WpSecurityContextManagerV1
);

/// One client's end.
struct Peer {
    stream: UnixStream,
    allowed: CapabilitySet,
    input: Vec<u8>,
    next_id: u32,
    registries: Vec<u32>,
    /// The numbers it was told, and of what.
    announced: BTreeMap<u32, String>,
}

struct World {
    display: Display<State>,
    state: State,
    globals: Vec<GlobalId>,
    peers: Vec<Peer>,
}

/// Steps: clients come, ask, bind and go; globals come and go.
pub(super) fn run(data: &[u8]) {
    let mut source = Source::Bytes(data);
    let display = Display::new().expect("a display");
    let mut world = World { display, state: State { bound: Vec::new() }, globals: Vec::new(), peers: Vec::new() };
    for (_, make) in GLOBALS {
        world.globals.push(make(&world.display.handle(), &SHARED_POLICY));
    }
    for _ in 0..MAX_STEPS {
        if source.is_empty() {
            break;
        }
        world.step(&mut source);
    }
    world.serve();
}

impl World {
    fn step(&mut self, source: &mut Source<'_>) {
        match source.below(10) {
            0 if self.peers.len() < 8 => self.come(source),
            1 => self.serve(),
            2 if self.globals.len() < MAX_GLOBALS => {
                let (_, make) = source.pick(GLOBALS);
                self.globals.push(make(&self.display.handle(), &SHARED_POLICY));
            }
            3 if source.one_in(3) && !self.globals.is_empty() => {
                let global = self.globals.swap_remove(source.below(self.globals.len()));
                self.display.handle().remove_global::<State>(global);
            }
            4 if source.one_in(4) && !self.peers.is_empty() => {
                self.peers.swap_remove(source.below(self.peers.len()));
            }
            _ if self.peers.is_empty() => self.come(source),
            _ => {
                let peer = source.below(self.peers.len());
                self.peers[peer].ask(source);
            }
        }
    }

    /// A client with some verdict connects.
    fn come(&mut self, source: &mut Source<'_>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        theirs.set_nonblocking(true).expect("non-blocking");
        let auth = match source.below(8) {
            7 => ClientAuth::default(),
            n => fuzzing::client_auth(&SHARED_POLICY, identity(n)),
        };
        let foreign = source.one_in(8);
        let allowed = if foreign { CapabilitySet::EMPTY } else { auth.allowed() };
        let data: Arc<dyn ClientData> = if foreign { Arc::new(Foreign) } else { Arc::new(ClientState { auth }) };
        self.display.handle().insert_client(ours, data).expect("a client");
        self.peers.push(Peer {
            stream: theirs,
            allowed,
            input: Vec::new(),
            next_id: 2,
            registries: Vec::new(),
            announced: BTreeMap::new(),
        });
    }

    /// The server does what it was asked, and the clients read what it says.
    fn serve(&mut self) {
        self.display.dispatch_clients(&mut self.state).expect("dispatch");
        self.display.flush_clients().expect("flush");
        for (allowed, interface, class) in self.state.bound.drain(..) {
            assert!(may(allowed, class), "{interface} was bound by a client that has {allowed:?}");
            assert_eq!(class, SHARED_POLICY.class_of(interface));
        }
        self.peers.retain_mut(Peer::listen);
    }
}

fn may(allowed: CapabilitySet, class: Class) -> bool {
    class == Class::Core || class.capability().is_some_and(|capability| allowed.contains(capability))
}

fn identity(n: usize) -> Identity {
    let app = |app_id: &str, provenance| {
        fuzzing::app(App {
            engine: SandboxEngine::new("e").ok(),
            app_id: AppId::new(app_id).ok(),
            instance_id: None,
            provenance,
            namespaces: None,
            unit: None,
            uid: None,
            nested: Vec::new(),
        })
    };
    match n {
        0 => fuzzing::host(None, None, None),
        1 => app("recorder", Provenance::User),
        2 => app("clipboard", Provenance::System),
        3 => app("other", Provenance::User),
        4 => Identity::Internal(InternalTag::new("shell")),
        5 => Identity::Internal(InternalTag::new("nobody")),
        _ => Identity::unidentified(Reason::Moved),
    }
}

impl Peer {
    /// Asks for something, with any arguments.
    fn ask(&mut self, source: &mut Source<'_>) {
        match source.below(6) {
            0 => {
                let id = self.new_id(source);
                self.registries.push(id);
                self.send(1, 1, &id.to_ne_bytes());
            }
            1 => {
                let id = self.new_id(source);
                self.send(1, 0, &id.to_ne_bytes());
            }
            2 => {
                // Any request with any numbers in it. None of these is 0, so no string is null: where none may be,
                // wayland-backend's Rust server (0.3.17) panics on one, which is a known limit and not looked for here.
                let object = self.object(source);
                let opcode = source.below(8) as u16;
                let mut body = Vec::new();
                for _ in 0..source.below(4) {
                    body.extend(source.number().max(1).to_ne_bytes());
                }
                self.send(object, opcode, &body);
            }
            _ => self.bind(source),
        }
    }

    fn bind(&mut self, source: &mut Source<'_>) {
        let name = match source.below(4) {
            0 => source.number(),
            _ => source.below(MAX_GLOBALS + 2) as u32,
        };
        let known = self.announced.get(&name).cloned();
        let interface = match known {
            Some(interface) if !source.one_in(4) => interface,
            _ => (GLOBALS[name.wrapping_sub(1) as usize % GLOBALS.len()].0)().to_owned(),
        };
        let interface = if source.one_in(8) { "wl_seat".to_owned() } else { interface };
        let version = match source.below(4) {
            0 => source.number(),
            1 => source.below(12) as u32,
            _ => 1,
        };
        let registry = match self.registries.last() {
            Some(registry) if !source.one_in(8) => *registry,
            _ => self.object(source),
        };
        let mut body = name.to_ne_bytes().to_vec();
        body.extend((interface.len() as u32 + 1).to_ne_bytes());
        body.extend(interface.as_bytes());
        body.resize(body.len() + 4 - interface.len() % 4, 0);
        body.extend(version.to_ne_bytes());
        body.extend(self.new_id(source).to_ne_bytes());
        self.send(registry, 0, &body);
    }

    /// A registry, the display, or nothing at all. Requests to other objects are no matter of the registry, and the
    /// globals of this server do not answer them.
    fn object(&self, source: &mut Source<'_>) -> u32 {
        let last = self.registries.last().copied().unwrap_or(1);
        source.pick(&[1, last, 0, self.next_id + 1, 0xff00_0000])
    }

    /// The next number for an object, or now and then any.
    fn new_id(&mut self, source: &mut Source<'_>) -> u32 {
        if source.one_in(16) {
            return source.number();
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id.wrapping_sub(1)
    }

    fn send(&mut self, object: u32, opcode: u16, body: &[u8]) {
        let size = u32::try_from(body.len() + 8).expect("short");
        let mut bytes = object.to_ne_bytes().to_vec();
        bytes.extend((size << 16 | u32::from(opcode)).to_ne_bytes());
        bytes.extend(body);
        // Whoever was killed hears of it when it listens.
        let _ = self.stream.write_all(&bytes);
    }

    /// Reads what the server says. False when it has closed the connection.
    fn listen(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let open = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break false,
                Ok(n) => self.input.extend(&chunk[..n]),
                Err(e) => break e.kind() == ErrorKind::WouldBlock,
            }
        };
        while let Some(size) = word(&self.input, 4).map(|word| (word >> 16) as usize) {
            assert!(size >= 8, "an event of no size");
            if self.input.len() < size {
                break;
            }
            let event: Vec<u8> = self.input.drain(..size).collect();
            let (object, opcode) = (word(&event, 0).unwrap_or_default(), word(&event, 4).unwrap_or_default() & 0xffff);
            if object != 1 && self.registries.contains(&object) && opcode == 0 {
                self.hear_of_global(&event[8..]);
            }
        }
        open
    }

    fn hear_of_global(&mut self, body: &[u8]) {
        // An object may have the number of an earlier registry that is none.
        let (Some(name), Some(len)) = (word(body, 0), word(body, 4)) else { return };
        let Some(interface) = body.get(8..8 + (len as usize).saturating_sub(1)) else { return };
        let interface = String::from_utf8_lossy(interface).into_owned();
        if !GLOBALS.iter().any(|(known, _)| known() == interface) {
            return;
        }
        let class = SHARED_POLICY.class_of(&interface);
        assert!(may(self.allowed, class), "{interface} was announced to a client that has {:?}", self.allowed);
        self.announced.insert(name, interface);
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
}
