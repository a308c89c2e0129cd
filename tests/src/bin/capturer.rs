//! A client that captures the screen when the registry announces that it can, and again whenever it is told to.
//!
//! It prints a line for what happens: `ready` once it is connected, `announced`, `removed`, `picture` or `refused`. A line
//! on its standard input makes it capture again, by what it bound last. With the argument `bystander` it asks for the
//! registry only, and answers each line with how many bytes it was sent since then.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use wayland_auth_tests::wire;
use wayland_client::protocol::{
    wl_buffer::WlBuffer,
    wl_output::WlOutput,
    wl_registry::{self, WlRegistry},
    wl_shm::{Format, WlShm},
    wl_shm_pool::WlShmPool,
};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, WEnum, delegate_noop};
use wayland_protocols_wlr::screencopy::v1::client::{
    zwlr_screencopy_frame_v1::{self as frame, ZwlrScreencopyFrameV1},
    zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("bystander") { stand_by() } else { capture() }
}

/// What was bound, and the picture that is on its way.
#[derive(Default)]
struct Capturer {
    shm: Option<WlShm>,
    output: Option<WlOutput>,
    manager: Option<(u32, ZwlrScreencopyManagerV1)>,
    memory: Option<File>,
    /// Whether all that was there at first is bound.
    is_ready: bool,
}

fn capture() -> Result<()> {
    let connection = Connection::connect_to_env()?;
    let mut queue = connection.new_event_queue();
    connection.display().get_registry(&queue.handle(), ());
    let mut capturer = Capturer::default();
    queue.roundtrip(&mut capturer)?;
    println!("ready");
    capturer.is_ready = true;
    if capturer.manager.is_some() {
        capturer.ask(&queue.handle());
    }
    let stdin = std::io::stdin();
    loop {
        let is_readable = wait(&mut queue, &mut capturer, &stdin)?;
        if is_readable {
            // As many times as there are lines.
            let mut bytes = [0; 64];
            let len = rustix::io::read(&stdin, &mut bytes)?;
            if len == 0 {
                return Ok(());
            }
            for _ in bytes[..len].iter().filter(|byte| **byte == b'\n') {
                capturer.ask(&queue.handle());
            }
        }
    }
}

/// Handles what came; whether the other descriptor is readable.
fn wait(queue: &mut EventQueue<Capturer>, capturer: &mut Capturer, other: &impl AsFd) -> Result<bool> {
    queue.dispatch_pending(capturer)?;
    queue.flush()?;
    let Some(guard) = queue.prepare_read() else { return Ok(false) };
    let (ours, others) = {
        let mut fds =
            [PollFd::from_borrowed_fd(guard.connection_fd(), PollFlags::IN), PollFd::new(other, PollFlags::IN)];
        poll(&mut fds, None)?;
        (!fds[0].revents().is_empty(), !fds[1].revents().is_empty())
    };
    if ours {
        guard.read()?;
    }
    queue.dispatch_pending(capturer)?;
    Ok(others)
}

impl Capturer {
    fn ask(&self, handle: &QueueHandle<Self>) {
        match (&self.manager, &self.output) {
            (Some((_, manager)), Some(output)) => drop(manager.capture_output(0, output, handle, ())),
            _ => println!("nothing to ask"),
        }
    }
}

impl Dispatch<WlRegistry, ()> for Capturer {
    fn event(
        capturer: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, .. } => match interface.as_str() {
                "wl_shm" => capturer.shm = Some(registry.bind(name, 1, handle, ())),
                "wl_output" => capturer.output = Some(registry.bind(name, 1, handle, ())),
                "zwlr_screencopy_manager_v1" => {
                    println!("announced");
                    capturer.manager = Some((name, registry.bind(name, 1, handle, ())));
                    if capturer.is_ready {
                        capturer.ask(handle);
                    }
                }
                _ => {}
            },
            // What was bound stays: it is for the compositor to refuse.
            wl_registry::Event::GlobalRemove { name }
                if capturer.manager.as_ref().is_some_and(|(of, _)| *of == name) =>
            {
                println!("removed");
            }
            _ => {}
        }
    }
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for Capturer {
    fn event(
        capturer: &mut Self,
        frame: &ZwlrScreencopyFrameV1,
        event: frame::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match event {
            frame::Event::Buffer { format: WEnum::Value(format), width, height, stride } => {
                match capturer.buffer(format, width, height, stride, handle) {
                    Ok(buffer) => frame.copy(&buffer),
                    Err(error) => println!("no memory: {error}"),
                }
            }
            frame::Event::Ready { .. } => println!("{}", capturer.seen()),
            frame::Event::Failed => println!("refused"),
            _ => {}
        }
    }
}

impl Capturer {
    fn buffer(
        &mut self,
        format: Format,
        width: u32,
        height: u32,
        stride: u32,
        handle: &QueueHandle<Self>,
    ) -> Result<WlBuffer> {
        let shm = self.shm.as_ref().ok_or("no wl_shm")?;
        let memory = File::from(memfd_create("capture", MemfdFlags::CLOEXEC)?);
        memory.set_len(u64::from(stride) * u64::from(height))?;
        let [width, height, stride] = [width, height, stride].map(u32::cast_signed);
        let pool = shm.create_pool(memory.as_fd(), stride * height, handle, ());
        self.memory = Some(memory);
        Ok(pool.create_buffer(0, width, height, stride, format, handle, ()))
    }

    /// What came: a picture has some colour in it.
    fn seen(&mut self) -> &'static str {
        let mut bytes = Vec::new();
        let read = self.memory.take().map(|mut memory| memory.read_to_end(&mut bytes));
        let colours = bytes.chunks_exact(4).filter(|pixel| pixel[..3] != [0, 0, 0]).count();
        if matches!(read, Some(Ok(_))) && colours > 0 { "picture" } else { "nothing in it" }
    }
}

delegate_noop!(Capturer: ignore WlShm);
delegate_noop!(Capturer: ignore WlShmPool);
delegate_noop!(Capturer: ignore WlBuffer);
delegate_noop!(Capturer: ignore WlOutput);
delegate_noop!(Capturer: ignore ZwlrScreencopyManagerV1);

fn stand_by() -> Result<()> {
    let dir = std::env::var("XDG_RUNTIME_DIR")?;
    let path = std::path::Path::new(&dir).join(std::env::var("WAYLAND_DISPLAY")?);
    let client = wire::Client::new(std::os::unix::net::UnixStream::connect(path)?)?;
    let mut stream = client.into_stream();
    stream.set_nonblocking(true)?;
    println!("ready");
    for line in std::io::stdin().lines() {
        line?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => println!("{} bytes", bytes.len()),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
