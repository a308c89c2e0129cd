//! `doctor`: what this machine can prove, what this session offers, and what to do about the rest.

mod tool;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wayland_auth::kernel::{Check, State, Support};

use crate::failure::{FAILED, Failure};
use crate::output;

/// Show what this machine can prove, and what to do about what it cannot
///
/// The exit status is 1 if nobody can be identified here, and 0 otherwise.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One line: something that was looked at.
#[derive(Debug)]
struct Line {
    name: &'static str,
    state: State,
    finding: String,
    remedy: Option<String>,
}

impl Line {
    /// It is as it should be.
    fn fine(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, state: State::Ok, finding: finding.into(), remedy: None }
    }

    /// Something is missing; identification works without it.
    fn limited(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Limited, finding: finding.into(), remedy: Some(remedy.into()) }
    }

    /// The state in one word.
    fn word(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Limited => "limited",
            _ => "FAILED",
        }
    }
}

impl From<Check> for Line {
    fn from(check: Check) -> Self {
        Self { name: check.name, state: check.state, finding: check.finding, remedy: check.remedy }
    }
}

/// Carries out `doctor`.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let support = Support::probe().map_err(|e| Failure::new(FAILED, "the kernel could not be asked").because(e))?;
    let lines: Vec<Line> = support.checks().into_iter().map(Line::from).chain(tool::checks()).collect();
    if args.json {
        print_json(&support, &lines)?;
    } else {
        print_text(&support, &lines);
    }
    Ok(if support.can_identify() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn print_text(support: &Support, lines: &[Line]) {
    let mut text = format!("Linux {}\n", support.release);
    for line in lines {
        let _ = writeln!(text, "{:>8}  {}: {}", line.word(), line.name, line.finding);
        if let Some(remedy) = &line.remedy {
            let _ = writeln!(text, "          to do: {remedy}");
        }
    }
    text.push_str(match support.can_identify() {
        true => "Clients can be identified here.",
        false => "NOBODY can be identified here.",
    });
    output::print(text);
}

fn print_json(support: &Support, lines: &[Line]) -> Result<(), Failure> {
    let checks: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "name": line.name,
                "state": line.word().to_ascii_lowercase(),
                "finding": line.finding,
                "remedy": line.remedy,
            })
        })
        .collect();
    let support_value =
        serde_json::to_value(support).map_err(|e| Failure::new(FAILED, "could not write JSON").because(e))?;
    output::print_json(&json!({
        "can-identify": support.can_identify(),
        "support": support_value,
        "checks": checks,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_is_not_ok_has_a_remedy() {
        let lines: Vec<Line> =
            Support::probe().unwrap().checks().into_iter().map(Line::from).chain(tool::checks()).collect();
        assert!(lines.len() > 6);
        for line in lines {
            assert!(line.word() == "ok" || line.remedy.is_some(), "{line:?}");
        }
    }
}
