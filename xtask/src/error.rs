//! Why a task ended early: what failed, where, and what to do about it.

use std::{fmt, process::ExitCode};

use crate::cli::USAGE;

/// Why a task ended early.
#[derive(Debug)]
pub(crate) enum Error {
    /// This signal asked us to end; everything was removed.
    Interrupted(i32),
    /// The command line asks for something that there is not.
    Usage(String),
    /// Something could not be done.
    Failed {
        /// What, and where.
        what: String,
        /// What the system said.
        cause: Option<String>,
        /// What the user can do.
        remedy: Option<String>,
    },
}

impl Error {
    /// Something could not be done.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), cause: None, remedy: None }
    }

    /// Adds what the system said.
    #[must_use]
    pub(crate) fn because(self, error: impl fmt::Display) -> Self {
        match self {
            Self::Failed { what, remedy, .. } => Self::Failed { what, cause: Some(error.to_string()), remedy },
            other => other,
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub(crate) fn remedy(self, text: impl Into<String>) -> Self {
        match self {
            Self::Failed { what, cause, .. } => Self::Failed { what, cause, remedy: Some(text.into()) },
            other => other,
        }
    }

    /// The text for the user.
    #[must_use]
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Interrupted(_) => "xtask: interrupted; nothing was left behind".into(),
            Self::Usage(what) => format!("xtask: {what}\n\n{USAGE}"),
            Self::Failed { what, cause, remedy } => {
                let cause = cause.as_ref().map_or_else(String::new, |cause| format!(": {}", cause.trim_end()));
                let remedy = remedy.as_ref().map_or_else(String::new, |remedy| format!("\nWhat to do: {remedy}"));
                format!("xtask: {what}{cause}{remedy}")
            }
        }
    }

    /// The status to end with: 2 for a wrong command line, 128 and the signal's number as a shell has it, else 1.
    #[must_use]
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed { .. } => ExitCode::FAILURE,
        }
    }
}

/// Gives a system's error its what and where.
pub(crate) trait Context<T> {
    /// What could not be done, and where.
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::failed(what()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_why_and_what_to_do() {
        let error = Error::failed("cannot build").because("no space\n").remedy("delete something");
        assert_eq!(error.report(), "xtask: cannot build: no space\nWhat to do: delete something");
        assert_eq!(Error::failed("cannot build").report(), "xtask: cannot build");
    }
}
