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

/// The benches of the library.
const BENCHES: &[&str] = &[
    "bench",
    "--locked",
    "-p",
    "wayland-auth",
    "--bench",
    "identify",
    "--bench",
    "connect",
    "--bench",
    "filter",
    "--bench",
    "cache",
];

/// Installs what is missing and runs the benches, with `arguments`. One of them measures the demo compositor, built as
/// the benches are.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn run(signals: &Signals, arguments: &[OsString]) -> Result<ExitCode, Error> {
    packages::set_up(signals, Purpose::Bench)?;
    let what = ["--release", "-p", "demo-compositor", "--bin", "demo-compositor"];
    let compositor = cargo::build(signals, "demo-compositor", &what)?;
    cli::progress(cargo::typed(BENCHES));
    let workplace = Workplace::new()?;
    let mut command = workplace.cargo(BENCHES);
    command.env("WAYLAND_AUTH_DEMO", compositor).args(arguments);
    let (end, _) = Process::spawn(&mut command)?.wait_for_end(signals)?;
    if end.success() { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
}
