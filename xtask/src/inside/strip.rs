//! What a sandboxed program can try in order to get rid of its label.
//!
//! All of it is done for real, by the calls that an attacker would use; what succeeds is done. It touches
//! nothing but the label and the cgroup of this very process.

mod attempts;
mod cgroupfs;

use std::{env, process::ExitCode};

use serde_json::{Value, json};

use super::globals;
use crate::{cli, error::Error};
use cgroupfs::View;

/// How the attempts ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Each attempt.
    pub(crate) attempts: Vec<Attempt>,
    /// The globals that this process was shown afterwards.
    pub(crate) globals: Vec<String>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// What was tried.
    pub(crate) what: String,
    /// Why it failed; `None` if it did not.
    pub(crate) refused: Option<String>,
}

/// Tries everything, then connects to the compositor if there is one, and prints a [`Report`] as JSON.
pub(super) fn run() -> Result<ExitCode, Error> {
    let view = View::new()?;
    let mut attempts = attempts::all(&view);
    attempts.push(attempts::in_new_namespaces());
    let has_compositor = env::var_os("WAYLAND_DISPLAY").is_some();
    let report = Report { attempts, globals: if has_compositor { globals::list()? } else { Vec::new() } };
    cli::say(report.to_json().to_string());
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn to_json(&self) -> Value {
        let attempts: Vec<_> = self.attempts.iter().map(|a| json!({ "what": a.what, "refused": a.refused })).collect();
        json!({ "attempts": attempts, "globals": self.globals })
    }

    /// Reads what [`run`] printed.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let attempt = |value: &Value| {
            let refused = value.get("refused")?;
            let refused = if refused.is_null() { None } else { Some(refused.as_str()?.to_owned()) };
            Some(Attempt { what: value.get("what")?.as_str()?.to_owned(), refused })
        };
        Some(Self {
            attempts: value.get("attempts")?.as_array()?.iter().map(attempt).collect::<Option<_>>()?,
            globals: strings(value.get("globals")?)?,
        })
    }
}

/// An array of strings.
pub(crate) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_pipe() {
        let attempt =
            |what: &str, refused: Option<&str>| Attempt { what: what.into(), refused: refused.map(Into::into) };
        let report = Report {
            attempts: vec![attempt("a", Some("Read-only file system")), attempt("b", None)],
            globals: vec!["wl_shm".into()],
        };
        assert_eq!(Report::from_json(&report.to_json().to_string()), Some(report));
        assert_eq!(Report::from_json(r#"{"attempts":[{"what":"a"}],"globals":[]}"#), None);
        assert_eq!(Report::from_json(""), None);
    }
}
