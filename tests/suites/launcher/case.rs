//! A cgroup of its own for each test, and the tool started in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use wayland_auth_tests::{Context, Outcome, cgroups, ensure, ensure_eq};

/// How long anything may take that should happen soon.
const SOON: Duration = Duration::from_secs(20);

/// The tool under test.
fn tool() -> Result<PathBuf, String> {
    std::env::var_os("WAYLAND_AUTH_TOOL").map(PathBuf::from).context("WAYLAND_AUTH_TOOL does not name the tool")
}

/// A cgroup in which the tool runs, and which must be empty in the end.
#[derive(Debug)]
pub(crate) struct Case {
    cgroup: PathBuf,
}

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Case {
    /// Makes the cgroup, inside our own.
    pub(crate) fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let cgroup = cgroups::own()?.join(format!("launcher-test-{}-{number}-{now:x}", std::process::id()));
        fs::create_dir(&cgroup).context(cgroup.display())?;
        Ok(Self { cgroup })
    }

    /// The cgroup's directory.
    pub(crate) fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// A command that starts in the cgroup. Its words follow `prefix`, which is shell text that ends in `exec`.
    pub(crate) fn command(&self, prefix: &str, words: &[&str]) -> Result<Command, String> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("echo 0 >\"$0/cgroup.procs\" && {prefix} \"$@\"")).arg(&self.cgroup);
        command.arg(tool()?).args(words);
        for variable in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// The tool, with `run` and these words.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Command, String> {
        // Whoever runs the tests may ignore signals (`nohup`, a shell's `&`), and what is ignored a shell cannot trap.
        self.command("exec env --default-signal", &[&["run"], words].concat())
    }

    /// Runs the tool and waits for it.
    pub(crate) fn finish(&self, words: &[&str]) -> Result<Finished, String> {
        finish(&mut self.run(words)?)
    }

    /// What stands in the cgroup.
    pub(crate) fn contents(&self) -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(&self.cgroup).context(self.cgroup.display())?;
        Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
    }

    /// The only labelled cgroup.
    pub(crate) fn labelled(&self) -> Result<PathBuf, String> {
        let mut contents = self.contents()?;
        ensure_eq!(contents.len(), 1, "labelled cgroups: {contents:?}");
        contents.pop().context("no cgroup")
    }

    /// Fails unless nothing is left in the cgroup.
    pub(crate) fn expect_empty(&self) -> Outcome {
        ensure_eq!(self.contents()?, Vec::<PathBuf>::new(), "left behind");
        Ok(())
    }

    /// Waits until no process is in the cgroup.
    pub(crate) fn wait_until_left(&self) -> Outcome {
        let path = self.cgroup.join("cgroup.events");
        let file = fs::File::open(&path).context(path.display())?;
        let deadline = Instant::now() + SOON;
        loop {
            let mut buffer = [0; 128];
            let len = rustix::io::pread(file.as_fd(), &mut buffer, 0).context(path.display())?;
            if buffer[..len].starts_with(b"populated 0") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "processes stay in {}", self.cgroup.display());
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            rustix::event::poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&second)).context("poll")?;
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if let Err(e) = cgroups::remove_tree(&self.cgroup) {
            eprintln!("{e}");
        }
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<Finished, String> {
    let output = command.output().context("sh")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished { status: output.status, out: text(output.stdout), err: text(output.stderr) })
}

impl Finished {
    /// Fails unless the exit status is this one.
    pub(crate) fn expect(&self, code: i32) -> Outcome {
        ensure_eq!(self.status.code(), Some(code), "{self:?}");
        Ok(())
    }
}

/// A program that talks: it has said a first line, and ends when its input does, if it wants.
#[derive(Debug)]
pub(crate) struct Talking {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Talking {
    /// Starts it and waits for the line `ready`.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command.stdin(Stdio::piped()).spawn().context("sh")?;
        let out = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut talking = Self { child, out };
        talking.read_until("ready")?;
        Ok(talking)
    }

    /// Reads lines up to this one, without it.
    pub(crate) fn read_until(&mut self, last: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.out.buffer().is_empty() {
                let soon = Timespec { tv_sec: SOON.as_secs().cast_signed(), tv_nsec: 0 };
                let mut fds = [PollFd::new(self.out.get_ref(), PollFlags::IN)];
                let ready = rustix::event::poll(&mut fds, Some(&soon)).context("poll")?;
                ensure!(ready > 0, "no line `{last}` after {SOON:?}, but {lines:?}");
            }
            let len = self.out.read_line(&mut line).context("standard output")?;
            ensure!(len > 0, "no line `{last}`, but {lines:?}; {}", self.errors());
            let line = line.trim_end_matches('\n');
            if line == last {
                return Ok(lines);
            }
            lines.push(line.to_owned());
        }
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Sends the tool a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> Outcome {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).context("kill")
    }

    /// Gives it a line.
    pub(crate) fn say(&mut self, line: &str) -> Outcome {
        let input = self.child.stdin.as_mut().context("its input has ended")?;
        writeln!(input, "{line}").context("standard input")
    }

    /// Ends its input.
    pub(crate) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for it; its input stays as it is.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + SOON;
        let pidfd = rustix::process::pidfd_open(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::PidfdFlags::empty(),
        )
        .context("pidfd_open")?;
        let time = Timespec { tv_sec: i64::try_from(SOON.as_secs()).unwrap_or(1), tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time)).context("poll")?;
        ensure!(Instant::now() < deadline, "the tool does not end");
        // Not `Child::wait`, which would end its input.
        loop {
            if let Some(status) = self.child.try_wait().context("wait")? {
                return Ok(status);
            }
        }
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.end_input();
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Fails unless the program exited with this status.
pub(crate) fn expect_code(status: ExitStatus, code: i32) -> Outcome {
    ensure_eq!(status.code(), Some(code), "signal {:?}", status.signal());
    Ok(())
}
