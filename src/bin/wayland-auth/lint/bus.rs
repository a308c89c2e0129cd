//! As much of D-Bus as asks whether one may talk to systemd.
//!
//! A sandbox engine's bus is often a proxy that lets through only what the application may use. Whether systemd is among it
//! is found out by asking systemd something that changes nothing.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a bus may take. It can be anybody who listens there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest message that is read.
const MESSAGE_MAX: usize = 1024 * 1024;

/// Who is asked what.
struct Call {
    destination: &'static str,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
}

const HELLO: Call = Call {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

/// Both change nothing. A proxy may know one and not the other.
const QUESTIONS: &[Call] = &[
    Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.DBus.Peer",
        member: "Ping",
    },
    Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "GetDefaultTarget",
    },
];

/// Whether systemd answers on this bus.
pub(super) fn talks_to_systemd(stream: UnixStream) -> io::Result<bool> {
    let mut bus = Bus { stream, deadline: Instant::now() + PATIENCE };
    bus.stream.set_nonblocking(false)?;
    bus.log_in()?;
    if !bus.call(1, &HELLO)? {
        return Err(io::Error::other("the bus does not let us in"));
    }
    for (question, serial) in QUESTIONS.iter().zip(2..) {
        if bus.call(serial, question)? {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Bus {
    stream: UnixStream,
    deadline: Instant,
}

impl Bus {
    fn log_in(&mut self) -> io::Result<()> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.write(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.read(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 1024 {
                return Err(io::Error::other("it is no bus"));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(io::Error::other("the bus does not let this user in"));
        }
        self.write(b"BEGIN\r\n")
    }

    /// Calls a method without arguments; whether it returned, and not with an error.
    fn call(&mut self, serial: u32, call: &Call) -> io::Result<bool> {
        self.write(&encode(serial, call))?;
        loop {
            let (kind, reply_to) = self.message()?;
            if reply_to == Some(serial) {
                return Ok(kind == 2);
            }
        }
    }

    /// The next message: its type, and which call it answers.
    fn message(&mut self) -> io::Result<(u8, Option<u32>)> {
        let mut head = [0; 16];
        self.read(&mut head)?;
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            let number = if head[0] == b'B' { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
            usize::try_from(number).unwrap_or(usize::MAX)
        };
        let (body, fields) = (number(4), number(12));
        let too_long = || io::Error::other("a message is too long");
        let padded = fields.checked_next_multiple_of(8).ok_or_else(too_long)?;
        let rest = padded.checked_add(body).filter(|len| *len <= MESSAGE_MAX).ok_or_else(too_long)?;
        let mut bytes = vec![0; rest];
        self.read(&mut bytes)?;
        Ok((head[1], reply_to(bytes.get(..fields).unwrap_or_default(), head[0] == b'B')))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes)
    }

    fn read(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            let len = match self.stream.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                result => result?,
            };
            bytes = bytes.get_mut(len..).unwrap_or_default();
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A method call without arguments that starts no service.
fn encode(serial: u32, call: &Call) -> Vec<u8> {
    let mut fields = Vec::new();
    let texts =
        [(1_u8, b'o', call.path), (2, b's', call.interface), (3, b's', call.member), (6, b's', call.destination)];
    for (code, kind, text) in texts {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend([code, 1, kind, 0]);
        fields.extend((text.len() as u32).to_le_bytes());
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    let mut message = vec![b'l', 1, 2, 1];
    for number in [0, serial, fields.len() as u32] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message
}

/// The field "reply to" among a message's fields.
fn reply_to(fields: &[u8], big_endian: bool) -> Option<u32> {
    let number = |at: usize| {
        let bytes = fields.get(at..at + 4)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let mut at = 0;
    while at < fields.len() {
        // The code, then a variant: a signature of one type, and its value.
        let (code, kind) = (*fields.get(at)?, *fields.get(at + 2)?);
        if fields.get(at + 1) != Some(&1) {
            return None;
        }
        let value = at + 4;
        let end = match kind {
            b'u' if code == 5 => return number(value),
            b'u' => value + 4,
            b's' | b'o' => value.checked_add(5)?.checked_add(number(value)?.try_into().ok()?)?,
            b'g' => value + 2 + usize::from(*fields.get(value)?),
            _ => return None,
        };
        at = end.checked_next_multiple_of(8)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_told_by_its_serial() {
        let message = encode(7, &QUESTIONS[0]);
        assert_eq!(message.len() % 8, 0);
        let fields = &message[16..];
        assert_eq!(reply_to(fields, false), None);
        let mut reply = vec![6, 1, b's', 0, 4, 0, 0, 0, b':', b'1', b'.', b'5', 0, 0, 0, 0];
        reply.extend([5, 1, b'u', 0, 7, 0, 0, 0]);
        assert_eq!(reply_to(&reply, false), Some(7));
        for cut in 0..reply.len() - 1 {
            assert_eq!(reply_to(&reply[..cut], false), None);
        }
        assert_eq!(reply_to(&[1, 1, b's', 0, 255, 255, 255, 255], false), None);
    }

    #[test]
    fn who_is_no_bus_is_not_believed() -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let other = std::thread::spawn(move || -> io::Result<()> {
            let mut theirs = theirs;
            theirs.write_all(b"OK 1234\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
        });
        assert!(talks_to_systemd(ours).is_err());
        other.join().map_err(|_| io::Error::other("panic"))?
    }
}
