//! Calloop event sources that accept connections and identify them.

mod context;
mod live;
mod questions;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use calloop::generic::Generic;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventSource, Interest, Mode, Poll, PostAction, Readiness, Token, TokenFactory};
use wayland_server::ListeningSocket;

pub use context::AuthenticatedContext;
pub use live::LiveRights;
pub use questions::Questions;

use crate::wayland::{Authenticator, ClientAuth, SandboxContext};

/// How many connections are accepted in a row before the event loop gets its turn: each takes a look-up, and clients
/// that were there before wait as long (`cargo xtask soak` shows what they notice of a flood).
const BATCH: usize = 8;

/// How long the source does not look at its socket after it could not even turn a client away.
const REST: Duration = Duration::from_millis(100);

/// How often in a row the socket may be ready for nobody. A client that went again is one; a socket that somebody shut
/// down is always ready.
const IN_VAIN: u32 = 8;

/// A listening socket whose every connection is identified before the compositor sees it.
///
/// Yields `(UnixStream, ClientAuth)`: put the latter into the client's data and the former into
/// `insert_client`. A failed `accept` concerns one connection and never stops the source: when file
/// descriptors run out, the waiting connection is taken with a spare one and closed, so that
/// neither the queue fills up nor the event loop spins; a connection for whose identification
/// there are none left is closed too, and one beyond the policy's `[limits]`. If even the spare one does not help, because another thread has it
/// or the whole system has none, clients wait until there are some again, looked for ten times a second.
#[derive(Debug)]
pub struct AuthenticatedSocket<L: AsFd = ListeningSocket> {
    listener: Generic<L>,
    accept: fn(&L) -> io::Result<Option<UnixStream>>,
    authenticator: Authenticator,
    /// Of a socket that was opened as a security context.
    context: Option<SandboxContext>,
    refused: Refused,
    spare: Option<OwnedFd>,
    /// Runs while the listener is not registered.
    rest: Option<Timer>,
    is_listening: bool,
    /// How often in a row the socket was said to be ready, and nobody was there.
    in_vain: u32,
}

impl AuthenticatedSocket<ListeningSocket> {
    /// Listens on a Wayland socket.
    #[must_use]
    pub fn new(authenticator: Authenticator, socket: ListeningSocket) -> Self {
        Self::with(authenticator, socket, ListeningSocket::accept)
    }
}

impl AuthenticatedSocket<UnixListener> {
    /// Listens on any unix socket; it is made non-blocking.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn from_listener(authenticator: Authenticator, listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::with(authenticator, listener, |listener| match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }))
    }
}

impl<L: AsFd> AuthenticatedSocket<L> {
    fn with(authenticator: Authenticator, listener: L, accept: fn(&L) -> io::Result<Option<UnixStream>>) -> Self {
        let listener = Generic::new(listener, Interest::READ, Mode::Level);
        Self {
            listener,
            accept,
            authenticator,
            context: None,
            refused: Refused(None),
            spare: spare(),
            rest: None,
            is_listening: false,
            in_vain: 0,
        }
    }

    /// Calls `f` with clients that are [over a limit](ClientAuth::over_limit) and were closed: with each that is
    /// logged, which in a flood are a few, and then one a second.
    #[must_use]
    pub fn on_refused(mut self, f: impl FnMut(&ClientAuth) + Send + 'static) -> Self {
        self.refused = Refused(Some(Box::new(f)));
        self
    }

    /// The listening socket.
    #[must_use]
    pub fn listener(&self) -> &L {
        self.listener.get_ref()
    }

    /// Looks at the socket again later: it stays readable, and to go on looking would be to spin.
    fn take_a_rest(&mut self) -> PostAction {
        self.rest = Some(Timer::from_duration(REST));
        PostAction::Reregister
    }

    /// Says so, unless it was said too often.
    fn tell_of_shortage(&self, consequence: &str, error: Option<&io::Error>) {
        if let Some(not_told) = self.authenticator.tell_of_refusal() {
            let error = error.map(tracing::field::display);
            tracing::warn!(error, not_told, "out of file descriptors or memory: {consequence}");
        }
    }

