//! The file of the answers that hold until somebody takes them back.

use std::path::PathBuf;

use wayland_auth::{Authenticator, policy::StateFile};

use crate::{cli::Options, error::StartError};

/// Takes up what was answered for good before, and keeps it from now on.
///
/// # Errors
///
/// Where the file is not in order. It may hold a no that nothing else says, so nobody is served without it.
pub(crate) fn take_up(authenticator: &Authenticator, options: &Options) -> Result<(), StartError> {
    let Some(path) = place(options) else {
        tracing::info!("answers that hold for good are not kept: nobody can be given anything for good");
        return Ok(());
    };
    tracing::info!(path = %path.display(), "answers that hold for good are kept");
    authenticator.set_state_file(path).map_err(|error| StartError::State(Box::new(error)))
}

/// Where the file is, if there is to be one.
///
/// Root's HOME may still be a user's, as with `sudo`: whatever root wrote there would hold in the session of that user,
/// who could not even replace it.
fn place(options: &Options) -> Option<PathBuf> {
    if options.without_state {
        return None;
    }
    let by_default = || if rustix::process::geteuid().is_root() { None } else { StateFile::default_path() };
    options.state.clone().or_else(by_default)
}
