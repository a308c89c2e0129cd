//! A small process that outlives `run`, and removes its cgroups when the last child has ended.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use rustix::fs::Mode;
use rustix::io::Errno;
use wayland_auth::spawn::SignalMask;

use super::hierarchy::DIR_FLAGS;
use super::sweep;
use super::tree::{self, Events};
use crate::failure::{FAILED, Failure};

/// Wait until a cgroup in the directory on standard input is empty, and remove it
#[derive(Debug, Args)]
pub(crate) struct JanitorArgs {
    /// The name of the cgroup
    name: String,
}

/// Starts one for the cgroup `name` in `base`, which it gets as its standard input.
///
/// It keeps nothing else of ours: no terminal, no working directory, no descriptor that a reader waits on.
pub(super) fn start(base: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    // Our own file, even if it was replaced since.
    Command::new("/proc/self/exe")
        .args(["janitor", "--", name])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(tree::duplicate(base)?))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// Carries out `janitor`.
pub(crate) fn keep_watch(args: &JanitorArgs) -> Result<ExitCode, Failure> {
    // `run` blocks signals, and its children inherit that.
    SignalMask::none().apply();
    // Not the leader of a group unless somebody runs it by hand; then it may keep its session.
    let _ = rustix::process::setsid();
    let failed = |what: &str| Failure::new(FAILED, format!("{what} cgroup {}", args.name));
    if sweep::launcher_of(args.name.as_bytes()).is_none() {
        return Err(failed("not one that `run` made:"));
    }
    wait_and_remove(&args.name).map_err(|e| failed("could not remove").because(e))?;
    Ok(ExitCode::SUCCESS)
}

fn wait_and_remove(name: &str) -> io::Result<()> {
    let base = std::io::stdin();
    let cgroup = match rustix::fs::openat(&base, name, DIR_FLAGS, Mode::empty()) {
        Ok(cgroup) => cgroup,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let events = Events::open(cgroup.as_fd())?;
    loop {
        // The look comes first: what changes after it ends the wait.
        if events.is_populated()? {
            events.wait(None)?;
            continue;
        }
        match tree::remove(base.as_fd(), name) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::BUSY) => {}
            result => return result,
        }
    }
}