    /// Accepts one connection, if one waits and it can be served.
    fn accept(&mut self) -> Accepted {
        if self.spare.is_none() {
            self.spare = spare();
        }
        let listener = self.listener.get_ref();
        match (self.accept)(listener) {
            Ok(Some(stream)) => {
                let auth = match &self.context {
                    Some(context) => self.authenticator.identify_sandboxed(&stream, context),
                    None => self.authenticator.identify(&stream),
                };
                if auth.identity().is_short_of_resources() {
                    self.tell_of_shortage("a new client was turned away", None);
                    return Accepted::Failed;
                }
                if let Some(over_limit) = auth.over_limit() {
                    drop(stream);
                    if let (true, Refused(Some(f))) = (over_limit.told, &mut self.refused) {
                        f(&auth);
                    }
                    return Accepted::Failed;
                }
                Accepted::Client(stream, auth)
            }
            Ok(None) => Accepted::Nothing,
            Err(e) if is_exhausted(&e) => {
                // Give the spare descriptor for this connection, so that it can be closed.
                self.spare = None;
                let second = (self.accept)(listener).map(drop_client);
                self.spare = spare();
                match second {
                    Ok(true) => {
                        self.tell_of_shortage("a new client was turned away", Some(&e));
                        Accepted::Failed
                    }
                    // It went by itself.
                    Ok(false) => Accepted::Nothing,
                    Err(e) => {
                        self.tell_of_shortage("new clients have to wait", Some(&e));
                        Accepted::Exhausted
                    }
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                // What is wrong with the socket itself stays wrong: look at it again later.
                if concerns_one_connection(&e) { Accepted::Failed } else { Accepted::Exhausted }
            }
        }
    }
}

type OnRefused = Box<dyn FnMut(&ClientAuth) + Send>;

/// What is called with clients that were closed.
struct Refused(Option<OnRefused>);

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Refused(..)" } else { "Refused" })
    }
}

enum Accepted {
    Client(UnixStream, ClientAuth),
    /// This one was not served; another may wait.
    Failed,
    Nothing,
    /// Nothing can be done for those who wait, neither now nor at once.
    Exhausted,
}

/// Closes a connection; whether there was one.
fn drop_client(stream: Option<UnixStream>) -> bool {
    stream.is_some()
}

fn spare() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&code))
}

/// Whether the next connection may do better.
fn concerns_one_connection(error: &io::Error) -> bool {
    let passing = [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::EPERM];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

impl<L: AsFd> EventSource for AuthenticatedSocket<L> {
    type Event = (UnixStream, ClientAuth);
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(&mut self, readiness: Readiness, token: Token, mut callback: F) -> io::Result<PostAction>
    where
        F: FnMut(Self::Event, &mut Self::Metadata) -> Self::Ret,
    {
        let mut rested = false;
        if let Some(rest) = &mut self.rest {
            rest.process_events(readiness, token, |_, ()| {
                rested = true;
                TimeoutAction::Drop
            })?;
        }
        if rested {
            self.rest = None;
            return Ok(PostAction::Reregister);
        }
        let mut ready = false;
        self.listener.process_events(readiness, token, |_, _| {
            ready = true;
            Ok(PostAction::Continue)
        })?;
        if !ready {
            return Ok(PostAction::Continue);
        }
        let mut in_vain = true;
        for _ in 0..BATCH {
            match self.accept() {
                Accepted::Client(stream, auth) => callback((stream, auth), &mut ()),
                Accepted::Failed => {}
                Accepted::Nothing if in_vain => {
                    self.in_vain += 1;
                    if self.in_vain < IN_VAIN {
                        break;
                    }
                    return Ok(self.take_a_rest());
                }
                Accepted::Nothing => break,
                Accepted::Exhausted => return Ok(self.take_a_rest()),
            }
            in_vain = false;
            self.in_vain = 0;
        }
        Ok(PostAction::Continue)
    }

    fn register(&mut self, poll: &mut Poll, token_factory: &mut TokenFactory) -> calloop::Result<()> {
        match &mut self.rest {
            Some(rest) => rest.register(poll, token_factory),
            None => {
                self.listener.register(poll, token_factory)?;
                self.is_listening = true;
                Ok(())
            }
        }
    }

    fn reregister(&mut self, poll: &mut Poll, token_factory: &mut TokenFactory) -> calloop::Result<()> {
        self.unregister(poll)?;
        self.register(poll, token_factory)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        if let Some(rest) = &mut self.rest {
            rest.unregister(poll)?;
        }
        if std::mem::take(&mut self.is_listening) { self.listener.unregister(poll) } else { Ok(()) }
    }
}
