//! Waiting for the command, and passing signals on to it.
//!
//! Without --confine the command stays in our process group: it can use the terminal, and the signals of
//! the terminal's keys reach it from the kernel, so those are not passed on; those that other processes send
//! to us are. A process that signals the whole *group* therefore reaches the command twice, which is
//! harmless for signals that ask for one thing. With --confine the command is in a session of its own,
//! which the terminal does not know, and every signal is passed on.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, pidfd_send_signal};
use wayland_auth::spawn::{Process, Received, Signals};

use super::bwrap::Sandbox;
use crate::failure::{Failure, LAUNCHER_FAILED};

/// The signals that are passed on, and `CHLD`, which tells of the command itself.
pub(super) const RECEIVED: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
    Signal::CHILD,
];

/// Stays until `process` has ended, and gives the exit status to end with.
pub(super) fn supervise(
    process: &Process,
    signals: &Signals,
    mut sandbox: Option<Sandbox>,
) -> Result<ExitCode, Failure> {
    let failed = |e: io::Error| Failure::launcher("lost track of the command").because(e);
    let status = loop {
        if let Some(status) = ended(process).map_err(failed)? {
            break status;
        }
        wait(process, signals, sandbox.as_ref()).map_err(failed)?;
        if let Some(sandbox) = &mut sandbox {
            sandbox.read();
        }
        while let Some(received) = signals.next().map_err(failed)? {
            if received.signal == Signal::CHILD {
                stop_together(process);
            } else {
                pass_on(received, process, sandbox.as_ref());
            }
        }
    };
    if let Some(sandbox) = &mut sandbox {
        sandbox.read();
        if sandbox.failed() && status.exited() {
            return Err(Failure::new(LAUNCHER_FAILED, "the sandbox could not be set up; bubblewrap says why, above")
                .remedy("run `wayland-auth doctor`"));
        }
    }
    Ok(exit_code(&status))
}

/// Whether the command has ended. Reaps it.
fn ended(process: &Process) -> io::Result<Option<WaitIdStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    Ok(rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(process.pidfd.as_fd()), options))?)
}

fn wait(process: &Process, signals: &Signals, sandbox: Option<&Sandbox>) -> io::Result<()> {
    let mut fds = vec![PollFd::new(&process.pidfd, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    fds.extend(sandbox.and_then(Sandbox::pipe).map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
    Ok(())
}

/// Passes a signal on. That the command is gone already is no failure.
fn pass_on(received: Received, process: &Process, sandbox: Option<&Sandbox>) {
    let target = match sandbox {
        Some(sandbox) => sandbox.command(process),
        None if received.by_kernel => return,
        None => None,
    };
    let target = target.as_ref().map_or(process.pidfd.as_fd(), AsFd::as_fd);
    let _ = pidfd_send_signal(target, received.signal);
}

/// Stops with the command when the terminal's job control stopped it, so that the shell sees it. The `CONT` that
/// wakes us is passed on like any other signal.
fn stop_together(process: &Process) {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(process.pidfd.as_fd()), options);
    let stopped_by = status.ok().flatten().and_then(|status| status.stopping_signal());
    let job_control = [Signal::TSTP, Signal::TTIN, Signal::TTOU];
    if stopped_by.is_some_and(|number| job_control.iter().any(|signal| signal.as_raw() == number)) {
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// The command's status, as a shell gives it.
fn exit_code(status: &WaitIdStatus) -> ExitCode {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(LAUNCHER_FAILED),
        (None, Some(signal)) => u8::try_from(signal).ok().and_then(|n| n.checked_add(128)).unwrap_or(LAUNCHER_FAILED),
        (None, None) => LAUNCHER_FAILED,
    };
    ExitCode::from(code)
}
