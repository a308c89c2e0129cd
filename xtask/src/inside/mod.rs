//! What this program does when the demo starts it again as one of its own peers.

mod enter;
mod globals;
mod strip;
pub(crate) mod window;

use std::process::ExitCode;

use crate::{cli::Inside, error::Error};
pub(crate) use strip::{Report, strings};

/// Plays the part.
///
/// # Errors
///
/// If it cannot be played.
pub(crate) fn run(task: Inside) -> Result<ExitCode, Error> {
    match task {
        Inside::Enter { cgroup, command } => enter::run(&cgroup, &command),
        Inside::Globals => globals::run(),
        Inside::StripAttempts => strip::run(),
        Inside::Window => window::run(),
    }
}
