//! Real flatpaks: a runtime and two applications made here, installed without any network, run by `flatpak run`.
//!
//! flatpak talks to a system bus and a session bus; without systemd both are daemons of the test's own that start nothing. It
//! finds the user's systemd by itself, whatever the session bus, so that the one test is for users who have one and the other for
//! those who have none.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::harness::program;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::{Demo, SIZE, events, expect_members};
use super::running::{Finished, Running, finish};

const RECORDER: &str = "org.example.Recorder";
const GAME: &str = "org.example.Game";

/// One of the two may capture. The host may open security contexts, as everywhere.
const POLICY: &str = r#"
[defaults]
host = ["*"]
sandboxed = ["output-info"]
namespaced = ["output-info"]

[[rule]]
match = { engine = "org.flatpak", app-id = "org.example.Recorder" }
allow = ["screen-capture", "output-info"]
"#;

/// The same where flatpak does not find the manager of security contexts.
const WITHOUT_CONTEXTS: &str = r#"
[defaults]
host = ["screen-capture", "output-info"]
sandboxed = ["output-info"]
namespaced = ["output-info"]

[[rule]]
match = { engine = "org.flatpak", app-id = "org.example.Recorder" }
allow = ["screen-capture", "output-info"]
"#;

/// Both applications, installed, and the buses.
struct Flatpak {
    dir: PathBuf,
    session: Session,
    session_bus: String,
    system_bus: String,
    _buses: Vec<Running>,
}

/// Whether there is a systemd that gives applications their scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// None: the session bus is the test's own.
    Bare,
    /// The user's.
    Systemd,
}

impl Flatpak {
    fn install(world: &World, session: Session) -> Result<Self, String> {
        for name in ["flatpak", "dbus-daemon", "grim", "bwrap"] {
            program(name)?;
        }
        let dir = world.new_dir()?;
        for name in ["home", "installation", "buses"] {
            fs::create_dir(dir.join(name)).context(name)?;
        }
        let (system, session_bus) = (Bus::start(&dir, "system")?, Bus::start(&dir, "session")?);
        let systemd = || std::env::var("DBUS_SESSION_BUS_ADDRESS").context("no session bus");
        let mut flatpak = Self {
            system_bus: system.address,
            session_bus: if session == Session::Systemd { systemd()? } else { session_bus.address },
            _buses: vec![system.running, session_bus.running],
            session,
            dir,
        };
        flatpak.make_repository("repo", "archive-z2")?;
        flatpak.make_repository("installation/repo", "bare-user-only")?;
        flatpak.make_runtime(world)?;
        for app_id in [RECORDER, GAME] {
            flatpak.make_app(app_id)?;
        }
        let repo = flatpak.dir.join("repo").display().to_string();
        flatpak.call(&["build-update-repo", &repo])?;
        flatpak.call(&["--user", "remote-add", "--no-gpg-verify", "local", &format!("file://{repo}")])?;
        flatpak.call(&["--user", "install", "--assumeyes", "--noninteractive", "local", RECORDER, GAME])?;
        Ok(flatpak)
    }

