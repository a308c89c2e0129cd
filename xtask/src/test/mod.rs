//! `cargo xtask test`.

mod results;
mod steps;

use std::{
    io::{Write, stdout},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    cargo::{self, Programs},
    cli,
    error::Error,
    packages::{self, Purpose},
    process::Process,
    signals::Signals,
    threats,
    workplace::Workplace,
};
use results::Results;
pub(crate) use results::{Outcome, Outcomes, Parser};
use steps::{Kind, Step};

/// A step that ran.
struct Ran {
    step: &'static Step,
    passed: bool,
    time: Duration,
    results: Option<Results>,
}

/// Runs all checks and tests, up to the first step that fails.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn run(signals: &Signals, quick: bool) -> Result<ExitCode, Error> {
    packages::set_up(signals, Purpose::Test)?;
    let mut ran: Vec<Ran> = Vec::new();
    let mut programs = None;
    let workplace = Workplace::new()?;
    for step in steps::STEPS.iter().filter(|step| !quick || step.quick) {
        if step.kind == Kind::Tests && programs.is_none() {
            programs = Some(cargo::build_programs(signals)?);
        }
        ran.push(run_step(signals, step, &workplace, programs.as_ref())?);
        if ran.last().is_some_and(|last| !last.passed) {
            break;
        }
    }
    let all_passed = ran.iter().all(|ran| ran.passed);
    let (passed, total) = summarize(&ran);
    // After a failure some tests did not run: the table would seem to lack them.
    let threats = if all_passed { threats::check(&total.outcomes)? } else { threats::Checked::default() };
    let mut total = total;
    total.failed += threats.problems.len() as u64;
    cli::say(format!("{passed}{threats}{total}"));
    Ok(if total.failed == 0 && all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all tests once, whatever fails; what they came to, and whether all passed.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn outcomes(signals: &Signals) -> Result<(Outcomes, bool), Error> {
    packages::set_up(signals, Purpose::Test)?;
    let programs = cargo::build_programs(signals)?;
    let workplace = Workplace::new()?;
    let mut ran = Vec::new();
    for step in steps::STEPS.iter().filter(|step| step.kind == Kind::Tests) {
        ran.push(run_step(signals, step, &workplace, Some(&programs))?);
    }
    let (passed, total) = summarize(&ran);
    cli::say(format!("{passed}{total}"));
    Ok((total.outcomes, ran.iter().all(|ran| ran.passed)))
}

fn run_step(
    signals: &Signals,
    step: &'static Step,
    workplace: &Workplace,
    programs: Option<&Programs>,
) -> Result<Ran, Error> {
    cli::progress(format!("{}: {}", step.name, step.typed()));
    let mut command = workplace.cargo(step.arguments);
    command.envs(step.environment.iter().copied());
    if let Some(programs) = programs {
        command.envs(programs.variables());
    }
    let start = Instant::now();
    if step.kind == Kind::Check {
        let (end, _) = Process::spawn(&mut command)?.wait_for_end(signals)?;
        return Ok(Ran { step, passed: end.success(), time: start.elapsed(), results: None });
    }

    let mut parser = Parser::default();
    let mut shown = 0;
    let mut process = Process::spawn(command.stdout(Stdio::piped()))?;
    let mut show = |stdout_so_far: &[u8]| {
        let news = stdout_so_far.get(shown..).unwrap_or_default();
        shown = stdout_so_far.len();
        let _ = stdout().write_all(news).and_then(|()| stdout().flush());
        parser.push(news);
    };
    let (end, said) = process.wait(signals, None, |said| {
        show(&said.stdout);
        false
    })?;
    show(&said.stdout);
    let mut results = parser.finish();
    results.settle(end.success());
    Ok(Ran { step, passed: end.success(), time: start.elapsed(), results: Some(results) })
}

/// The steps one by one, and everything summed up.
fn summarize(ran: &[Ran]) -> (String, Results) {
    let mut total = Results::default();
    let mut text = String::from("\nSteps:\n");
    for Ran { step, passed, time, results } in ran {
        let word = if *passed { "ok    " } else { "FAILED" };
        let counts = results.as_ref().map_or_else(String::new, |results| format!("  {results}"));
        text.push_str(&format!("  {word} {:<42} {:>7.1} s{counts}\n", step.name, time.as_secs_f64()));
        match results {
            Some(results) => total.add(results),
            // A check that fails is told in the last line too, so that this alone says whether all is well.
            None => total.failed += u64::from(!passed),
        }
    }
    if !total.skipped_names.is_empty() {
        text.push_str("Skipped:\n");
        for name in &total.skipped_names {
            text.push_str(&format!("  {name}\n"));
        }
    }
    if let Some(failed) = ran.iter().find(|ran| !ran.passed) {
        text.push_str(&format!("To see only what failed: {}\n", failed.step.typed()));
    }
    (text, total)
}
