//! A part of the cgroup tree that we may write to.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{geteuid, getppid};

use crate::{cgroup, cli, error::Error};

/// Set when this program was started again in a scope, so that it does not do so for ever.
const MARK: &str = "WAYLAND_AUTH_XTASK_IN_SCOPE";

/// Returns if our own cgroup can be written to; else becomes this program, with the same `arguments`, in a scope of
/// systemd's user session where that is so.
///
/// # Errors
///
/// If neither is possible, with what root can do about it.
pub(crate) fn ensure(arguments: &[OsString]) -> Result<(), Error> {
    let own = cgroup::own()?;
    if cgroup::is_writable(&own) {
        return Ok(());
    }
    let refused = Error::failed(format!("this user may not write to its own cgroup, `{}`", own.display()));
    if geteuid().is_root() {
        return Err(refused.remedy(
            "cgroup2 is mounted read-only here, or another container's: in a container, ask its manager for a \
             writable cgroup tree of its own (for podman: `--cgroupns=private --security-opt unmask=/sys/fs/cgroup`)",
        ));
    }
    if env::var_os(MARK).is_some() {
        return Err(refused.because("systemd's own scope did not change that").remedy(by_root(&own)));
    }
    if let Err(why) = probe() {
        return Err(refused.because(format!("systemd's user session cannot help: {why}")).remedy(by_root(&own)));
    }
    let program = env::current_exe().map_err(|error| Error::failed("cannot find this program").because(error))?;
    cli::progress("continuing in a delegated scope: systemd-run --user --scope -p Delegate=yes");
    let error = scope().env(MARK, "1").arg(program).args(arguments).exec();
    Err(Error::failed("cannot run `systemd-run`").because(error))
}

/// `systemd-run` up to the command.
fn scope() -> Command {
    let mut command = Command::new("systemd-run");
    command.args(["--user", "--scope", "--quiet", "-p", "Delegate=yes", "--"]);
    command
}

/// Whether systemd gives us a scope, or why not.
fn probe() -> Result<(), String> {
    match scope().arg("true").stdin(Stdio::null()).stdout(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(text.lines().last().unwrap_or("it does not say why").trim().to_owned())
        }
        Err(error) => Err(format!("cannot run systemd-run: {error}")),
    }
}

/// What root can do for a user without systemd.
fn by_root(own: &Path) -> String {
    let directory = own.join(format!("wayland-auth-{}", geteuid().as_raw()));
    let shell = getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    let (uid, directory) = (geteuid().as_raw(), directory.display());
    format!(
        "log in through systemd (an ordinary desktop, console or ssh login, not `su` or `sudo -u`), or run this as \
         root, or let root give this shell a cgroup of its own and try again:\n  sudo sh -c 'mkdir -p {directory} && \
         chown {uid} {directory} {directory}/cgroup.procs && echo {shell} > {directory}/cgroup.procs'"
    )
}
