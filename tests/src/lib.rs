//! Shared parts of the integration tests: a world of real cgroups, sockets and processes.
//!
//! What concerns identity runs with compositor and clients as one unprivileged user. Started as
//! root, the harness makes a cgroup, gives it to such a user and runs the tests as him; root stays
//! behind as the [`admin`] who does what only root can. Started by an ordinary user, it works in
//! the user's own delegated cgroup, and the tests that need root say so and count as skipped.

pub mod admin;
pub mod cgroups;
pub mod connect;
pub mod expect;
pub mod fuse;
pub mod harness;
pub mod hostile;
pub mod intrusive;
pub mod kinds;
pub mod offspring;
pub mod release;
pub mod server;
pub mod transcript;
pub mod wire;

pub use cgroups::TestCgroup;
pub use connect::{Connection, Peers};
pub use harness::{Needs, Test, World, main};

/// What a test returns.
pub type Outcome = Result<(), String>;

/// Fails a test with a message unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// Fails a test unless two values are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr) => {
        $crate::ensure_eq!($left, $right, "")
    };
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err(format!("{}\n  got:      {left:?}\n  expected: {right:?}", format!($($message)+)));
                }
            }
        }
    };
}

/// Says where an error happened.
pub trait Context<T> {
    /// Adds `what` to the error.
    ///
    /// # Errors
    ///
    /// The error itself, with `what` before it.
    fn context(self, what: impl std::fmt::Display) -> Result<T, String>;
}

impl<T, E: std::fmt::Display> Context<T> for Result<T, E> {
    fn context(self, what: impl std::fmt::Display) -> Result<T, String> {
        self.map_err(|e| format!("{what}: {e}"))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl std::fmt::Display) -> Result<T, String> {
        self.ok_or_else(|| what.to_string())
    }
}