    /// `flatpak`, which touches nothing outside the test's directory.
    fn environment(&self, command: &mut Command) {
        let home = self.dir.join("home");
        command.env("HOME", &home).env("FLATPAK_USER_DIR", self.dir.join("installation"));
        command.env("XDG_DATA_HOME", home.join("data")).env("XDG_CACHE_HOME", home.join("cache"));
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.session_bus).env("DBUS_SYSTEM_BUS_ADDRESS", &self.system_bus);
    }

    fn call(&mut self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("flatpak");
        command.args(arguments).current_dir(&self.dir);
        self.environment(&mut command);
        // It makes files there even if it only builds.
        command.env("XDG_RUNTIME_DIR", self.dir.join("buses"));
        finish(&mut command)?.expect(0)
    }

    /// An empty repository that does not mind how full the disk is. By default one refuses to fill the last three per cent,
    /// however many gigabytes they are.
    fn make_repository(&self, name: &str, mode: &str) -> Outcome {
        let dir = self.dir.join(name);
        for name in ["extensions", "objects", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp/cache"] {
            fs::create_dir_all(dir.join(name)).context(name)?;
        }
        write(&dir.join("config"), &format!("[core]\nrepo_version=1\nmode={mode}\nmin-free-space-size=0MB\n"))
    }

    /// A runtime with grim, the peer and the libraries that they need.
    fn make_runtime(&mut self, world: &World) -> Outcome {
        let runtime = self.dir.join("runtime");
        let usr = runtime.join("usr");
        fs::create_dir_all(usr.join("bin")).context("runtime")?;
        symlink("usr", runtime.join("files")).context("runtime")?;
        let grim = PathBuf::from(program("grim")?);
        for (name, program) in [("grim", grim.as_path()), ("peer", world.peer())] {
            fs::copy(program, usr.join("bin").join(name)).context(program.display())?;
            for library in libraries(program)? {
                // Where the loader looks for it: `/lib` is `/usr/lib` in there.
                let place = library.strip_prefix("/usr").or_else(|_| library.strip_prefix("/")).context("library")?;
                let copy = usr.join(place);
                fs::create_dir_all(copy.parent().context("library")?).context(copy.display())?;
                fs::copy(&library, &copy).context(library.display())?;
            }
        }
        let name = "org.example.Platform";
        let this = format!("{name}/{}/master", std::env::consts::ARCH);
        write(&runtime.join("metadata"), &format!("[Runtime]\nname={name}\nruntime={this}\nsdk={this}\n"))?;
        self.export(&runtime, &["--runtime"])
    }

    fn make_app(&mut self, app_id: &str) -> Outcome {
        let app = self.dir.join(app_id);
        fs::create_dir_all(app.join("files/bin")).context(app_id)?;
        fs::create_dir(app.join("export")).context(app_id)?;
        let runtime = format!("org.example.Platform/{}/master", std::env::consts::ARCH);
        let metadata = format!(
            "[Application]\nname={app_id}\nruntime={runtime}\nsdk={runtime}\ncommand=grim\n[Context]\nsockets=wayland;\n"
        );
        write(&app.join("metadata"), &metadata)?;
        self.export(&app, &[])
    }

    fn export(&mut self, tree: &Path, more: &[&str]) -> Outcome {
        let tree = tree.to_str().context("not UTF-8")?.to_owned();
        let words = [&["build-export", "--no-update-summary", "--disable-sandbox"], more, &["repo", &tree, "master"]];
        self.call(&words.concat())
    }

    /// Runs a program of the runtime as one of the applications.
    fn run(&self, demo: &Demo, app_id: &str, program: &str, arguments: &[&str]) -> Result<Finished, String> {
        let mut command = demo.command("flatpak");
        command.args(["run", &format!("--command={program}"), app_id]).args(arguments);
        self.environment(&mut command);
        finish(&mut command)
    }
}

/// The shared libraries of a program, the loader among them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let listed = finish(Command::new("ldd").arg(program))?;
    listed.expect(0)?;
    let text = String::from_utf8(listed.out).context("ldd")?;
    Ok(text.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).context(path.display())
}

/// A message bus on which nothing is started.
struct Bus {
    address: String,
    running: Running,
}

impl Bus {
    fn start(dir: &Path, name: &str) -> Result<Self, String> {
        let dir = dir.join("buses");
        let socket = dir.join(name);
        let config = dir.join(format!("{name}.conf"));
        let address = format!("unix:path={}", socket.display());
        write(
            &config,
            &format!(
                "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
                 <policy context='default'><allow user='*'/><allow own='*'/><allow send_type='method_call'/>\
                 <allow send_destination='*'/><allow receive_sender='*'/></policy></busconfig>"
            ),
        )?;
        // It wants to know its user's name, which need not have one: it alone sees another list of users.
        let uid = rustix::process::geteuid().as_raw();
        let users = dir.join("passwd");
        let known = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        write(&users, &format!("{known}wayland-auth-tests:x:{uid}:{uid}::/:/bin/sh\n"))?;
        let mut command = Command::new("bwrap");
        command.args(["--dev-bind", "/", "/", "--ro-bind"]).arg(&users).args(["/etc/passwd", "--die-with-parent"]);
        command.args(["dbus-daemon", "--nofork", "--nopidfile", "--config-file"]).arg(&config);
        let mut running = Running::start(&mut command)?;
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            ensure!(running.is_alive() && Instant::now() < deadline, "no bus: {}", running.errors());
            std::thread::yield_now();
        }
        Ok(Self { address, running })
    }
}

/// What grim as one of the applications came to: whether there is a picture.
fn captures(flatpak: &Flatpak, demo: &Demo, app_id: &str) -> Result<bool, String> {
    let finished = flatpak.run(demo, app_id, "grim", &["-t", "ppm", "-"])?;
    if finished.status.success() {
        let header = format!("P6\n{} {}\n255\n", SIZE.0, SIZE.1);
        ensure!(finished.out.starts_with(header.as_bytes()), "no picture of the right size");
        ensure_eq!(finished.out.len(), header.len() + SIZE.0 * SIZE.1 * 3);
        return Ok(true);
    }
    ensure!(finished.err.contains("compositor doesn't support"), "grim failed otherwise: {}", finished.err);
    Ok(false)
}

