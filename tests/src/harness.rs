//! Starting the tests as the right user in the right cgroup.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::admin::{self, Admin};
use crate::{Context, Outcome, TestCgroup, cgroups};

/// The unprivileged user that root runs the tests as, and a third one.
const TEST_UID: u32 = 61_184;
/// A user who has no say over anybody here.
pub const THIRD_UID: u32 = 61_185;

/// Tells the second start of the program that it is that.
const PREPARED: &str = "WAYLAND_AUTH_TESTS_PREPARED";

/// The variables that name programs which the tests run.
const PROGRAMS: &[&str] =
    &["WAYLAND_AUTH_TOOL", "WAYLAND_AUTH_DEMO", "WAYLAND_AUTH_DESIGNER", "WAYLAND_AUTH_DESIGNER_CLIENT"];

/// The program that plays the compositor in unusual places.
const PLACE: &str = "place";

/// What a test needs beyond an ordinary user with a delegated cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Things that only root can do.
    Root,
    /// The user's own systemd.
    UserManager,
    /// A user without one.
    NoUserManager,
    /// A firejail that confines: in what it takes for a sandbox already, it runs programs as they are.
    Firejail,
    /// A program.
    Program(&'static str),
}

/// A test: its name is a sentence, what it needs, and what it does.
pub type Test = (&'static str, Needs, fn(&World) -> Outcome);

/// A test that asks nothing of the world but to be in it.
pub type PlainTest = (&'static str, fn() -> Outcome);

/// A test with everything that it holds on to.
struct Prepared {
    name: &'static str,
    needs: Needs,
    run: Box<dyn FnOnce(&World) -> Outcome + Send>,
}

/// What all tests of a program share.
#[derive(Debug)]
pub struct World {
    cgroup: PathBuf,
    admin: Option<Admin>,
    temp: tempfile::TempDir,
    peer: PathBuf,
}

impl World {
    /// The cgroup that belongs to the tests. The test program itself sits in `server` below it.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Makes a cgroup.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn new_cgroup(&self) -> Result<TestCgroup, String> {
        TestCgroup::new(&self.cgroup, "case")
    }

    /// A new directory for a test's sockets and files, closed to others.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn new_dir(&self) -> Result<PathBuf, String> {
        let dir = tempfile::Builder::new()
            .prefix("t")
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir_in(self.temp.path())
            .context("temporary directory")?;
        Ok(dir.keep())
    }

    /// Root, for the tests that [need](Needs::Root) it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn admin(&self) -> Result<&Admin, String> {
        self.admin.as_ref().context("this test needs root, and does not say so")
    }

    /// The program that plays the clients.
    #[must_use]
    pub fn peer(&self) -> &Path {
        &self.peer
    }

    /// The program that plays the compositor in unusual places; it lies beside the one that plays the clients.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.peer.with_file_name(PLACE)
    }

    /// The user that compositor and clients are here.
    #[must_use]
    pub fn uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }
}

/// Runs the tests of a program. `peer` is the path of the program that plays the clients.
#[must_use]
pub fn main(peer: &str, tests: &[Test]) -> ExitCode {
    start(peer, prepare(tests), None)
}

/// Runs the tests of a program one after the other: each sees all that the process does, such as its descriptors.
#[must_use]
pub fn main_in_turn(peer: &str, tests: &[Test]) -> ExitCode {
    start(peer, prepare(tests), Some(1))
}

fn prepare(tests: &[Test]) -> Vec<Prepared> {
    tests.iter().map(|&(name, needs, test)| Prepared { name, needs, run: Box::new(test) }).collect()
}

/// Runs tests that ask nothing of the world but to be in it.
#[must_use]
pub fn main_of_plain(peer: &str, tests: &[PlainTest]) -> ExitCode {
    let prepare = |&(name, test): &PlainTest| Prepared { name, needs: Needs::Nothing, run: Box::new(move |_| test()) };
    start(peer, tests.iter().map(prepare).collect(), None)
}

