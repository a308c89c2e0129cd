//! Runs the compositor in a runtime directory of its own, and clients in it.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses a part of this")]

pub mod client;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a policy looks like in which programs outside of sandboxes may do nothing.
pub const NOTHING_FOR_HOST: &str = "[defaults]\nhost = []\n";

/// A runtime directory, closed to all others.
pub fn runtime_dir() -> TempDir {
    tempfile::Builder::new().prefix("demo-").permissions(PermissionsExt::from_mode(0o700)).tempdir().unwrap()
}

/// Writes a policy that the compositor accepts whatever the umask: nobody else may write to it.
pub fn write_policy(path: &Path, policy: &str) {
    std::fs::write(path, policy).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// The compositor, not started yet, with this runtime directory and without a session around it.
pub fn compositor(runtime_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-compositor"));
    command
        .env("XDG_RUNTIME_DIR", runtime_dir)
        .env("XDG_STATE_HOME", runtime_dir.join("state"))
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .env_remove("DISPLAY")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// What the compositor says when it runs to its end with these arguments.
pub fn run(arguments: &[&str]) -> Output {
    let directory = runtime_dir();
    compositor(directory.path()).arg("--backend=headless").args(arguments).output().unwrap()
}

/// The text that came on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running compositor, which is killed when this is dropped.
pub struct Demo {
    directory: TempDir,
    child: Child,
    stdout: BufReader<ChildStdout>,
    name: String,
}

impl Demo {
    /// Starts it headless with these arguments, and waits until it accepts clients.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(runtime_dir(), arguments)
    }

    /// Starts it with this policy.
    pub fn with_policy(policy: &str) -> Self {
        let directory = runtime_dir();
        let path = directory.path().join("policy.toml");
        write_policy(&path, policy);
        let audit = directory.path().join("audit.jsonl");
        let arguments = [Path::new("--policy"), &path, Path::new("--audit"), &audit].map(Path::to_str);
        Self::start_in(directory, &arguments.map(Option::unwrap))
    }

    fn start_in(directory: TempDir, arguments: &[&str]) -> Self {
        let mut command = compositor(directory.path());
        command
            .env("RUST_LOG", "error")
            .args(["--backend=headless", "--size=640x480"])
            .args(arguments)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let name = line.strip_prefix("WAYLAND_DISPLAY=").and_then(|name| name.strip_suffix('\n'));
        let name = name.unwrap_or_else(|| panic!("not the expected line: {line:?}")).to_owned();
        Self { directory, child, stdout, name }
    }

    /// The name of its socket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// A new connection to it.
    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    /// A program that is a client of it.
    pub fn client(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .env("WAYLAND_DISPLAY", &self.name)
            .env_remove("WAYLAND_SOCKET")
            .env_remove("DISPLAY");
        command
    }

    /// Takes a picture with grim, as a PPM.
    pub fn grim(&self, arguments: &[&str]) -> Output {
        let mut command = self.client("grim");
        command.args(arguments).args(["-t", "ppm", "-"]);
        command.output().unwrap_or_else(|error| panic!("install grim, which this test needs: {error}"))
    }

    /// A file in its runtime directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for a line on its standard output: its command's, since the compositor itself says no more.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits for its end, and tells what else it wrote to standard output.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    /// Ends it, and reads its audit log.
    pub fn audit(mut self) -> Vec<serde_json::Value> {
        self.signal(Signal::TERM);
        self.wait();
        let log = std::fs::read_to_string(self.file("audit.jsonl")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A picture that grim took.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a binary PPM.
    pub fn parse(ppm: &[u8]) -> Self {
        let mut words = ppm.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut word = || std::str::from_utf8(words.next().unwrap()).unwrap().to_owned();
        assert_eq!(word(), "P6");
        let (width, height) = (word().parse().unwrap(), word().parse().unwrap());
        let pixels = words.next().unwrap().strip_prefix(b"255\n").unwrap();
        let pixels: Vec<[u8; 3]> = pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!(pixels.len(), width * height);
        Self { width, height, pixels }
    }

    /// How many pixels have this colour.
    pub fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    /// The corner of the first pixel of this colour, from left to right and top to bottom.
    pub fn find(&self, colour: [u8; 3]) -> Option<(usize, usize)> {
        let index = self.pixels.iter().position(|pixel| *pixel == colour)?;
        Some((index % self.width, index / self.width))
    }
}
