//! What only root can do, done by the root process that started the tests.
//!
//! One line of JSON asks, one line answers.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::{Context, cgroups};

/// The tests' side.
#[derive(Debug)]
pub struct Admin {
    connection: Mutex<BufReader<UnixStream>>,
}

impl Admin {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { connection: Mutex::new(BufReader::new(stream)) }
    }

    fn ask(&self, request: &Value) -> Result<Value, String> {
        let mut connection = self.connection.lock().map_err(|e| e.to_string())?;
        writeln!(connection.get_mut(), "{request}").context("the admin is gone")?;
        let mut answer = String::new();
        connection.read_line(&mut answer).context("the admin is gone")?;
        let answer: Value = serde_json::from_str(&answer).context("the admin does not answer")?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("as root: {error}")),
            None => Ok(answer),
        }
    }

    /// Changes the owner and the mode of a file or directory.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn own(&self, path: &Path, uid: u32, gid: u32, mode: u32) -> Result<(), String> {
        self.ask(&json!({"do": "own", "path": path, "uid": uid, "gid": gid, "mode": mode})).map(drop)
    }

    /// Makes a cgroup that belongs to root.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn mkdir(&self, path: &Path) -> Result<(), String> {
        self.ask(&json!({"do": "mkdir", "path": path})).map(drop)
    }

    /// Sets an xattr.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn label(&self, path: &Path, name: &str, value: &str) -> Result<(), String> {
        self.ask(&json!({"do": "label", "path": path, "name": name, "value": value})).map(drop)
    }

    /// Moves a process.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn join(&self, path: &Path, pid: u32) -> Result<(), String> {
        self.ask(&json!({"do": "join", "path": path, "pid": pid})).map(drop)
    }

    /// Runs a program as root, and leaves it running; it ends when the tests do, at the latest.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(&self, args: &[String]) -> Result<u32, String> {
        let answer = self.ask(&json!({"do": "spawn", "args": args}))?;
        answer["pid"].as_u64().and_then(|pid| pid.try_into().ok()).context("no pid in the admin's answer")
    }
}

/// Root's side: serves until the tests are gone.
pub(crate) fn serve(stream: UnixStream) {
    let Ok(reader) = stream.try_clone() else { return };
    let mut writer = stream;
    let mut children: Vec<Child> = Vec::new();
    for line in BufReader::new(reader).lines() {
        let answer = line
            .context("read")
            .and_then(|line| serde_json::from_str::<Value>(&line).context("not JSON"))
            .and_then(|request| handle(&request, &mut children))
            .unwrap_or_else(|error| json!({"error": error}));
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if writeln!(writer, "{answer}").is_err() {
            break;
        }
    }
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn handle(request: &Value, children: &mut Vec<Child>) -> Result<Value, String> {
    let text = |key: &str| request[key].as_str().context(format!("no `{key}`"));
    let number = |key: &str| request[key].as_u64().and_then(|n| u32::try_from(n).ok()).context(format!("no `{key}`"));
    match text("do")? {
        "own" => {
            let path = text("path")?;
            std::os::unix::fs::chown(path, Some(number("uid")?), Some(number("gid")?)).context(path)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(number("mode")?);
            std::fs::set_permissions(path, mode).context(path)?;
        }
        "mkdir" => {
            let path = text("path")?;
            std::fs::create_dir(path).context(path)?;
            // Whatever the umask: root's directories are root's.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, mode).context(path)?;
        }
        "label" => cgroups::set_xattr(Path::new(text("path")?), text("name")?, text("value")?.as_bytes())?,
        "join" => {
            std::fs::write(Path::new(text("path")?).join("cgroup.procs"), number("pid")?.to_string()).context("join")?
        }
        "spawn" => {
            let args: Vec<&str> =
                request["args"].as_array().context("no `args`")?.iter().filter_map(Value::as_str).collect();
            let (program, args) = args.split_first().context("no program")?;
            let child = Command::new(program).args(args).stdin(Stdio::null()).spawn().context(program)?;
            let pid = child.id();
            children.push(child);
            return Ok(json!({"pid": pid}));
        }
        other => return Err(format!("`{other}`?")),
    }
    Ok(json!({}))
}

/// The tests' end of the connection is their standard input.
pub(crate) fn from_stdin() -> Result<Admin, String> {
    let fd: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).context("standard input")?;
    Ok(Admin::new(UnixStream::from(fd)))
}
