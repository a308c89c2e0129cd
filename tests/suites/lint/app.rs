//! An application in a sandbox: a shell that does what it is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use wayland_auth_tests::{Context, Outcome, World, cgroups, ensure, ensure_eq};

use super::case::Talking;

const ENGINE: &str = "user.xdg.sandbox-engine";
const APP_ID: &str = "user.app_id";

/// What the application runs: a marker to know it by, then what it reads.
const SHELL: &str = "marker=$1; echo ready; while read -r line; do eval \"$line\"; done";

/// What every sandbox here has, and what an application needs in order to try things. `/run` is empty, since where the
/// tests run the user's service manager may be in it.
pub(crate) const COMMON: &[&str] =
    &["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run", "--die-with-parent"];

/// The tool under test.
pub(crate) fn tool() -> Result<PathBuf, String> {
    std::env::var_os("WAYLAND_AUTH_TOOL").map(PathBuf::from).context("WAYLAND_AUTH_TOOL does not name the tool")
}

/// Labels a directory as a sandbox engine would.
pub(crate) fn label(path: &Path) -> Outcome {
    cgroups::set_xattr(path, ENGINE, b"org.example.Engine")?;
    cgroups::set_xattr(path, APP_ID, b"org.example.App")
}

/// Arguments of bubblewrap that leave the file system as it is, read-only.
pub(crate) fn bwrap(more: &[&str]) -> Vec<String> {
    let words = [&["bwrap", "--ro-bind", "/", "/"], COMMON, more].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// A running application.
#[derive(Debug)]
pub(crate) struct App {
    talking: Talking,
    /// As this pid namespace numbers it.
    pub(crate) pid: u32,
    label: PathBuf,
}

impl App {
    /// Starts it in the cgroup `at`, below the label on `label`. `sandbox` is the command that confines it; `prefix` is
    /// shell text that runs before, such as redirections.
    pub(crate) fn start(label: &Path, at: &Path, prefix: &str, sandbox: &[String]) -> Result<Self, String> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("echo 0 >\"$0/cgroup.procs\" && {prefix} exec \"$@\"")).arg(at);
        Self::spawn(label, command.args(sandbox))
    }

    /// Starts `command`, to which the application is added.
    pub(crate) fn spawn(label: &Path, command: &mut Command) -> Result<Self, String> {
        Self::spawn_kept(label, command.stderr(Stdio::piped()))
    }

    /// The same, with standard error as it is.
    pub(crate) fn spawn_kept(label: &Path, command: &mut Command) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let marker = format!("lint-app-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        command.args(["sh", "-c", SHELL, "sh", &marker]).stdout(Stdio::piped());
        for variable in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"] {
            command.env_remove(variable);
        }
        let talking = Talking::start(command)?;
        let pid = find(&marker)?;
        Ok(Self { talking, pid, label: label.to_owned() })
    }

    /// Says where its label is, once that is known.
    pub(crate) fn set_label(&mut self, label: &Path) {
        self.label = label.to_owned();
    }

    /// What `lint` says of it, with its exit status checked against the verdict.
    pub(crate) fn lint(&self) -> Result<Report, String> {
        Report::of(self.pid)
    }

    /// Lets it run a line of shell. `None` if that fails, with what it printed in the error's place.
    fn attempt(&mut self, line: &str) -> Result<Result<String, String>, String> {
        let line = format!(
            "if out=$({{ {line}; }} 2>&1); then echo \"$out\"; echo DONE; else echo \"$out\"; echo REFUSED; fi; echo end"
        );
        self.talking.say(&line)?;
        let mut lines = self.talking.read_until("end")?;
        let result = lines.pop();
        let said = lines.join("\n");
        ensure!(!said.contains("not found"), "an attempt was none: {line}: {said}");
        match result.as_deref() {
            Some("DONE") => Ok(Ok(said)),
            Some("REFUSED") => Ok(Err(said)),
            other => Err(format!("{line}: {other:?}")),
        }
    }

    /// Lets it try everything, and says what it managed. The worst comes last.
    pub(crate) fn attack(&mut self, more: &[&str]) -> Result<Vec<String>, String> {
        let label = self.label.to_str().context("not UTF-8")?.to_owned();
        let own_mount = "mkdir -p /tmp/c && mount -t cgroup2 none /tmp/c";
        let in_namespace = |then: &str| format!("unshare -U -r -C -m sh -c '{own_mount} && {then}'");
        let outside = self.label.parent().context("no parent")?.display().to_string();
        let host = std::process::id();
        let mut lines = vec![
            format!("sh -c 'echo 0 >\"{outside}/cgroup.procs\"'"),
            format!("mkdir {outside}/flight && sh -c 'echo 0 >\"{outside}/flight/cgroup.procs\"'"),
            format!("setfattr -n {APP_ID} -v org.example.Other {label}"),
            in_namespace(
                "setfattr -n user.app_id -v org.example.Other /tmp/c && getfattr -n user.xdg.sandbox-engine /tmp/c",
            ),
            format!("setfattr -x {ENGINE} /proc/{host}/root{label}"),
            format!("setfattr -x {ENGINE} /proc/1/root{label}"),
            format!("{own_mount} && setfattr -x {ENGINE} /tmp/c"),
            in_namespace("setfattr -x user.xdg.sandbox-engine /tmp/c"),
            format!("unshare -U -r -m sh -c 'umount /sys/fs/cgroup && setfattr -x {ENGINE} {label}'"),
            format!("done=; for fd in /proc/self/fd/*; do echo 0 >$fd/../cgroup.procs && done=1; done; test $done"),
            format!("done=; for fd in /proc/self/fd/*; do setfattr -x {ENGINE} $fd{label} && done=1; done; test $done"),
            format!("done=; for fd in /proc/self/fd/*; do setfattr -x {ENGINE} $fd && done=1; done; test $done"),
        ];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines.push(format!("setfattr -x {ENGINE} {label}"));
        let mut done = Vec::new();
        for line in lines {
            if self.attempt(&line)?.is_ok() {
                done.push(line);
            }
        }
        let _ = fs::remove_dir(self.label.parent().context("no parent")?.join("flight"));
        let changed = !self.is_labelled()?;
        ensure!(!changed || !done.is_empty(), "the label is gone, and nobody did it");
        Ok(done)
    }

    /// Whether its label still is what it was.
    fn is_labelled(&self) -> Result<bool, String> {
        let mut is = true;
        for (name, expected) in [(ENGINE, "org.example.Engine"), (APP_ID, "org.example.App")] {
            let mut value = [0; 64];
            let len = rustix::fs::getxattr(&self.label, name, &mut value[..]).unwrap_or_default();
            is &= value.get(..len) == Some(expected.as_bytes());
        }
        Ok(is)
    }

    /// Wants this verdict, and wants it to be what then happens.
    pub(crate) fn expect(mut self, verdict: &str, id: Option<&str>, more: &[&str]) -> Result<Report, String> {
        let report = self.lint()?;
        ensure_eq!(report.verdict, verdict, "{report:#?}");
        if let Some(id) = id {
            ensure!(report.has(id, verdict), "no {verdict} `{id}`: {report:#?}");
        }
        let done = self.attack(more)?;
        match verdict {
            "unsafe" => ensure!(!done.is_empty(), "called unsafe, but nothing worked: {report:#?}"),
            "safe" => ensure_eq!(done, Vec::<String>::new(), "called safe: {report:#?}"),
            _ => {}
        }
        println!("{verdict}: {done:?}");
        Ok(report)
    }
}

