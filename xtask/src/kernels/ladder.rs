//! From kernel to kernel: no one may grant more than the next newer one.

use std::collections::BTreeSet;

use crate::{
    kernels::outcome::{Finding, Outcome},
    table,
};

/// The facts that the table shows, by their names in the library's report.
const FACTS: &[(&str, &str)] = &[
    ("peer-pidfd", "SO_PEERPIDFD"),
    ("pidfs", "pidfs"),
    ("pidfd-namespaces", "namespaces by pidfd"),
    ("pidfd-info", "PIDFD_GET_INFO"),
];

/// All kinds of peer and ways of looking them up that any kernel knows.
fn rows(outcomes: &[Outcome]) -> BTreeSet<(String, String)> {
    let all = outcomes.iter().flat_map(|outcome| outcome.findings.keys().cloned());
    all.filter(|(_, tier)| tier != "none").collect()
}

/// What a kernel that can do without this way says of the kind: the same as in every other way.
fn finding<'a>(outcome: &'a Outcome, (kind, tier): &(String, String)) -> Option<&'a Finding> {
    let by = |tier: &str| outcome.findings.get(&(kind.clone(), tier.to_owned()));
    by(tier).or_else(|| by("none"))
}

/// Kernel by fact and kind of peer.
pub(super) fn draw(outcomes: &[Outcome]) -> String {
    let line = |name: String, cell: &dyn Fn(&Outcome) -> String| -> Vec<String> {
        [name].into_iter().chain(outcomes.iter().map(cell)).collect()
    };
    let mut lines = vec![line("kernel".into(), &|outcome| {
        outcome.release().split(['-', '+']).next().unwrap_or_default().to_owned()
    })];
    for (key, name) in FACTS {
        lines.push(line((*name).to_owned(), &|outcome| {
            outcome.support[*key].as_bool().map_or("?", |has| if has { "yes" } else { "no" }).to_owned()
        }));
    }
    for kind in rows(outcomes).into_iter().map(|(kind, _)| kind).collect::<BTreeSet<_>>() {
        lines.push(line(kind.clone(), &|outcome| {
            let findings = outcome.findings.iter().filter(|((other, _), _)| *other == kind);
            let cells: BTreeSet<String> = findings.map(|(_, finding)| cell(finding)).collect();
            cells.into_iter().collect::<Vec<_>>().join(" / ")
        }));
    }
    lines.push(line("tests passed".into(), &|outcome| outcome.counts().0.to_string()));
    lines.push(line("tests failed".into(), &|outcome| outcome.counts().1.to_string()));
    lines.push(line("seconds".into(), &|outcome| format!("{:.1}", outcome.took.as_secs_f64())));
    let widths: Vec<usize> = (0..=outcomes.len()).map(|column| if column == 0 { 40 } else { 11 }).collect();
    table::draw(&lines, &widths)
}

/// Who it is and how much that may do; or why it is nobody.
fn cell(finding: &Finding) -> String {
    match finding.reason.as_deref() {
        Some("kernel-unsupported") => "unsupported".into(),
        Some(reason) => reason.replace('-', " "),
        None => {
            let who = finding.identity.split(' ').next().unwrap_or_default();
            format!("{who}: {}", finding.capabilities.len())
        }
    }
}

/// Where a kernel grants what the next newer one does not, and where one does not know a kind that another knows.
pub(super) fn problems(outcomes: &[Outcome]) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows(outcomes) {
        let known: Vec<(&Outcome, Option<&Finding>)> =
            outcomes.iter().map(|outcome| (outcome, finding(outcome, &row))).collect();
        for (outcome, found) in &known {
            // The lower way is there everywhere, the upper one where the kernel has it.
            let lacks = row.1 == "by ID" && outcome.support["pidfd-info"].as_bool() == Some(false);
            if found.is_none() && !lacks {
                problems.push(format!("{}: nothing is known of `{}` ({})", outcome.rung.name, row.0, row.1));
            }
        }
        let known: Vec<_> = known.into_iter().filter_map(|(outcome, found)| Some((outcome, found?))).collect();
        for pair in known.windows(2) {
            let [(older, less), (newer, more)] = pair else { continue };
            let extra: Vec<&str> = less.capabilities.difference(&more.capabilities).map(String::as_str).collect();
            if !extra.is_empty() {
                problems.push(format!(
                    "`{}` ({}) gets more on {} than on {}: {}",
                    row.0,
                    row.1,
                    older.rung.name,
                    newer.rung.name,
                    extra.join(", ")
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernels::rungs::RUNGS;

    fn outcome(rung: usize, tier: &str, capabilities: &str) -> Outcome {
        let info = tier == "by ID";
        let text = format!(
            "rung: {{\"support\": {{\"pidfd-info\": {info}}}}}\nrung: {{\"kind\": \"k\", \"tier\": \"{tier}\", \
             \"identity\": \"app x\", \"capabilities\": {capabilities}}}\n"
        );
        Outcome::read(RUNGS[rung], &text, Duration::ZERO)
    }

    #[test]
    fn an_older_kernel_may_grant_less_but_not_more() {
        let none = outcome(0, "none", "[]");
        let one = |rung| outcome(rung, "by ID", r#"["a"]"#);
        let two = |rung| outcome(rung, "by ID", r#"["a", "b"]"#);
        assert_eq!(problems(&[none.clone(), one(2), one(3), two(4)]), Vec::<String>::new());
        let found = problems(&[none, two(2), one(3), two(4)]);
        assert_eq!(found, ["`k` (by ID) gets more on 6.16 than on 6.17: b"]);
    }

    #[test]
    fn a_kernel_that_says_nothing_of_a_kind_is_a_problem() {
        let mut silent = outcome(3, "by ID", "[]");
        silent.findings.clear();
        let found = problems(&[outcome(2, "by ID", "[]"), silent]);
        assert_eq!(found, ["6.17: nothing is known of `k` (by ID)"]);
        // Without PIDFD_GET_INFO there is no upper way.
        let old = outcome(1, "by path", "[]");
        let new = outcome(2, "by ID", "[]");
        assert_eq!(problems(&[old, new]), ["6.16: nothing is known of `k` (by path)"]);
    }
}
