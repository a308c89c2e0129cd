//! Counting what the test programs print.

use std::{collections::BTreeMap, fmt};

/// How many tests came out how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// The skipped ones, each with its reason where it has one.
    pub(super) skipped_names: Vec<String>,
}

impl Results {
    /// Adds the results of another program.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skipped_names.extend_from_slice(&other.skipped_names);
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
pub(super) struct Parser {
    line: Vec<u8>,
    /// Why tests are going to be skipped, by name.
    reasons: BTreeMap<String, String>,
    results: Results,
}

impl Parser {
    /// Takes the next piece.
    pub(super) fn push(&mut self, bytes: &[u8]) {
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
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some((name, reason)) = test.split_once(" ... ignored")
        {
            let reason = reason.trim_start_matches([',', ' ']).trim();
            let name = name.trim();
            let told = self.reasons.get(name).map_or("no reason given", String::as_str);
            let reason = if reason.is_empty() { told } else { reason };
            self.results.skipped_names.push(format!("{name}: {reason}"));
        } else if let Some((name, reason)) = line.strip_prefix("skipped: ").and_then(|text| text.split_once(": ")) {
            // What our own test programs say beforehand: libtest-mimic has no reasons for tests that it does not start.
            self.reasons.insert(name.to_owned(), reason.to_owned());
        }
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
