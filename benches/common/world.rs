//! Peers: real processes in real cgroups that connect to real sockets.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::{Context, wire};

/// The argument that makes a bench play a peer.
const PEER: &str = "--peer";

/// What helps if no cgroup can be written to.
const REMEDY: &str = "run it in a delegated cgroup: systemd-run --user --scope -p Delegate=yes -- cargo xtask bench";

/// The directories of a usual session, below the world's own: six deep in all.
const SESSION: &str = "manager.service/app.slice/app.scope/payload";

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A cgroup and a directory for sockets, both gone at the end.
#[derive(Debug)]
pub(crate) struct World {
    cgroup: PathBuf,
    dir: PathBuf,
}

impl World {
    pub(crate) fn new() -> Result<Self, String> {
        let name = format!("wayland-auth-bench-{}", std::process::id());
        let cgroup = own_cgroup()?.join(&name);
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&cgroup).map_err(|e| format!("{}: {e}\n{REMEDY}", cgroup.display()))?;
        let world = Self { cgroup, dir };
        fs::DirBuilder::new().mode(0o700).create(&world.dir).context(world.dir.display())?;
        Ok(world)
    }

    /// A directory that only we may write to.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cgroup, below which there is nobody else's.
    pub(crate) fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Makes a cgroup as deep as those of a usual session. Returns the directory of the application and the one
    /// below it in which its processes are.
    pub(crate) fn session(&self, name: &str) -> Result<(PathBuf, PathBuf), String> {
        let leaf = self.cgroup.join(name).join(SESSION);
        fs::create_dir_all(&leaf).context(leaf.display())?;
        Ok((leaf.parent().context("no parent")?.to_owned(), leaf))
    }

    pub(crate) fn listen(&self, name: &str) -> Result<(UnixListener, PathBuf), String> {
        let path = self.dir.join(name);
        UnixListener::bind(&path).context(path.display()).map(|listener| (listener, path))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        let deadline = Instant::now() + PATIENCE;
        // A process that was just reaped may still be on its way out.
        while let Err(e) = remove_cgroups(&self.cgroup) {
            if Instant::now() > deadline {
                eprintln!("{}: {e}", self.cgroup.display());
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn remove_cgroups(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroups(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Where cgroup2 is mounted as a whole.
pub(crate) fn cgroup_mount() -> Result<PathBuf, String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let mount = mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        (file_system.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(at))
    });
    mount.context("cgroup2 is not mounted: mount it with `mount -t cgroup2 cgroup2 /sys/fs/cgroup`")
}

/// The path of a process' cgroup, from the root and without the slash before it.
pub(crate) fn cgroup_path(process: &str) -> Result<String, String> {
    let file = format!("/proc/{process}/cgroup");
    let text = fs::read_to_string(&file).context(&file)?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    path.map(str::to_owned).with(|| format!("{file} has no line `0::`"))
}

fn own_cgroup() -> Result<PathBuf, String> {
    Ok(cgroup_mount()?.join(cgroup_path("self")?))
}

trait With<T> {
    fn with(self, what: impl FnOnce() -> String) -> Result<T, String>;
}

impl<T> With<T> for Option<T> {
    fn with(self, what: impl FnOnce() -> String) -> Result<T, String> {
        self.ok_or_else(what)
    }
}

/// A process that connects where it is told to. It ends with us.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    /// `None` once it is to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts this program once more, in a cgroup; `through` is a command that runs another, such as `unshare -U`.
    pub(crate) fn start(cgroup: &Path, through: &[&str]) -> Result<Self, String> {
        let program = std::env::current_exe().context("this program")?;
        let mut words: Vec<&OsStr> = through.iter().map(OsStr::new).collect();
        words.extend([program.as_os_str(), OsStr::new(PEER)]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context(words[0].display())?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut peer = Self { child, stdin, stdout };
        let procs = cgroup.join("cgroup.procs");
        let moved = fs::write(&procs, peer.child.id().to_string());
        moved.map_err(|e| format!("{}: {e}\n{REMEDY}", procs.display()))?;
        peer.ask("ready", 0, Path::new(""))?;
        Ok(peer)
    }

    /// Connects to a socket and holds the connection.
    pub(crate) fn hold(&mut self, listener: &UnixListener, path: &Path) -> Result<UnixStream, String> {
        self.ask("hold", 1, path)?;
        listener.accept().map(|(stream, _)| stream).context("accept")
    }

    /// Begins to connect `times` times, one connection after the end of the other.
    pub(crate) fn visit(&mut self, path: &Path, times: usize) -> Result<(), String> {
        self.send("visit", times, path)
    }

    /// Measures connect, registry and sync, `times` times; the nanoseconds of each, and the number of globals.
    pub(crate) fn registry(&mut self, path: &Path, times: usize) -> Result<(Vec<f64>, usize), String> {
        let answer = self.ask("registry", times, path)?;
        let mut numbers = answer.split(' ');
        let globals = numbers.next().and_then(|n| n.parse().ok()).context("no count of globals")?;
        let times = numbers.map(str::parse).collect::<Result<_, _>>().context("a time")?;
        Ok((times, globals))
    }

    fn ask(&mut self, what: &str, times: usize, path: &Path) -> Result<String, String> {
        self.send(what, times, path)?;
        self.answer(what)
    }

    fn send(&mut self, what: &str, times: usize, path: &Path) -> Result<(), String> {
        let stdin = self.stdin.as_mut().context("the peer has ended")?;
        writeln!(stdin, "{what} {times} {}", path.display()).context("a peer")
    }

    /// Waits for the answer to what was sent.
    pub(crate) fn answer(&mut self, what: &str) -> Result<String, String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("a peer")?;
        let answer = line.strip_prefix("ok ").map(|rest| rest.trim_end().to_owned());
        answer.with(|| format!("a peer failed to {what}: {}", if line.is_empty() { "it ended" } else { &line }))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays a peer until nobody has anything more to say, if this program was started to be one.
pub(crate) fn play_peer() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|argument| argument != PEER) {
        return None;
    }
    let mut held = Vec::new();
    for line in io::stdin().lines().map_while(Result::ok) {
        match obey(&line, &mut held) {
            Ok(answer) => println!("ok {answer}"),
            Err(e) => println!("{e}"),
        }
    }
    Some(ExitCode::SUCCESS)
}

fn obey(line: &str, held: &mut Vec<UnixStream>) -> Result<String, String> {
    let mut words = line.splitn(3, ' ');
    let (what, times, path) = (words.next(), words.next(), words.next());
    let times: usize = times.and_then(|n| n.parse().ok()).context("no number")?;
    let path = Path::new(path.context("no path")?);
    let connect = || UnixStream::connect(path).context(path.display());
    match what {
        Some("ready") => Ok(String::new()),
        Some("hold") => connect().map(|stream| {
            held.push(stream);
            String::new()
        }),
        Some("visit") => {
            for _ in 0..times {
                connect()?.read_to_end(&mut Vec::new()).context("read")?;
            }
            Ok(String::new())
        }
        Some("registry") => {
            let (mut globals, mut nanoseconds) = (0, String::new());
            let mut buffer = Vec::new();
            for _ in 0..times {
                let start = Instant::now();
                let stream = connect()?;
                wire::ask(&stream, 2, 3).context("write")?;
                globals = wire::answer(&stream, 3, &mut buffer).context("read")?;
                nanoseconds.push_str(&format!(" {}", start.elapsed().as_nanos()));
            }
            Ok(format!("{globals}{nanoseconds}"))
        }
        _ => Err("what?".to_owned()),
    }
}
