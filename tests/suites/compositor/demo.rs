//! The demo compositor, run as a program, and what it wrote down.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::running::{Finished, Running, finish};

/// The size of its output.
pub(crate) const SIZE: (usize, usize) = (320, 200);

/// A running compositor in a runtime directory of its own. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Demo {
    dir: PathBuf,
    name: String,
    running: Running,
}

/// One line of the audit file.
pub(crate) type Line = Value;

impl Demo {
    /// Starts it with this policy; with its own if there is none.
    pub(crate) fn start(world: &World, policy: impl Into<Option<&'static str>>) -> Result<Self, String> {
        Self::with_policy(world, policy.into())
    }

    /// The same, with a policy that a test made.
    pub(crate) fn with_policy(world: &World, policy: Option<&str>) -> Result<Self, String> {
        Self::of_program(world, "WAYLAND_AUTH_DEMO", policy)
    }

    /// The same, with another program that takes the same arguments: the one that this variable names.
    pub(crate) fn of_program(world: &World, variable: &str, policy: Option<&str>) -> Result<Self, String> {
        // Tests that wait for a line connect all the time.
        Self::with_arguments(world, variable, policy, &["--audit-burst", "4294967295"])
    }

    /// The same, with further arguments.
    pub(crate) fn with_arguments(
        world: &World,
        variable: &str,
        policy: Option<&str>,
        arguments: &[&str],
    ) -> Result<Self, String> {
        Self::with_command(world, variable, policy, |command| {
            command.args(arguments);
        })
    }

    /// The same, with whatever else a test does to the command.
    pub(crate) fn with_command(
        world: &World,
        variable: &str,
        policy: Option<&str>,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self, String> {
        let dir = runtime_dir(world)?;
        let mut command = command(variable, &dir, policy)?;
        change(&mut command);
        let mut running = Running::start(&mut command)?;
        running.wait_for("WAYLAND_DISPLAY", |out| out.ends_with(b"\n"))?;
        let line = String::from_utf8_lossy(running.out()).into_owned();
        let name = line.strip_prefix("WAYLAND_DISPLAY=").and_then(|name| name.strip_suffix('\n'));
        let name = name.filter(|name| !name.contains('\n')).context(format!("not exactly the line: {line:?}"))?;
        Ok(Self { dir, name: name.to_owned(), running })
    }

    /// Its runtime directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of its policy, if it has one.
    pub(crate) fn policy(&self) -> PathBuf {
        self.dir.join("policy.toml")
    }

    /// What it has written to standard error so far.
    pub(crate) fn errors_so_far(&mut self) -> String {
        self.running.errors()
    }

    /// Its process gets a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome {
        self.running.signal(signal)
    }

    /// The name of its socket.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// A connection of this process, which is the host.
    pub(crate) fn connect(&self) -> Result<UnixStream, String> {
        UnixStream::connect(self.socket()).context(self.socket().display())
    }

    /// A client of this process, with the registry.
    pub(crate) fn client(&self) -> Result<Client, String> {
        Client::new(self.connect()?)
    }

