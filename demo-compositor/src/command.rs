//! The command that runs inside, and whose status the compositor ends with.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use smithay::reexports::calloop::{
    Interest, Mode, PostAction,
    generic::Generic,
    timer::{TimeoutAction, Timer},
};

use crate::{error::StartError, state::State};

/// How long the command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// What a shell answers for a command that is not there.
const NOT_FOUND: u8 = 127;
/// What a shell answers for a command that cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// A running command.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    asked_to_end: bool,
}

impl State {
    /// Runs `words` as a client of the socket called `display`. Without any words it does nothing.
    ///
    /// A command that cannot be run ends the compositor with the status that a shell would give.
    ///
    /// # Errors
    ///
    /// If the command's end could not be noticed. It is killed then.
    pub(crate) fn run_command(&mut self, words: &[OsString], display: &OsStr) -> Result<(), StartError> {
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        let spawned = Command::new(program)
            .args(arguments)
            .env("WAYLAND_DISPLAY", display)
            .env_remove("WAYLAND_SOCKET")
            .env_remove("DISPLAY")
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(command = %program.display(), %error, "cannot run the command");
                let missing = error.kind() == io::ErrorKind::NotFound;
                self.end_with(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
                return Ok(());
            }
        };
        let running = Running { child, asked_to_end: false };
        let watched = self.watch(&running);
        if watched.is_err() {
            running.signal(Signal::KILL);
        }
        self.command = Some(running);
        watched
    }

    fn watch(&self, running: &Running) -> Result<(), StartError> {
        let pidfd = running.pid().and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
        let pidfd = pidfd.map_err(|source| StartError::Os { what: "watch the command", source })?;
        self.loop_handle.insert_source(Generic::new(pidfd, Interest::READ, Mode::Level), |_, _, state| {
            Ok(if state.command_ended() { PostAction::Remove } else { PostAction::Continue })
        })?;
        Ok(())
    }

    /// Ends the compositor with status 0, and the command with it: politely at first, at once if asked again.
    pub(crate) fn end(&mut self) {
        self.exit_status.get_or_insert(0);
        let Some(command) = &mut self.command else { return self.stop() };
        let signal = if command.asked_to_end { Signal::KILL } else { Signal::TERM };
        command.asked_to_end = true;
        command.signal(signal);
        let grace = self.loop_handle.insert_source(Timer::from_duration(GRACE), |_, (), state| {
            if let Some(command) = &state.command {
                command.signal(Signal::KILL);
            }
            TimeoutAction::Drop
        });
        if grace.is_err() {
            command.signal(Signal::KILL);
        }
    }

    /// Ends the compositor with `status`, unless an end was decided on before.
    pub(crate) fn end_with(&mut self, status: u8) {
        self.exit_status.get_or_insert(status);
        self.stop();
    }

    fn command_ended(&mut self) -> bool {
        let Some(command) = &mut self.command else { return true };
        let status = match command.child.try_wait() {
            Ok(None) => return false,
            Ok(Some(status)) => shell_status(status),
            Err(error) => {
                tracing::error!(%error, "the status of the command is lost");
                1
            }
        };
        self.command = None;
        self.end_with(status);
        true
    }
}

impl Running {
    fn pid(&self) -> io::Result<Pid> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The child is reaped by [`State::command_ended`] alone, so until then its number is its own.
    fn signal(&self, signal: Signal) {
        let sent = self.pid().and_then(|pid| Ok(kill_process(pid, signal)?));
        if let Err(error) = sent {
            tracing::warn!(%error, ?signal, "cannot signal the command");
        }
    }
}

/// The status as a shell tells it: 128 and the signal's number for a command that was killed.
fn shell_status(status: ExitStatus) -> u8 {
    let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(status).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_as_a_shell_does() {
        assert_eq!(shell_status(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(shell_status(ExitStatus::from_raw(0)), 0);
        assert_eq!(shell_status(ExitStatus::from_raw(9)), 137);
        assert_eq!(shell_status(ExitStatus::from_raw(15)), 143);
    }
}
