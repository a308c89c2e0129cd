//! The tool's `learn`, run against a demo compositor.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use wayland_auth_tests::wire::Client;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::Demo;
use super::running::{Finished, Running};

/// What was learned.
#[derive(Debug)]
pub(crate) struct Lesson {
    /// How the application ended, and what it said.
    pub(crate) finished: Finished,
    /// What the tool wrote.
    pub(crate) json: Value,
}

impl Lesson {
    /// The words of the rule.
    pub(crate) fn words(&self) -> Result<Vec<String>, String> {
        let allow = self.json["allow"].as_array().context("no rule")?;
        allow.iter().map(|entry| entry["word"].as_str().map(str::to_owned).context("no word")).collect()
    }

    /// The rule.
    pub(crate) fn toml(&self) -> Result<&str, String> {
        self.json["toml"].as_str().context("no rule")
    }

    /// What is said of a global, by the interface.
    pub(crate) fn interface(&self, interface: &str) -> Result<&Value, String> {
        let all = self.json["interfaces"].as_array().context("no interfaces")?;
        all.iter().find(|entry| entry["interface"] == interface).context(format!("no {interface}"))
    }
}

/// The tool, told to learn. `policy` is one to enforce.
fn tool(world: &World, demo: &Demo, policy: Option<&str>, words: &[&str]) -> Result<(Command, PathBuf), String> {
    let output = world.new_dir()?.join("rule.json");
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    let mut command = demo.command(tool);
    command.args(["learn", "--engine", "org.example.Engine", "--app-id", "org.example.Learner", "--json", "--output"]);
    command.arg(&output);
    if let Some(policy) = policy {
        let path = output.with_file_name("policy.toml");
        std::fs::write(&path, policy).context("policy")?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).context("policy")?;
        command.arg("--enforce").arg("--policy").arg(path);
    }
    command.arg("--").args(words);
    Ok((command, output))
}

/// Learns from a program that runs to its end.
pub(crate) fn learn(world: &World, demo: &Demo, policy: Option<&str>, words: &[&str]) -> Result<Lesson, String> {
    let (mut command, output) = tool(world, demo, policy, words)?;
    let finished = Running::start(&mut command)?.finish()?;
    let text = std::fs::read_to_string(&output).context(&finished.err)?;
    Ok(Lesson { finished, json: serde_json::from_str(&text).context("rule")? })
}

/// A tool that learns from the test itself, until it is told to end.
#[derive(Debug)]
pub(crate) struct Learner {
    running: Running,
    socket: PathBuf,
    output: PathBuf,
}

/// Learns from a program that has said enough at some time, and is then told to end by a signal to the tool.
pub(crate) fn learn_until(
    world: &World,
    demo: &Demo,
    words: &[&str],
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Value, String> {
    let (mut command, output) = tool(world, demo, None, words)?;
    let mut running = Running::start(&mut command)?;
    running.wait_for("word of the program", enough)?;
    running.signal(Signal::INT)?;
    let finished = running.finish()?;
    ensure_eq!(finished.status.code(), Some(130), "{}", finished.err);
    let text = std::fs::read_to_string(&output).context(&finished.err)?;
    serde_json::from_str(&text).context("rule")
}

impl Learner {
    /// Starts it.
    pub(crate) fn start(world: &World, demo: &Demo, policy: Option<&str>) -> Result<Self, String> {
        let program = "echo \"$WAYLAND_DISPLAY\" && read status && exit \"$status\"";
        let (mut command, output) = tool(world, demo, policy, &["sh", "-c", program])?;
        let mut running = Running::start(command.stdin(Stdio::piped()))?;
        running.wait_for("socket", |out| out.ends_with(b"\n"))?;
        let socket = String::from_utf8_lossy(running.out()).trim_end().into();
        Ok(Self { running, socket, output })
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// A connection through it.
    pub(crate) fn connect(&self) -> Result<UnixStream, String> {
        UnixStream::connect(&self.socket).context(self.socket.display())
    }

    /// A client through it, with the registry.
    pub(crate) fn client(&self) -> Result<Client, String> {
        Client::new(self.connect()?)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome {
        self.running.signal(signal)
    }

    /// Ends the application with this status, which becomes the tool's.
    pub(crate) fn end(mut self, status: i32) -> Result<Lesson, String> {
        self.running.say(&status.to_string())?;
        self.ended(status)
    }

    /// Waits until it has ended, with this status.
    pub(crate) fn ended(self, status: i32) -> Result<Lesson, String> {
        let finished = self.running.finish()?;
        ensure_eq!(finished.status.code(), Some(status), "{}", finished.err);
        let dir = self.socket.parent().context("no directory")?;
        ensure!(!dir.exists(), "{} is left", dir.display());
        let text = std::fs::read_to_string(&self.output).context(&finished.err)?;
        Ok(Lesson { finished, json: serde_json::from_str(&text).context("rule")? })
    }
}
