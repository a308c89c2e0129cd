//! Children: bounded waits that a signal cuts short, and no survivors.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::ioctl_fionbio,
    process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open},
};

use crate::{
    error::{Context, Error},
    signals::Signals,
};

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A child. Dropping it ends it, and its process group with it if it has one of its own.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    /// Whether it leads a process group of its own. The terminal's Ctrl-C then reaches us alone, and we end it in
    /// our own time.
    leader: bool,
    running: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The child ended.
    Exited(ExitStatus),
    /// The child still runs, but has said enough.
    Enough,
    /// The child still runs, and has not said enough in time.
    TimedOut,
}

impl End {
    /// Whether the child ended with status 0.
    #[must_use]
    pub(crate) fn success(self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::Enough => f.write_str("still running"),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

/// What a child said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// On standard output, if that was a pipe.
    pub(crate) stdout: Vec<u8>,
    /// On standard error, if that was a pipe.
    pub(crate) stderr: Vec<u8>,
}

impl Said {
    /// Its last words on standard error, for a message.
    #[must_use]
    pub(crate) fn last_error_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing said").to_owned()
    }
}

impl Process {
    /// Starts `command` in a process group of its own. Its standard input must not be the terminal: it would be stopped.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Error> {
        Self::start(command.process_group(0), true)
    }

    /// Runs `command` to its end in our own process group, so that it can ask on the terminal.
    ///
    /// It is told of a signal but never killed: it may be in the middle of something.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or if it cannot be run.
    pub(crate) fn run_in_foreground(signals: &Signals, command: &mut Command) -> Result<End, Error> {
        let mut process = Self::start(command, false)?;
        let result = process.wait_for_end(signals);
        if process.running {
            // From a terminal it got the signal too; a second one does no harm.
            process.signal(Signal::INT);
            process.reap().or_fail(|| "cannot wait for a child".to_owned())?;
        }
        result.map(|(end, _)| end)
    }

    fn start(command: &mut Command, leader: bool) -> Result<Self, Error> {
        let name = command.get_program().display().to_string();
        let mut child = command.spawn().or_fail(|| format!("cannot run `{name}`"))?;
        let opened = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData.into());
        let opened = opened.and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?)));
        match opened {
            Ok((pid, pidfd)) => Ok(Self { child, pid, pidfd, leader, running: true }),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                let error: io::Error = error;
                Err(Error::failed(format!("cannot watch `{name}`")).because(error))
            }
        }
    }

    /// Waits until the child ends, or until `enough` of what it said.
    ///
    /// `enough` is asked after each piece, with everything so far. What the child wrote before its end is all there.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or if reading fails.
    pub(crate) fn wait(
        &mut self,
        signals: &Signals,
        timeout: Option<Duration>,
        mut enough: impl FnMut(&Said) -> bool,
    ) -> Result<(End, Said), Error> {
        let what = || "cannot wait for a child".to_owned();
        let mut said = Said::default();
        let mut stdout = self.child.stdout.take().map(Pipe::new).transpose().or_fail(what)?;
        let mut stderr = self.child.stderr.take().map(Pipe::new).transpose().or_fail(what)?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let end = loop {
            signals.check()?;
            let mut fds = vec![PollFd::new(signals, PollFlags::IN), PollFd::new(&self.pidfd, PollFlags::IN)];
            fds.extend(stdout.iter().filter_map(Pipe::poll_fd));
            fds.extend(stderr.iter().filter_map(Pipe::poll_fd));
            if !wait_until(&mut fds, deadline).or_fail(what)? {
                break End::TimedOut;
            }
            let ended = !fds[1].revents().is_empty();
            stdout.iter_mut().try_for_each(|pipe| pipe.read_into(&mut said.stdout)).or_fail(what)?;
            stderr.iter_mut().try_for_each(|pipe| pipe.read_into(&mut said.stderr)).or_fail(what)?;
            if ended {
                signals.check()?;
                self.end_group();
                break End::Exited(self.reap().or_fail(what)?);
            }
            if enough(&said) {
                break End::Enough;
            }
        };
        self.child.stdout = stdout.and_then(|pipe| pipe.inner);
        self.child.stderr = stderr.and_then(|pipe| pipe.inner);
        Ok((end, said))
    }

    /// Waits until the child ends, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or if waiting fails.
    pub(crate) fn wait_for_end(&mut self, signals: &Signals) -> Result<(End, Said), Error> {
        self.wait(signals, None, |_| false)
    }

    /// Asks the child to end, sees to it that it does, and tells how.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        if !self.running {
            return None;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        let ended = wait_until(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(deadline));
        if !matches!(ended, Ok(true)) {
            self.signal(Signal::KILL);
        }
        self.end_group();
        self.reap().ok()
    }

    /// Ends what is left of the group. The leader is not reaped yet, so the group's number is still its own.
    fn end_group(&self) {
        if self.leader {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    fn signal(&self, signal: Signal) {
        let _ = if self.leader { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.running = false;
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `command` to its end and tells what it said.
///
/// # Errors
///
/// [`Error::Interrupted`], or if it cannot be run.
pub(crate) fn capture(
    signals: &Signals,
    command: &mut Command,
    timeout: Duration,
    enough: impl FnMut(&Said) -> bool,
) -> Result<(End, Said), Error> {
    Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait(signals, Some(timeout), enough)
}

/// Polls, again after interruptions, and tells whether anything happened before the deadline.
pub(crate) fn wait_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(fds, left.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The reading end of a child's output.
struct Pipe<R> {
    /// `None` after its end.
    inner: Option<R>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(inner: R) -> io::Result<Self> {
        ioctl_fionbio(&inner, true)?;
        Ok(Self { inner: Some(inner) })
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.inner.as_ref().map(|inner| PollFd::new(inner, PollFlags::IN))
    }

    /// Reads what is there.
    fn read_into(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        while let Some(inner) = &mut self.inner {
            match inner.read(&mut buffer) {
                Ok(0) => self.inner = None,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn everything_that_a_child_said_is_there_at_its_end() {
        let signals = Signals::install().unwrap();
        let mut command = shell("head -c 300000 /dev/zero; echo oops >&2; exit 3");
        let (end, said) = capture(&signals, &mut command, LONG, |_| false).unwrap();
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)), "{end}");
        assert_eq!((said.stdout.len(), said.last_error_line().as_str()), (300_000, "oops"));
    }

    #[test]
    fn a_wait_ends_as_soon_as_enough_was_said_and_the_group_with_it() {
        let signals = Signals::install().unwrap();
        let mut command = shell("sleep 1000 & echo $!; wait");
        let (end, said) = capture(&signals, &mut command, LONG, |said| said.stdout.ends_with(b"\n")).unwrap();
        assert_eq!(end, End::Enough);
        let pid: i32 = String::from_utf8(said.stdout).unwrap().trim().parse().unwrap();
        let grandchild = Pid::from_raw(pid).unwrap();
        // It is gone already, or will be before long.
        if let Ok(pidfd) = pidfd_open(grandchild, PidfdFlags::empty()) {
            let ended = wait_until(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(Instant::now() + LONG));
            assert!(ended.unwrap());
        }
    }

    #[test]
    fn a_wait_is_bounded() {
        let signals = Signals::install().unwrap();
        let (end, _) = capture(&signals, &mut shell("exec sleep 1000"), Duration::from_millis(10), |_| false).unwrap();
        assert_eq!(end, End::TimedOut);
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let signals = Signals::install().unwrap();
        let error = capture(&signals, &mut Command::new("/no/such/program"), LONG, |_| false).unwrap_err();
        assert!(error.report().contains("/no/such/program"));
    }
}
