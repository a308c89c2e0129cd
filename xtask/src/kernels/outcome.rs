//! What a guest said.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::kernels::{image::SUITES, rungs::Rung};

/// What became of a kind of peer in one way of looking it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// Who it was taken for.
    pub(super) identity: String,
    /// Why it is nobody.
    pub(super) reason: Option<String>,
    /// What it may do.
    pub(super) capabilities: BTreeSet<String>,
}

impl Finding {
    /// Why somebody is nobody is told with the path of the cgroup, which is another each time.
    fn same(&self, other: &Self) -> bool {
        let who = self.reason.is_some() || self.identity == other.identity;
        who && (&self.reason, &self.capabilities) == (&other.reason, &other.capabilities)
    }
}

/// One run of a suite.
#[derive(Clone, Debug, Default)]
struct Run {
    suite: String,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    status: Option<String>,
}

/// All that a guest said.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Which kernel it was to be.
    pub(super) rung: Rung,
    /// How long it took.
    pub(super) took: Duration,
    /// What the library's probe says.
    pub(super) support: Value,
    /// By kind of peer, who runs the compositor and the way of looking up.
    pub(super) findings: BTreeMap<(String, String), Finding>,
    runs: Vec<Run>,
    done: bool,
    faults: Vec<String>,
}

impl Outcome {
    /// Reads what came over the serial line.
    pub(super) fn read(rung: Rung, console: &str, took: Duration) -> Self {
        let mut outcome = Self {
            rung,
            took,
            support: Value::Null,
            findings: BTreeMap::new(),
            runs: Vec::new(),
            done: false,
            faults: Vec::new(),
        };
        for line in console.lines() {
            outcome.line(line);
        }
        outcome
    }

    fn line(&mut self, line: &str) {
        if let Some(words) = line.strip_prefix("guest: ") {
            match words.split_once(' ') {
                Some(("begin", suite)) => self.runs.push(Run { suite: suite.to_owned(), ..Run::default() }),
                Some(("end", status)) => {
                    if let Some(run) = self.runs.last_mut() {
                        run.status = Some(status.to_owned());
                    }
                }
                _ => self.done |= words == "done",
            }
            return;
        }
        // The harness leaves a test's name at the beginning of the line on which the test itself goes on.
        if let Some((_, json)) = line.split_once("rung: ") {
            match serde_json::from_str(json) {
                Ok(value) => self.finding(&value),
                Err(error) => self.faults.push(format!("torn line ({error}): {line}")),
            }
            return;
        }
        if line.contains("Kernel panic") || line.contains("BUG: ") || line.contains("Oops: ") {
            self.faults.push(line.trim().to_owned());
        }
        let Some(run) = self.runs.last_mut() else { return };
        // At the end the harness tells of each that failed, under its name.
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
            run.failed.push(name.to_owned());
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |what: &str| -> usize {
                let before = counts.split(what).next().unwrap_or_default();
                before.trim_end().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            (run.passed, run.skipped) = (count(" passed"), count(" ignored"));
            if run.failed.is_empty() && count(" failed") > 0 {
                run.failed.push(format!("{} tests", count(" failed")));
            }
        }
    }

    fn finding(&mut self, value: &Value) {
        if let Some(support) = value.get("support") {
            self.support = support.clone();
            return;
        }
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let (Some(kind), Some(tier), Some(identity)) = (text("kind"), text("tier"), text("identity")) else {
            self.faults.push(format!("not understood: {value}"));
            return;
        };
        let capabilities = value["capabilities"].as_array().into_iter().flatten();
        let capabilities = capabilities.filter_map(|c| c.as_str().map(str::to_owned)).collect();
        let finding = Finding { identity, reason: text("reason"), capabilities };
        let who = self.runs.last().map(|run| run.suite.clone()).unwrap_or_default();
        if let Some(before) = self.findings.insert((kind.clone(), tier.clone()), finding.clone())
            && !before.same(&finding)
        {
            self.faults
                .push(format!("{kind} ({tier}) is another in `{who}`: {} and {}", before.identity, finding.identity));
        }
    }

    /// Adds what went wrong with the machine itself.
    pub(super) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// The kernel's release.
    pub(super) fn release(&self) -> &str {
        self.support["release"].as_str().unwrap_or("?")
    }

    /// One line.
    pub(super) fn summary(&self) -> String {
        let (passed, failed, skipped) = self.counts();
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// How many tests passed, failed and were skipped.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let count = |of: fn(&Run) -> usize| self.runs.iter().map(of).sum();
        (count(|run| run.passed), count(|run| run.failed.len()), count(|run| run.skipped))
    }

