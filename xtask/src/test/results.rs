//! Counting what the test programs print.

use std::{collections::BTreeMap, fmt};

/// What one test came to. Of several, the greatest counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Not run, and why.
    Skipped(String),
    Passed,
    Failed,
}

/// Tests by their names, without the modules that they are in.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// How many tests came out how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// The skipped ones, each with its reason where it has one.
    pub(super) skipped_names: Vec<String>,
    /// Each test by itself.
    pub(super) outcomes: Outcomes,
}

impl Results {
    /// Adds the results of another program.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skipped_names.extend_from_slice(&other.skipped_names);
        other.outcomes.iter().for_each(|(name, outcome)| self.note(name, outcome.clone()));
    }

    /// A test of this name came to this. The same test may run more than once, on different servers.
    fn note(&mut self, name: &str, outcome: Outcome) {
        let name = name.rsplit("::").next().unwrap_or(name);
        let noted = self.outcomes.entry(name.to_owned()).or_insert_with(|| outcome.clone());
        if *noted < outcome {
            *noted = outcome;
        }
    }

    /// Makes the numbers agree with how cargo ended: a program that did not compile, or died before it could say
    /// anything, counts as one failed test.
    pub(super) fn settle(&mut self, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads the output of libtest and of libtest-mimic, in pieces.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// A test that was started, and what follows its name is not its outcome but what it prints.
    started: Option<String>,
    /// Why tests are going to be skipped, by name.
    reasons: BTreeMap<String, String>,
    results: Results,
}

impl Parser {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_of_line();
            } else {
                self.line.push(byte);
            }
        }
    }

    /// The results of everything.
    pub(super) fn finish(mut self) -> Results {
        self.end_of_line();
        self.results
    }

    /// The tests of everything.
    pub(crate) fn into_outcomes(self) -> Outcomes {
        self.finish().outcomes
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if let Some(rest) = line.strip_prefix("test result: ") {
            // "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s"
            let count = |word: &str| -> u64 {
                rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok()).unwrap_or(0)
            };
            self.results.passed += count("passed");
            self.results.failed += count("failed");
            self.results.skipped += count("ignored");
        } else if let Some((name, rest)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ")) {
            let name = name.trim();
            self.started = None;
            if let Some(reason) = rest.strip_prefix("ignored") {
                let reason = reason.trim_start_matches([',', ' ']).trim();
                let told = self.reasons.get(name).map_or("no reason given", String::as_str);
                let reason = if reason.is_empty() { told } else { reason }.to_owned();
                self.results.skipped_names.push(format!("{name}: {reason}"));
                self.results.note(name, Outcome::Skipped(reason));
            } else if let Some(outcome) = outcome(rest) {
                self.results.note(name, outcome);
            } else {
                self.started = Some(name.to_owned());
            }
        } else if let Some(outcome) = outcome(&line)
            && let Some(name) = self.started.take()
        {
            self.results.note(&name, outcome);
        } else if let Some((name, reason)) = line.strip_prefix("skipped: ").and_then(|text| text.split_once(": ")) {
            // What our own test programs say beforehand: libtest-mimic has no reasons for tests that it does not start.
            self.reasons.insert(name.to_owned(), reason.to_owned());
        }
    }
}

/// What a test came to, in the words of the harnesses.
fn outcome(word: &str) -> Option<Outcome> {
    match word.trim() {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test a ... ok
test b::c ... ignored, needs root
test d ... ignored
skipped: e: needs a moon
test e     ... ignored
test the word ignored ... ok
test m::f ... FAILED
test g ... it says something
ok

test result: ok. 2 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.05s

running 1 test
test result: FAILED. 10 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s
test result: nonsense
";

    fn parsed(pieces: usize) -> Results {
        let mut parser = Parser::default();
        OUTPUT.as_bytes().chunks(pieces).for_each(|piece| parser.push(piece));
        parser.finish()
    }

    #[test]
    fn all_programs_are_summed_however_the_output_is_cut() {
        for pieces in [1, 7, OUTPUT.len()] {
            let results = parsed(pieces);
            assert_eq!(results.to_string(), "12 passed, 1 failed, 3 skipped");
            assert_eq!(results.skipped_names, ["b::c: needs root", "d: no reason given", "e: needs a moon"]);
            let skipped = |why: &str| Outcome::Skipped(why.to_owned());
            let expected = [
                ("a", Outcome::Passed),
                ("c", skipped("needs root")),
                ("d", skipped("no reason given")),
                ("e", skipped("needs a moon")),
                ("f", Outcome::Failed),
                ("g", Outcome::Passed),
                ("the word ignored", Outcome::Passed),
            ];
            let expected = expected.map(|(name, outcome)| (name.to_owned(), outcome));
            assert_eq!(results.outcomes.into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn of_two_runs_of_a_test_the_worse_counts() {
        let mut results = Results::default();
        for (outcome, counts) in [
            (Outcome::Skipped("x".into()), Outcome::Skipped("x".into())),
            (Outcome::Passed, Outcome::Passed),
            (Outcome::Failed, Outcome::Failed),
            (Outcome::Passed, Outcome::Failed),
        ] {
            results.note("m::a", outcome);
            assert_eq!(results.outcomes.get("a"), Some(&counts));
        }
    }

    #[test]
    fn a_program_that_died_counts_as_a_failed_test() {
        let mut results = Results { passed: 3, ..Results::default() };
        results.settle(true);
        assert_eq!(results.failed, 0);
        results.settle(false);
        assert_eq!(results.failed, 1);
        results.settle(false);
        assert_eq!(results.failed, 1);
    }
}
