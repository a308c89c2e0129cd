//! The same on the real program, by `strace --inject`: a sample.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wayland_auth_tests::harness::program;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::peers::{self, Peer};

/// The calls that the tool makes for a look-up, by the names that strace knows, and what each says now and then.
const SAMPLE: &[(&str, &[&str])] = &[
    ("ioctl", &["ENOTTY", "ESRCH", "EACCES"]),
    ("openat", &["EACCES", "ENOENT", "EMFILE"]),
    ("openat2", &["ENOENT", "EXDEV", "ENOSYS"]),
    ("name_to_handle_at", &["EOPNOTSUPP", "EPERM"]),
    ("pread64", &["ESRCH", "EIO"]),
    ("read", &["ESRCH", "EIO"]),
    ("flistxattr", &["EACCES", "EOPNOTSUPP", "ERANGE"]),
    ("fgetxattr", &["EACCES", "EIO", "ERANGE"]),
    ("fstatfs", &["EIO"]),
    ("statx", &["EACCES"]),
    ("pidfd_open", &["ESRCH", "EMFILE"]),
];

/// The most positions that are tried of one call, the last ones: the first are those of the loader.
const POSITIONS: usize = 6;

fn tool() -> Result<PathBuf, String> {
    std::env::var_os("WAYLAND_AUTH_TOOL").map(PathBuf::from).context("WAYLAND_AUTH_TOOL does not name the tool")
}

/// What the tool says of a process; `None` if it fails.
fn show(options: &[String], pid: u32) -> Result<Option<Value>, String> {
    let output = Command::new(program("strace")?)
        .args(options)
        .arg(tool()?)
        .args(["show", "--json", &pid.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("strace")?;
    if !output.status.success() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    Ok(Some(value["identity"].clone()))
}

/// How often the tool makes each call.
fn count(log: &Path, call: &str) -> Result<usize, String> {
    let text = std::fs::read_to_string(log).context(log.display())?;
    let start = format!("{call}(");
    Ok(text.lines().filter(|line| line.split_whitespace().any(|word| word.starts_with(&start))).count())
}

/// The word for an identity: what it must stay, or `unidentified`.
fn kind(identity: &Value) -> &str {
    identity["kind"].as_str().unwrap_or_default()
}

/// Whether nothing nested is missing. What could not be read is nested too, and only takes.
fn has_all_nested(found: &Value, truth: &Value) -> bool {
    match (found["nested"].as_array(), truth["nested"].as_array()) {
        (Some(found), Some(truth)) => found.starts_with(truth),
        (found, truth) => found == truth,
    }
}

pub(crate) fn no_failed_call_of_the_tool_gives_a_label_more(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let chosen = ["app with a rule", "app that a rule denies", "own user namespace"];
    let (mut cases, mut told, mut nobody, mut injected) = (0, 0, 0, 0);
    for peer in peers::ordinary(world)?.iter().filter(|peer| chosen.contains(&peer.name.as_str())) {
        let Peer { connection, name, .. } = peer;
        let pid = connection.pid().context("no pid")?;
        let log = dir.join("calls");
        let to_log = ["-f".to_owned(), "-o".to_owned(), log.display().to_string()];
        let truth = show(&to_log, pid)?.context(format!("{name}: the tool fails without a fault"))?;
        ensure_eq!(kind(&truth), "app", "{name}");
        for (call, errnos) in SAMPLE {
            let all = count(&log, call)?;
            let last = dir.join("injected");
            for (at, errno) in (1..=all).rev().take(POSITIONS).flat_map(|at| errnos.iter().map(move |e| (at, e))) {
                let options = [
                    "-f".to_owned(),
                    "-o".to_owned(),
                    last.display().to_string(),
                    format!("--inject={call}:error={errno}:when={at}"),
                ];
                cases += 1;
                let found = show(&options, pid)?;
                injected += usize::from(std::fs::read_to_string(&last).context("log")?.contains("(INJECTED)"));
                let Some(found) = found else { continue };
                told += 1;
                nobody += usize::from(kind(&found) == "unidentified");
                let same = ["kind", "engine", "app-id", "instance-id", "provenance"];
                let same = same.iter().all(|key| found[key] == truth[key]) && has_all_nested(&found, &truth);
                ensure!(same || kind(&found) == "unidentified", "{name} became {found} by {call} {errno} {at}");
            }
        }
    }
    println!(
        "{cases} runs of the tool, {injected} with a failed call; {told} told an identity, {nobody} of them nobody's"
    );
    ensure!(injected > 100 && told > 20 && nobody > 20, "nothing is shown");
    Ok(())
}
