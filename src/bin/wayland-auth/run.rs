//! `run`: starts a command in a labelled cgroup, and stays until it has ended.
//!
//! The steps, in an order in which nothing runs before its label is complete: look for the
//! command; find our own cgroup, or a scope to be in ([`scope`]); remove what killed launchers left
//! ([`sweep`]); make and label the directories ([`labelled`]); make a process inside that waits
//! ([`place`]); let it go; pass signals on until it ends ([`supervise`]); remove the directories, or
//! leave that to a small process that outlives us ([`janitor`]).

mod args;
mod bwrap;
mod confine;
mod hierarchy;
mod janitor;
mod labelled;
mod place;
mod plain;
mod program;
mod scope;
mod supervise;
mod sweep;
mod tree;

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use rustix::pipe::PipeFlags;
use wayland_auth::spawn::{Process, Program, Signals, spawn_paused};

use crate::failure::Failure;
use crate::output;
use bwrap::{Bubblewrap, Sandbox};
use confine::Confinement;
use hierarchy::OwnCgroup;
use labelled::LabelledCgroup;
use program::CommandLine;

pub(crate) use args::RunArgs;
pub(crate) use bwrap::{Bubblewrap as InstalledBubblewrap, MINIMUM as BWRAP_MINIMUM};
pub(crate) use hierarchy::{OwnCgroup as UsableCgroup, REMEDIES as CGROUP_REMEDIES};
pub(crate) use janitor::{JanitorArgs, keep_watch};
pub(crate) use plain::PlainCommand;
pub(crate) use tree::remove as remove_cgroup;

/// Carries out `run`.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let command = CommandLine::find(&args.command)?;
    let bwrap = if args.confine { Some(Bubblewrap::find()?) } else { None };
    let Some(label) = args.label() else {
        return launch(&args, &command, bwrap.as_ref(), &take_over_signals()?, None);
    };
    let own = match OwnCgroup::find() {
        Ok(own) => own,
        Err(why) => return Err(scope::enter(args.in_scope, why)),
    };
    // From here on no signal ends us before the cgroup is removed.
    let signals = take_over_signals()?;
    sweep::sweep(&own);
    let cgroup = LabelledCgroup::create(&own, &label)?;
    launch(&args, &command, bwrap.as_ref(), &signals, Some(&cgroup))
    // `cgroup` is dropped here, and removed.
}

fn take_over_signals() -> Result<Signals, Failure> {
    Signals::block(supervise::RECEIVED).map_err(|e| Failure::launcher("could not take signals over").because(e))
}

/// Starts the command, and stays until it has ended.
fn launch(
    args: &RunArgs,
    command: &CommandLine,
    bwrap: Option<&Bubblewrap>,
    signals: &Signals,
    cgroup: Option<&LabelledCgroup<'_>>,
) -> Result<ExitCode, Failure> {
    match bwrap {
        None => {
            let environment = program::environment(program::DESCRIPTOR_VARIABLES, []);
            let program = command.program(environment, signals.mask_before())?;
            let process = start(args, command, &program, cgroup)?;
            supervise::supervise(&process, signals, None)
        }
        Some(bwrap) => {
            let confinement = Confinement::plan()?;
            confinement.check_streams()?;
            confinement.check_visible(command)?;
            if let Some(why) = &confinement.without_wayland {
                output::warn(format_args!("the sandbox gets no Wayland socket: {why}"));
            }
            let (status, status_write) = status_pipe()?;
            let program = bwrap.program(&confinement, command, status_write, signals.mask_before())?;
            let process = start(args, command, &program, cgroup)?;
            drop(program);
            supervise::supervise(&process, signals, Some(Sandbox::new(status)))
        }
    }
}

/// The pipe on which bubblewrap tells what it does. Its other end goes to bubblewrap alone.
fn status_pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    let failed = |e: rustix::io::Errno| Failure::launcher("could not make a pipe").because(std::io::Error::from(e));
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let flags = rustix::fs::fcntl_getfl(&read).map_err(failed)?;
    rustix::fs::fcntl_setfl(&read, flags | rustix::fs::OFlags::NONBLOCK).map_err(failed)?;
    Ok((read, write))
}

/// Makes the process where it belongs, and lets it execute its program.
fn start(
    args: &RunArgs,
    command: &CommandLine,
    program: &Program,
    cgroup: Option<&LabelledCgroup<'_>>,
) -> Result<Process, Failure> {
    let paused = match cgroup {
        Some(cgroup) => place::spawn_inside(cgroup, program, args.without_clone3)?,
        None => spawn_paused(program, None).map_err(|e| Failure::launcher("could not make a process").because(e))?,
    };
    paused.start().map_err(|e| command.start_failure(e))
}

/// A descriptor's number, as an argument for a program that inherits it.
fn number(fd: &OwnedFd) -> String {
    fd.as_raw_fd().to_string()
}
