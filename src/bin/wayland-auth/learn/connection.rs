//! One connection of the application, and the one to the compositor that it goes on in.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::flow::{Flow, Stop};
use super::record::Record;
use super::tracker::{Hides, Tracker};

/// Both ends, and what is between them.
#[derive(Debug)]
pub(super) struct Connection {
    client: UnixStream,
    server: UnixStream,
    requests: Flow,
    events: Flow,
    tracker: Tracker,
    /// It is being ended here: only what the client is still to be told goes on.
    ending: bool,
}

/// What a descriptor is waited for, and what came.
const READABLE: PollFlags = PollFlags::IN;
const WRITABLE: PollFlags = PollFlags::OUT;
const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR);

impl Connection {
    pub(super) fn new(client: UnixStream, server: UnixStream) -> Self {
        let (requests, events) = (Flow::default(), Flow::default());
        Self { client, server, requests, events, tracker: Tracker::default(), ending: false }
    }

    /// What to wait for: at the application's end, and at the compositor's. Who waits for nothing must not be asked: that
    /// somebody has gone would be told again and again.
    pub(super) fn interests(&self) -> [(BorrowedFd<'_>, PollFlags); 2] {
        let flags = |wants: bool, has: bool| {
            let readable = if wants && !self.ending { READABLE } else { PollFlags::empty() };
            let writable = if has { WRITABLE } else { PollFlags::empty() };
            readable | writable
        };
        [
            (self.client.as_fd(), flags(self.requests.wants(), self.events.has())),
            (self.server.as_fd(), flags(self.events.wants(), self.requests.has() && !self.ending)),
        ]
    }

    /// Does what can be done: `client` and `server` are what came of the interests.
    pub(super) fn go_on(
        &mut self,
        [client, server]: [PollFlags; 2],
        chunk: &mut [u8],
        record: &mut Record,
        hides: Option<&Hides>,
    ) {
        let Self { tracker, events, .. } = self;
        if server.intersects(READABLE | GONE) && events.wants() && !self.ending {
            let look = |message: super::wire::Message<'_>| tracker.event(message, record, hides);
            let taken = events.take(self.server.as_fd(), chunk, look);
            self.judge(taken, record, "the compositor");
        }
        let Self { tracker, requests, .. } = self;
        if client.intersects(READABLE | GONE) && requests.wants() && !self.ending {
            let look = |message: super::wire::Message<'_>| tracker.request(message, record, hides);
            let taken = requests.take(self.client.as_fd(), chunk, look);
            self.judge(taken, record, "a program");
        }
        if self.requests.has() && !self.ending {
            self.requests.give(self.server.as_fd());
        }
        if self.events.has() {
            self.events.give(self.client.as_fd());
        }
        if !self.ending && (self.requests.is_stuck() || self.events.is_stuck()) {
            self.judge(Err(Stop::Malformed), record, "a program");
        }
    }

    fn judge(&mut self, taken: Result<(), Stop>, record: &mut Record, who: &str) {
        let (why, event) = match taken {
            Ok(()) => return,
            Err(Stop::Malformed) => (format!("{who} sent what is no Wayland"), None),
            Err(Stop::End { why, event }) => (why, event),
        };
        record.end(why);
        self.ending = true;
        if let Some(event) = event {
            self.events.add(&event);
        }
    }

    /// Whether nothing is left to do: one side has gone, and the other has what that side said last.
    pub(super) fn is_over(&self) -> bool {
        let both_deaf = self.requests.is_dead() && self.events.is_dead();
        let ended = self.ending && !self.events.has();
        ended || both_deaf || self.requests.is_over() || self.events.is_over()
    }

    /// Whether something waits that somebody is to take.
    pub(super) fn has(&self) -> bool {
        self.events.has() || (self.requests.has() && !self.ending)
    }

    /// Notes what is left, at the end.
    pub(super) fn finish(mut self, record: &mut Record) {
        self.tracker.finish(record);
    }
}