    /// All that is wrong with this kernel taken by itself.
    pub(super) fn problems(&self, quick: bool, narrow: bool) -> Vec<String> {
        let mut problems = self.faults.clone();
        if !self.done {
            problems.push("the guest did not come to its end".to_owned());
        }
        if !self.release().starts_with(&format!("{}.", self.rung.name)) {
            problems.push(format!("another kernel ran: {}", self.release()));
        }
        let mut expected = vec!["rung", "rung, user"];
        if self.rung.identifies() && !quick {
            expected.extend(SUITES.iter().filter(|suite| **suite != "rung"));
        }
        if narrow {
            expected.push("rung, 32 bit");
        }
        if narrow && self.rung.identifies() && !quick {
            expected.push("identity, 32 bit");
        }
        for suite in expected {
            let Some(run) = self.runs.iter().find(|run| run.suite == suite) else {
                problems.push(format!("`{suite}` did not run"));
                continue;
            };
            problems.extend(run.failed.iter().map(|test| format!("`{suite}`: {test} failed")));
            if run.failed.is_empty() && run.status.as_deref() != Some("0") {
                problems.push(format!("`{suite}` ended with {}", run.status.as_deref().unwrap_or("no status")));
            }
            if run.passed == 0 {
                problems.push(format!("`{suite}`: nothing passed"));
            }
            // With root beside it nothing may be skipped for want of him.
            if run.skipped > 0 && suite != "rung, user" {
                problems.push(format!("`{suite}` skipped {} tests", run.skipped));
            }
        }
        problems.into_iter().map(|problem| format!("{}: {problem}", self.rung.name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rungs::RUNGS;

    const GOOD: &str = "\
guest: up
guest: begin rung
test one ... rung: {\"support\": {\"release\": \"6.1.9-x\"}}
ok
test two ... rung: {\"kind\": \"host\", \"tier\": \"none\", \"identity\": \"unidentified\", \"reason\": \"r\", \"capabilities\": []}
ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
guest: end 0
guest: begin rung, user
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
guest: end 0
guest: done
";

    fn problems(console: &str) -> Vec<String> {
        Outcome::read(RUNGS[0], console, Duration::ZERO).problems(false, false)
    }

    #[test]
    fn a_good_guest_has_no_problems() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
        assert_eq!(Outcome::read(RUNGS[0], GOOD, Duration::ZERO).findings.len(), 1);
    }

    #[test]
    fn the_user_and_root_must_find_the_same() {
        let line = |text: &str, reason: &str, capabilities: &str| {
            format!(
                "rung: {{\"kind\": \"k\", \"tier\": \"by ID\", \"identity\": \"{text}\", \"reason\": {reason}, \
                 \"capabilities\": {capabilities}}}"
            )
        };
        let differs = |first: String, second: String| {
            let console =
                GOOD.replace("guest: begin rung, user", &format!("{first}\nguest: begin rung, user\n{second}"));
            !problems(&console).is_empty()
        };
        let nobody = |text: &str, reason: &str| line(text, reason, "[]");
        assert!(!differs(nobody("in /a", "\"malformed-label\""), nobody("in /b", "\"malformed-label\"")));
        assert!(differs(nobody("in /a", "\"malformed-label\""), nobody("in /a", "\"peer-gone\"")));
        assert!(differs(nobody("in /a", "\"peer-gone\""), line("in /a", "\"peer-gone\"", "[\"c\"]")));
        assert!(!differs(line("app x", "null", "[]"), line("app x", "null", "[]")));
        assert!(differs(line("app x", "null", "[]"), line("app y", "null", "[]")));
    }

    #[test]
    fn whatever_is_missing_or_wrong_is_a_problem() {
        for (from, to, problem) in [
            ("guest: done\n", "", "did not come to its end"),
            ("6.1.9-x", "6.12.9-x", "another kernel ran"),
            ("guest: begin rung, user\n", "", "`rung, user` did not run"),
            ("guest: end 0", "guest: end 101", "ended with 101"),
            ("ok. 2 passed; 0 failed", "FAILED. 1 passed; 1 failed", "1 tests failed"),
            ("test one ... rung: ", "---- one ----\nrung: ", "`rung`: one failed"),
            ("2 passed; 0 failed; 0 ignored", "2 passed; 0 failed; 1 ignored", "skipped 1"),
            ("\"capabilities\": []}", "\"capab", "torn line"),
            ("guest: up", "BUG: unable to handle", "BUG: unable"),
        ] {
            let found = problems(&GOOD.replace(from, to));
            assert!(found.iter().any(|found| found.contains(problem)), "{problem}: {found:?}");
        }
        assert!(!problems("").is_empty());
        let narrow = Outcome::read(RUNGS[0], GOOD, Duration::ZERO).problems(false, true);
        assert_eq!(narrow, ["6.1: `rung, 32 bit` did not run"]);
    }
}
