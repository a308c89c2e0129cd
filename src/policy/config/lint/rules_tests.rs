//! For each warning a policy of which it warns, and one nearly the same of which it does not.

use crate::policy::Policy;
use crate::policy::compare::Patience;

/// All warnings: where, what, and what to do.
fn warnings(text: &str) -> Vec<String> {
    let policy = Policy::parse("p", text).unwrap_or_else(|errors| panic!("{errors}"));
    let one = |w: &crate::policy::Diagnostic| {
        format!("{}:{}: {} [{}]", w.line, w.column, w.message, w.help.as_deref().unwrap_or_default())
    };
    policy.warnings().iter().map(one).collect()
}

fn rule(of: &str, keys: &str) -> String {
    format!("[[rule]]\nmatch = {{ {of} }}\n{keys}\n")
}

/// The one warning of a policy.
#[track_caller]
fn one(text: &str) -> String {
    let mut all = warnings(text);
    assert_eq!(all.len(), 1, "{text}\n{all:#?}");
    all.remove(0)
}

#[track_caller]
fn none(text: &str) {
    assert_eq!(warnings(text), [""; 0], "{text}");
}

const HOST: &str = "[defaults]\nhost = ['security-context', 'layer-shell']\n";
const ALLOW: &str = "allow = ['screen-capture']";
const DENY: &str = "deny = ['screen-capture']";

#[test]
fn a_warning_shows_the_line_and_the_word() {
    let policy = Policy::parse("p", &rule("engine = 'e'", "allow = ['layer-shell']\ndeny = ['layer-shell']")).unwrap();
    let shown = policy.warnings()[0].to_string();
    let expected = "\
warning: `layer-shell` has no effect here: `deny` beats `allow`
 --> p:3:10
  |
3 | allow = ['layer-shell']
  |          ^^^^^^^^^^^^^
  |
  = help: the rule itself has it in `deny`: leave it in one of them";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn t34_part_of_what_a_rule_gives_that_the_host_does_not_have_is_a_warning() {
    let part = "allow = ['layer-shell', 'screen-capture']";
    assert_eq!(
        one(&format!("{HOST}{}", rule("engine = 'e'", part))),
        "5:25: `screen-capture` is not given to a label that the user's own processes could have written \
         [[defaults] host does not have it; if only root's labels are meant, match provenance = \"system\"]"
    );
    let ask = "allow = ['layer-shell']\nask = ['screen-capture']";
    assert!(one(&format!("{HOST}{}", rule("engine = 'e'", ask))).starts_with("6:8: `screen-capture` is not given to"));
    assert_eq!(
        one(&format!("{HOST}{}", rule("unit = 'a.service'", part))),
        "5:25: `screen-capture` is not given by this rule [[defaults] host does not have it]"
    );
    // `*` is what there is to give, and nobody's word.
    none(&format!("{HOST}{}", rule("engine = 'e'", "allow = ['*']")));
    none(&format!("{HOST}{}", rule("engine = 'e', provenance = 'system'", part)));
    none(&format!("{HOST}{}", rule("engine = 'e', provenance = 'system'", ALLOW)));
    none(&format!("{HOST}{}", rule("internal = 'x'", ALLOW)));
    none(&rule("engine = 'e'", part));
    let asked = one(&format!("{HOST}{}", rule("engine = 'e'", "ask = ['screen-capture']")));
    assert!(asked.contains("3:1: this rule gives nothing to a label"), "{asked}");
}

#[test]
fn t34_what_star_does_not_contain_is_not_the_hosts_either() {
    let w = one(&rule("engine = 'e'", "allow = ['screen-capture', 'identity-monitor']"));
    assert!(w.starts_with("3:28: `identity-monitor` is not given to a label"), "{w}");
    none(&format!(
        "[defaults]\nhost = ['*', 'identity-monitor']\n{}",
        rule("engine = 'e'", "allow = ['screen-capture', 'identity-monitor']")
    ));
}

