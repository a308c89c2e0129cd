//! The few bytes of the Wayland protocol that a registry round trip takes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

const DISPLAY: u32 = 1;

/// Requests `wl_display.get_registry(registry)` and `wl_display.sync(callback)`, in one write.
pub(crate) fn ask(mut stream: &UnixStream, registry: u32, callback: u32) -> io::Result<()> {
    let words = [DISPLAY, request(1), registry, DISPLAY, request(0), callback];
    let mut bytes = [0; 24];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    stream.write_all(&bytes)
}

/// Size and opcode of a request with one argument.
fn request(opcode: u32) -> u32 {
    (12 << 16) | opcode
}

/// Reads events until `callback` is done; gives the number of globals announced by then.
pub(crate) fn answer(mut stream: &UnixStream, callback: u32, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let mut globals = 0;
    buffer.clear();
    loop {
        let mut at = 0;
        while let Some((object, opcode, size)) = header(&buffer[at..]) {
            if object == DISPLAY && opcode == 0 {
                return Err(io::Error::other("protocol error"));
            }
            if object == callback {
                return Ok(globals);
            }
            globals += usize::from(object != DISPLAY && opcode == 0);
            at += size;
        }
        buffer.drain(..at);
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Object, opcode and size of the message that `bytes` start with, if all of it is there.
fn header(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (object, rest) = (word(0)?, word(4)?);
    let size = (rest >> 16) as usize;
    (size >= 8 && bytes.len() >= size).then_some((object, rest & 0xffff, size))
}
