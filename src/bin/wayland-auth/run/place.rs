//! Making the command's process inside its cgroup, and being sure that it is there.

use std::io;

use rustix::fs::{Mode, OFlags};
use wayland_auth::spawn::{Paused, Program, spawn_paused};

use super::hierarchy::unified_path;
use super::labelled::LabelledCgroup;
use crate::failure::Failure;
use crate::output::shown;

/// Makes a process in the inner directory. It waits, and has executed nothing.
///
/// It is born there (`CLONE_INTO_CGROUP`); where that is refused, as by a seccomp filter, it is moved while it waits.
/// Either way the kernel is asked where it is before it may go on.
pub(super) fn spawn_inside(
    cgroup: &LabelledCgroup<'_>,
    program: &Program,
    without_clone3: bool,
) -> Result<Paused, Failure> {
    let born = if without_clone3 { None } else { spawn_paused(program, Some(cgroup.payload())).ok() };
    let paused = match born {
        Some(paused) => paused,
        None => {
            let paused =
                spawn_paused(program, None).map_err(|e| Failure::launcher("could not make a process").because(e))?;
            move_inside(cgroup, &paused).map_err(|e| cannot_move(cgroup, e))?;
            paused
        }
    };
    verify(cgroup, &paused)?;
    Ok(paused)
}

fn move_inside(cgroup: &LabelledCgroup<'_>, paused: &Paused) -> io::Result<()> {
    let pid = pid_of(paused)?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let procs = rustix::fs::openat(cgroup.payload(), "cgroup.procs", flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::io::write(&procs, pid.to_string().as_bytes()))?;
    Ok(())
}

/// Asks the kernel in which cgroup the process is. Nobody else can have its pid, since it is our child and not reaped.
fn verify(cgroup: &LabelledCgroup<'_>, paused: &Paused) -> Result<(), Failure> {
    let path = cgroup.payload_path();
    let unsure = || Failure::launcher(format!("could not verify that the command would start in {}", shown(&path)));
    let pid = pid_of(paused).map_err(|e| unsure().because(e))?;
    let text = std::fs::read(format!("/proc/{pid}/cgroup")).map_err(|e| unsure().because(e))?;
    match unified_path(&text) {
        Some(found) if found == path => Ok(()),
        found => {
            let found = found.map_or_else(|| "none that /proc tells".to_owned(), shown);
            Err(Failure::launcher(format!("the command would not start in {}, but in {found}", shown(&path)))
                .remedy("see that nobody else moves processes or removes cgroups here"))
        }
    }
}

fn pid_of(paused: &Paused) -> io::Result<i32> {
    paused.pid().map(|pid| pid.as_raw_nonzero().get()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn cannot_move(cgroup: &LabelledCgroup<'_>, error: io::Error) -> Failure {
    use rustix::io::Errno;
    let failure = Failure::launcher(format!("no process can be started in {}", shown(&cgroup.payload_location())));
    let errno = Errno::from_io_error(&error);
    let failure = failure.because(error);
    match errno {
        Some(Errno::ACCESS | Errno::PERM) => failure.remedies(super::CGROUP_REMEDIES.iter().copied()),
        Some(Errno::BUSY | Errno::OPNOTSUPP) => failure
            .remedy("start it from a cgroup whose cgroup.subtree_control is empty and whose cgroup.type is `domain`"),
        Some(Errno::AGAIN) => failure.remedy("raise pids.max of a cgroup above it"),
        _ => failure,
    }
}
