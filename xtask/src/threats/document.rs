//! THREATS.md: written, and read again for the names in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{REMEDY, Row, Scope, Verdict};
use crate::test::Outcome;

/// The whole document.
pub(super) fn render(rows: &[Row<'_>], summary: &str) -> String {
    let mut text = format!(
        "# Threats, tests, results\n\n\
         <!-- Written by `{REMEDY}` from tests/threats.toml and a run of all tests. Do not edit. -->\n\n\
         What each threat is about, the tests that show it (their names begin with the threat's), and what they came to \
         in the run that wrote this file, on Linux {release} as {who}. `cargo xtask test` fails if a threat has no test, \
         or if this file lists other tests than there are. What is claimed and what is not stands in \
         [SECURITY.md](SECURITY.md).\n\n\
         **{summary}.**\n\n\
         | threat | what the tests show | tests | result |\n|---|---|---|---|\n",
        release = release(),
        who = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" },
    );
    for row in rows {
        let threat = row.threat;
        let mut claim = threat.claim.clone();
        if let Some(limit) = &threat.limit {
            claim.push_str(&format!("<br>*Limit:* {limit}"));
        }
        if let Some(also) = &threat.also {
            claim.push_str(&format!("<br>*See also:* `{also}`"));
        }
        let tests: Vec<String> = row.tests.iter().map(|(name, outcome)| format!("`{name}`{}", mark(outcome))).collect();
        text.push_str(&format!(
            "| **{}** {} | {} | {} | {} |\n",
            threat.id,
            cell(&threat.title),
            cell(&claim),
            tests.join("<br>"),
            result(row)
        ));
    }
    text
}

/// The kernel's version, without what its builder calls it.
fn release() -> String {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    release.split('-').next().unwrap_or_default().to_owned()
}

fn mark(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Failed => " **FAILED**".to_owned(),
        Outcome::Skipped(why) => format!(" (skipped: {})", cell(why)),
    }
}

fn result(row: &Row<'_>) -> String {
    let passed = row.tests.iter().filter(|(_, outcome)| **outcome == Outcome::Passed).count();
    let word = match (row.verdict(), row.threat.scope) {
        (Verdict::Shown, Scope::Defended) => "defended",
        (Verdict::Shown, Scope::Limit) => "limit shown",
        (Verdict::Skipped, _) => "not to be shown here",
        (Verdict::Failed, _) => "**FAILED**",
        (Verdict::Missing, _) => "**no test**",
    };
    format!("{word} ({passed} of {})", row.tests.len())
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The tests that a document lists, by threat.
pub(super) fn listed(document: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let rows = document.lines().filter_map(|line| {
        let (id, rest) = line.strip_prefix("| **")?.split_once("**")?;
        // The names are in the third cell; a `|` within a cell is escaped.
        let mut cells = rest.split(" | ");
        let tests = cells.nth(2)?.split('`').skip(1).step_by(2);
        Some((id, tests.filter(|name| !super::ids(name).is_empty()).collect()))
    });
    rows.collect()
}
