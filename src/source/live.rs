//! What makes rights change in time.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use calloop::generic::Generic;
use calloop::ping::{PingSource, make_ping};
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventSource, Interest, Mode, Poll, PostAction, Readiness, Token, TokenFactory};

use crate::wayland::Authenticator;

/// Calls [`Authenticator::tick`] whenever there is something to do. Insert it once, in the event loop that serves the
/// clients.
///
/// It yields nothing: what happens is told to those who [subscribed](Authenticator::subscribe).
#[derive(Debug)]
pub struct LiveRights {
    authenticator: Authenticator,
    /// Somebody changed something.
    wake: PingSource,
    /// The label of a client changed.
    labels: Generic<OwnedFd>,
    /// Something has become due.
    timer: Timer,
}

impl LiveRights {
    /// Drives the clients of `authenticator`, which should be [attached](Authenticator::attach).
    ///
    /// # Errors
    ///
    /// If there is no file descriptor left.
    pub fn new(authenticator: Authenticator) -> io::Result<Self> {
        let (ping, wake) = make_ping()?;
        let labels = Generic::new(authenticator.watch_labels()?, Interest::READ, Mode::Level);
        authenticator.on_wake(move || ping.ping());
        Ok(Self { authenticator, wake, labels, timer: Timer::immediate() })
    }
}

impl EventSource for LiveRights {
    type Event = ();
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(&mut self, readiness: Readiness, token: Token, _: F) -> io::Result<PostAction>
    where
        F: FnMut(Self::Event, &mut Self::Metadata) -> Self::Ret,
    {
        let mut is_due = false;
        self.wake.process_events(readiness, token, |(), ()| is_due = true).map_err(io::Error::other)?;
        self.labels.process_events(readiness, token, |_, _| {
            is_due = true;
            Ok(PostAction::Continue)
        })?;
        self.timer.process_events(readiness, token, |_, ()| {
            is_due = true;
            TimeoutAction::Drop
        })?;
        if !is_due {
            return Ok(PostAction::Continue);
        }
        match self.authenticator.tick() {
            Some(next) => self.timer.set_deadline(next),
            // Never: a timer so late has no deadline.
            None => self.timer.set_duration(Duration::MAX),
        }
        Ok(PostAction::Reregister)
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.wake.register(poll, tokens)?;
        self.labels.register(poll, tokens)?;
        self.timer.register(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.wake.reregister(poll, tokens)?;
        self.labels.reregister(poll, tokens)?;
        self.timer.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.timer.unregister(poll)?;
        self.labels.unregister(poll)?;
        self.wake.unregister(poll)
    }
}
