//! The command: where it is, and what it gets.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use wayland_auth::spawn::{Program, SignalMask, StartError, Step};

use crate::failure::{Failure, NOT_EXECUTABLE, NOT_FOUND};
use crate::session;

/// Variables that tell of descriptors which the command does not inherit.
pub(super) const DESCRIPTOR_VARIABLES: &[&str] =
    &["WAYLAND_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"];

/// A command and its arguments, with the files that it could mean.
#[derive(Debug)]
pub(super) struct CommandLine {
    words: Vec<OsString>,
    files: Vec<PathBuf>,
}

impl CommandLine {
    /// Looks for the command, so that nothing is made for one that is not there.
    pub(super) fn find(words: &[OsString]) -> Result<Self, Failure> {
        let name = words.first().ok_or_else(|| Failure::new(NOT_FOUND, "no command is given"))?;
        let files = session::candidates(name);
        if !files.iter().any(|file| session::is_executable(file)) {
            let there = files.iter().any(|file| file.symlink_metadata().is_ok());
            let errno = if there { rustix::io::Errno::ACCESS } else { rustix::io::Errno::NOENT };
            return Err(cannot_execute(name, errno.into()));
        }
        Ok(Self { words: words.to_owned(), files })
    }

    /// The words, as bubblewrap gets them.
    pub(super) fn words(&self) -> &[OsString] {
        &self.words
    }

    /// The file that will be executed, unless it is replaced.
    pub(super) fn file(&self) -> Option<&Path> {
        self.files.iter().map(PathBuf::as_path).find(|file| session::is_executable(file))
    }

    /// The command as a program of its own.
    pub(super) fn program(&self, environment: Vec<OsString>, mask: SignalMask) -> Result<Program, Failure> {
        program(&self.files, &self.words, environment, mask, None)
    }

    /// Why the command was not executed, in the words and with the exit status of `env(1)`.
    pub(super) fn start_failure(&self, error: StartError) -> Failure {
        let name = self.words.first().map_or(OsStr::new(""), OsString::as_os_str);
        match error.step {
            Step::Execute => cannot_execute(name, error.source),
            _ => Failure::launcher(format!("could not start `{}`", name.display())).because(error),
        }
    }
}

fn cannot_execute(name: &OsStr, source: io::Error) -> Failure {
    let name = name.display();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Failure::new(NOT_FOUND, format!("there is no command `{name}`")).because(source)
        }
        _ => Failure::new(NOT_EXECUTABLE, format!("`{name}` cannot be executed")).because(source),
    }
}

/// A program in the form that [`wayland_auth::spawn`] takes.
pub(super) fn program(
    files: &[PathBuf],
    words: &[OsString],
    environment: Vec<OsString>,
    mask: SignalMask,
    keep: Option<OwnedFd>,
) -> Result<Program, Failure> {
    let own_group = keep.is_some();
    let files = files.iter().map(|file| c_string(file.as_os_str())).collect::<Result<_, _>>()?;
    let arguments = words.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
    let environment = environment.iter().map(|pair| c_string(pair)).collect::<Result<_, _>>()?;
    Ok(Program { files, arguments, environment, mask, keep, own_group })
}

fn c_string(text: &OsStr) -> Result<CString, Failure> {
    CString::new(text.as_bytes()).map_err(|e| Failure::launcher("an argument contains a NUL byte").because(e))
}

/// Our environment without the variables `removed`, and with those `set`.
pub(super) fn environment(removed: &[&str], set: impl IntoIterator<Item = (&'static str, OsString)>) -> Vec<OsString> {
    let set: Vec<_> = set.into_iter().collect();
    let replaced = |name: &OsStr| removed.iter().any(|r| *r == name) || set.iter().any(|(n, _)| *n == name);
    let kept = std::env::vars_os().filter(|(name, _)| !replaced(name)).map(|(name, value)| pair(&name, &value));
    let set = set.iter().map(|(name, value)| pair(OsStr::new(name), value));
    kept.chain(set).collect()
}

fn pair(name: &OsStr, value: &OsStr) -> OsString {
    OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_removed_and_replaced() {
        let environment = environment(&["PATH"], [("WAYLAND_DISPLAY", "wayland-7".into())]);
        assert!(environment.contains(&"WAYLAND_DISPLAY=wayland-7".into()));
        let named = |name: &str| environment.iter().filter(|p| p.as_bytes().starts_with(name.as_bytes())).count();
        assert_eq!((named("PATH="), named("WAYLAND_DISPLAY=")), (0, 1));
    }

    #[test]
    fn missing_command_is_told_from_one_that_cannot_be_executed() {
        let status = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(OsString::from).collect();
            CommandLine::find(&words).map(|_| ()).map_err(|failure| failure.status())
        };
        assert_eq!(status(&["true"]), Ok(()));
        assert_eq!(status(&["/no/such/command"]), Err(NOT_FOUND));
        assert_eq!(status(&["no-such-command-anywhere"]), Err(NOT_FOUND));
        assert_eq!(status(&["/etc/passwd"]), Err(NOT_EXECUTABLE));
        assert_eq!(status(&["/"]), Err(NOT_EXECUTABLE));
    }
}
