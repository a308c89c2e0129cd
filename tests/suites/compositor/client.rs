//! A client of this process's own, which does what wire bytes are too low for: windows, keys, descriptors.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use wayland_auth::protocol::client::xx_client_auth_monitor_v1::XxClientAuthMonitorV1;
use wayland_auth::protocol::client::xx_client_auth_toplevel_identity_v1::{self, XxClientAuthToplevelIdentityV1};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, ensure};
use wayland_client::protocol::{
    wl_buffer::WlBuffer,
    wl_callback::{self, WlCallback},
    wl_compositor::WlCompositor,
    wl_keyboard::{self, WlKeyboard},
    wl_registry::{self, WlRegistry},
    wl_seat::WlSeat,
    wl_shm::{Format, WlShm},
    wl_shm_pool::WlShmPool,
    wl_surface::WlSurface,
};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum, delegate_noop, event_created_child};
use wayland_protocols::ext::foreign_toplevel_list::v1::client::{
    ext_foreign_toplevel_handle_v1::{self, ExtForeignToplevelHandleV1},
    ext_foreign_toplevel_list_v1::{self, ExtForeignToplevelListV1},
};
use wayland_protocols::ext::idle_notify::v1::client::{
    ext_idle_notification_v1::{self, ExtIdleNotificationV1},
    ext_idle_notifier_v1::ExtIdleNotifierV1,
};
use wayland_protocols::wp::security_context::v1::client::{
    wp_security_context_manager_v1::WpSecurityContextManagerV1, wp_security_context_v1::WpSecurityContextV1,
};
use wayland_protocols::xdg::shell::client::{
    xdg_surface::{self, XdgSurface},
    xdg_toplevel::XdgToplevel,
    xdg_wm_base::{self, XdgWmBase},
};

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    globals: Vec<(u32, String)>,
    done: u32,
    configured: bool,
    /// Whether a window of this client has the keyboard.
    pub(crate) focused: bool,
    /// How many keys were pressed in it.
    pub(crate) keys: usize,
    /// The titles of windows that were listed.
    pub(crate) titles: Vec<String>,
    windows: Vec<ExtForeignToplevelHandleV1>,
    /// The app IDs of the clients that windows really belong to, in the order in which it was asked.
    pub(crate) behind: Vec<Option<String>>,
    /// How often the user was away for long enough.
    pub(crate) idled: u32,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    queue: EventQueue<Seen>,
    registry: WlRegistry,
    seen: Seen,
}

impl Client {
    /// Reads the registry.
    pub(crate) fn new(stream: UnixStream) -> Result<Self, String> {
        let connection = Connection::from_socket(stream).context("connection")?;
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let mut client = Self { connection, queue, registry, seen: Seen::default() };
        client.roundtrip()?;
        Ok(client)
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Handles what comes until it is enough.
    pub(crate) fn wait_for(&mut self, what: &str, enough: impl Fn(&Seen) -> bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.queue.dispatch_pending(&mut self.seen).context(what)?;
            if enough(&self.seen) {
                return Ok(());
            }
            self.queue.flush().context(what)?;
            let Some(guard) = self.queue.prepare_read() else { continue };
            ensure!(Instant::now() < deadline, "no {what}");
            let step = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut [PollFd::new(&guard.connection_fd(), PollFlags::IN)], Some(&step)).context(what)? > 0 {
                guard.read().context(what)?;
            }
        }
    }

    /// Waits until the compositor has done all that was asked.
    pub(crate) fn roundtrip(&mut self) -> Outcome {
        let before = self.seen.done;
        self.connection.display().sync(&self.handle(), ());
        self.wait_for("answer", |seen| seen.done > before)
    }

    fn handle(&self) -> QueueHandle<Seen> {
        self.queue.handle()
    }

    fn bind<I>(&self, version: u32) -> Result<I, String>
    where
        I: Proxy + 'static,
        Seen: Dispatch<I, ()>,
    {
        let name = self.seen.globals.iter().find(|(_, interface)| interface == I::interface().name);
        let name = name.context(format!("no {}", I::interface().name))?.0;
        Ok(self.registry.bind(name, version, &self.handle(), ()))
    }

    /// Opens a window of one colour (red, green, blue) that has the keyboard, and waits until it is on the output.
    pub(crate) fn open_window(&mut self, title: &str, (width, height): (i32, i32), colour: [u8; 3]) -> Outcome {
        let compositor: WlCompositor = self.bind(4)?;
        let shell: XdgWmBase = self.bind(1)?;
        let seat: WlSeat = self.bind(5)?;
        seat.get_keyboard(&self.handle(), ());
        let surface = compositor.create_surface(&self.handle(), ());
        let toplevel = shell.get_xdg_surface(&surface, &self.handle(), ()).get_toplevel(&self.handle(), ());
        toplevel.set_title(title.to_owned());
        surface.commit();
        self.wait_for("configure event", |seen| seen.configured)?;
        let file = File::from(memfd_create("window", MemfdFlags::CLOEXEC).context("memfd")?);
        let [red, green, blue] = colour;
        let pixels = [blue, green, red, 0xff].repeat(usize::try_from(width * height).context("size")?);
        file.write_all_at(&pixels, 0).context("memfd")?;
        let shm: WlShm = self.bind(1)?;
        let pool = shm.create_pool(file.as_fd(), width * height * 4, &self.handle(), ());
        let buffer = pool.create_buffer(0, width, height, width * 4, Format::Xrgb8888, &self.handle(), ());
        surface.attach(Some(&buffer), 0, 0);
        surface.damage(0, 0, width, height);
        let before = self.seen.done;
        surface.frame(&self.handle(), ());
        surface.commit();
        self.wait_for("frame", |seen| seen.done > before)?;
        self.wait_for("keyboard", |seen| seen.focused)
    }

    /// Asks to be told of all windows.
    pub(crate) fn list_windows(&mut self) -> Outcome {
        self.bind::<ExtForeignToplevelListV1>(1)?;
        self.roundtrip()
    }

    /// Asks who is behind each window that was listed.
    pub(crate) fn ask_who_is_behind(&mut self) -> Outcome {
        let monitor: XxClientAuthMonitorV1 = self.bind(1)?;
        for window in &self.seen.windows {
            monitor.get_toplevel_identity(window, &self.handle(), ());
        }
        self.roundtrip()
    }

    /// Asks to be told when the user is away for so long.
    pub(crate) fn watch_idleness(&mut self, after: Duration) -> Outcome {
        let notifier: ExtIdleNotifierV1 = self.bind(1)?;
        let seat: WlSeat = self.bind(1)?;
        let timeout = u32::try_from(after.as_millis()).context("timeout")?;
        notifier.get_idle_notification(timeout, &seat, &self.handle(), ());
        self.roundtrip()
    }

    /// Opens a security context. It lasts as long as what this returns.
    pub(crate) fn open_context(
        &mut self,
        listener: &UnixListener,
        engine: &str,
        app_id: &str,
    ) -> Result<UnixStream, String> {
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        let context = self.new_context(listener, &theirs)?;
        context.set_sandbox_engine(engine.to_owned());
        context.set_app_id(app_id.to_owned());
        context.commit();
        self.roundtrip()?;
        Ok(ours)
    }

    /// Asks for a security context, and says nothing about it yet.
    pub(crate) fn new_context(
        &self,
        listener: &UnixListener,
        close: &UnixStream,
    ) -> Result<WpSecurityContextV1, String> {
        let manager: WpSecurityContextManagerV1 = self.bind(1)?;
        Ok(manager.create_listener(listener.as_fd(), close.as_fd(), &self.handle(), ()))
    }
}