    /// A program that is a client of it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, &self.dir);
        command.env("WAYLAND_DISPLAY", &self.name);
        command
    }

    /// Fails unless it serves a client that comes now.
    pub(crate) fn expect_alive(&mut self) -> Outcome {
        ensure!(self.running.is_alive(), "the compositor has ended: {}", self.running.errors());
        ensure_eq!(self.client()?.sync()?, Answer::Done);
        Ok(())
    }

    /// Stops it, and waits until it stands still.
    pub(crate) fn halt(&self) -> Outcome {
        self.running.halt()
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) -> Outcome {
        self.running.signal(Signal::CONT)
    }

    /// Ends it with a signal.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<ExitStatus, String> {
        self.running.signal(signal)?;
        self.running.reap()
    }

    /// The audit file as it is.
    pub(crate) fn audit_text(&self) -> Result<String, String> {
        let path = self.dir.join("audit.jsonl");
        fs::read_to_string(&path).context(path.display())
    }

    /// The lines of the audit file, once what the last client caused is in it.
    pub(crate) fn audit(&mut self) -> Result<Vec<Line>, String> {
        // One thread serves everybody: when it answers a client that came later, it is done with those before.
        self.expect_alive()?;
        self.audit_so_far()
    }

    /// The lines of the audit file, as far as it is written.
    pub(crate) fn audit_so_far(&self) -> Result<Vec<Line>, String> {
        let text = self.audit_text()?;
        // The last line of a running compositor is whole too: it is written at once.
        text.lines().map(|line| serde_json::from_str(line).context(line)).collect()
    }

    /// Waits until the audit file says something.
    pub(crate) fn wait_for_audit(&mut self, what: &str, said: impl Fn(&[Line]) -> bool) -> Result<Vec<Line>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.audit()?;
            if said(&lines) {
                return Ok(lines);
            }
            let last = lines.iter().rev().take(4).map(|line| format!("{} {}\n", line["event"], line["identity"]));
            ensure!(Instant::now() < deadline, "no {what} in the audit file: {}", last.collect::<String>());
        }
    }
}

/// A directory that is closed to others.
fn runtime_dir(world: &World) -> Result<PathBuf, String> {
    let dir = world.new_dir()?;
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).context(dir.display())?;
    Ok(dir)
}

/// The compositor with this runtime directory and policy, not started yet.
fn command(variable: &str, dir: &Path, policy: Option<&str>) -> Result<Command, String> {
    let demo = std::env::var_os(variable).context(format!("{variable} does not name the compositor"))?;
    let mut command = Command::new(demo);
    environment(&mut command, dir);
    command.args(["--backend", "headless", "--size", &format!("{}x{}", SIZE.0, SIZE.1)]);
    command.arg("--audit").arg(dir.join("audit.jsonl"));
    if let Some(policy) = policy {
        let path = dir.join("policy.toml");
        fs::write(&path, policy).context(path.display())?;
        // Whatever the umask: the compositor refuses a policy that others may write to.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).context(path.display())?;
        command.arg("--policy").arg(path);
    }
    Ok(command)
}

/// Starts it with a policy that it cannot use, and waits for its end.
pub(crate) fn start_in_vain(world: &World, policy: &str) -> Result<Finished, String> {
    start_in_vain_with(world, policy, &[])
}

/// The same, with further arguments.
pub(crate) fn start_in_vain_with(world: &World, policy: &str, arguments: &[&str]) -> Result<Finished, String> {
    let dir = runtime_dir(world)?;
    let finished = finish(command("WAYLAND_AUTH_DEMO", &dir, Some(policy))?.args(arguments))?;
    ensure!(!dir.join("wayland-1").exists(), "a socket is left");
    Ok(finished)
}

/// A runtime directory, and no session around it.
fn environment(command: &mut Command, dir: &Path) {
    command.env("XDG_RUNTIME_DIR", dir).env("XDG_STATE_HOME", dir.join("state")).stdin(Stdio::null());
    for variable in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY", "WAYLAND_DEBUG", "RUST_LOG"] {
        command.env_remove(variable);
    }
}

/// The lines of one kind.
pub(crate) fn events<'a>(lines: &'a [Line], event: &'a str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line["event"] == event)
}

/// Fails unless each member of `expected` is in `got` too.
pub(crate) fn expect_members(got: &Value, expected: &Value) -> Outcome {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => expected.iter().try_for_each(|(name, value)| {
            expect_members(got.get(name).context(format!("no `{name}`"))?, value).context(name)
        }),
        (Value::Array(all), Value::Array(expected)) if all.len() == expected.len() => {
            all.iter().zip(expected).try_for_each(|(got, expected)| expect_members(got, expected))
        }
        _ => {
            ensure_eq!(got, expected);
            Ok(())
        }
    }
}
