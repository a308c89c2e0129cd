//! Programs whose output is read while they run, and which never outlive the test.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, ensure, ensure_eq};

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    out: Stream,
    err: Stream,
}

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// What comes out of a pipe, read by a thread so that the other side never waits.
#[derive(Debug)]
struct Stream {
    chunks: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Stream {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let (sender, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = pipe.read(&mut chunk) {
                if sender.send(chunk[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { chunks, bytes: Vec::new() }
    }

    /// Reads until it is enough; whether it ever was.
    fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<bool, String> {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.bytes) {
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.bytes.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => return Err("too long without an answer".to_owned()),
            }
        }
        Ok(true)
    }
}

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        Self::start_with(command, None)
    }

    /// The same with another standard output, which then is not read here.
    pub(crate) fn start_with(command: &mut Command, out: Option<Stdio>) -> Result<Self, String> {
        let name = format!("{command:?}");
        command.stdout(out.unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        let mut child = command.spawn().context(&name)?;
        // Its descriptors are its own: a terminal is closed when it ends.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let out = match child.stdout.take() {
            Some(out) => Stream::new(out),
            None => Stream::new(std::io::empty()),
        };
        let err = Stream::new(child.stderr.take().context("no standard error")?);
        Ok(Self { name, child, out, err })
    }

    /// Waits until its output is enough.
    pub(crate) fn wait_for(&mut self, what: &str, enough: impl Fn(&[u8]) -> bool) -> Outcome {
        let there = self.out.read_until(enough);
        if there == Ok(true) {
            return Ok(());
        }
        let out = String::from_utf8_lossy(&self.out.bytes).into_owned();
        let err = self.errors();
        Err(format!("{}: no {what}: {there:?}\n{out}\n{err}", self.name))
    }

    /// Waits until it has written this to standard error.
    pub(crate) fn wait_for_error(&mut self, text: &'static str) -> Outcome {
        let has = |err: &[u8]| err.windows(text.len()).any(|part| part == text.as_bytes());
        ensure!(self.err.read_until(has)?, "{}: it does not say {text:?}", self.name);
        Ok(())
    }

    /// What it has written to standard error so far.
    pub(crate) fn errors(&mut self) -> String {
        while let Ok(chunk) = self.err.chunks.try_recv() {
            self.err.bytes.extend(chunk);
        }
        String::from_utf8_lossy(&self.err.bytes).into_owned()
    }

    /// What it has written to standard output, as far as it was waited for.
    pub(crate) fn out(&self) -> &[u8] {
        &self.out.bytes
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Gives it a line. Its standard input must be a pipe.
    pub(crate) fn say(&mut self, line: &str) -> Outcome {
        writeln!(self.child.stdin.as_mut().context("no standard input")?, "{line}").context(&self.name)
    }

    /// Whether it runs still.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome {
        kill_process(self.pid(), signal).context(&self.name)
    }

    /// Stops it, and waits until it stands still.
    pub(crate) fn halt(&self) -> Outcome {
        self.signal(Signal::STOP)?;
        waitid(WaitId::Pid(self.pid()), WaitIdOptions::STOPPED).context("waitid").map(drop)
    }

    /// Waits for its end, without its output: others may hold that.
    pub(crate) fn reap(&mut self) -> Result<ExitStatus, String> {
        if let Some(status) = self.child.try_wait().context("wait")? {
            return Ok(status);
        }
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).context("pidfd_open")?;
        wait_for_end(&pidfd).context(&self.name)?;
        self.child.wait().context("wait")
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Finished, String> {
        let status = self.reap()?;
        for stream in [&mut self.out, &mut self.err] {
            stream.read_until(|_| false).context(&self.name)?;
        }
        let err = String::from_utf8_lossy(&self.err.bytes).into_owned();
        Ok(Finished { status, out: std::mem::take(&mut self.out.bytes), err })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alive() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until a process has ended.
fn wait_for_end(pidfd: &impl std::os::fd::AsFd) -> Outcome {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&patience)).context("poll")?;
    ensure!(ended > 0, "it does not end");
    Ok(())
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<Finished, String> {
    Running::start(command)?.finish()
}

impl Finished {
    /// Fails unless it ended with this status.
    pub(crate) fn expect(&self, code: i32) -> Outcome {
        ensure_eq!(self.status.code(), Some(code), "{:?}\n{}", String::from_utf8_lossy(&self.out), self.err);
        Ok(())
    }

    /// Fails unless it ended with status 1 and said this.
    pub(crate) fn expect_refused(&self, text: &str) -> Outcome {
        self.expect(1)?;
        ensure!(self.err.contains(text), "it does not say `{text}`: {}", self.err);
        ensure!(self.out.is_empty(), "it says something all the same: {:?}", String::from_utf8_lossy(&self.out));
        Ok(())
    }
}
