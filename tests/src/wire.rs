//! A Wayland client down to the bytes: it sees exactly what the server sends, and can ask for
//! what no library would ask for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::Context;

const DISPLAY: u32 = 1;
/// The first registry.
pub const REGISTRY: u32 = 2;

/// A global as the registry announces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Global {
    /// Its number.
    pub name: u32,
    /// Its interface.
    pub interface: String,
    /// Its version.
    pub version: u32,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server went on.
    Done,
    /// A protocol error: object, code, message.
    Error(u32, u32, String),
    /// The connection was closed without a word.
    Closed,
}

/// A connection with one registry.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    next_id: u32,
    globals: Vec<Global>,
    removed: Vec<u32>,
    received: usize,
    made: u32,
    others: Vec<(u32, u16)>,
    further: Vec<(u32, Vec<Global>)>,
}

struct Event {
    object: u32,
    opcode: u16,
    body: Vec<u8>,
}

impl Client {
    /// Asks for the registry.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn new(stream: UnixStream) -> Result<Self, String> {
        stream.set_read_timeout(Some(crate::connect::PATIENCE)).context("timeout")?;
        let mut client = Self {
            stream,
            input: Vec::new(),
            next_id: REGISTRY + 1,
            globals: Vec::new(),
            removed: Vec::new(),
            received: 0,
            made: 0,
            others: Vec::new(),
            further: Vec::new(),
        };
        client.request(DISPLAY, 1, &REGISTRY.to_ne_bytes())?;
        match client.sync()? {
            Answer::Done => Ok(client),
            other => Err(format!("no registry: {other:?}")),
        }
    }

    /// The connection alone.
    #[must_use]
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// The globals that are there now.
    #[must_use]
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// The numbers that were taken back so far, whether ever announced or not.
    #[must_use]
    pub fn removed(&self) -> &[u32] {
        &self.removed
    }

    /// How many bytes the server sent so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// How many events came for the object that [`bind`](Self::bind) or [`capture`](Self::capture) made last.
    #[must_use]
    pub fn events(&self) -> usize {
        self.opcodes().len()
    }

    /// Which events these were.
    #[must_use]
    pub fn opcodes(&self) -> Vec<u16> {
        self.others.iter().filter(|(object, _)| *object == self.made).map(|(_, opcode)| *opcode).collect()
    }

    /// Asks for one more registry; returns its object and what it shows.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn further_registry(&mut self) -> Result<(u32, Vec<Global>), String> {
        let id = self.take_id();
        self.further.push((id, Vec::new()));
        self.request(DISPLAY, 1, &id.to_ne_bytes())?;
        match self.sync()? {
            Answer::Done => self.further.last().cloned().context("no registry"),
            other => Err(format!("no registry: {other:?}")),
        }
    }

    /// All bytes that the server sent without being asked. It must have sent them before.
    ///
    /// What fills up the texts in them is zero here; the Rust backend leaves there what was in its buffer.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or the connection is closed.
    pub fn unasked(&mut self) -> Result<Vec<u8>, String> {
        self.stream.set_nonblocking(true).context("non-blocking")?;
        let mut bytes = Vec::new();
        let end = self.stream.read_to_end(&mut bytes);
        self.stream.set_nonblocking(false).context("blocking")?;
        match end {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            end => return Err(format!("the connection is closed: {end:?}")),
        }
        self.received += bytes.len();
        self.input.extend(&bytes);
        let mut at = 0;
        while let Some(event) = self.buffered()? {
            let registry = event.object == REGISTRY || self.further.iter().any(|(id, _)| *id == event.object);
            let len = word(&event.body, 4) as usize;
            if registry && event.opcode == 0 && event.body.len() >= 12 + len {
                let end = at + 8 + event.body.len() - 4;
                bytes.get_mut(at + 16 + len..end).context("a broken global")?.fill(0);
            }
            at += 8 + event.body.len();
            self.take_note(event)?;
        }
        Ok(bytes)
    }

    /// Whether the server closed the connection, which it must have done before.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let fd = std::os::fd::AsFd::as_fd(&self.stream);
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::RDHUP)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0)
    }

    /// Asks for a global by its number, announced or not, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the server says nothing at all.
    pub fn bind(&mut self, name: u32, interface: &str, version: u32) -> Result<Answer, String> {
        let (object, bind) = self.bind_request(name, interface, version)?;
        self.made = object;
        self.send(&bind)
    }

    /// Binds `wl_output` and screencopy by their numbers and asks for a frame, all at once, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the server says nothing at all.
    pub fn capture(&mut self, output: u32, screencopy: u32) -> Result<Answer, String> {
        let bytes = self.capture_request(output, screencopy)?;
        self.send(&bytes)
    }

    fn capture_request(&mut self, output: u32, screencopy: u32) -> Result<Vec<u8>, String> {
        let (output, mut bytes) = self.bind_request(output, "wl_output", 1)?;
        let (manager, bind) = self.bind_request(screencopy, "zwlr_screencopy_manager_v1", 1)?;
        bytes.extend(bind);
        let frame = self.take_id();
        self.made = frame;
        bytes.extend(message(manager, 0, &[frame.to_ne_bytes(), [0; 4], output.to_ne_bytes()].concat())?);
        Ok(bytes)
    }

    /// The object that [`bind`](Self::bind) or [`capture`](Self::capture) made last.
    #[must_use]
    pub fn last_object(&self) -> u32 {
        self.made
    }

    /// Asks for a frame as [`capture`](Self::capture) does, and goes without waiting for anything.
    ///
    /// # Errors
    ///
    /// If it cannot be asked for.
    pub fn capture_and_leave(mut self, output: u32, screencopy: u32) -> Result<(), String> {
        let bytes = self.capture_request(output, screencopy)?;
        self.stream.write_all(&bytes).context("write")
    }

    /// Sends bytes as they are, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the server says nothing at all.
    pub fn send(&mut self, bytes: &[u8]) -> Result<Answer, String> {
        // If this cannot be written any more, what the server said before it closed can still be read.
        let _ = self.stream.write_all(bytes);
        self.sync()
    }

    /// The object's number, and the request that makes it.
    fn bind_request(&mut self, name: u32, interface: &str, version: u32) -> Result<(u32, Vec<u8>), String> {
        let mut body = name.to_ne_bytes().to_vec();
        put_string(&mut body, interface)?;
        body.extend(version.to_ne_bytes());
        let id = self.take_id();
        body.extend(id.to_ne_bytes());
        Ok((id, message(REGISTRY, 0, &body)?))
    }

    /// Waits until the server has done all that was asked.
    ///
    /// # Errors
    ///
    /// If the server says nothing at all.
    pub fn sync(&mut self) -> Result<Answer, String> {
        let callback = self.take_id();
        // If this cannot be written any more, what the server said before it closed can still be read.
        let _ = self.request(DISPLAY, 0, &callback.to_ne_bytes());
        loop {
            let Some(event) = self.event()? else { return Ok(Answer::Closed) };
            match (event.object, event.opcode) {
                (DISPLAY, 0) => {
                    let message = string(&event.body, 8).unwrap_or_default();
                    return Ok(Answer::Error(word(&event.body, 0), word(&event.body, 4), message));
                }
                (object, 0) if object == callback => {}
                // It comes right after the answer: nothing of that is left unread.
                (DISPLAY, 1) if word(&event.body, 0) == callback => return Ok(Answer::Done),
                _ => self.take_note(event)?,
            }
        }
    }

    fn take_note(&mut self, event: Event) -> Result<(), String> {
        let further = self.further.iter_mut().find(|(id, _)| *id == event.object);
        let globals = match further {
            Some((_, globals)) => globals,
            None if event.object == REGISTRY => &mut self.globals,
            None if event.object == DISPLAY => return Ok(()),
            None => {
                self.others.push((event.object, event.opcode));
                return Ok(());
            }
        };
        let name = word(&event.body, 0);
        if event.opcode == 0 {
            let interface = string(&event.body, 4).context("a broken global")?;
            let version = word(&event.body, event.body.len() - 4);
            globals.push(Global { name, interface, version });
        } else {
            globals.retain(|g| g.name != name);
            if event.object == REGISTRY {
                self.removed.push(name);
            }
        }
        Ok(())
    }

    fn take_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn request(&mut self, object: u32, opcode: u32, body: &[u8]) -> Result<(), String> {
        self.stream.write_all(&message(object, opcode, body)?).context("write")
    }

    /// The next event of those that were read.
    fn buffered(&mut self) -> Result<Option<Event>, String> {
        if self.input.len() < 8 {
            return Ok(None);
        }
        let size = (word(&self.input, 4) >> 16) as usize;
        if size < 8 {
            return Err("an event of no size".to_owned());
        }
        if self.input.len() < size {
            return Ok(None);
        }
        let rest = self.input.split_off(size);
        let bytes = std::mem::replace(&mut self.input, rest);
        let opcode = (word(&bytes, 4) & 0xffff) as u16;
        Ok(Some(Event { object: word(&bytes, 0), opcode, body: bytes[8..].to_vec() }))
    }

    /// The next event; `None` when the connection is closed.
    fn event(&mut self) -> Result<Option<Event>, String> {
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(Some(event));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(n) => {
                    self.received += n;
                    self.input.extend(&chunk[..n]);
                }
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(format!("read: {e}")),
            }
        }
    }
}

