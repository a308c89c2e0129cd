//! Where lines go, without ever waiting for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::net::SendFlags;

/// A place that lines are written to: a file, a FIFO, a socket.
///
/// Nothing waits for it. A line that a FIFO or a socket has no room for is dropped, and counted. One that was begun is
/// finished before the next, so that no line is ever inside another.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    /// The rest of a line that there was no room for.
    rest: Vec<u8>,
}

#[derive(Debug)]
enum Target {
    File(File),
    Socket(UnixStream),
}

impl Sink {
    /// Appends to a file, which is created for this user alone, or writes to a FIFO that somebody reads.
    ///
    /// Lines of several programs do not mix in a file: each is written with one call (`O_APPEND`). Where the reader of a FIFO
    /// goes, the program is sent `SIGPIPE`, which Rust programs ignore.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is a symbolic link, or is a FIFO that nobody reads.
    pub fn append_to(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        Ok(Self::new(Target::File(file)))
    }

    /// Sends to a connected socket. Whether that is non-blocking stays as it is for whoever else has it.
    #[must_use]
    pub fn socket(socket: UnixStream) -> Self {
        Self::new(Target::Socket(socket))
    }

    fn new(target: Target) -> Self {
        Self { target, rest: Vec::new() }
    }

    /// Writes a line with its end, whole or not at all, as far as a reader of the whole can tell.
    ///
    /// # Errors
    ///
    /// The line is lost. [`io::ErrorKind::WouldBlock`]: there was no room for it.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.finish()?;
        let written = self.target.write(line)?;
        self.rest.extend_from_slice(line.get(written..).unwrap_or_default());
        // What there is no room for now is written before the next line.
        let _ = self.finish();
        Ok(())
    }

    /// Writes what is left of the last line.
    fn finish(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let written = self.target.write(&self.rest)?;
            self.rest.drain(..written.min(self.rest.len()));
        }
        Ok(())
    }
}

impl Target {
    /// Writes some bytes, at least one.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::File(file) => file.write(bytes),
                Self::Socket(socket) => {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    rustix::net::send(socket, bytes, flags).map_err(io::Error::from)
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A line of so many bytes.
    fn line(number: usize, length: usize) -> Vec<u8> {
        let mut line = format!("{number}:").into_bytes();
        line.resize(length - 1, b'x');
        line.push(b'\n');
        line
    }

    /// Writes until there is no room, reads, and writes again: what arrives is whole lines, in order.
    fn t26_never_waits(mut sink: Sink, reader: &mut (impl Read + ?Sized)) {
        let mut accepted = Vec::new();
        let mut arrived = Vec::new();
        let mut number = 0;
        for _ in 0..20 {
            let refused = loop {
                let line = line(number, 5000 + number % 7);
                match sink.write_line(&line) {
                    Ok(()) => accepted.push(line),
                    Err(error) => break error,
                }
                number += 1;
                assert!(number < 100_000, "there is always room");
            };
            number += 1;
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
            let mut some = vec![0; 7001];
            let read = reader.read(&mut some).unwrap();
            arrived.extend_from_slice(&some[..read]);
        }
        drop(sink);
        reader.read_to_end(&mut arrived).unwrap();
        let accepted = accepted.concat();
        // The end of the last line may be lost with the sink.
        assert!(accepted.starts_with(&arrived) && arrived.len() + 5010 > accepted.len());
    }

    #[test]
    fn t26_a_socket_that_nobody_reads_holds_nobody_up_and_breaks_no_line() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        t26_never_waits(Sink::socket(ours), &mut theirs);
    }

    #[test]
    fn t26_a_fifo_that_nobody_reads_holds_nobody_up_and_breaks_no_line() {
        let dir = std::env::temp_dir().join(format!("wayland-auth-audit-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // Nobody reads it: that is told, and not waited for.
        assert!(Sink::append_to(&path).is_err());
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap();
        let sink = Sink::append_to(&path).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        t26_never_waits(sink, &mut reader);
    }

    #[test]
    fn a_reader_that_went_is_an_error_and_no_signal() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(Sink::socket(ours).write_line(b"x\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
