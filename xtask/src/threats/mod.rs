//! Threats, the tests that show them, and what those came to.
//!
//! A test belongs to the threats that its name begins with: `t05_peer_that_is_gone_is_unidentified`. What the threats
//! are stands in `tests/threats.toml`; `THREATS.md` is made from both, and from a run of all tests.

mod document;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
    process::ExitCode,
};

use serde::Deserialize;

use crate::{
    cargo, cli,
    error::{Context, Error},
    signals::Signals,
    test::{self, Outcome, Outcomes},
};

/// What makes the document current again.
const REMEDY: &str = "cargo xtask threats";

/// A threat.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threat {
    /// `T05`.
    id: String,
    /// What it is called.
    title: String,
    /// What its tests show.
    claim: String,
    /// What is out of scope, and why.
    limit: Option<String>,
    /// Whether the tests defend, or show where the defence ends.
    #[serde(default)]
    scope: Scope,
    /// A further command that shows it.
    also: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Defended,
    Limit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    threat: Vec<Threat>,
}

/// What the tests of a threat came to together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All passed that could run.
    Shown,
    /// None could run here.
    Skipped,
    Failed,
    /// There are none.
    Missing,
}

/// A threat with its tests.
#[derive(Debug)]
struct Row<'a> {
    threat: &'a Threat,
    tests: Vec<(&'a str, &'a Outcome)>,
}

impl Row<'_> {
    fn verdict(&self) -> Verdict {
        let any = |wanted: fn(&Outcome) -> bool| self.tests.iter().any(|(_, outcome)| wanted(outcome));
        if self.tests.is_empty() {
            Verdict::Missing
        } else if any(|outcome| *outcome == Outcome::Failed) {
            Verdict::Failed
        } else if any(|outcome| *outcome == Outcome::Passed) {
            Verdict::Shown
        } else {
            Verdict::Skipped
        }
    }
}

/// What `cargo xtask test` says of the threats.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    summary: String,
    /// Each fails the run.
    pub(crate) problems: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "Threats: {problem}")?;
        }
        if self.summary.is_empty() { Ok(()) } else { writeln!(f, "{}", self.summary) }
    }
}

/// Whether every threat has a test, every name a threat, and the document the names.
///
/// # Errors
///
/// If one of the files cannot be read.
pub(crate) fn check(outcomes: &Outcomes) -> Result<Checked, Error> {
    let threats = load()?;
    let document = fs::read_to_string(document_path()).unwrap_or_default();
    Ok(checked(&threats, outcomes, &document))
}

fn checked(threats: &[Threat], outcomes: &Outcomes, document: &str) -> Checked {
    let mut problems = strangers(threats, outcomes);
    let rows = rows(threats, outcomes);
    for row in rows.iter().filter(|row| row.verdict() == Verdict::Missing) {
        problems.push(format!("{} ({}) has no test", row.threat.id, row.threat.title));
    }
    let listed = document::listed(document);
    let is: BTreeMap<&str, BTreeSet<&str>> =
        rows.iter().map(|row| (row.threat.id.as_str(), row.tests.iter().map(|(name, _)| *name).collect())).collect();
    if listed != is {
        problems.push(format!("THREATS.md lists other tests than there are: run `{REMEDY}`"));
    }
    Checked { summary: summary(&rows), problems }
}

/// Tests that name a threat that there is not.
fn strangers(threats: &[Threat], outcomes: &Outcomes) -> Vec<String> {
    let is_known = |id: &String| threats.iter().any(|threat| threat.id == *id);
    let unknown = |name: &str| ids(name).into_iter().find(|id| !is_known(id));
    outcomes
        .keys()
        .filter_map(|name| Some(format!("the test `{name}` names {}, which there is not", unknown(name)?)))
        .collect()
}

fn rows<'a>(threats: &'a [Threat], outcomes: &'a Outcomes) -> Vec<Row<'a>> {
    let tests = |threat: &Threat| {
        let shows = |name: &str| ids(name).contains(&threat.id);
        outcomes.iter().filter(|(name, _)| shows(name)).map(|(name, outcome)| (name.as_str(), outcome)).collect()
    };
    threats.iter().map(|threat| Row { threat, tests: tests(threat) }).collect()
}

/// The threats that a test's name begins with.
fn ids(name: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        word.strip_prefix('t').is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    name.split('_').take_while(is_id).map(str::to_uppercase).collect()
}

/// A test's name without the threats that it shows.
pub(crate) fn without_ids(name: &str) -> &str {
    let name = name.rsplit("::").next().unwrap_or(name);
    // Each is three characters and an underscore.
    name.get(4 * ids(name).len()..).unwrap_or_default()
}

fn summary(rows: &[Row<'_>]) -> String {
    let count = |wanted: Verdict, scope: Option<Scope>| {
        let is = |row: &&Row<'_>| row.verdict() == wanted && [None, Some(row.threat.scope)].contains(&scope);
        rows.iter().filter(is).count()
    };
    let mut text = format!(
        "{} threats: {} defended, {} stated limits shown",
        rows.len(),
        count(Verdict::Shown, Some(Scope::Defended)),
        count(Verdict::Shown, Some(Scope::Limit)),
    );
    for (verdict, words) in [(Verdict::Failed, "FAILED"), (Verdict::Skipped, "not to be shown here")] {
        let number = count(verdict, None);
        if number > 0 {
            text.push_str(&format!(", {number} {words}"));
        }
    }
    text.push_str(&format!("; {} without a test", count(Verdict::Missing, None)));
    text
}

/// Runs all tests and writes the document.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails or the document cannot be written.
pub(crate) fn run(signals: &Signals) -> Result<ExitCode, Error> {
    let threats = load()?;
    let (outcomes, passed) = test::outcomes(signals)?;
    let rows = rows(&threats, &outcomes);
    let path = document_path();
    let summary = summary(&rows);
    fs::write(&path, document::render(&rows, &summary)).or_fail(|| format!("cannot write {}", path.display()))?;
    // The document is current: what is wrong still has no other cure.
    let strangers = strangers(&threats, &outcomes);
    strangers.iter().for_each(|problem| cli::say(format!("Threats: {problem}")));
    cli::say(format!("{}\n{summary}", path.display()));
    let complete = strangers.is_empty() && rows.iter().all(|row| row.verdict() != Verdict::Missing);
    Ok(if passed && complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn document_path() -> PathBuf {
    cargo::workspace().join("THREATS.md")
}

fn load() -> Result<Vec<Threat>, Error> {
    let path = cargo::workspace().join("tests/threats.toml");
    let text = fs::read_to_string(&path).or_fail(|| format!("cannot read {}", path.display()))?;
    parse(&text).or_fail(|| format!("{} is no list of threats", path.display()))
}

fn parse(text: &str) -> Result<Vec<Threat>, String> {
    let File { threat: threats } = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut seen = BTreeSet::new();
    for Threat { id, scope, limit, .. } in &threats {
        if ids(&format!("{}_", id.to_lowercase())) != [id.clone()] {
            return Err(format!("`{id}` is no name of a threat: T and two digits"));
        }
        if !seen.insert(id) {
            return Err(format!("{id} stands there twice"));
        }
        if *scope == Scope::Limit && limit.is_none() {
            return Err(format!("{id} is out of scope, and does not say why"));
        }
    }
    Ok(threats)
}

#[cfg(test)]
mod tests;