/// The bytes by which a registry announces a global.
///
/// # Errors
///
/// If its interface is too long.
pub fn announcement(registry: u32, global: &Global) -> Result<Vec<u8>, String> {
    let mut body = global.name.to_ne_bytes().to_vec();
    put_string(&mut body, &global.interface)?;
    body.extend(global.version.to_ne_bytes());
    message(registry, 0, &body)
}

/// The bytes by which a registry takes a global back.
///
/// # Errors
///
/// Never.
pub fn removal(registry: u32, name: u32) -> Result<Vec<u8>, String> {
    message(registry, 1, &name.to_ne_bytes())
}

fn put_string(body: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let len = u32::try_from(text.len() + 1).context("text")?;
    body.extend(len.to_ne_bytes());
    body.extend(text.as_bytes());
    body.resize(body.len() + 4 - text.len() % 4, 0);
    Ok(())
}

/// A request's bytes.
///
/// # Errors
///
/// If the body is too long.
pub fn message(object: u32, opcode: u32, body: &[u8]) -> Result<Vec<u8>, String> {
    let size = u32::from(u16::try_from(body.len() + 8).context("size")?);
    let mut bytes = object.to_ne_bytes().to_vec();
    bytes.extend((size << 16 | opcode).to_ne_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn string(bytes: &[u8], at: usize) -> Option<String> {
    let len = word(bytes, at) as usize;
    let text = bytes.get(at + 4..at + 4 + len.checked_sub(1)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A global as a peer prints it: its number, interface and version.
pub type PrintedGlobal = (u64, String, u64);

/// The globals in what a peer printed.
///
/// # Errors
///
/// If it printed none.
pub fn printed_globals(answer: &serde_json::Value) -> Result<Vec<PrintedGlobal>, String> {
    let globals = answer["globals"].as_array().context(format!("no globals in {answer}"))?;
    globals
        .iter()
        .map(|g| {
            let (name, version) = (g[0].as_u64().context("name")?, g[2].as_u64().context("version")?);
            Ok((name, g[1].as_str().context("interface")?.to_owned(), version))
        })
        .collect()
}
