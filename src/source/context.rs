//! The socket of a security context (`wp_security_context_v1`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use calloop::generic::Generic;
use calloop::{EventSource, Interest, Mode, Poll, PostAction, Readiness, Token, TokenFactory};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::AuthenticatedSocket;
use crate::wayland::{Authenticator, ClientAuth, SandboxContext};

/// A socket that a sandbox engine opened as a security context.
///
/// Yields the same as [`AuthenticatedSocket`], and is as hard to wear out: it takes only so many connections in a row,
/// and a shortage of file descriptors turns clients away without stopping it. It removes itself from the event loop when
/// the engine closes its end of `close`; the clients that came before stay.
///
/// The engine shares the socket, and could make it block: it is made non-blocking again each time before it is looked at.
#[derive(Debug)]
pub struct AuthenticatedContext {
    socket: AuthenticatedSocket<UnixListener>,
    close: Generic<OwnedFd>,
}

impl AuthenticatedContext {
    /// Whether this is a Unix stream socket that listens: if not, the protocol has the error `invalid_listen_fd`.
    pub fn can_listen(socket: impl AsFd) -> bool {
        sockopt::socket_domain(&socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
            && sockopt::socket_type(&socket).is_ok_and(|kind| kind == SocketType::STREAM)
            && sockopt::socket_acceptconn(&socket).unwrap_or(false)
    }

    /// Listens on `listener` for the clients of `context`, until the other end of `close` is closed.
    ///
    /// # Errors
    ///
    /// If `listener` is not a Unix stream socket that listens.
    pub fn new(
        authenticator: Authenticator,
        listener: OwnedFd,
        close: OwnedFd,
        context: SandboxContext,
    ) -> io::Result<Self> {
        if !Self::can_listen(&listener) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut socket = AuthenticatedSocket::from_listener(authenticator, UnixListener::from(listener))?;
        socket.context = Some(context);
        // Whoever writes to it, instead of closing it, ends the context too: it would be readable for ever.
        Ok(Self { socket, close: Generic::new(close, Interest::READ, Mode::Level) })
    }

    /// See [`AuthenticatedSocket::on_refused`].
    #[must_use]
    pub fn on_refused(self, f: impl FnMut(&ClientAuth) + Send + 'static) -> Self {
        Self { socket: self.socket.on_refused(f), ..self }
    }
}

impl EventSource for AuthenticatedContext {
    type Event = (UnixStream, ClientAuth);
    type Metadata = ();
    type Ret = ();
    type Error = io::Error;

    fn process_events<F>(&mut self, readiness: Readiness, token: Token, callback: F) -> io::Result<PostAction>
    where
        F: FnMut(Self::Event, &mut Self::Metadata) -> Self::Ret,
    {
        let closed = self.close.process_events(readiness, token, |_, _| Ok(PostAction::Remove))?;
        if closed == PostAction::Remove {
            return Ok(closed);
        }
        self.socket.listener().set_nonblocking(true)?;
        self.socket.process_events(readiness, token, callback)
    }

    fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.socket.register(poll, tokens)?;
        self.close.register(poll, tokens)
    }

    fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
        self.socket.reregister(poll, tokens)?;
        self.close.reregister(poll, tokens)
    }

    fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
        self.close.unregister(poll)?;
        self.socket.unregister(poll)
    }
}
