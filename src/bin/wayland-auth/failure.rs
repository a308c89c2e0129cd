//! Why the tool could not do what it was asked, and what its user can do about it.

use std::error::Error;
use std::process::ExitCode;

use crate::output;

/// The exit status of `show` and `doctor` when the answer is bad.
pub(crate) const FAILED: u8 = 1;
/// The exit status of `explain` when there is no answer, as of a wrong command line.
pub(crate) const UNANSWERED: u8 = 2;
/// The exit status of `run` when it could not run the command, as of `env` and `timeout`.
pub(crate) const LAUNCHER_FAILED: u8 = 125;
/// The exit status of `run` when the command is there but cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The exit status of `run` when there is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// A failure that ends the tool.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
    remedies: Vec<String>,
}

impl Failure {
    /// A failure with this exit status; `message` says what failed, and where.
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), remedies: Vec::new() }
    }

    /// A failure of `run` itself.
    pub(crate) fn launcher(message: impl Into<String>) -> Self {
        Self::new(LAUNCHER_FAILED, message)
    }

    /// Appends why it failed, down to the first cause.
    pub(crate) fn because(mut self, cause: impl Error) -> Self {
        self.message = format!("{}: {}", self.message, chain(&cause));
        self
    }

    /// Adds something that the user can do. Several are alternatives.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }

    /// The same with another exit status.
    pub(crate) fn with_code(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Adds several alternatives.
    pub(crate) fn remedies<S: Into<String>>(self, remedies: impl IntoIterator<Item = S>) -> Self {
        remedies.into_iter().fold(self, Self::remedy)
    }

    /// The exit status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// What failed, without the remedies.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Tells the user, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        output::complain(&self.message);
        let several = self.remedies.len() > 1;
        for (index, remedy) in self.remedies.iter().enumerate() {
            output::complain_more(if several && index > 0 { "or: " } else { "to do: " }, remedy);
        }
        ExitCode::from(self.status)
    }
}

/// An error's text with those of its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_the_message() {
        let failure = Failure::launcher("could not make a cgroup").because(std::io::Error::from_raw_os_error(13));
        assert_eq!(failure.message, "could not make a cgroup: Permission denied (os error 13)");
        assert_eq!(failure.status, 125);
    }
}