#[test]
fn asking_where_nobody_has_a_name_is_a_warning() {
    let ask = "ask = ['screen-capture']";
    for of in [
        "engine = 'unknown'",
        "unit = 'a.service'",
        "internal = 'x'",
        "not = { engine = '*' }",
        "any = [{ internal = 'x' }, { engine = 'unknown', unit = 'a.service' }]",
    ] {
        let w = one(&rule(of, ask));
        assert!(w.starts_with("3:1: this rule denies what it asks for"), "{of}: {w}");
    }
    for of in ["engine = 'e'", "engine = '*'", "uid = 1000", "engine = '*', unit = 'a.service'", "provenance = 'user'"]
    {
        none(&rule(of, ask));
    }
    none(&rule("unit = 'a.service'", "ask = []"));
}

#[test]
fn a_moment_that_has_passed_is_a_warning() {
    let until = |year: u32, gives: &str| rule("engine = 'e'", &format!("{gives}\nuntil = {year}-01-01T00:00:00Z"));
    assert_eq!(
        one(&until(1999, ALLOW)),
        "4:1: this moment has passed: the rule gives nothing any more [remove the rule, or write a later moment]"
    );
    assert!(one(&until(1999, "ask = ['screen-capture']")).contains("and denies what it asked for"));
    none(&until(9999, ALLOW));
}

#[test]
fn a_rule_that_another_one_repeats_is_a_warning_where_it_comes_again() {
    let twice = rule("uid = 1000", DENY) + &rule("uid = [1000, 1000]", DENY);
    assert_eq!(one(&twice), "4:1: this rule has no effect [the one at p:1 says the same: remove one of them]");
    let thrice = twice.clone() + &rule("uid = 1000", DENY);
    let all = warnings(&thrice);
    assert!(all.len() == 2 && all.iter().all(|w| w.contains("the one at p:1 says the same")), "{all:?}");
    none(&(rule("uid = 1000", DENY) + &rule("uid = 1001", DENY)));
    none(&(rule("uid = 1000", DENY) + &rule("uid = 1000", "deny = ['layer-shell']")));
}

#[test]
fn a_denial_within_a_wider_one_is_a_warning() {
    let narrow = rule("engine = 'e', app-id = 'a.b'", DENY);
    let help = "[all of it follows from the one at p:4: remove it, or change what it says]";
    for of in ["engine = 'e'", "engine = '*'", "engine = 'e', app-id = 'a.*'", "any = [{ uid = 0 }, { engine = 'e' }]"]
    {
        let w = one(&(narrow.clone() + &rule(of, "deny = ['screen-capture', 'layer-shell']")));
        assert_eq!(w, format!("1:1: this rule has no effect {help}"), "{of}");
    }
    for of in ["engine = 'f'", "engine = 'e', app-id = 'a'", "engine = 'e', provenance = 'user'", "uid = 0"] {
        none(&(narrow.clone() + &rule(of, DENY)));
    }
    let wide = rule("engine = 'e'", DENY);
    none(&(rule("engine = 'e', app-id = 'a'", "deny = ['screen-capture', 'layer-shell']") + &wide));
    // What is hidden is not what is empty.
    none(&(narrow.clone() + &rule("engine = 'e'", &format!("{DENY}\nwhen-denied = 'empty'"))));
    assert!(one(&(narrow + "when-denied = 'empty'\n" + &wide)).contains("the one at p:5"));
    // Two together.
    let both = rule("engine = 'e', app-id = 'a'", "deny = ['screen-capture', 'layer-shell']")
        + &wide
        + &rule("engine = '*'", "deny = ['layer-shell']");
    assert!(one(&both).contains("all of it follows from those at p:4, p:7"), "{both}");
}

