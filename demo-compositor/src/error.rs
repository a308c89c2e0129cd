//! Why the compositor could not start.

use std::{error::Error, io, path::PathBuf};

use smithay::reexports::calloop;

use crate::runtime_dir::SocketError;

/// Why the compositor could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The policy has errors. The text is the whole report: file, line and column of each.
    #[error("{0}")]
    Policy(String),
    /// What was answered for good cannot be read. To go on without it could allow what somebody denied.
    #[error("cannot take up the answers that hold for good (mend or move their file, or use `--without-state`)")]
    State(#[source] Box<wayland_auth::policy::StateError>),
    /// The audit log cannot be written.
    #[error("cannot open the audit log `{}`", .path.display())]
    #[non_exhaustive]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// This machine gives the authenticator nothing to work with.
    #[error("cannot identify clients")]
    Authenticator(#[source] wayland_auth::wayland::BuildError),
    /// There is no socket to listen on.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The backend that was asked for cannot be used.
    #[error("cannot draw with the {name} backend")]
    #[non_exhaustive]
    Backend {
        /// Which one.
        name: &'static str,
        /// What is missing.
        source: Box<dyn Error>,
    },
    /// The program was built without that backend.
    #[error("this program was built without the winit backend (cargo feature `winit`): use `--backend headless`")]
    NoWinit,
    /// There is no keyboard layout.
    #[error("cannot make a keyboard: install the keyboard layouts (package `xkb-data` or `xkeyboard-config`)")]
    Keyboard(#[source] smithay::input::keyboard::Error),
    /// The event loop cannot be set up.
    #[error("cannot set up the event loop")]
    EventLoop(#[source] calloop::Error),
    /// The kernel refused something that the compositor cannot do without.
    #[error("cannot {what}")]
    #[non_exhaustive]
    Os {
        /// What was refused.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl StartError {
    /// What the program ends with: 2 where the user has to change what he wrote, else 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Policy(_) | Self::State(_) | Self::NoWinit => 2,
            _ => 1,
        }
    }

    /// The error and its causes, for a person.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl<T> From<calloop::InsertError<T>> for StartError {
    fn from(error: calloop::InsertError<T>) -> Self {
        Self::EventLoop(error.error)
    }
}