/// Runs what is no list of tests in such a world.
#[must_use]
pub fn main_in_world(peer: &Path, run: impl FnOnce(&World) -> Result<ExitCode, String>) -> ExitCode {
    start_with(peer, |world| run(&world))
}

fn start(peer: &str, tests: Vec<Prepared>, threads: Option<usize>) -> ExitCode {
    // Where the tests were not built it is somewhere else.
    let peer = std::env::var_os("WAYLAND_AUTH_PEER").map_or_else(|| peer.into(), PathBuf::from);
    start_with(&peer, |world| Ok(run_tests(world, tests, threads)))
}

fn start_with(peer: &Path, run: impl FnOnce(Arc<World>) -> Result<ExitCode, String>) -> ExitCode {
    let run = if std::env::var_os(PREPARED).is_none() && rustix::process::geteuid().is_root() {
        run_as_user(peer)
    } else {
        run_here(peer, run)
    };
    run.unwrap_or_else(|e| {
        eprintln!("the tests could not be started: {e}");
        ExitCode::FAILURE
    })
}

fn unique() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("wa-tests-{}-{now:x}", std::process::id())
}

/// As root: prepares a cgroup, starts this program again as an ordinary user, and stays as the admin.
fn run_as_user(peer: &Path) -> Result<ExitCode, String> {
    let cgroup = cgroups::own()?.join(unique());
    fs::create_dir(&cgroup).context(cgroup.display())?;
    let result = start_as_user(&cgroup, peer);
    // We are inside ourselves: leave first.
    let up = cgroup.parent().context("no parent")?.join("cgroup.procs");
    fs::write(&up, "0").context(up.display())?;
    cgroups::remove_tree(&cgroup)?;
    result
}

fn start_as_user(cgroup: &Path, peer: &Path) -> Result<ExitCode, String> {
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        let path = if file.is_empty() { cgroup.to_owned() } else { cgroup.join(file) };
        chown(&path, Some(TEST_UID), Some(TEST_UID)).context(path.display())?;
    }
    let server = cgroup.join("server");
    fs::create_dir(&server).context(server.display())?;
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        let path = if file.is_empty() { server.clone() } else { server.join(file) };
        chown(&path, Some(TEST_UID), Some(TEST_UID)).context(path.display())?;
    }
    let temp = tempfile::Builder::new().prefix("wayland-auth-tests-").tempdir().context("temporary directory")?;
    fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).context("temporary directory")?;
    let exe = reachable(&std::env::current_exe().context("this program")?, temp.path())?;
    // `cargo xtask soak` builds itself alone.
    let place = peer.with_file_name(PLACE);
    if place.exists() {
        reachable(&place, temp.path())?;
    }
    let peer = reachable(peer, temp.path())?;

    fs::write(server.join("cgroup.procs"), "0").context("cannot enter the tests' cgroup")?;
    let (ours, theirs) = UnixStream::pair().context("socket pair")?;
    let mut command = Command::new(exe);
    command.args(std::env::args_os().skip(1));
    command.env(PREPARED, cgroup).env("WAYLAND_AUTH_PEER", &peer).env("HOME", "/").env_remove("XDG_RUNTIME_DIR");
    for program in PROGRAMS {
        if let Some(path) = std::env::var_os(program) {
            command.env(program, reachable(Path::new(&path), temp.path())?);
        }
    }
    command.uid(TEST_UID).gid(TEST_UID).stdin(Stdio::from(OwnedFd::from(theirs))).current_dir("/");
    let mut child = command.spawn().context("this program, once more")?;
    drop(command);
    admin::serve(ours);
    let status = child.wait().context("the tests")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The program, or a copy of it where everybody can reach it.
fn reachable(program: &Path, temp: &Path) -> Result<PathBuf, String> {
    let program = fs::canonicalize(program).context(program.display())?;
    let open = program.ancestors().skip(1).all(|dir| fs::metadata(dir).is_ok_and(|m| m.mode() & 0o001 != 0));
    if open {
        return Ok(program);
    }
    let copy = temp.join(program.file_name().context("no file name")?);
    fs::copy(&program, &copy).context(format!("{} to {}", program.display(), copy.display()))?;
    Ok(copy)
}

