//! `cargo xtask soak`.

use std::process::ExitCode;

use crate::{
    cargo, cli,
    error::Error,
    packages::{self, Purpose},
    process::Process,
    signals::Signals,
    workplace::Workplace,
};

/// Built in release: it judges speed.
const SOAK: &[&str] = &["run", "--locked", "--release", "-p", "wayland-auth-tests", "--bin", "soak", "--"];

/// Installs what is missing and runs the load and soak program, with ten times as many connections if `long`.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn run(signals: &Signals, long: bool) -> Result<ExitCode, Error> {
    packages::set_up(signals, Purpose::Test)?;
    let arguments = if long { [SOAK, &["--long"]].concat() } else { SOAK.to_vec() };
    cli::progress(cargo::typed(&arguments));
    let workplace = Workplace::new()?;
    let (end, _) = Process::spawn(&mut workplace.cargo(&arguments))?.wait_for_end(signals)?;
    if end.success() { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
}