macro_rules! on_event {
    ($interface:ty, $data:ty, |$seen:ident, $object:ident, $event:ident| $body:expr) => {
        impl Dispatch<$interface, $data> for Seen {
            fn event(
                $seen: &mut Self,
                $object: &$interface,
                $event: <$interface as Proxy>::Event,
                _: &$data,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                $body
            }
        }
    };
}

on_event!(WlRegistry, (), |seen, _registry, event| {
    if let wl_registry::Event::Global { name, interface, .. } = event {
        seen.globals.push((name, interface));
    }
});
on_event!(WlCallback, (), |seen, _callback, event| {
    if let wl_callback::Event::Done { .. } = event {
        seen.done += 1;
    }
});
on_event!(XdgWmBase, (), |_seen, shell, event| {
    if let xdg_wm_base::Event::Ping { serial } = event {
        shell.pong(serial);
    }
});
on_event!(XdgSurface, (), |seen, surface, event| {
    if let xdg_surface::Event::Configure { serial } = event {
        surface.ack_configure(serial);
        seen.configured = true;
    }
});
on_event!(WlKeyboard, (), |seen, _keyboard, event| match event {
    wl_keyboard::Event::Enter { .. } => seen.focused = true,
    wl_keyboard::Event::Leave { .. } => seen.focused = false,
    wl_keyboard::Event::Key { state: WEnum::Value(wl_keyboard::KeyState::Pressed), .. } => seen.keys += 1,
    _ => {}
});
on_event!(ExtForeignToplevelHandleV1, (), |seen, handle, event| {
    if let ext_foreign_toplevel_handle_v1::Event::Title { title } = event {
        seen.titles.push(title);
        seen.windows.push(handle.clone());
    }
});
on_event!(XxClientAuthToplevelIdentityV1, (), |seen, _answer, event| {
    if let xx_client_auth_toplevel_identity_v1::Event::Client { app_id, .. } = event {
        seen.behind.push(app_id);
    }
});
on_event!(ExtIdleNotificationV1, (), |seen, _notification, event| {
    if let ext_idle_notification_v1::Event::Idled = event {
        seen.idled += 1;
    }
});

impl Dispatch<ExtForeignToplevelListV1, ()> for Seen {
    fn event(
        _: &mut Self,
        _: &ExtForeignToplevelListV1,
        _: ext_foreign_toplevel_list_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }

    event_created_child!(Self, ExtForeignToplevelListV1, [
        ext_foreign_toplevel_list_v1::EVT_TOPLEVEL_OPCODE => (ExtForeignToplevelHandleV1, ()),
    ]);
}

delegate_noop!(Seen: ignore WlBuffer);
delegate_noop!(Seen: WlCompositor);
delegate_noop!(Seen: ignore WlSeat);
delegate_noop!(Seen: ignore WlShm);
delegate_noop!(Seen: WlShmPool);
delegate_noop!(Seen: ignore WlSurface);
delegate_noop!(Seen: ignore XdgToplevel);
delegate_noop!(Seen: ExtIdleNotifierV1);
delegate_noop!(Seen: ignore XxClientAuthMonitorV1);
delegate_noop!(Seen: WpSecurityContextManagerV1);
delegate_noop!(Seen: WpSecurityContextV1);
