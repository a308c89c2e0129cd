//! The program `demo-compositor`: see the library of the same name.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use demo_compositor::Options;
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise: smithay tells more than most readers want.
const DEFAULT_LOG: &str = "warn,demo_compositor=info,wayland_auth=info";

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();

    match demo_compositor::run(options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("demo-compositor: {}", error.report());
            ExitCode::from(error.exit_status())
        }
    }
}
