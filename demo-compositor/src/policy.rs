//! The policy that the compositor starts with.

use std::path::Path;

use wayland_auth::Policy;

use crate::error::StartError;

/// The policy that holds when none is given: the file `policy.toml` of this crate.
pub const BUILT_IN: &str = include_str!("../policy.toml");

/// The policy of `path`, or the built-in one.
///
/// # Errors
///
/// [`StartError::Policy`] with all that is wrong with it, each with its line and column.
pub(crate) fn load(path: Option<&Path>) -> Result<Policy, StartError> {
    let policy = match path {
        Some(path) => Policy::from_path(path).map_err(|error| StartError::Policy(error.to_string()))?,
        None => Policy::parse("built-in policy", BUILT_IN).map_err(|errors| StartError::Policy(errors.to_string()))?,
    };
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(policy)
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
