//! `cargo xtask fuzz`.

use std::{
    fs,
    process::{ExitCode, Stdio},
};

use crate::{
    cargo, cli,
    error::{Context, Error},
    process::Process,
    signals::Signals,
};

/// The longest input.
const MAX_LEN: u32 = 4096;

/// Runs one target, or all of them one after the other, each for so many seconds. Ends at the first input that breaks
/// something.
///
/// # Errors
///
/// [`Error::Interrupted`], or if there is no cargo-fuzz or no such target.
pub(crate) fn run(signals: &Signals, target: Option<&str>, seconds: u32) -> Result<ExitCode, Error> {
    let all = targets()?;
    let chosen: Vec<&String> = match target {
        Some(target) => all.iter().filter(|name| *name == target).collect(),
        None => all.iter().collect(),
    };
    if chosen.is_empty() {
        let what = format!("there is no fuzz target `{}`; there are {}", target.unwrap_or_default(), all.join(", "));
        return Err(Error::Usage(what));
    }
    let mut version = cargo::command(std::process::Command::new("env"), &["fuzz", "--version"]);
    version.stdout(Stdio::null()).stderr(Stdio::null());
    if !Process::spawn(&mut version)?.wait_for_end(signals)?.0.success() {
        return Err(Error::failed("cargo-fuzz is not installed").remedy("run `cargo install --locked cargo-fuzz`"));
    }
    for name in chosen {
        let fuzz = cargo::workspace().join("fuzz");
        let (corpus, seeds) = (fuzz.join("corpus").join(name), fuzz.join("seeds").join(name));
        fs::create_dir_all(&corpus).or_fail(|| format!("cannot create {}", corpus.display()))?;
        // The first directory is where new inputs go.
        let mut command = cargo::command(std::process::Command::new("env"), &["fuzz", "run", "--sanitizer", "none"]);
        command.arg(name).args([&corpus, &seeds]).arg("--");
        command.args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_LEN}")]);
        command.args(["-timeout=20", "-print_final_stats=1"]);
        let words = fuzz.join("dict").join(format!("{name}.dict"));
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        cli::progress(format!("{name}: {seconds} s"));
        let (end, _) = Process::spawn(&mut command)?.wait_for_end(signals)?;
        if !end.success() {
            cli::say(format!("{name}: an input breaks it; it is below fuzz/artifacts/{name}"));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The targets' names.
fn targets() -> Result<Vec<String>, Error> {
    let dir = cargo::workspace().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).or_fail(|| format!("cannot read {}", dir.display()))?;
    let names = entries.flatten().filter_map(|e| e.path().file_stem()?.to_str().map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}
