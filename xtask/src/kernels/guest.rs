//! A machine that exists only for its tests.

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    error::{Context, Error},
    kernels::{outcome::Outcome, rungs::Rung},
    process::{End, capture},
    signals::Signals,
};

/// The longest that a guest may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Boots a kernel with the image as its file system, and tells what came of it. What it says goes to `log` at once: a run
/// that is cut short leaves it too.
///
/// # Errors
///
/// [`Error::Interrupted`], or if qemu cannot be run. A guest that hangs or breaks is an outcome.
pub(super) fn boot(signals: &Signals, rung: &Rung, kernel: &Path, image: &Path, log: &Path) -> Result<Outcome, Error> {
    let start = Instant::now();
    let races = if rung.identifies() { "" } else { " no-races" };
    let mut command = Command::new("qemu-system-x86_64");
    // Nothing but a processor, memory and a serial line. This processor is one that the emulator does well.
    command.args(["-accel", "tcg", "-cpu", "Nehalem", "-smp", "1", "-m", "512", "-nodefaults", "-no-user-config"]);
    command.args(["-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
    // An emulated timer on a busy machine may miss the moment in which the kernel looks whether it ticks.
    command.args(["-append", &format!("console=ttyS0 no_timer_check quiet loglevel=3 panic=-1{races}")]);
    let cannot_write = || format!("cannot write `{}`", log.display());
    let mut file = File::create(log).or_fail(cannot_write)?;
    let mut written = Ok(());
    let mut length = 0;
    let (end, said) = capture(signals, command.stdin(Stdio::null()), PATIENCE, |said| {
        written = file.write_all(&said.stdout[length..]);
        length = said.stdout.len();
        written.is_err()
    })?;
    let took = start.elapsed();
    written.and_then(|()| file.write_all(&said.stdout[length..])).or_fail(cannot_write)?;
    file.write_all(&said.stderr).or_fail(cannot_write)?;
    let console = String::from_utf8_lossy(&said.stdout).replace('\r', "");
    let mut outcome = Outcome::read(*rung, &console, took);
    match end {
        End::Exited(status) if status.success() => {}
        End::Exited(status) => outcome.fault(format!("qemu: {status}: {}", said.last_error_line())),
        End::TimedOut | End::Enough => outcome.fault(format!("not done after {} s", PATIENCE.as_secs())),
    }
    Ok(outcome)
}
