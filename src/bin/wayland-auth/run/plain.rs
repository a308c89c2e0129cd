//! A command that is run as it is, without a cgroup of its own.

use std::ffi::OsString;
use std::process::ExitCode;

use wayland_auth::spawn::{Paused, Signals, spawn_paused};

use super::program::{CommandLine, DESCRIPTOR_VARIABLES, environment};
use super::supervise::supervise;
use super::take_over_signals;
use crate::failure::Failure;

/// A command, and the signals that are passed on to it. Make it while the process has one thread.
#[derive(Debug)]
pub(crate) struct PlainCommand {
    command: CommandLine,
    signals: Signals,
}

impl PlainCommand {
    /// Looks for the command. From here on no signal ends us before the command has ended.
    pub(crate) fn find(words: &[OsString]) -> Result<Self, Failure> {
        Ok(Self { command: CommandLine::find(words)?, signals: take_over_signals()? })
    }

    /// Makes its process, with these variables; it does nothing yet.
    pub(crate) fn prepare(&self, set: impl IntoIterator<Item = (&'static str, OsString)>) -> Result<Paused, Failure> {
        let environment = environment(DESCRIPTOR_VARIABLES, set);
        let program = self.command.program(environment, self.signals.mask_before())?;
        spawn_paused(&program, None).map_err(|e| Failure::launcher("could not make a process").because(e))
    }

    /// Lets it go, stays until it has ended, and gives the exit status to end with.
    pub(crate) fn run(&self, paused: Paused) -> Result<ExitCode, Failure> {
        let process = paused.start().map_err(|e| self.command.start_failure(e))?;
        supervise(&process, &self.signals, None)
    }
}