/// It also denies to those without a label, in whatever unit they are.
#[test]
fn t11_a_denial_that_a_shed_label_does_not_end_is_none_within_one_of_a_unit() {
    let narrow = rule("engine = 'e', unit = 'u.service', namespaces = 'own'", DENY);
    none(&(narrow.clone() + &rule("unit = 'u.service', namespaces = 'own'", DENY)));
    none(&(narrow.clone() + &rule("engine = '*', unit = 'u.service'", DENY)));
    one(&(narrow.clone() + &rule("engine = '*'", DENY)));
    one(&(narrow + &rule("engine = 'e', unit = '*.service'", DENY)));
}

#[test]
fn a_rule_that_gives_no_more_than_a_wider_one_is_a_warning() {
    let narrow = rule("engine = 'e', app-id = 'a'", ALLOW);
    let wide = rule("engine = 'e'", "allow = ['screen-capture', 'layer-shell']");
    let w = one(&(narrow.clone() + &wide));
    assert_eq!(
        w,
        "1:1: this rule has no effect [all of it follows from the one at p:4: remove it, or change what it says]"
    );
    none(&(narrow.clone() + &rule("engine = 'e'", "allow = ['layer-shell']")));
    none(&(narrow.clone() + wide.trim_end() + "\nuntil = 9999-01-01T00:00:00Z\n"));
    // Whoever is asked for his unit is given no more than the host has, even by a label of root's.
    let unit = rule("any = [{ engine = 'e' }, { engine = '*', unit = 'u.service' }]", ALLOW);
    let capped = warnings(&format!("{HOST}{}{unit}", rule("engine = 'e', provenance = 'system'", ALLOW)));
    assert!(capped.len() == 1 && capped[0].starts_with("6:1: this rule gives nothing"), "{capped:?}");
    // It keeps from the defaults what it leaves out, where it is not known whether it applies.
    none(&format!("[defaults]\nsandboxed = ['layer-shell']\n{narrow}{wide}"));
    one(&format!("[defaults]\nsandboxed = ['screen-capture']\n{narrow}{wide}"));
}

#[test]
fn a_word_that_a_wider_rule_overrules_is_a_warning() {
    let narrow = rule("engine = 'e', app-id = 'a'", "allow = ['layer-shell', 'screen-capture']");
    assert_eq!(
        one(&(narrow.clone() + &rule("engine = '*'", DENY))),
        "3:25: `screen-capture` has no effect here: `deny` beats `allow` \
         [the rule at p:4 has it in `deny`, for all of these clients: except them there by `not`]"
    );
    assert!(one(&(narrow.clone() + &rule("engine = '*'", "ask = ['screen-capture']"))).contains("`ask` beats `allow`"));
    let asking = rule("engine = 'e', app-id = 'a'", "ask = ['screen-capture']");
    assert!(
        one(&(asking + &rule("engine = '*'", DENY)))
            .starts_with("3:8: `screen-capture` has no effect here: `deny` beats `ask`")
    );
    assert!(
        one(&rule("engine = 'e'", "allow = ['layer-shell']\nask = ['layer-shell']"))
            .contains("leave it in one of them")
    );
    // Some of those whom the rule means, and others.
    for of in ["engine = '*', namespaces = 'shared'", "engine = 'f'", "engine = '*', not = { app-id = 'a' }"] {
        none(&(narrow.clone() + &rule(of, DENY)));
    }
    // Everything but this is a way to say it, and so is all of it but one interface.
    none(&(rule("engine = 'e', app-id = 'a'", "allow = ['*']") + &rule("engine = '*'", DENY)));
    none(&rule("engine = 'e'", "allow = ['*']\ndeny = ['screen-capture']"));
    none(&rule("engine = 'e'", "allow = ['screen-capture']\ndeny = ['interface:zwlr_screencopy_manager_v1']"));
    one(&rule("engine = 'e'", "allow = ['interface:zwlr_screencopy_manager_v1']\ndeny = ['screen-capture']"));
}

