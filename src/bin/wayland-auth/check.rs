//! `check`: whether a policy is one, and does what it seems to say.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wayland_auth::Policy;
use wayland_auth::policy::{Diagnostic, PolicyError, Severity};

use crate::failure::{FAILED, Failure};
use crate::output;

/// Check a policy: all errors and warnings, each with its place and what to do
///
/// The file is opened as a compositor does it: its owner and mode count. The exit status is 0 if a compositor would take
/// the policy, 1 if not (with --strict also if there are warnings).
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The policy
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the JSON Schema of policies, for editors
    #[arg(long, exclusive = true)]
    schema: bool,
}

/// Carries out `check`.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let Some(file) = args.file.as_ref().filter(|_| !args.schema) else {
        output::print(Policy::json_schema());
        return Ok(ExitCode::SUCCESS);
    };
    let read = Policy::from_path(file);
    let diagnostics: Vec<Diagnostic> = match &read {
        Ok(policy) => policy.warnings().to_vec(),
        Err(PolicyError::Invalid(errors)) => errors.iter().cloned().collect(),
        Err(_) => Vec::new(),
    };
    let valid = read.is_ok() && (diagnostics.is_empty() || !args.strict);
    if args.json {
        let refused = read.as_ref().err().filter(|e| !matches!(e, PolicyError::Invalid(_)));
        output::print_json(&json!({
            "file": output::shown(file),
            "valid": valid,
            "refused": refused.map(|e| Failure::new(FAILED, e.to_string()).message().to_owned()),
            "diagnostics": diagnostics.iter().map(as_json).collect::<Vec<_>>(),
        }));
    } else {
        match read {
            Ok(policy) => {
                for diagnostic in &diagnostics {
                    output::print(format_args!("{diagnostic}\n"));
                }
                output::print(summary(&policy, file, diagnostics.len()));
            }
            Err(PolicyError::Invalid(errors)) => output::print(errors),
            Err(e) => return Err(Failure::new(FAILED, "the policy is refused").because(e)),
        }
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn summary(policy: &Policy, file: &std::path::Path, warnings: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!("{}: {}, {}", output::shown(file), count(policy.rule_count(), "rule"), count(warnings, "warning"))
}

fn as_json(diagnostic: &Diagnostic) -> serde_json::Value {
    json!({
        "severity": match diagnostic.severity { Severity::Warning => "warning", _ => "error" },
        "file": diagnostic.file(),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}
