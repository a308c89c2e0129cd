//! From the command line to the exit status.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use smithay::reexports::wayland_server::DisplayHandle;
use tracing_subscriber::EnvFilter;
use wayland_auth::Policy;

use crate::{cli::Options, run::run_with};

/// What is logged unless `RUST_LOG` says otherwise: smithay tells more than most readers want.
const DEFAULT_LOG: &str = "warn,demo_compositor=info,wayland_auth=info";

/// Is the program `demo-compositor`, with more globals: `globals` makes them before the first client comes.
///
/// They have [`State`](crate::State) for their state and [`ClientState`](crate::ClientState) for their clients' data. The
/// policy tells which capability each needs; it is the one that the compositor started with.
///
/// ```no_run
/// # fn draft(_: &smithay::reexports::wayland_server::DisplayHandle, _: Option<wayland_auth::Capability>) {}
/// fn main() -> std::process::ExitCode {
///     demo_compositor::main_with(|display, policy| {
///         let needs = policy.class_of("xx_draft_v1").capability();
///         draft(display, needs);
///     })
/// }
/// ```
pub fn main_with(globals: impl FnOnce(&DisplayHandle, &Policy)) -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();

    match run_with(options, globals) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("demo-compositor: {}", error.report());
            ExitCode::from(error.exit_status())
        }
    }
}