#[test]
fn a_denial_that_its_clients_can_leave_behind_is_a_warning() {
    let w = one(&rule("unit = 'a.service'", DENY));
    assert!(w.starts_with("3:1: a program outside any sandbox can evade this"), "{w}");
    one(&rule("not = { unit = 'a.service' }, namespaces = 'shared'", DENY));
    // The host has nothing of it; no unit is asked for; nobody on the host is meant.
    none(&format!("{HOST}{}", rule("unit = 'a.service'", DENY)));
    none(&rule("not = { engine = '*' }", DENY));
    none(&rule("engine = '*', unit = 'a.service'", DENY));
    none(&rule("engine = 'e'", DENY));
}

#[test]
fn a_rule_that_applies_to_nobody_is_a_warning() {
    for (of, why) in [
        ("all = [{ engine = 'e' }, { engine = 'f' }]", "what is asked of `engine` contradicts itself"),
        ("engine = 'e.*', all = [{ engine = 'f.g' }]", "what is asked of `engine` contradicts itself"),
        ("engine = 'e', not = { engine = 'e' }", "what is asked of `engine` contradicts itself"),
        ("engine = 'e', not = { engine = '*' }", "what is asked of `engine` contradicts itself"),
        ("uid = 0, all = [{ uid = [1000, 1001] }]", "what is asked of `uid` contradicts itself"),
        ("uid = 0, not = { uid = [0, 1] }", "what is asked of `uid` contradicts itself"),
        (
            "engine = 'e', not = { app-id = '**' }, all = [{ app-id = 'a' }]",
            "what is asked of `app-id` contradicts itself",
        ),
        ("internal = 'x', engine = 'e'", "`internal` and `engine` ask for different kinds of clients"),
        ("internal = 'x', uid = 0", "`internal` and `uid` ask for different kinds of clients"),
        ("not = { engine = '*' }, namespaces = 'own'", "`engine` and `namespaces` ask for different kinds of clients"),
        ("engine = 'unknown', not = { engine = 'e' }", "what is asked of `engine` contradicts itself"),
        (
            "engine = 'e', any = [{ not = { engine = '*' } }, { engine = 'f' }]",
            "each of its alternatives contradicts itself",
        ),
    ] {
        let w = one(&rule(of, ALLOW));
        assert!(w.starts_with(&format!("2:1: this rule applies to nobody [{why};")), "{of}: {w}");
    }
    for of in [
        "all = [{ engine = 'e' }, { engine = '*' }]",
        "engine = 'e.*', all = [{ engine = 'e.g' }]",
        "engine = 'e', not = { engine = 'f' }",
        "engine = 'e', not = { app-id = 'a.*' }, all = [{ app-id = 'a' }]",
        "uid = [0, 1000], all = [{ uid = [1000, 1001] }]",
        "internal = 'x', not = { engine = '*' }",
        "any = [{ all = [{ uid = 0 }, { uid = 1 }] }, { engine = 'e' }]",
    ] {
        none(&rule(of, ALLOW));
    }
}

#[test]
fn t33_a_policy_that_takes_too_long_to_judge_is_taken_as_it_is() {
    let parse = |text: &str| Policy::parse("p", text).unwrap_or_else(|errors| panic!("{errors}"));
    let exhausts = |policy: &Policy| {
        let mut patience = Patience::default();
        policy.rules_without_effect(&mut patience);
        patience.is_over()
    };
    let one = rule("engine = 'e', any = [{ app-id = 'NAME' }, { uid = 0 }]", "deny = []\nallow = []");
    let many = |n: usize| -> String { (0..n).map(|i| one.replace("NAME", &format!("a{i}"))).collect() };
    assert!(!exhausts(&parse(&many(300))) && exhausts(&parse(&many(4000))));
    let long =
        |end: &str| rule(&format!("engine = 'e', extra = {{ 'user.x' = '{}{end}' }}", "*.".repeat(100_000)), DENY);
    assert!(exhausts(&parse(&(long("*") + &long("a")))));
    let either = "{ any = [{ app-id = 'a' }, { app-id = 'b' }] }";
    let wide = format!("engine = '*', all = [{}]", vec![either; 5000].join(", "));
    assert!(parse(&rule(&wide, DENY)).rules[0].matcher.whom(&mut Patience::default()).is_none());
}
