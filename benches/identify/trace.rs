//! The check under strace: the replay is what `identify` does, and `identify` does no more than it must.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::TRACED;
use crate::common::Context;

/// How many of each call a look-up may make.
pub(crate) type Budget = BTreeMap<&'static str, usize>;

/// One call of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    name: String,
    /// Arguments and result, without what cannot be the same twice.
    rest: String,
}

/// Traces one look-up and one replay of the connection, and compares them call by call.
pub(crate) fn check(name: &str, socket: &UnixStream, dir: &Path, budget: &Budget) -> Result<(), String> {
    let Some(text) = trace(socket, &dir.join(format!("{name}.strace")))? else {
        println!("{name}: SKIPPED the comparison of identify with its replay: strace is not installed");
        return Ok(());
    };
    let mut parts = text.split("getppid(").skip(1).map(calls);
    let (Some(ours), Some(replayed), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("strace shows no marks:\n{text}"));
    };
    println!("\n{name}: {} system calls", ours.len());
    ours.chunks(6).for_each(|line| println!("  {}", line.iter().map(Call::short).collect::<Vec<_>>().join("  ")));
    if let Some(at) = (0..ours.len().max(replayed.len())).find(|&at| ours.get(at) != replayed.get(at)) {
        let show = |call: Option<&Call>| call.map_or_else(|| "(nothing)".into(), |c| format!("{}{}", c.name, c.rest));
        return Err(format!(
            "{name}: the replay is not what identify does: call {} is\n  {}\n  {} in the replay",
            at + 1,
            show(ours.get(at)),
            show(replayed.get(at)),
        ));
    }
    println!("  the replay makes the same calls, with the same arguments and results");
    check_budget(name, &ours, budget)
}

fn check_budget(name: &str, calls: &[Call], budget: &Budget) -> Result<(), String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    calls.iter().for_each(|call| *counts.entry(&call.name).or_default() += 1);
    let list: Vec<_> = counts.iter().map(|(call, n)| format!("{call} {n}")).collect();
    println!("  counted: {}", list.join(", "));
    let over: Vec<_> = counts.iter().filter(|&(call, &n)| n > budget.get(call).copied().unwrap_or(0)).collect();
    if over.is_empty() {
        println!("  no more than the job needs");
        return Ok(());
    }
    let over: Vec<_> = over.iter().map(|&(call, n)| format!("{n} {call}, not {:?}", budget.get(call))).collect();
    Err(format!("{name}: more system calls than the job needs: {}", over.join("; ")))
}

/// What strace writes of this program, started again; `None` if there is no strace.
fn trace(socket: &UnixStream, file: &Path) -> Result<Option<String>, String> {
    let socket: OwnedFd = socket.try_clone().context("socket")?.into();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "256", "-e", "trace=all", "-o"]).arg(file);
    strace.arg(std::env::current_exe().context("this program")?).arg(TRACED);
    let output = match strace.stdin(Stdio::from(socket)).output() {
        Ok(output) => output,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("strace: {e}")),
    };
    if !output.status.success() {
        return Err(format!("strace: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    fs::read_to_string(file).map(Some).context(file.display())
}

/// The calls between one mark and the next; the rest of the mark's own line comes first.
fn calls(part: &str) -> Vec<Call> {
    let lines = part.lines().skip(1).filter_map(|line| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, rest) = line.split_at(line.find('(')?);
        Some(Call { name: name.to_owned(), rest: same_twice(rest) })
    });
    lines.collect()
}

/// Leaves out the addresses, and the numbers of descriptors, which stand before what these are open on.
fn same_twice(rest: &str) -> String {
    let mut text = String::with_capacity(rest.len());
    for piece in rest.split_inclusive('<') {
        match piece.strip_suffix('<') {
            Some(before) => {
                text.push_str(before.trim_end_matches(|c: char| c.is_ascii_digit()));
                text.push('<');
            }
            None => text.push_str(piece),
        }
    }
    let mut pieces = text.split("0x7f");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + "(address)" + piece.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

impl Call {
    /// The call with what tells it from others of its name.
    fn short(&self) -> String {
        let what = ["SO_PEERCRED", "SO_PEERPIDFD", "\"..\"", "/cgroup\"", "PIDFD_GET_INFO", "F_DUPFD"];
        match what.iter().find(|what| self.rest.contains(**what)) {
            Some(what) => format!("{}({})", self.name, what.trim_matches('"').trim_start_matches('/')),
            None => self.name.clone(),
        }
    }
}