/// As an ordinary user, or for him: makes the world and does something in it.
fn run_here(peer: &Path, run: impl FnOnce(Arc<World>) -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    let (cgroup, admin) = match std::env::var_os(PREPARED) {
        Some(cgroup) => (PathBuf::from(cgroup), Some(admin::from_stdin()?)),
        None => (own_world()?, None),
    };
    let closed = PermissionsExt::from_mode(0o700);
    let temp = tempfile::Builder::new().prefix("wayland-auth-tests-").permissions(closed).tempdir();
    let temp = temp.context("temporary directory")?;
    let ours = admin.is_none();
    let world = Arc::new(World { cgroup: cgroup.clone(), admin, temp, peer: peer.to_owned() });
    let code = run(world);
    if ours {
        let up = cgroup.parent().context("no parent")?.join("cgroup.procs");
        fs::write(&up, "0").context(up.display())?;
        cgroups::remove_tree(&cgroup)?;
    }
    code
}

fn run_tests(world: Arc<World>, tests: Vec<Prepared>, threads: Option<usize>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = threads.or(arguments.test_threads);
    let mut skipped = BTreeMap::new();
    let trials = tests.into_iter().map(|Prepared { name, needs, run }| {
        let missing = missing(needs, &world);
        let ignored = missing.is_some();
        if let Some(why) = missing {
            skipped.insert(name, why);
        }
        let world = Arc::clone(&world);
        Trial::test(name, move || run(&world).map_err(Into::into)).with_ignored_flag(ignored)
    });
    let trials = trials.collect();
    for (name, why) in &skipped {
        println!("skipped: {name}: {why}");
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit_code()
}

/// As an ordinary user: a cgroup inside our own, if that was delegated to us.
fn own_world() -> Result<PathBuf, String> {
    let cgroup = cgroups::own()?.join(unique());
    let remedy = "run the tests with `cargo xtask test`, or under `systemd-run --user --scope -p Delegate=yes`";
    fs::create_dir(&cgroup).context(format!("{}: {remedy}", cgroup.display()))?;
    let server = cgroup.join("server");
    fs::create_dir(&server).context(server.display())?;
    fs::write(server.join("cgroup.procs"), "0").context(format!("{}: {remedy}", server.display()))?;
    Ok(cgroup)
}

fn missing(needs: Needs, world: &World) -> Option<String> {
    match needs {
        Needs::Nothing => None,
        Needs::Root => world.admin.is_none().then(|| "needs root (run the tests as root to see it)".to_owned()),
        Needs::UserManager => (!has_user_manager())
            .then(|| "needs the user's own systemd (run the tests in a user session to see it)".to_owned()),
        Needs::NoUserManager => has_user_manager()
            .then(|| "needs a user without a systemd of his own (run the tests as root to see it)".to_owned()),
        Needs::Firejail => firejail_confines_nothing()
            .then(|| "firejail takes this for a sandbox already, and confines nothing".to_owned()),
        // A missing program is a failure of the set-up, not a reason to skip: the test will say so.
        Needs::Program(_) => None,
    }
}

/// Whether there is a systemd of the user's own, to start services.
fn has_user_manager() -> bool {
    let private = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("systemd/private"));
    private.is_some_and(|socket| UnixStream::connect(socket).is_ok())
}

/// Whether what firejail runs has our own mounts. That it cannot be run at all is for the test to say.
fn firejail_confines_nothing() -> bool {
    let mounts = "/proc/self/ns/mnt";
    let inside =
        Command::new("firejail").args(["--quiet", "--noprofile", "readlink", mounts]).stderr(Stdio::null()).output();
    let inside = inside.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let ours = fs::read_link(mounts).ok();
    inside.zip(ours).is_some_and(|(inside, ours)| String::from_utf8_lossy(&inside).trim() == ours.to_string_lossy())
}

/// The full path of a program.
///
/// # Errors
///
/// If it is not installed.
pub fn program(name: &str) -> Result<OsString, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file());
    found.map(PathBuf::into_os_string).context(format!("`{name}` is not installed: `cargo xtask test` installs it"))
}
