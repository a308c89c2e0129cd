//! The policy that the compositor starts with.

use std::path::Path;

use wayland_auth::{
    Policy,
    policy::{PolicyError, PolicyFiles},
};

use crate::error::StartError;

/// The policy that holds when none is given: the file `policy.toml` of this crate.
pub const BUILT_IN: &str = include_str!("../policy.toml");

/// The policy of `path`, or the built-in one.
///
/// # Errors
///
/// [`StartError::Policy`] with all that is wrong with it, each with its line and column.
pub(crate) fn load(path: Option<&Path>) -> Result<Policy, StartError> {
    match path {
        Some(path) => load_from(path).map_err(|(error, _)| error),
        None => Policy::parse("built-in policy", BUILT_IN)
            .inspect(warn)
            .map_err(|errors| StartError::Policy(errors.to_string())),
    }
}

/// The policy of `path`. With the error comes what it was read from: when some of that changes, it is worth another try.
pub(crate) fn load_from(path: &Path) -> Result<Policy, (StartError, PolicyFiles)> {
    Policy::from_path(path).inspect(warn).map_err(|error| {
        let files = match &error {
            PolicyError::Invalid(errors) => errors.files().clone(),
            _ => PolicyFiles::default(),
        };
        (StartError::Policy(error.to_string()), files)
    })
}

fn warn(policy: &Policy) {
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_has_no_errors_and_no_warnings() {
        let policy = load(None).unwrap();
        assert_eq!(policy.warnings().len(), 0);
    }
}
