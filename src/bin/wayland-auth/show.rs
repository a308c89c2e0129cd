//! `show`: who a process is, and how that is known.

use std::process::ExitCode;

use clap::Args;
use wayland_auth::identity::{Resolver, Trust};
use wayland_auth::peer::PeerPidfdError;

use crate::failure::{FAILED, Failure};
use crate::output;

/// Show who a process is to a compositor, and by which evidence
///
/// Runs the same look-up as for a process that connects, with this tool in the compositor's place:
/// run it where the compositor runs, as the compositor's user.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The process
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pid: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries out `show`.
pub(crate) fn show(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let failed = |message: String| Failure::new(FAILED, message);
    let resolver = Resolver::builder().build().map_err(|e| failed("could not start the look-up".into()).because(e))?;
    let identified = resolver.identify_process(args.pid, &Trust::default()).map_err(|e| match e {
        PeerPidfdError::Reaped => failed(format!("there is no process {}", args.pid)),
        PeerPidfdError::Unsupported => {
            failed(format!("this kernel cannot name process {}", args.pid)).remedy("run `wayland-auth doctor`")
        }
        e => failed(format!("process {} could not be looked up", args.pid)).because(e),
    })?;
    if args.json {
        let value = serde_json::to_value(&identified).map_err(|e| failed("could not write JSON".into()).because(e))?;
        output::print_json(&value);
    } else {
        output::print(format_args!("{}\n{}", identified.identity, identified.evidence));
    }
    Ok(ExitCode::SUCCESS)
}
