//! bubblewrap: which one, what it is told, and what it tells.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wayland_auth::spawn::{Process, Program, SignalMask};

use super::confine::Confinement;
use super::program::{self, CommandLine};
use crate::failure::Failure;
use crate::output::shown;
use crate::session;

/// The first version with `--disable-userns`.
pub(crate) const MINIMUM: (u32, u32) = (0, 8);

/// An installed bubblewrap that is new enough.
#[derive(Debug)]
pub(crate) struct Bubblewrap {
    path: PathBuf,
    version: String,
}

impl Bubblewrap {
    /// Looks for it in `PATH`.
    pub(crate) fn find() -> Result<Self, Failure> {
        let path = session::find_tool("bwrap").ok_or_else(|| {
            Failure::launcher("there is no `bwrap` in PATH, which confines").remedy("install the package `bubblewrap`")
        })?;
        let asked = Command::new(&path).arg("--version").output();
        let output = asked.map_err(|e| Failure::launcher(format!("could not run {}", shown(&path))).because(e))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("bubblewrap ").to_owned();
        let (major, minor) = MINIMUM;
        let new_enough = parse_version(&version).is_some_and(|found| found >= MINIMUM);
        if !new_enough {
            return Err(Failure::launcher(format!(
                "{} has version `{version}`, and only from {major}.{minor} on can it forbid nested user namespaces",
                shown(&path)
            ))
            .remedy(format!("install bubblewrap {major}.{minor} or newer")));
        }
        if is_setuid(&path) {
            return Err(Failure::launcher(format!(
                "{} is set-user-ID, and then cannot forbid nested user namespaces",
                shown(&path)
            ))
            .remedy(format!("permit unprivileged user namespaces, and `chmod u-s {}`", shown(&path))));
        }
        Ok(Self { path, version })
    }

    /// The version, as it says itself.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Runs `true` in a sandbox like that of `--confine`. On failure, gives what bubblewrap says.
    pub(crate) fn try_out(&self) -> Result<(), String> {
        let confinement = Confinement::plan().map_err(|failure| failure.message().to_owned())?;
        let output = Command::new(&self.path).args(confinement.arguments()).args(["--", "true"]).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// bubblewrap with `command`, telling `status` what it does.
    pub(super) fn program(
        &self,
        confinement: &Confinement,
        command: &CommandLine,
        status: OwnedFd,
        mask: SignalMask,
    ) -> Result<Program, Failure> {
        let mut words = vec!["bwrap".into()];
        words.extend(confinement.arguments());
        words.extend(["--json-status-fd".into(), super::number(&status).into(), "--".into()]);
        words.extend(command.words().iter().cloned());
        program::program(std::slice::from_ref(&self.path), &words, confinement.environment(), mask, Some(status))
    }
}

fn is_setuid(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o4000 != 0)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What a running bubblewrap has told so far.
#[derive(Debug)]
pub(super) struct Sandbox {
    pipe: Option<OwnedFd>,
    text: Vec<u8>,
    /// The first process in the sandbox, which bubblewrap made.
    init: Option<Pid>,
    /// Whether the command was executed and has ended.
    ended: bool,
}

impl Sandbox {
    /// Reads from `pipe`, which must not block.
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Some(pipe), text: Vec::new(), init: None, ended: false }
    }

    /// What to wait on for news.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what there is: JSON documents, one on a line.
    pub(super) fn read(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(pipe) = &self.pipe {
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer)) {
                Ok(0) => self.pipe = None,
                Ok(len) => self.text.extend_from_slice(&buffer[..len]),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => self.pipe = None,
            }
        }
        while let Some(end) = self.text.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            self.learn(&line);
        }
    }

    fn learn(&mut self, line: &[u8]) {
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(line) else { return };
        if let Some(pid) = document.get("child-pid").and_then(serde_json::Value::as_i64) {
            self.init = i32::try_from(pid).ok().and_then(Pid::from_raw);
        }
        self.ended |= document.get("exit-code").is_some();
    }

    /// Whether bubblewrap ended without having executed the command: it tells the exit status of every command that it has.
    pub(super) fn failed(&self) -> bool {
        !self.ended
    }

    /// The pidfd of the command: the first child of the sandbox's first process. `None` while there is none.
    ///
    /// A pid is believed only if the process is the right one's child *after* its pidfd was opened.
    pub(super) fn command(&self, bwrap: &Process) -> Option<OwnedFd> {
        let init = self.init?;
        let init_pidfd = pidfd_open(init, PidfdFlags::empty()).ok()?;
        if parent(init).ok()? != Some(bwrap.pid) {
            return None;
        }
        let number = init.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children")).ok()?;
        let command = children.split_whitespace().next()?.parse().ok().and_then(Pid::from_raw)?;
        let command_pidfd = pidfd_open(command, PidfdFlags::empty()).ok()?;
        let is_child = parent(command).ok()? == Some(init);
        (is_child && is_alive(init_pidfd.as_fd())).then_some(command_pidfd)
    }
}

/// The parent of a process.
fn parent(pid: Pid) -> io::Result<Option<Pid>> {
    Ok(parse_parent(&std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero()))?))
}

/// The fourth field of `/proc/PID/stat`. The second, in parentheses, can contain anything.
fn parse_parent(stat: &[u8]) -> Option<Pid> {
    let name_end = stat.iter().rposition(|&b| b == b')')?;
    let mut fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_whitespace();
    fields.nth(1)?.parse().ok().and_then(Pid::from_raw)
}

/// Whether the process was not reaped: signals that a process may not be sent fail in another way.
fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    // `CONT` to what is not stopped does nothing.
    pidfd_send_signal(pidfd, Signal::CONT) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("0.8.0"), Some((0, 8)));
        assert_eq!(parse_version("0.11.0"), Some((0, 11)));
        assert!(parse_version("0.11.0") > Some(MINIMUM));
        assert!(parse_version("0.6.2") < Some(MINIMUM));
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn status_is_read_in_pieces() -> Result<(), Box<dyn std::error::Error>> {
        let (read, write) = super::super::status_pipe().map_err(|failure| failure.message().to_owned())?;
        let mut sandbox = Sandbox::new(read);
        sandbox.read();
        rustix::io::write(&write, b"{ \"child-pid\": 77, \"pid-name")?;
        sandbox.read();
        assert_eq!(sandbox.init, None);
        rustix::io::write(&write, b"space\": 1 }\n{ \"exit-code\": 3 }\n")?;
        sandbox.read();
        assert_eq!(sandbox.init, Pid::from_raw(77));
        assert!(!sandbox.failed() && sandbox.pipe().is_some());
        drop(write);
        sandbox.read();
        assert!(sandbox.pipe().is_none());
        Ok(())
    }

    #[test]
    fn name_of_a_process_cannot_forge_its_parent() {
        assert_eq!(parse_parent(b"12 (a) R 1 2 (x) S 55 12 12 0"), Pid::from_raw(55));
        assert_eq!(parse_parent(b"12 (init) S 0 12"), None);
        assert_eq!(parse_parent(b""), None);
    }
}
