//! What makes questions end in time.

use std::io;
use std::time::Duration;

use calloop::ping::{PingSource, make_ping};
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventSource, Poll, PostAction, Readiness, Token, TokenFactory};

use crate::ask::Asker;

/// Calls [`Asker::tick`] whenever there is something to do, and yields after each call: then look at the
/// [tickets](crate::ask::Ticket) that wait. Insert it once, in the event loop that serves the clients.
#[derive(Debug)]
pub struct Questions {
    asker: Asker,
    /// Somebody answered, asked or left.
    wake: PingSource,
    /// A question's time is up.
    timer: Timer,
}

impl Questions {
    /// Drives the questions of `asker`.
    ///
    /// # Errors
    ///
    /// If there is no file descriptor left.
    pub fn new(asker: Asker) -> io::Result<Self> {
        let (ping, wake) = make_ping()?;
        asker.on_wake(move || ping.ping());
        Ok(Self { asker, wake, timer: Timer::immediate() })
    }
}

impl EventSource for Questions {
    type Event = ();
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(&mut self, readiness: Readiness, token: Token, mut callback: F) -> io::Result<PostAction>
    where
        F: FnMut(Self::Event, &mut Self::Metadata) -> Self::Ret,
    {
        let mut is_due = false;
        self.wake.process_events(readiness, token, |(), ()| is_due = true).map_err(io::Error::other)?;
        self.timer.process_events(readiness, token, |_, ()| {
            is_due = true;
            TimeoutAction::Drop
        })?;
        if !is_due {
            return Ok(PostAction::Continue);
        }
        match self.asker.tick() {
            Some(next) => self.timer.set_deadline(next),
            // Never: a timer so late has no deadline.
            None => self.timer.set_duration(Duration::MAX),
        }
        callback((), &mut ());
        Ok(PostAction::Reregister)
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.wake.register(poll, tokens)?;
        self.timer.register(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.wake.reregister(poll, tokens)?;
        self.timer.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.timer.unregister(poll)?;
        self.wake.unregister(poll)
    }
}