/// The shell with this marker among its arguments.
fn find(marker: &str) -> Result<u32, String> {
    for entry in fs::read_dir("/proc").context("/proc")? {
        let Ok(pid) = entry.context("/proc")?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(words) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        if words.starts_with(b"sh\0-c\0")
            && words.ends_with(format!("\0sh\0{marker}\0").as_bytes())
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sh\n")
            && words.split(|&b| b == 0).nth(2) == Some(SHELL.as_bytes())
        {
            return Ok(pid);
        }
    }
    Err("the application is not there".into())
}

/// What `lint` said.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) verdict: String,
    /// Severity, name, and what was seen.
    pub(crate) findings: Vec<(String, String, String)>,
}

impl Report {
    /// Runs `lint` on a process.
    pub(crate) fn of(pid: u32) -> Result<Self, String> {
        let output = Command::new(tool()?).args(["lint", "--json", &pid.to_string()]).output().context("lint")?;
        Self::parse(&output.stdout, output.status.code()).context(String::from_utf8_lossy(&output.stderr))
    }

    /// Reads its JSON.
    pub(crate) fn parse(text: &[u8], status: Option<i32>) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).context("lint")?;
        let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned).context(format!("no `{key}`"));
        let verdict = text(&value, "verdict")?;
        let expected = match &*verdict {
            "safe" => 0,
            "unsafe" => 1,
            "not-known" => 3,
            other => return Err(format!("verdict `{other}`")),
        };
        ensure_eq!(status, Some(expected), "{verdict}");
        let findings = value["findings"].as_array().context("no findings")?;
        let finding = |value: &Value| {
            ensure!(!text(value, "remedy")?.is_empty(), "no remedy: {value}");
            Ok((text(value, "severity")?, text(value, "id")?, text(value, "seen")?))
        };
        Ok(Self { verdict, findings: findings.iter().map(finding).collect::<Result<_, String>>()? })
    }

    /// Whether there is this finding.
    pub(crate) fn has(&self, id: &str, severity: &str) -> bool {
        self.findings.iter().any(|(found, name, _)| found == severity && name == id)
    }
}

/// Makes a cgroup for a test.
pub(crate) fn labelled(world: &World) -> Result<cgroups::TestCgroup, String> {
    let cgroup = world.new_cgroup()?;
    label(cgroup.path())?;
    Ok(cgroup)
}
