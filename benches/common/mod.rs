//! What the benches share: statistics, tables, and a small world of real cgroups and processes.

#![allow(dead_code, reason = "each bench is a program of its own and uses a part")]

pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod wire;
pub(crate) mod world;

use std::process::ExitCode;

/// Rounds of a measurement.
pub(crate) const ROUNDS: usize = 30;

/// Says where an error happened.
pub(crate) trait Context<T> {
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

/// What a bench ends with: 0 also if a target was missed, which depends on the machine and on what else runs there.
pub(crate) fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
