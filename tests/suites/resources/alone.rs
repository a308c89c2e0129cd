//! The part of a test that runs in a process of its own.

use std::ffi::OsString;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wayland_auth::identity::Identity;
use wayland_auth_tests::{Context, Outcome, TestCgroup, World, ensure};

/// Tells this program that it is such a process.
pub(crate) const ALONE: &str = "--alone";

type Part = (&'static str, fn(&Scene) -> Outcome);

/// What it can be told to do.
const PARTS: &[Part] = &[
    ("limit", crate::limit::limit),
    ("reserve", crate::limit::reserve),
    ("shared", crate::limit::shared),
    ("memory", crate::memory::memory),
    ("deep", crate::deep::deep),
    ("flood", crate::flood::flood),
    ("nothing", crate::flood::nothing),
    ("shut", crate::flood::shut),
    ("burst", crate::flood::burst),
];

/// What it has to do it with.
pub(crate) struct Scene {
    peer: PathBuf,
    dir: PathBuf,
    cgroup: PathBuf,
}

/// Does a part of a test in a process of its own, with a cgroup to work in, and wants it to succeed.
pub(crate) fn alone(world: &World, part: &str) -> Outcome {
    let cgroup = world.new_cgroup()?;
    let output = Command::new(std::env::current_exe().context("this program")?)
        .args([ALONE, part])
        .args([world.peer(), &world.new_dir()?, cgroup.path()])
        .stdin(Stdio::null())
        .output()
        .context("this program")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    wayland_auth_tests::cgroups::remove_tree(&cgroup.leak())?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Does it.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let result = match args {
        [part, peer, dir, cgroup] => {
            let scene = Scene { peer: peer.into(), dir: dir.into(), cgroup: cgroup.into() };
            let part = PARTS.iter().find(|(name, _)| part == name).context("there is no such part");
            part.and_then(|(_, part)| part(&scene))
        }
        _ => Err(format!("{ALONE} PART PEER DIR CGROUP")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

impl Scene {
    /// The path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub(crate) fn listen(&self) -> Result<UnixListener, String> {
        UnixListener::bind(self.socket()).context("bind")
    }

    pub(crate) fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Makes a cgroup inside.
    pub(crate) fn child(&self, name: &str) -> Result<TestCgroup, String> {
        TestCgroup::exactly(self.cgroup.join(name))
    }

    /// The step that connects.
    pub(crate) fn connect(&self) -> String {
        format!("connect={}", self.socket().display())
    }

    /// Starts a peer. It ends when its connection, or its input, does.
    pub(crate) fn start(&self, steps: &[&str]) -> Result<Child, String> {
        Command::new(&self.peer)
            .args(steps)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(self.peer.display())
    }

    /// A peer in this cgroup that connected.
    pub(crate) fn connected(&self, listener: &UnixListener, cgroup: &TestCgroup) -> Result<UnixStream, String> {
        self.start(&[&cgroup.join(), &self.connect(), "hold"])?;
        listener.accept().context("accept").map(|(stream, _)| stream)
    }
}

/// Limits the descriptors of this process; those above the limit stay.
pub(crate) fn set_limit(limit: u64) -> Outcome {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).context("setrlimit")
}

/// Takes all descriptors but so many.
pub(crate) fn take_all_but(free: usize) -> Vec<std::fs::File> {
    let open = || std::fs::File::open("/dev/null").ok();
    let mut taken: Vec<_> = std::iter::from_fn(open).collect();
    taken.truncate(taken.len().saturating_sub(free));
    taken
}

/// How many descriptors there are.
pub(crate) fn open_descriptors() -> Result<usize, String> {
    Ok(std::fs::read_dir("/proc/self/fd").context("fds")?.count() - 1)
}

/// An answer in one word.
pub(crate) fn word(identity: &Identity) -> String {
    match identity {
        Identity::App(app) => app.app_id.as_ref().map_or("app", |a| a.as_str()).to_owned(),
        Identity::Host(_) => "host".to_owned(),
        Identity::Unidentified(u) => format!("unidentified:{}", u.reason.code()),
        other => format!("{other:?}"),
    }
}