/// The interfaces that one of the applications sees.
fn interfaces(flatpak: &Flatpak, demo: &Demo, app_id: &str) -> Result<BTreeSet<String>, String> {
    // flatpak gives the socket its usual name and place.
    let uid = rustix::process::geteuid().as_raw();
    let connect = format!("connect=/run/user/{uid}/{}", demo.name());
    let finished = flatpak.run(demo, app_id, "peer", &[&connect, "say=globals"])?;
    finished.expect(0)?;
    let said: serde_json::Value = serde_json::from_slice(&finished.out).context("globals")?;
    let globals = said["globals"].as_array().context("no globals")?;
    Ok(globals.iter().filter_map(|global| global[1].as_str()).map(str::to_owned).collect())
}

/// Both applications on a compositor with this policy: what they see. Their connections are recorded as theirs.
fn see(
    world: &World,
    flatpak: &Flatpak,
    policy: &'static str,
    manager: Manager,
) -> Result<[BTreeSet<String>; 2], String> {
    let mut demo = Demo::start(world, policy)?;
    let shown = demo.client()?.globals().iter().any(|global| global.interface == "wp_security_context_manager_v1");
    ensure_eq!(shown, manager == Manager::Shown, "the manager of security contexts");
    let mut seen = Vec::new();
    for (app_id, may_capture) in [(RECORDER, true), (GAME, false)] {
        let before = demo.audit()?.len();
        ensure_eq!(captures(flatpak, &demo, app_id)?, may_capture, "{app_id}\n{}", demo.audit_text()?);
        seen.push(interfaces(flatpak, &demo, app_id)?);
        let lines = demo.audit()?;
        let connects: Vec<_> = events(&lines[before..], "connect").collect();
        let identity = json!({"kind": "app", "engine": "org.flatpak", "app-id": app_id});
        let (of_app, others): (Vec<&&serde_json::Value>, Vec<_>) =
            connects.iter().partition(|line| expect_members(&line["identity"], &identity).is_ok());
        // grim and the peer.
        ensure_eq!(of_app.len(), 2, "connections of {app_id}:\n{}", demo.audit_text()?);
        ensure!(of_app.iter().all(|line| line["identity"]["instance-id"].is_string()), "no instance: {of_app:?}");
        let in_scope = |line: &serde_json::Value| {
            line["evidence"]["cgroup"]["path"].as_str().is_some_and(|path| path.contains("/app-flatpak-"))
        };
        let in_scope = of_app.iter().all(|line| in_scope(line));
        ensure_eq!(in_scope, flatpak.session == Session::Systemd, "a scope of its own: {of_app:?}");
        // Whoever else came is a program of the host: the test itself, which asked for the audit file, and flatpak, if this
        // version of it looks for the manager.
        ensure!(others.iter().all(|line| line["identity"]["kind"] == "host"), "{others:?}");
        let by_flatpak = others.len().checked_sub(1).context("the test did not connect")?;
        println!("{app_id}, manager {manager:?}: flatpak itself connected {by_flatpak} times");
    }
    let [recorder, game] = <[_; 2]>::try_from(seen).map_err(|_| "two applications")?;
    ensure!(!game.contains("wp_security_context_manager_v1"), "{game:?}");
    Ok([recorder, game])
}

/// Whether flatpak can find the manager of security contexts. Without it, and always with a flatpak that was built without
/// support for them (1.14 and earlier), its applications are on the ordinary socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Shown,
    Hidden,
}

/// Denied by default, allowed by a rule that names it, and the same whether flatpak can open security contexts or not.
fn is_what_it_is(world: &World, session: Session) -> Outcome {
    let flatpak = Flatpak::install(world, session)?;
    // The same program outside any sandbox captures.
    for policy in [POLICY, WITHOUT_CONTEXTS] {
        let demo = Demo::start(world, policy)?;
        let grim = finish(demo.command("grim").args(["-t", "ppm", "-"]))?;
        grim.expect(0)?;
        ensure!(grim.out.starts_with(b"P6\n"), "no picture for the host");
    }
    let [recorder, game] = see(world, &flatpak, POLICY, Manager::Shown)?;
    ensure!(recorder.contains("zwlr_screencopy_manager_v1"), "{recorder:?}");
    ensure_eq!(recorder.difference(&game).collect::<Vec<_>>(), ["zwlr_screencopy_manager_v1"]);
    let by_socket = see(world, &flatpak, WITHOUT_CONTEXTS, Manager::Hidden)?;
    ensure_eq!(by_socket, [recorder, game], "other globals without the manager");
    Ok(())
}

pub(crate) fn without_systemd(world: &World) -> Outcome {
    is_what_it_is(world, Session::Bare)
}

pub(crate) fn with_systemd(world: &World) -> Outcome {
    is_what_it_is(world, Session::Systemd)
}
