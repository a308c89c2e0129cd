//! A window, so that there is something on the screen and somebody to type to.

mod picture;

use std::{fs::File, io::Write, os::fd::AsFd, process::ExitCode};

use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::{
    Connection, Dispatch, EventQueue, QueueHandle, WEnum, delegate_noop,
    globals::{GlobalListContents, registry_queue_init},
    protocol::{
        wl_buffer, wl_callback, wl_compositor, wl_keyboard, wl_registry, wl_seat, wl_shm, wl_shm_pool, wl_surface,
    },
};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};

use crate::{
    cli,
    error::{Context, Error},
};
use picture::{HEIGHT, WIDTH};

/// What is said when the window is on the screen.
pub(crate) const READY: &str = "ready";
/// What is said for each key that is pressed in it.
pub(crate) const KEY: &str = "key";

#[derive(Debug, Default)]
struct State {
    configured: bool,
    drawn: bool,
    closed: bool,
}

/// Shows the window until it is closed or the compositor ends, and tells what happens on standard output.
pub(super) fn run() -> Result<ExitCode, Error> {
    let connection = Connection::connect_to_env().or_fail(|| "cannot connect to the compositor".into())?;
    let (globals, mut queue) =
        registry_queue_init::<State>(&connection).or_fail(|| "cannot list the compositor's globals".into())?;
    let handle = queue.handle();
    let missing = || "the compositor lacks a global that every window needs".to_owned();
    let compositor: wl_compositor::WlCompositor = globals.bind(&handle, 1..=4, ()).or_fail(missing)?;
    let shm: wl_shm::WlShm = globals.bind(&handle, 1..=1, ()).or_fail(missing)?;
    let shell: xdg_wm_base::XdgWmBase = globals.bind(&handle, 1..=2, ()).or_fail(missing)?;
    let _seat: wl_seat::WlSeat = globals.bind(&handle, 1..=5, ()).or_fail(missing)?;

    let surface = compositor.create_surface(&handle, ());
    let toplevel = shell.get_xdg_surface(&surface, &handle, ()).get_toplevel(&handle, ());
    toplevel.set_title("wayland-auth demo".into());
    toplevel.set_app_id("org.example.Window".into());
    surface.commit();
    let mut state = State::default();
    while !state.configured {
        dispatch(&mut queue, &mut state)?;
    }

    let buffer = buffer(&shm, &handle)?;
    surface.attach(Some(&buffer), 0, 0);
    surface.damage(0, 0, WIDTH, HEIGHT);
    surface.frame(&handle, ());
    surface.commit();
    while !state.drawn {
        dispatch(&mut queue, &mut state)?;
    }
    cli::say(READY);
    while !state.closed {
        dispatch(&mut queue, &mut state)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn dispatch(queue: &mut EventQueue<State>, state: &mut State) -> Result<(), Error> {
    queue.blocking_dispatch(state).or_fail(|| "lost the compositor".into()).map(drop)
}

/// The picture in shared memory.
fn buffer(shm: &wl_shm::WlShm, handle: &QueueHandle<State>) -> Result<wl_buffer::WlBuffer, Error> {
    let what = || "cannot make shared memory".to_owned();
    let pixels = picture::pixels();
    let size = i32::try_from(pixels.len()).or_fail(what)?;
    let mut file = File::from(memfd_create("window", MemfdFlags::CLOEXEC).or_fail(what)?);
    file.write_all(&pixels).or_fail(what)?;
    let pool = shm.create_pool(file.as_fd(), size, handle, ());
    Ok(pool.create_buffer(0, WIDTH, HEIGHT, WIDTH * 4, wl_shm::Format::Xrgb8888, handle, ()))
}

impl Dispatch<xdg_wm_base::XdgWmBase, ()> for State {
    fn event(
        _: &mut Self,
        shell: &xdg_wm_base::XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            shell.pong(serial);
        }
    }
}

impl Dispatch<xdg_surface::XdgSurface, ()> for State {
    fn event(
        state: &mut Self,
        surface: &xdg_surface::XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            state.configured = true;
        }
    }
}

impl Dispatch<xdg_toplevel::XdgToplevel, ()> for State {
    fn event(
        state: &mut Self,
        _: &xdg_toplevel::XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        state.closed |= matches!(event, xdg_toplevel::Event::Close);
    }
}

impl Dispatch<wl_callback::WlCallback, ()> for State {
    fn event(
        state: &mut Self,
        _: &wl_callback::WlCallback,
        _: wl_callback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        state.drawn = true;
    }
}

impl Dispatch<wl_seat::WlSeat, ()> for State {
    fn event(
        _: &mut Self,
        seat: &wl_seat::WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        if let wl_seat::Event::Capabilities { capabilities: WEnum::Value(capabilities) } = event
            && capabilities.contains(wl_seat::Capability::Keyboard)
        {
            seat.get_keyboard(handle, ());
        }
    }
}

impl Dispatch<wl_keyboard::WlKeyboard, ()> for State {
    fn event(
        _: &mut Self,
        _: &wl_keyboard::WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_keyboard::Event::Key { state: WEnum::Value(wl_keyboard::KeyState::Pressed), .. } = event {
            cli::say(KEY);
        }
    }
}

impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for State {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(State: wl_compositor::WlCompositor);
delegate_noop!(State: wl_shm_pool::WlShmPool);
delegate_noop!(State: ignore wl_buffer::WlBuffer);
delegate_noop!(State: ignore wl_shm::WlShm);
delegate_noop!(State: ignore wl_surface::WlSurface);
