//! The compositor, and the places that its clients are started from.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::audit::Audit;
use crate::{
    cargo::{self, Programs},
    cgroup::{self, THIS_PROGRAM},
    cli,
    error::{Context, Error},
    inside::window::{KEY, READY},
    process::{End, Process, Said},
    scratch::Scratch,
    signals::Signals,
};

/// The sandbox engine that the demo plays.
pub(crate) const ENGINE: &str = "org.wayland-auth.demo";

/// The size of the output.
pub(crate) const SIZE: (u32, u32) = (1280, 720);

/// What the host puts on the clipboard.
pub(crate) const CLIPBOARD: &str = "wayland-auth demo: from the clipboard";

/// How long the compositor may take to start, and anything else to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How the programs of a peer are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    /// As they are, in a cgroup that says nothing.
    Host,
    /// In a sandbox, in a cgroup whose label names this app; in one that says nothing if there is none.
    Confined(Option<&'static str>),
    /// As they are, in a cgroup whose label breaks the rules.
    Malformed,
}

/// A place to start programs from: what comes before a command.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    cgroup: PathBuf,
    sandbox: Vec<OsString>,
}

impl Place {
    /// The sandbox as one would type it.
    pub(crate) fn shown(&self) -> Option<String> {
        let (tool, arguments) = self.sandbox.split_first()?;
        let tool = Path::new(tool).file_name().unwrap_or(tool);
        let words: Vec<_> = [tool].into_iter().chain(arguments.iter().map(OsString::as_os_str)).collect();
        Some(format!("{} CLIENT", words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")))
    }
}

/// Everything that runs. What is first in here ends first.
#[derive(Debug)]
pub(crate) struct Stage {
    clipboard: Option<Process>,
    window: Option<Process>,
    compositor: Process,
    cgroup: cgroup::Stage,
    scratch: Scratch,
    /// Who connected.
    pub(crate) audit: Audit,
    display: String,
    tool: PathBuf,
    host: PathBuf,
    places: u32,
}

impl Stage {
    /// Starts the compositor and what is always on it.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or if the compositor does not start.
    pub(crate) fn open(signals: &Signals, programs: &Programs) -> Result<Self, Error> {
        cli::progress("starting the compositor, headless");
        let scratch = Scratch::new("wayland-auth")?;
        let cgroup = cgroup::Stage::new("wayland-auth-demo")?;
        let own = cgroup.child("compositor")?;
        let host = cgroup.child("host")?;
        let audit = Audit::new(&scratch.path().join("audit.jsonl"));
        let policy = private_copy(&cargo::workspace().join("xtask/demo-policy.toml"), scratch.path())?;

        let mut command = cgroup::enter(&own);
        clean(&mut command, scratch.path());
        command.arg(&programs.compositor).args(["--backend", "headless"]);
        command.arg("--size").arg(format!("{}x{}", SIZE.0, SIZE.1));
        command.arg("--policy").arg(policy).arg("--audit").arg(audit.path());
        let log = File::create(scratch.path().join("compositor.log")).or_fail(|| "cannot create a log".into())?;
        let mut compositor = Process::spawn(command.stdout(Stdio::piped()).stderr(log))?;
        let display = display_of(signals, &mut compositor, scratch.path())?;
        let tool = programs.tool.clone();
        let mut stage =
            Self { clipboard: None, window: None, compositor, cgroup, scratch, audit, display, tool, host, places: 0 };

        let mut window = stage.on_host(Path::new(THIS_PROGRAM));
        let mut window = Process::spawn(window.arg("__window").stdout(Stdio::piped()))?;
        let (end, _) = window.wait(signals, Some(PATIENCE), |said| said.stdout.starts_with(READY.as_bytes()))?;
        if end != End::Enough {
            return Err(Error::failed(format!("the window did not come up ({end})")).because(stage.logs()));
        }
        stage.window = Some(window);
        let mut copy = stage.on_host("wl-copy".as_ref());
        stage.clipboard = Some(Process::spawn(copy.args(["--foreground", CLIPBOARD]).stdout(Stdio::null()))?);
        Ok(stage)
    }

    /// Prepares a place for the programs of a peer.
    ///
    /// # Errors
    ///
    /// If its cgroup cannot be created or labelled.
    pub(crate) fn place(&mut self, launch: Launch) -> Result<Place, Error> {
        self.places += 1;
        let cgroup = self.cgroup.child(&format!("peer{}", self.places))?;
        let mut sandbox: Vec<OsString> = Vec::new();
        match launch {
            Launch::Host => {}
            Launch::Malformed => cgroup::label(&cgroup, "user.xdg.instance-id", "1")?,
            Launch::Confined(app_id) => {
                sandbox.extend([self.tool.clone().into(), "run".into(), "--confine".into()]);
                match app_id {
                    Some(app_id) => {
                        sandbox.extend(["--engine", ENGINE, "--app-id", app_id].map(OsString::from));
                    }
                    None => sandbox.push("--unlabelled".into()),
                }
                sandbox.push("--".into());
            }
        }
        Ok(Place { cgroup, sandbox })
    }

    /// A command at that place, connected to the compositor.
    pub(crate) fn command(&self, place: &Place, program: &Path) -> Command {
        let mut command = cgroup::enter(&place.cgroup);
        self.connect(&mut command);
        command.args(&place.sandbox).arg(program).stdin(Stdio::null());
        command
    }

    /// This program at that place, playing a part of [`crate::inside`].
    ///
    /// A sandbox may hide the directory that it is in (`/tmp`), so it comes along as an open file.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub(crate) fn part(&self, place: &Place, part: &str) -> Result<Command, Error> {
        let program = File::open(THIS_PROGRAM).or_fail(|| format!("cannot open `{THIS_PROGRAM}`"))?;
        let mut command = self.command(place, Path::new("sh"));
        command.args(["-c", "exec /proc/self/fd/0 \"$1\"", "sh", part]).stdin(program);
        Ok(command)
    }

    fn on_host(&self, program: &Path) -> Command {
        let mut command = cgroup::enter(&self.host);
        self.connect(&mut command);
        command.arg(program).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn connect(&self, command: &mut Command) {
        clean(command, self.scratch.path());
        command.env("WAYLAND_DISPLAY", &self.display);
    }

    /// What the compositor said, for whoever has to find out why.
    pub(crate) fn logs(&self) -> String {
        let log = fs::read_to_string(self.scratch.path().join("compositor.log")).unwrap_or_default();
        format!("The compositor's log:\n{log}")
    }

    /// How to try more.
    pub(crate) fn invitation(&self) -> String {
        let (runtime, display, tool) = (self.scratch.path().display(), &self.display, self.tool.display());
        format!(
            "\nThe compositor goes on running until Ctrl-C. In another terminal:\n  \
             export XDG_RUNTIME_DIR={runtime} WAYLAND_DISPLAY={display}\n  \
             grim shot.png\n  \
             {tool} run --confine --engine {ENGINE} --app-id org.example.Game -- grim shot.png\n  \
             tail -f {}",
            self.audit.path().display()
        )
    }

    /// Whether as many keys are pressed in the window as there are letters in `text`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or if the window cannot be listened to.
    pub(crate) fn window_hears(&mut self, signals: &Signals, text: &str) -> Result<bool, Error> {
        let Some(window) = &mut self.window else { return Ok(false) };
        let letters = text.chars().count();
        let keys = |said: &Said| String::from_utf8_lossy(&said.stdout).lines().filter(|line| *line == KEY).count();
        let (end, _) = window.wait(signals, Some(PATIENCE), |said| keys(said) >= letters)?;
        Ok(end == End::Enough)
    }

    /// Waits until the compositor ends.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or that the compositor ended.
    pub(crate) fn wait(&mut self, signals: &Signals) -> Result<(), Error> {
        let (end, _) = self.compositor.wait_for_end(signals)?;
        Err(Error::failed(format!("the compositor ended by itself ({end})")).because(self.logs()))
    }
}

/// An environment that leads to our compositor and no other.
fn clean(command: &mut Command, runtime_dir: &Path) {
    command.env("XDG_RUNTIME_DIR", runtime_dir).env("XDG_STATE_HOME", runtime_dir.join("state"));
    for name in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY", "WAYLAND_DEBUG"] {
        command.env_remove(name);
    }
}

/// The name of the display, which is all that the compositor says on standard output.
fn display_of(signals: &Signals, compositor: &mut Process, directory: &Path) -> Result<String, Error> {
    let (end, said) = compositor.wait(signals, Some(PATIENCE), |said| said.stdout.contains(&b'\n'))?;
    let line = String::from_utf8_lossy(&said.stdout);
    match line.lines().next().and_then(|line| line.strip_prefix("WAYLAND_DISPLAY=")) {
        Some(display) if end == End::Enough => Ok(display.to_owned()),
        _ => {
            let log = fs::read_to_string(directory.join("compositor.log")).unwrap_or_default();
            Err(Error::failed(format!("the demo compositor did not start ({end})")).because(log))
        }
    }
}

/// The policy where the compositor takes it: it refuses a file that others may write to, as files in a clone can be.
fn private_copy(policy: &Path, directory: &Path) -> Result<PathBuf, Error> {
    let text = fs::read(policy).or_fail(|| format!("cannot read the policy `{}`", policy.display()))?;
    let path = directory.join("demo-policy.toml");
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, &text))
        .or_fail(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
