//! Compositors in unusual places, and what they say of their clients.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use tempfile::TempDir;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::kinds::Setup;
use wayland_auth_tests::{Context, World, ensure_eq};

/// Moves a program into the cgroup that is its first argument.
pub(crate) const ENTER: [&str; 3] = ["sh", "-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""];

/// A compositor somewhere.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    world: &'a World,
    peer: PathBuf,
    socket: PathBuf,
    control: BufReader<UnixStream>,
    child: Option<Child>,
    /// Where its files are, if that is not the tests' own directory.
    _dir: Option<TempDir>,
    /// What it said of the machine when it started.
    pub(crate) start: Value,
}

/// How it is started.
#[derive(Debug, Default)]
pub(crate) struct Start<'a> {
    /// The programs before it.
    pub(crate) wrapper: &'a [&'a str],
    /// Its policy.
    pub(crate) policy: &'a str,
    /// Its options.
    pub(crate) options: &'a [&'a str],
    /// Whether root starts it.
    pub(crate) by_root: bool,
    /// Whether it has a `/tmp` of its own.
    pub(crate) own_tmp: bool,
    /// Whether others than the tests' own user are to reach it.
    pub(crate) open_to_all: bool,
}

/// Whom it takes a client for.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The identity, as it is shown.
    pub(crate) shown: String,
    /// The identity as JSON.
    pub(crate) identity: Value,
    /// What the client may do, in the policy's order.
    pub(crate) allowed: Vec<String>,
}

impl Taken {
    /// The reason for which it is nobody.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.identity["reason"].as_str()
    }
}

impl<'a> Place<'a> {
    /// Starts a compositor.
    pub(crate) fn start(world: &'a World, start: &Start<'_>) -> Result<Self, String> {
        let (mut program, mut peer) = (world.place(), world.peer().to_owned());
        let elsewhere = elsewhere(start)?;
        let dir = match &elsewhere {
            Some(dir) => {
                // The tests' own programs may be out of sight there.
                for program in [&mut program, &mut peer] {
                    let copy = dir.path().join(program.file_name().context("no file name")?);
                    fs::copy(&program, &copy).context(program.display())?;
                    *program = copy;
                }
                dir.path().to_owned()
            }
            None => world.new_dir()?,
        };
        let (control, socket) = (dir.join("control"), dir.join("wayland"));
        let listener = UnixListener::bind(&control).context(control.display())?;
        if start.open_to_all {
            fs::set_permissions(&control, Permissions::from_mode(0o777)).context("mode")?;
        }
        let paths = [&program, &control, &socket].map(|path: &PathBuf| path.display().to_string());
        let mut line: Vec<String> = start.wrapper.iter().map(|&word| word.to_owned()).collect();
        line.extend(paths);
        line.push(start.policy.to_owned());
        line.extend(start.options.iter().map(|&word| word.to_owned()));
        let mut child = None;
        if start.by_root {
            world.admin()?.spawn(&line)?;
        } else {
            let spawned = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).spawn();
            child = Some(spawned.context(&line[0])?);
        }
        wait_for(&listener).context("the compositor does not start")?;
        let (control, _) = listener.accept().context("accept")?;
        control.set_read_timeout(Some(PATIENCE)).context("timeout")?;
        let mut place =
            Self { world, peer, socket, control: BufReader::new(control), child, _dir: elsewhere, start: Value::Null };
        place.start = place.line().context("the compositor does not start")?;
        Ok(place)
    }

    /// Where its sockets are.
    pub(crate) fn dir(&self) -> &Path {
        self.socket.parent().unwrap_or(&self.socket)
    }

    fn line(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.control.read_line(&mut line).context("the compositor says nothing")?;
        serde_json::from_str(&line).context(format!("not JSON: {line:?}"))
    }

    fn taken(&mut self) -> Result<Taken, String> {
        let line = self.line()?;
        let allowed = line["allowed"].as_array().context("no rights")?;
        Ok(Taken {
            shown: line["shown"].as_str().context("no identity")?.to_owned(),
            identity: line["identity"].clone(),
            allowed: allowed.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// The command line of a peer that connects.
    fn peer(&self, setup: &Setup) -> Vec<String> {
        let mut line = setup.wrapper.clone();
        line.push(self.peer.display().to_string());
        line.extend(setup.steps.iter().cloned());
        line.extend([format!("connect={}", self.socket.display()), "hold".to_owned()]);
        line
    }

    /// A client that the tests start, beside the compositor.
    pub(crate) fn outside(&mut self, setup: &Setup) -> Result<Taken, String> {
        let line = self.peer(setup);
        let mut child = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).spawn().context(&line[0])?;
        let taken = self.taken();
        if taken.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().context("wait")?;
        ensure_eq!(status.code(), Some(0), "the peer failed");
        taken
    }

    /// A client that root starts, beside the compositor.
    pub(crate) fn of_root(&mut self, setup: &Setup) -> Result<Taken, String> {
        self.world.admin()?.spawn(&self.peer(setup))?;
        self.taken()
    }

    /// A client that the compositor starts.
    pub(crate) fn inside(&mut self, setup: &Setup) -> Result<Taken, String> {
        let line = serde_json::to_string(&self.peer(setup)).context("JSON")?;
        writeln!(self.control.get_mut(), "{line}").context("the compositor is gone")?;
        self.taken()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = self.control.get_mut().shutdown(std::net::Shutdown::Both);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// A directory for a compositor that the tests' own is no use to, because it has another `/tmp` or another user.
fn elsewhere(start: &Start<'_>) -> Result<Option<TempDir>, String> {
    let new = tempfile::Builder::new().prefix("wayland-auth-place-").to_owned();
    if start.own_tmp {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").context("no XDG_RUNTIME_DIR")?;
        return new.tempdir_in(runtime).context("directory").map(Some);
    }
    if !start.open_to_all {
        return Ok(None);
    }
    let dir = new.tempdir_in("/tmp").context("directory")?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).context("mode")?;
    Ok(Some(dir))
}

fn wait_for(listener: &UnixListener) -> Result<(), String> {
    let patience = Timespec::try_from(PATIENCE).context("timeout")?;
    match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&patience)).context("poll")? {
        0 => Err("nothing came".to_owned()),
        _ => Ok(()),
    }
}

/// The words that move a program into a cgroup.
pub(crate) fn enter(cgroup: &Path) -> Result<Vec<&str>, String> {
    Ok([&ENTER[..], &[cgroup.to_str().context("not UTF-8")?]].concat())
}
