//! The clients: processes that do what they are told, line by line, and live until their input ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{Context, TestCgroup};

/// How often a bystander asks.
const PACE: Duration = Duration::from_millis(1);

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Host,
    /// An application, and the one that its sandbox claims inside.
    App(String, Option<String>),
}

/// A client.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Removed after the process that is in them, inner ones first.
    _cgroups: Vec<TestCgroup>,
}

impl Peer {
    /// Starts one that is `who`, and waits until it is that.
    pub(crate) fn start(who: &Who, parent: &Path, socket: &Path) -> Result<Self, String> {
        let mut cgroups = vec![TestCgroup::new(parent, "peer")?];
        if let Who::App(app, nested) = who {
            cgroups[0].label_app(app)?;
            // As an engine should do it: the label above, the processes below.
            let payload = cgroups[0].child("payload")?;
            if let Some(nested) = nested {
                payload.label_app(nested)?;
            }
            cgroups.insert(0, payload);
        }
        let this = std::env::current_exe().context("this program")?;
        let mut child = Command::new(this)
            .arg("--peer")
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("this program")?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no output")?);
        let procs = cgroups[0].path().join("cgroup.procs");
        let mut peer = Self { child, stdin, stdout, _cgroups: cgroups };
        fs::write(&procs, peer.pid().to_string()).context(procs.display())?;
        peer.ask("ready")?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, what: &str) -> Result<(), String> {
        let stdin = self.stdin.as_mut().context("it has ended")?;
        writeln!(stdin, "{what}").context("a client")
    }

    /// Waits until it has done what it was told.
    pub(crate) fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("a client")?;
        let answer = line.strip_prefix("ok ").context(format!("a client failed: {line}"))?;
        Ok(answer.trim_end().to_owned())
    }

    pub(crate) fn ask(&mut self, what: &str) -> Result<String, String> {
        self.tell(what)?;
        self.answer()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Round trips, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) median: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Latency {
    fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
        Some(Self { count: times.len() as u64, median: at(50)?, p99: at(99)?, max: *times.last()? })
    }

    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [count, median, p99, max] = numbers[..] else { return Err(format!("no times: {text}")) };
        Ok(Self { count, median, p99, max })
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, median, p99, max } = self;
        write!(f, "median {median} us, p99 {p99} us, max {max} us of {count}")
    }
}

/// Plays a client.
pub(crate) fn play(socket: &str) -> Result<(), String> {
    let mut held = Vec::new();
    let mut client = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lines() {
        let line = line.context("standard input")?;
        match obey(&line, socket, &mut held, &mut client) {
            Ok(answer) => writeln!(out, "ok {answer}"),
            Err(e) => writeln!(out, "{line}: {e}"),
        }
        .context("standard output")?;
    }
    Ok(())
}

fn obey(line: &str, socket: &str, held: &mut Vec<UnixStream>, client: &mut Option<Client>) -> Result<String, String> {
    let connect = || UnixStream::connect(socket).context("connect");
    let (what, number) = line.split_once(' ').unwrap_or((line, "0"));
    let number: u64 = number.parse().context("number")?;
    match what {
        "ready" => {}
        // One connection after the other, each closed at once.
        "burst" => {
            for _ in 0..number {
                connect()?;
            }
        }
        // The same until nobody listens.
        "storm" => while connect().is_ok() {},
        "hold" => {
            for _ in 0..number {
                let stream = connect()?;
                stream.set_nonblocking(true).context("non-blocking")?;
                held.push(stream);
            }
        }
        // How many of those were closed by the server.
        "closed" => {
            let closed = |stream: &mut UnixStream| match stream.read(&mut [0]) {
                Ok(read) => read == 0,
                Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
            };
            return Ok(held.iter_mut().filter_map(|stream| closed(stream).then_some(())).count().to_string());
        }
        "release" => held.clear(),
        // Round trips, for so many milliseconds.
        "sync" => {
            let client = match client {
                Some(client) => client,
                none => none.insert(Client::new(connect()?)?),
            };
            let end = Instant::now() + Duration::from_millis(number);
            let mut times = Vec::new();
            while Instant::now() < end || times.is_empty() {
                let start = Instant::now();
                match client.sync()? {
                    Answer::Done => times.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)),
                    other => return Err(format!("not answered: {other:?}")),
                }
                std::thread::sleep(PACE);
            }
            let Latency { count, median, p99, max } = Latency::of(times).context("nothing was measured")?;
            return Ok(format!("{count} {median} {p99} {max}"));
        }
        _ => return Err("what?".to_owned()),
    }
    Ok(String::new())
}
