//! A client that does one step at a time and waits for the answer to each.

mod captures;
mod events;
mod windows;

use std::{
    fs::File,
    os::{
        fd::AsFd,
        unix::{
            fs::FileExt,
            net::{UnixListener, UnixStream},
        },
    },
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
};
use wayland_client::{
    Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle,
    backend::WaylandError,
    globals::{GlobalError, GlobalList, registry_queue_init},
    protocol::{
        wl_buffer::WlBuffer,
        wl_shm::{Format, WlShm},
    },
};
use wayland_protocols::wp::security_context::v1::client::wp_security_context_manager_v1::WpSecurityContextManagerV1;

pub use self::events::{CopyEvents, Seen};

/// One client.
pub struct Client {
    pub connection: Connection,
    pub globals: GlobalList,
    queue: EventQueue<Seen>,
    seen: Seen,
}

/// Shared memory, and a buffer that is all of it.
pub struct Memory {
    pub file: File,
    pub buffer: WlBuffer,
}

impl Client {
    /// Connects and reads the registry.
    pub fn new(stream: UnixStream) -> Self {
        Self::try_new(stream).unwrap()
    }

    fn try_new(stream: UnixStream) -> Result<Self, GlobalError> {
        let connection = Connection::from_socket(stream).unwrap();
        let (globals, queue) = registry_queue_init::<Seen>(&connection)?;
        Ok(Self { connection, globals, queue, seen: Seen::default() })
    }

    /// The names and interfaces of all globals that it sees.
    pub fn interfaces(&self) -> Vec<(u32, String)> {
        self.globals
            .contents()
            .with_list(|list| list.iter().map(|global| (global.name, global.interface.clone())).collect())
    }

    /// Whether it sees a global of this interface.
    pub fn sees(&self, interface: &str) -> bool {
        self.interfaces().iter().any(|(_, other)| other == interface)
    }

    /// Sends all requests and waits until they are answered.
    pub fn roundtrip(&mut self) -> Result<usize, DispatchError> {
        self.queue.roundtrip(&mut self.seen)
    }

    /// Waits for the protocol error that its requests caused, and gives its interface and its number.
    pub fn expect_error(&mut self) -> (String, u32) {
        loop {
            match self.roundtrip() {
                Ok(_) => continue,
                Err(DispatchError::Backend(WaylandError::Protocol(error))) => {
                    return (error.object_interface, error.code);
                }
                // What the display itself complains about comes as an `EINVAL`, as in libwayland.
                Err(DispatchError::Backend(WaylandError::Io(error)))
                    if Errno::from_io_error(&error) == Some(Errno::INVAL) =>
                {
                    return ("wl_display".to_owned(), 0);
                }
                // The end may be seen before the error that came first.
                Err(error) => match self.connection.protocol_error() {
                    Some(error) => return (error.object_interface, error.code),
                    None => panic!("no protocol error but {error}"),
                },
            }
        }
    }

    /// Binds a global of this version or a lower one.
    pub fn bind<I>(&self, version: u32) -> I
    where
        I: Proxy + 'static,
        Seen: Dispatch<I, ()>,
    {
        self.globals.bind(&self.queue.handle(), 1..=version, ()).unwrap()
    }

    fn handle(&self) -> QueueHandle<Seen> {
        self.queue.handle()
    }

    /// Shared memory as large as its only buffer.
    pub fn memory(&self, width: i32, height: i32, stride: i32, format: Format) -> Memory {
        let file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
        let length = stride * height;
        file.set_len(length.try_into().unwrap()).unwrap();
        let shm: WlShm = self.bind(1);
        let pool = shm.create_pool(file.as_fd(), length, &self.handle(), ());
        let buffer = pool.create_buffer(0, width, height, stride, format, &self.handle(), ());
        Memory { file, buffer }
    }

    /// A buffer of one colour.
    pub fn colour(&self, width: i32, height: i32, [red, green, blue]: [u8; 3]) -> WlBuffer {
        let memory = self.memory(width, height, width * 4, Format::Xrgb8888);
        let pixels = [blue, green, red, 0xff].repeat((width * height).try_into().unwrap());
        memory.file.write_all_at(&pixels, 0).unwrap();
        memory.buffer
    }

    /// Opens a socket for clients of a sandbox. It lasts as long as what this returns.
    pub fn open_security_context(&mut self, listener: &UnixListener, engine: &str, app_id: &str) -> UnixStream {
        self.try_open_security_context(listener, engine, app_id).unwrap()
    }

    /// The same, where the compositor may refuse.
    pub fn try_open_security_context(
        &mut self,
        listener: &UnixListener,
        engine: &str,
        app_id: &str,
    ) -> Result<UnixStream, DispatchError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let manager: WpSecurityContextManagerV1 = self.bind(1);
        let context = manager.create_listener(listener.as_fd(), theirs.as_fd(), &self.handle(), ());
        context.set_sandbox_engine(engine.to_owned());
        context.set_app_id(app_id.to_owned());
        context.set_instance_id("1".to_owned());
        context.commit();
        self.roundtrip().map(|_| ours)
    }

    /// Binds whatever has this number as a global of this interface, as a client would that guesses.
    pub fn bind_number<I>(&self, name: u32, version: u32) -> I
    where
        I: Proxy + 'static,
        Seen: Dispatch<I, ()>,
    {
        self.globals.registry().bind(name, version, &self.handle(), ())
    }
}
