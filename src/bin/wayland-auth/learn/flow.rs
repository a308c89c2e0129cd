//! One direction of a connection: bytes and descriptors that came, and that are to go.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::tracker::Step;
use super::wire::{self, Message};

/// How many descriptors go with one message of the kernel's, as in libwayland.
const FDS: usize = 28;
/// How many descriptors may wait.
const MAX_FDS: usize = 4 * FDS;
/// With so many bytes waiting, no more are read. It is more than the longest message.
const MAX_BYTES: usize = 1 << 16;
/// How much is read at a time.
pub(super) const CHUNK: usize = 1 << 15;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The beginning of a message that is not there yet as a whole.
    part: Vec<u8>,
    /// Whole messages that wait.
    bytes: Vec<u8>,
    /// How many bytes were sent.
    sent: u64,
    /// The descriptors that wait, each with how many bytes were to be sent before it when it came. It goes with the next
    /// byte: never later than its message.
    fds: VecDeque<(u64, OwnedFd)>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody takes it.
    dead: bool,
}

/// Why a connection has to end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// What came is no Wayland.
    Malformed,
    /// As [`Step::End`].
    End { why: String, event: Option<Vec<u8>> },
}

impl Flow {
    /// Whether more can be taken.
    pub(super) fn wants(&self) -> bool {
        !self.ended && !self.dead && self.bytes.len() < MAX_BYTES && self.fds.len() < MAX_FDS
    }

    /// Whether something waits.
    pub(super) fn has(&self) -> bool {
        !self.dead && !self.bytes.is_empty()
    }

