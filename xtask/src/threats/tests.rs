use super::*;

const FILE: &str = r#"
[[threat]]
id = "T01"
title = "one | of two"
claim = "It is | defended."

[[threat]]
id = "T02"
title = "two"
claim = "It is not."
limit = "Nobody can."
scope = "limit"
also = "cargo xtask soak"
"#;

fn outcomes(all: &[(&str, Outcome)]) -> Outcomes {
    all.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.clone())).collect()
}

fn good() -> Outcomes {
    outcomes(&[
        ("t01_a_is_b", Outcome::Passed),
        ("t01_t02_c_is_d", Outcome::Passed),
        ("t02_root_is_needed", Outcome::Skipped("needs | root".into())),
        ("t1_is_no_threat", Outcome::Passed),
    ])
}

fn rendered(threats: &[Threat], outcomes: &Outcomes) -> String {
    document::render(&rows(threats, outcomes), "summary")
}

#[test]
fn a_name_begins_with_its_threats() {
    assert_eq!(ids("t05_t11_a_t12"), ["T05", "T11"]);
    assert_eq!(ids("t5_a"), [""; 0]);
    assert_eq!(ids("two_words"), [""; 0]);
    assert_eq!(without_ids("m::n::t05_t11_a_t12"), "a_t12");
    assert_eq!(without_ids("m::plain"), "plain");
}

#[test]
fn what_was_written_is_what_is_listed() {
    let (threats, outcomes) = (parse(FILE).unwrap(), good());
    let text = rendered(&threats, &outcomes);
    let checked = checked(&threats, &outcomes, &text);
    assert_eq!(checked.problems, [""; 0], "{text}");
    assert_eq!(checked.summary, "2 threats: 1 defended, 1 stated limits shown; 0 without a test");
    assert!(text.contains("defended (2 of 2)") && text.contains("limit shown (1 of 2)"), "{text}");
}

#[test]
fn each_deviation_is_a_problem() {
    let threats = parse(FILE).unwrap();
    let document = rendered(&threats, &good());
    let problems = |change: fn(&mut Outcomes)| {
        let mut outcomes = good();
        change(&mut outcomes);
        let mut problems = checked(&threats, &outcomes, &document).problems;
        // With a new document only what it cannot cure is left.
        let stale = problems.iter().position(|p| p.contains(REMEDY)).map(|at| problems.remove(at)).is_some();
        assert_eq!(checked(&threats, &outcomes, &rendered(&threats, &outcomes)).problems, problems);
        (stale, problems.join("\n"))
    };
    assert_eq!(problems(|_| {}), (false, String::new()));
    assert_eq!(problems(|all| drop(all.insert("t01_new".into(), Outcome::Passed))), (true, String::new()));
    assert_eq!(problems(|all| drop(all.remove("t01_a_is_b"))), (true, String::new()));
    let (stale, text) = problems(|all| all.retain(|name, _| !name.contains("t02")));
    assert!(stale && text == "T02 (two) has no test", "{text}");
    let (stale, text) = problems(|all| drop(all.insert("t48_new".into(), Outcome::Passed)));
    assert!(!stale && text.contains("t48_new") && text.contains("T48"), "{text}");
    assert!(!checked(&threats, &good(), "").problems.is_empty());
}

#[test]
fn a_failure_is_told_in_the_row_and_in_the_summary() {
    let (threats, mut outcomes) = (parse(FILE).unwrap(), good());
    outcomes.insert("t01_t02_c_is_d".into(), Outcome::Failed);
    let text = rendered(&threats, &outcomes);
    assert!(text.contains("`t01_t02_c_is_d` **FAILED**"), "{text}");
    let summary = checked(&threats, &outcomes, &text).summary;
    assert_eq!(summary, "2 threats: 0 defended, 0 stated limits shown, 2 FAILED; 0 without a test");
}

#[test]
fn a_list_with_a_mistake_is_refused() {
    let threat = |line: &str| format!("[[threat]]\nid = \"T01\"\ntitle = \"a\"\nclaim = \"b\"\n{line}\n");
    assert!(parse(&threat("")).is_ok());
    for wrong in ["scope = \"limit\"", "scope = \"none\"", "limits = \"x\"", &threat("")] {
        assert!(parse(&threat(wrong)).is_err(), "{wrong}");
    }
    assert!(parse(&threat("").replace("T01", "T1")).is_err());
}

#[test]
fn the_list_of_this_repository_is_whole() {
    let ids: Vec<String> = load().unwrap().into_iter().map(|threat| threat.id).collect();
    assert_eq!(ids, (1..=47).map(|number| format!("T{number:02}")).collect::<Vec<_>>());
}
