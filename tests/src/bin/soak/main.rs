//! Load and soak: what the library does for a long time, under a flood, and at the limit of file descriptors.
//!
//! `cargo xtask soak` builds this in release and runs it. It prints a table of targets and of what was measured, and ends
//! with 1 if one was missed. Each part runs in a process of its own, as the same unprivileged user as its clients.
//!
//! | module | part |
//! |---|---|
//! | `rate` | accept and identify, on a bare listener |
//! | `held` | as many clients as there are descriptors |
//! | `endless` | connections without end |
//! | `flood` | a flood at 64 descriptors, and what a bystander notices of a flood |
//! | `compositor`, `peer`, `report` | what the parts share |

mod compositor;
mod endless;
mod flood;
mod held;
mod peer;
mod rate;
mod report;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use report::Row;
use rustix::thread::CpuSet;
use wayland_auth_tests::{Context, World, harness};

type Part = (&'static str, fn(&Scene) -> Result<Vec<Row>, String>);

const PARTS: &[Part] = &[
    ("rate", rate::run),
    ("held", held::run),
    ("endless", endless::run),
    ("flood", flood::run),
    ("bystander", flood::bystander),
];

/// Where a part runs.
pub(crate) struct Scene {
    /// For sockets.
    pub(crate) dir: PathBuf,
    /// For the clients.
    pub(crate) cgroup: PathBuf,
    /// Whether to take ten times as many connections.
    pub(crate) long: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--peer", socket] => peer::play(socket),
        ["--part", name, dir, cgroup, long] => {
            let scene = Scene { dir: dir.into(), cgroup: cgroup.into(), long: long == "long" };
            play_part(name, &scene)
        }
        [] | ["--long"] => {
            let this = std::env::current_exe().unwrap_or_default();
            return harness::main_in_world(&this, |world| all(world, !words.is_empty()));
        }
        _ => Err("soak [--long]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("soak: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all parts and prints the table; whether every target was met.
fn all(world: &World, long: bool) -> Result<ExitCode, String> {
    let mut rows = Vec::new();
    let before = report::load()?;
    for (name, _) in PARTS {
        println!("{name}...");
        match part(world, name, long) {
            Ok(more) => rows.extend(more),
            Err(why) => rows.push(Row::failed(name, &why)),
        }
    }
    report::print(&rows);
    println!("load averages of the machine: {before} before, {} now, ours included", report::load()?);
    Ok(if rows.iter().all(|row| row.met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a part in a process of its own.
fn part(world: &World, name: &str, long: bool) -> Result<Vec<Row>, String> {
    let cgroup = world.new_cgroup()?;
    let output = Command::new(std::env::current_exe().context("this program")?)
        .args(["--part", name])
        .args([&world.new_dir()?, cgroup.path()])
        .arg(if long { "long" } else { "short" })
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("this program")?;
    wayland_auth_tests::cgroups::remove_tree(&cgroup.leak())?;
    if !output.status.success() {
        return Err(format!("it failed ({}): see above", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Row> = text.lines().filter_map(Row::read).collect();
    if rows.is_empty() { Err("it said nothing".to_owned()) } else { Ok(rows) }
}

fn play_part(name: &str, scene: &Scene) -> Result<(), String> {
    let (_, part) = PARTS.iter().find(|(other, _)| name == *other).context("there is no such part")?;
    on_two_cpus()?;
    for row in part(scene)? {
        println!("{}", row.write());
    }
    Ok(())
}

/// Stays, with all children, on two of the processors.
fn on_two_cpus() -> Result<(), String> {
    let all = rustix::thread::sched_getaffinity(None).context("affinity")?;
    let mut two = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).take(2).for_each(|cpu| two.set(cpu));
    rustix::thread::sched_setaffinity(None, &two).context("affinity")
}