    /// Whether all that will ever come has gone on.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !self.has()
    }

    /// Whether nobody takes it.
    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether it waits for more of a message that has too many descriptors already. No message has that many.
    pub(super) fn is_stuck(&self) -> bool {
        self.bytes.is_empty() && self.fds.len() >= MAX_FDS
    }

    /// Takes what is there, and lets `look` at each message. `chunk` is where it is read to.
    pub(super) fn take(
        &mut self,
        from: BorrowedFd<'_>,
        chunk: &mut [u8],
        look: impl FnMut(Message<'_>) -> Step,
    ) -> Result<(), Stop> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(from, &mut [IoSliceMut::new(chunk)], &mut ancillary, flags);
        let position = self.sent.saturating_add(self.bytes.len() as u64);
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds.map(|fd| (position, fd)));
            }
        }
        match received {
            // Some of the descriptors are lost.
            Ok(received) if received.flags.contains(ReturnFlags::CTRUNC) => Err(Stop::Malformed),
            Ok(received) if received.bytes == 0 => {
                self.ended = true;
                Ok(())
            }
            Ok(received) => self.sort(chunk.get(..received.bytes).unwrap_or_default(), look),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            // It was closed without reading all.
            Err(_) => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn sort(&mut self, chunk: &[u8], mut look: impl FnMut(Message<'_>) -> Step) -> Result<(), Stop> {
        self.part.extend_from_slice(chunk);
        let mut rest = &self.part[..];
        let mut stop = Ok(());
        loop {
            let message = match wire::first(rest) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(wire::Malformed) => {
                    stop = Err(Stop::Malformed);
                    break;
                }
            };
            rest = rest.get(message.bytes.len()..).unwrap_or_default();
            match look(message) {
                Step::Pass => self.bytes.extend_from_slice(message.bytes),
                Step::Drop => {}
                Step::End { why, event } => {
                    stop = Err(Stop::End { why, event });
                    break;
                }
            }
        }
        let left = rest.len();
        self.part.drain(..self.part.len() - left);
        stop
    }

    /// Adds a message of our own.
    pub(super) fn add(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
    }

    /// Sends once as much as fits.
    pub(super) fn give(&mut self, to: BorrowedFd<'_>) {
        match self.send(to) {
            Ok(len) => {
                self.bytes.drain(..len.min(self.bytes.len()));
                self.sent = self.sent.saturating_add(len as u64);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => {
                self.dead = true;
                self.bytes.clear();
                self.fds.clear();
            }
        }
    }

    fn send(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let due = self.fds.iter().take_while(|(position, _)| *position <= self.sent).count();
        let now = due.min(FDS);
        // The bytes up to the next descriptors; only one if there are more already, which go with the next.
        let next = self.fds.get(now).map(|(position, _)| position.saturating_sub(self.sent).max(1));
        let len = next.and_then(|next| usize::try_from(next).ok()).unwrap_or(usize::MAX).min(self.bytes.len());
        let Some(bytes) = self.bytes.get(..len) else { return Ok(0) };
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().take(now).map(|(_, fd)| fd.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("the descriptors do not fit"));
        }
        let sent = sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        if sent > 0 {
            self.fds.drain(..now);
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn message(size: u16) -> Vec<u8> {
        let mut bytes = [&3_u32.to_ne_bytes()[..], &(u32::from(size) << 16).to_ne_bytes()].concat();
        bytes.resize(size.into(), 7);
        bytes
    }

    /// Sends `bytes` with so many descriptors.
    fn put(to: &UnixStream, bytes: &[u8], fds: usize) {
        let fd = std::fs::File::open("/dev/null").unwrap();
        let fds = vec![fd.as_fd(); fds];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        assert_eq!(sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::empty()).unwrap(), bytes.len());
    }

    /// What is there, and with how many descriptors; each of them must be closed on exec.
    fn get(from: &UnixStream) -> (Vec<u8>, usize) {
        let mut bytes = vec![0; 1 << 17];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        let len = recvmsg(from, slices, &mut ancillary, RecvFlags::DONTWAIT).map_or(0, |received| received.bytes);
        let fds = ancillary.drain().map(|m| if let RecvAncillaryMessage::ScmRights(fds) = m { fds.count() } else { 0 });
        let fds = fds.sum();
        bytes.truncate(len);
        (bytes, fds)
    }

    struct Pipe {
        flow: Flow,
        client: UnixStream,
        from: UnixStream,
        to: UnixStream,
        server: UnixStream,
    }

    fn pipe() -> Pipe {
        let ((client, from), (to, server)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        Pipe { flow: Flow::default(), client, from, to, server }
    }

    impl Pipe {
        fn take(&mut self) -> Result<(), Stop> {
            self.flow.take(self.from.as_fd(), &mut [0; CHUNK], |_| Step::Pass)
        }

        fn all(&mut self) -> (Vec<u8>, usize) {
            let (mut bytes, mut fds) = (Vec::new(), 0);
            while self.flow.has() {
                self.flow.give(self.to.as_fd());
                let got = get(&self.server);
                bytes.extend(got.0);
                fds += got.1;
            }
            (bytes, fds)
        }
    }

    #[test]
    fn messages_that_come_byte_by_byte_go_as_a_whole() {
        let mut pipe = pipe();
        let bytes = message(24);
        for byte in &bytes[..23] {
            put(&pipe.client, &[*byte], 0);
            pipe.take().unwrap();
            assert!(!pipe.flow.has());
        }
        put(&pipe.client, &bytes[23..], 0);
        pipe.take().unwrap();
        assert_eq!(pipe.all(), (bytes, 0));
    }

    #[test]
    fn descriptors_come_with_their_bytes_and_not_later() {
        let mut pipe = pipe();
        put(&pipe.client, &message(8), 0);
        put(&pipe.client, &message(12), 28);
        put(&pipe.client, &message(16), 28);
        for _ in 0..3 {
            pipe.take().unwrap();
        }
        let (mut bytes, mut fds) = (0, 0);
        while pipe.flow.has() {
            pipe.flow.give(pipe.to.as_fd());
            let part = get(&pipe.server);
            (bytes, fds) = (bytes + part.0.len(), fds + part.1);
            assert!(part.1 <= FDS);
            // Those of the second message are there with its first byte, and those of the third with that one's.
            assert!(
                fds >= if bytes > 20 {
                    56
                } else if bytes > 8 {
                    28
                } else {
                    0
                },
                "{bytes} bytes, {fds} descriptors"
            );
        }
        assert_eq!((bytes, fds), (36, 56));
    }

    #[test]
    fn descriptors_that_wait_are_closed_on_exec() {
        let mut pipe = pipe();
        put(&pipe.client, &message(8), 3);
        pipe.take().unwrap();
        let flags: Vec<_> = pipe.flow.fds.iter().map(|(_, fd)| rustix::io::fcntl_getfd(fd).unwrap()).collect();
        assert_eq!(flags, [rustix::io::FdFlags::CLOEXEC; 3]);
    }

    #[test]
    fn descriptors_of_a_message_that_comes_in_parts_are_there_before_its_end() {
        let mut pipe = pipe();
        let bytes = message(64);
        for part in bytes.chunks(16) {
            put(&pipe.client, part, 20);
            pipe.take().unwrap();
        }
        // They came with the message's parts, and more than go at a time wait for its first byte.
        let mut got = 0;
        let mut fds = 0;
        while pipe.flow.has() {
            pipe.flow.give(pipe.to.as_fd());
            let part = get(&pipe.server);
            got += part.0.len();
            fds += part.1;
            assert!(part.1 <= FDS && (fds == 80 || got < 8), "{got} bytes, {fds} descriptors");
        }
        assert_eq!((got, fds), (64, 80));
    }

    #[test]
    fn descriptors_without_end_are_no_message() {
        let mut pipe = pipe();
        let bytes = message(64);
        for byte in &bytes[..4] {
            assert!(!pipe.flow.is_stuck() && pipe.flow.wants());
            put(&pipe.client, &[*byte], FDS);
            pipe.take().unwrap();
        }
        assert!(pipe.flow.is_stuck() && !pipe.flow.wants());
    }

    #[test]
    fn more_descriptors_than_libwayland_sends_at_a_time_are_no_message() {
        let mut pipe = pipe();
        put(&pipe.client, &message(8), 2 * FDS);
        assert_eq!(pipe.take(), Err(Stop::Malformed));
    }

    #[test]
    fn nothing_is_taken_while_nobody_reads() {
        let mut pipe = pipe();
        let bytes = message(1 << 15);
        let mut put_in = 0;
        for _ in 0..1000 {
            if !pipe.flow.wants() {
                break;
            }
            put(&pipe.client, &bytes, 0);
            put_in += bytes.len();
            while pipe.flow.wants() && pipe.flow.bytes.len() + pipe.flow.part.len() < put_in {
                pipe.take().unwrap();
            }
        }
        assert!(!pipe.flow.wants() && pipe.flow.bytes.len() <= MAX_BYTES + CHUNK + (1 << 15));
        assert_eq!(pipe.all().0.len(), put_in);
        assert!(pipe.flow.wants());
    }

    /// Whatever comes, in whatever pieces, nothing of ours fails by it.
    #[test]
    fn any_bytes_are_looked_at_without_harm() {
        use super::super::record::Record;
        use super::super::tracker::Tracker;
        let mut seed = 1_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u32
        };
        let (mut whole, mut passed) = (0, 0);
        for case in 0..2000 {
            let (mut tracker, mut record, mut flow) = (Tracker::default(), Record::default(), Flow::default());
            let hides = |interface: &str| interface.len().is_multiple_of(2);
            for _ in 0..20 {
                // Objects, opcodes and names are few, so that they meet; lengths and contents are anything.
                let words = random() % 6;
                let mut bytes = (1 + random() % 4).to_ne_bytes().to_vec();
                bytes.extend((((8 + 4 * words) << 16) | (random() % 3)).to_ne_bytes());
                bytes.extend((0..words).flat_map(|_| (random() >> (random() % 32)).to_ne_bytes()));
                if random() % 16 == 0 {
                    bytes.truncate((random() % 8) as usize);
                }
                let requests = random() % 2 == 0;
                let sorted = flow.sort(&bytes, |message| {
                    whole += 1;
                    match requests {
                        true => tracker.request(message, &mut record, (case % 2 == 0).then_some(&hides)),
                        false => tracker.event(message, &mut record, (case % 2 == 0).then_some(&hides)),
                    }
                });
                if sorted.is_err() {
                    break;
                }
            }
            passed += flow.bytes.len();
            tracker.finish(&mut record);
        }
        assert!(whole > 2000 && passed > 2000, "{whole} messages, {passed} bytes");
    }

    #[test]
    fn sizes_that_no_message_has_end_it_after_what_came_before() {
        let mut pipe = pipe();
        put(&pipe.client, &[message(8), vec![0; 8]].concat(), 0);
        assert_eq!(pipe.take(), Err(Stop::Malformed));
        assert_eq!(pipe.all().0, message(8));
    }

    #[test]
    fn what_is_left_is_sent_after_the_end_and_to_nobody_it_is_dropped() {
        let mut pipe = pipe();
        put(&pipe.client, &message(8), 0);
        drop(std::mem::replace(&mut pipe.client, UnixStream::pair().unwrap().0));
        pipe.take().unwrap();
        pipe.take().unwrap();
        assert!(pipe.flow.ended && !pipe.flow.is_over());
        drop(std::mem::replace(&mut pipe.server, UnixStream::pair().unwrap().0));
        pipe.flow.give(pipe.to.as_fd());
        assert!(pipe.flow.is_dead() && pipe.flow.is_over());
    }
}
