//! Where a transcript is replayed: a directory, a cgroup, a shell, and perhaps a compositor.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::transcript::{Stage, Step};
use wayland_auth_tests::{Context, World, ensure};

/// Stands alone on a line after what each command printed, with its number. No command prints it.
const MARK: &str = "--8<-- step";

/// A process group that is killed when this is dropped, whatever it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

fn named(variable: &str) -> Result<String, String> {
    std::env::var(variable).context(format!("{variable} does not name a program"))
}

/// Runs the commands, and gives what each printed.
pub(crate) fn run(world: &World, stage: &Stage, steps: &[Step]) -> Result<Vec<String>, String> {
    let dir = world.new_dir()?;
    for (name, text) in &stage.files {
        let path = dir.join(name);
        fs::write(&path, text).context(path.display())?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).context(path.display())?;
    }
    let bin = world.new_dir()?;
    symlink(named("WAYLAND_AUTH_TOOL")?, bin.join("wayland-auth")).context("a link to the tool")?;
    symlink(env!("CARGO_BIN_EXE_capturer"), bin.join("capturer")).context("a link to the client")?;
    let demo = stage.demo.as_ref().map(|policy| start_demo(&dir, policy)).transpose()?;

    // What a background job prints late must not be waited for: a file has no end to wait for.
    let out = dir.join(".out");
    let file = || File::options().create(true).append(true).mode(0o600).open(&out).context(out.display());
    let cgroup = world.new_cgroup()?;
    let mut command = Command::new("sh");
    command.args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec sh .script"]).arg(cgroup.path());
    command.current_dir(&dir).stdin(Stdio::null()).stdout(file()?).stderr(file()?).process_group(0);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display())).env("XDG_RUNTIME_DIR", &dir);
    for variable in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "WAYLAND_DEBUG", "DISPLAY", "RUST_LOG"] {
        command.env_remove(variable);
    }
    if let Some((_, display)) = &demo {
        command.env("WAYLAND_DISPLAY", display);
    }
    fs::write(dir.join(".script"), script(steps)).context("the script")?;
    let mut shell = Group(command.spawn().context("sh")?);
    wait(&mut shell.0)?;
    drop(shell);

    let text = fs::read_to_string(&out).context(out.display())?;
    let mut rest = text.as_str();
    let mut printed = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let (before, after) = rest
            .split_once(&format!("{MARK} {number}\n"))
            .context(format!("line {}: the shell ended before the end of this: {rest}", step.line))?;
        printed.push(before.to_owned());
        rest = after;
    }
    Ok(printed)
}

/// All commands, each with a mark after it that leaves `$?` as it was.
fn script(steps: &[Step]) -> String {
    let step =
        |(number, step): (usize, &Step)| format!("{}\n_s=$?; echo '{MARK} {number}'; (exit $_s)\n", step.command);
    steps.iter().enumerate().map(step).collect()
}

/// Waits for its end.
fn wait(child: &mut Child) -> Result<(), String> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context("pidfd_open")?;
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).context("poll")?;
    ensure!(ended > 0, "it does not end");
    child.wait().map(drop).context("wait")
}

/// A demo compositor with this policy, and the name of its socket.
fn start_demo(dir: &Path, policy: &str) -> Result<(Group, String), String> {
    let mut command = Command::new(named("WAYLAND_AUTH_DEMO")?);
    command.args(["--backend", "headless", "--size", "320x200", "--policy", policy, "--audit", "audit.jsonl"]);
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    command.env("XDG_RUNTIME_DIR", dir).env("XDG_STATE_HOME", dir.join(".state"));
    command.stderr(File::create(dir.join(".demo")).context("the demo's log")?);
    for variable in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "WAYLAND_DEBUG", "DISPLAY", "RUST_LOG"] {
        command.env_remove(variable);
    }
    let mut demo = Group(command.spawn().context("the demo compositor")?);
    let out = demo.0.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).context("the demo compositor")?;
    let display = line.trim_end().strip_prefix("WAYLAND_DISPLAY=");
    let Some(display) = display.map(str::to_owned) else {
        let log = fs::read_to_string(dir.join(".demo")).unwrap_or_default();
        return Err(format!("no demo compositor: {log}"));
    };
    Ok((demo, display))
}
