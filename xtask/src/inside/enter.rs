//! Becoming another program inside a cgroup.

use std::{ffi::OsString, fs, os::unix::process::CommandExt, path::Path, process::Command, process::ExitCode};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::error::{Context, Error};

/// Moves into `cgroup` and becomes `command`. If xtask is killed outright, the command is asked to end too.
pub(super) fn run(cgroup: &Path, command: &[OsString]) -> Result<ExitCode, Error> {
    let procs = cgroup.join("cgroup.procs");
    // 0 is whoever writes it.
    fs::write(&procs, "0").or_fail(|| format!("cannot move into the cgroup: writing `{}`", procs.display()))?;
    set_parent_process_death_signal(Some(Signal::TERM)).or_fail(|| "cannot ask for a signal".into())?;
    let (program, arguments) = command.split_first().ok_or_else(|| Error::failed("nothing to run"))?;
    let error = Command::new(program).args(arguments).exec();
    Err(Error::failed(format!("cannot run `{}`", program.display())).because(error))
}
