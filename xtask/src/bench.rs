//! `cargo xtask bench`.

use std::{ffi::OsString, process::ExitCode};

use crate::{
    cargo, cli,
    error::Error,
    packages::{self, Purpose},
    process::Process,
    signals::Signals,
    workplace::Workplace,
};

/// Installs what is missing and runs the benches, with `arguments`.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn run(signals: &Signals, arguments: &[OsString]) -> Result<ExitCode, Error> {
    packages::set_up(signals, Purpose::Bench)?;
    let words = ["bench", "--locked", "-p", "wayland-auth-tests"];
    cli::progress(cargo::typed(&words));
    let workplace = Workplace::new()?;
    let (end, _) = Process::spawn(workplace.cargo(&words).args(arguments))?.wait_for_end(signals)?;
    if end.success() { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
}
