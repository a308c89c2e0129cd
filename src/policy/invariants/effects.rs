//! No warning of a rule without effect is wrong.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use super::Random;
use crate::identity::{AppIdentity, HostIdentity, Identity, InternalTag, NestedLabel, Reason};
use crate::policy::capability::CapabilitySet;
use crate::policy::compare::Patience;
use crate::policy::effect::WithoutEffect;
use crate::policy::rule::{Applies, Facts, Matcher};
use crate::policy::whom::Kinds;
use crate::policy::{Grantee, Policy, Standing, Verdict};

/// Few, so that rules meet.
const NAMES: &[&str] = &["'screen-capture'", "'layer-shell'", "'interface:zwlr_layer_shell_v1'", "'identity-monitor'"];

const FACTS: &[&str] = &[
    "engine = 'e'",
    "engine = 'f'",
    "engine = '*'",
    "engine = 'unknown'",
    "engine = 'e*'",
    "engine = '*', app-id = 'a'",
    "engine = 'e', app-id = 'a'",
    "engine = 'e', app-id = '*'",
    "engine = 'e', instance-id = '1'",
    "engine = '*', extra = { 'user.x' = 'y' }",
    "provenance = 'user'",
    "provenance = 'system'",
    "unit = 'u.service'",
    "unit = '*.service'",
    "namespaces = 'own'",
    "namespaces = 'shared'",
    "uid = 0",
    "uid = [0, 1000]",
    "internal = 'xwayland'",
];

impl Random {
    fn small_match(&mut self, depth: usize) -> String {
        let of_label = ["app-id = 'a'", "app-id = '*'", "app-id = 'b'", "provenance = 'user'", "namespaces = 'own'"];
        if depth == 0 || self.one_in(3) {
            return self.pick(FACTS).to_owned();
        }
        let list = |random: &mut Self| {
            let parts: Vec<_> =
                (0..1 + random.below(2)).map(|_| format!("{{ {} }}", random.small_match(depth - 1))).collect();
            parts.join(", ")
        };
        match self.below(6) {
            0 => format!("any = [{}]", list(self)),
            1 => format!("all = [{}]", list(self)),
            2 => format!("not = {{ {} }}", self.small_match(depth - 1)),
            3 => format!("engine = 'e', {}", self.pick(&of_label)),
            4 => format!("engine = '*', any = [{{ {} }}, {{ {} }}]", self.pick(&of_label), self.pick(&of_label)),
            _ => format!("{}, not = {{ {} }}", self.pick(FACTS), self.small_match(depth - 1)),
        }
    }

    fn small_list(&mut self) -> String {
        let mut names: Vec<_> = NAMES.iter().filter(|_| self.one_in(2)).copied().collect();
        if self.one_in(8) {
            names.push("'*'");
        }
        format!("[{}]", names.join(", "))
    }

    fn small_policy(&mut self) -> Policy {
        loop {
            let mut text = String::from("[defaults]\n");
            for key in ["host", "sandboxed", "namespaced", "unidentified"] {
                if self.one_in(2) {
                    text += &format!("{key} = {}\n", self.small_list());
                }
            }
            if self.one_in(4) {
                text += "[trust]\nuser-evidence = 'as-written'\n";
            }
            // Matches that come again, as they are or within others.
            let matches: Vec<_> = (0..3).map(|_| self.small_match(2)).collect();
            for _ in 0..2 + self.below(5) {
                text += &self.small_rule(&matches);
            }
            // What `match` may not say is an error, and no matter here.
            if let Ok(policy) = Policy::parse("p", &text) {
                return policy;
            }
        }
    }

    fn small_rule(&mut self, matches: &[String]) -> String {
        let of = self.pick(matches);
        let of = if self.one_in(3) { format!("any = [{{ {of} }}, {{ {} }}]", self.pick(FACTS)) } else { of };
        let mut rule = format!("[[rule]]\nmatch = {{ {of} }}\n");
        let (allow, ask) = (self.one_in(2), self.one_in(3));
        if allow {
            rule += &format!("allow = {}\n", self.small_list());
        }
        if ask {
            rule += &format!("ask = {}\n", self.small_list());
        }
        if !allow && !ask || self.one_in(2) {
            rule += &format!("deny = {}\n", self.small_list());
            if self.one_in(3) {
                rule += "when-denied = 'empty'\n";
            }
        }
        if (allow || ask) && self.one_in(4) {
            rule += &format!("until = 20{}0-01-01T00:00:00Z\n", 5 + self.below(2));
        }
        rule
    }

    fn anybody(&mut self) -> Identity {
        match self.below(8) {
            0 | 1 => Identity::Host(HostIdentity { unit: self.unit(), uid: self.uid(), ..HostIdentity::default() }),
            2 => Identity::unidentified(Reason::Moved),
            3 => Identity::Internal(InternalTag::new(self.pick(&["xwayland", "x"]))),
            _ => {
                let mut app = self.app();
                app.extra.extend(self.maybe(|r| ("user.x".to_owned(), r.pick(&["y", "z"]).to_owned())));
                Identity::App(app)
            }
        }
    }
}

/// All of a verdict that somebody could notice: how he stands to each capability, also when refused, and what he can be
/// granted.
fn rights(verdict: &Verdict, identity: &Identity) -> [CapabilitySet; 5] {
    let open = Grantee::of(identity).map_or(CapabilitySet::EMPTY, |grantee| verdict.open_to_grants(&grantee));
    let shown = verdict.ask().iter().filter(|c| verdict.when_refused(*c) == Standing::Empty);
    [verdict.allowed(), verdict.ask(), verdict.empty(), CapabilitySet::of(shown), open]
}

/// Whether nobody can tell one policy from the other, at any time.
fn check_same(random: &mut Random, one: &Policy, other: &Policy, why: &dyn std::fmt::Debug) {
    let years = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n * 365 * 86400);
    for _ in 0..40 {
        let identity = random.anybody();
        for now in [years(57), years(85), years(100)] {
            let (before, after) = (one.evaluate_at(&identity, now), other.evaluate_at(&identity, now));
            let same = rights(&before, &identity) == rights(&after, &identity);
            assert!(same, "{why:?}\n{:#?}\n{identity:?}\n{before:#?}\n{after:#?}", one.rules);
        }
    }
}

fn for_many_small_policies(check: impl Fn(&Policy, &mut Random)) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..600 {
        let policy = random.small_policy();
        check(&policy, &mut random);
    }
}

#[test]
fn a_rule_that_is_said_to_have_no_effect_can_be_removed() {
    let found = [const { Cell::new(0) }; 4];
    for_many_small_policies(|policy, random| {
        let without = policy.rules_without_effect(&mut Patience::default());
        let remove = |which: &dyn Fn(usize) -> bool| {
            let mut policy = policy.clone();
            policy.rules = policy.rules.into_iter().enumerate().filter(|(at, _)| !which(*at)).map(|(_, r)| r).collect();
            policy.compute();
            policy
        };
        for (at, why) in &without {
            let kind = match why {
                WithoutEffect::Empty => 0,
                WithoutEffect::Same(_) => 1,
                WithoutEffect::Covered(_) if policy.rules[*at].allow.is_none() => 2,
                WithoutEffect::Covered(_) => 3,
            };
            found[kind].set(found[kind].get() + 1);
            check_same(random, policy, &remove(&|other| other == *at), &(at, why));
        }
        if without.len() > 1 {
            check_same(random, policy, &remove(&|at| without.iter().any(|(other, _)| *other == at)), &without);
        }
    });
    assert!(found.iter().all(|n| n.get() > 0), "{found:?}");
}

#[test]
fn a_word_that_is_said_to_have_no_effect_can_be_removed() {
    let found = [const { Cell::new(0) }; 2];
    for_many_small_policies(|policy, random| {
        for at in 0..policy.rules.len() {
            let refused = policy.refused(at, &mut Patience::default());
            for (lost, _) in refused.allow.iter().take(1) {
                found[0].set(found[0].get() + 1);
                let mut other = policy.clone();
                let allow = &mut other.rules[at].allow;
                *allow = allow.map(|allow| allow.difference(*lost));
                other.compute();
                check_same(random, policy, &other, &(at, "allow", lost));
            }
            for (lost, _) in refused.ask.iter().take(1) {
                found[1].set(found[1].get() + 1);
                let mut other = policy.clone();
                other.rules[at].ask = other.rules[at].ask.difference(*lost);
                other.compute();
                check_same(random, policy, &other, &(at, "ask", lost));
            }
        }
    });
    assert!(found.iter().all(|n| n.get() > 50), "{found:?}");
}

/// The kind of a client, and what is known about it.
fn facts(identity: &Identity) -> Option<(Kinds, Facts<'_>)> {
    match identity {
        Identity::App(app) => {
            let kind = match (&app.engine, app.provenance) {
                (None, _) => Kinds::NAMESPACED,
                (Some(_), crate::identity::Provenance::System) => Kinds::SYSTEM,
                (Some(_), crate::identity::Provenance::User) => Kinds::USER,
            };
            Some((kind, Facts::of_app(app)))
        }
        Identity::Host(host) => Some((Kinds::HOST, Facts::of_host(host))),
        Identity::Internal(tag) => Some((Kinds::INTERNAL, Facts::of_internal(tag.as_str()))),
        Identity::Unidentified(_) => None,
    }
}

#[test]
fn a_match_that_is_said_to_be_within_another_is_and_one_that_is_about_nobody_applies_to_nobody() {
    let (within, nobody, somebody) = (Cell::new(0), Cell::new(0), Cell::new(0));
    for_many_small_policies(|policy, random| {
        let matchers: Vec<&Matcher> = policy.rules.iter().map(|rule| &rule.matcher).collect();
        let identities: Vec<_> = (0..20).map(|_| random.anybody()).collect();
        let everybody: Vec<_> = identities.iter().filter_map(facts).collect();
        for one in &matchers {
            assert!(one.is_within(one, &mut Patience::default()), "{one:?}");
            let whom = one.whom(&mut Patience::default()).unwrap();
            nobody.set(nobody.get() + usize::from(whom.against.is_some()));
            for (kind, facts) in &everybody {
                let applies = one.applies(facts) == Applies::Yes;
                somebody.set(somebody.get() + usize::from(applies));
                assert!(!applies || whom.kinds.has(*kind), "{one:?}\n{facts:?}\n{whom:?}");
                assert!(!applies || whom.against.is_none(), "{one:?}\n{facts:?}\n{whom:?}");
            }
            for other in matchers.iter().filter(|other| one.is_within(other, &mut Patience::default())) {
                within.set(within.get() + 1);
                for (_, facts) in &everybody {
                    assert!(one.applies(facts) <= other.applies(facts), "{one:?}\n{other:?}\n{facts:?}");
                }
            }
        }
    });
    let counts = (within.get(), nobody.get(), somebody.get());
    assert!(within.get() > 500 && nobody.get() > 20 && somebody.get() > 1000, "{counts:?}");
}

/// What such a rule takes, it takes from those of whom too little is known alone.
#[test]
fn a_rule_about_nobody_changes_nothing_for_whom_everything_is_known() {
    let known = |app: &AppIdentity| {
        let nested =
            |nested: &NestedLabel| nested.app_id.is_some() && nested.instance_id.is_some() && !nested.extra.is_empty();
        let label = app.engine.is_some() && app.app_id.is_some() && app.instance_id.is_some() && !app.extra.is_empty();
        label && app.namespaces.is_some() && app.uid.is_some() && app.nested.iter().all(nested)
    };
    let found = Cell::new(0);
    for_many_small_policies(|policy, random| {
        for at in 0..policy.rules.len() {
            let whom = policy.rules[at].matcher.whom(&mut Patience::default()).unwrap();
            if whom.against.is_none() {
                continue;
            }
            let mut other = policy.clone();
            other.rules.remove(at);
            other.compute();
            for _ in 0..100 {
                let identity = random.anybody();
                let (before, after) = (policy.evaluate(&identity), other.evaluate(&identity));
                assert!(before.allowed().is_subset(after.allowed()), "{:?}\n{identity:?}", policy.rules);
                let judged = match &identity {
                    Identity::App(app) => known(app),
                    Identity::Host(host) => host.uid.is_some(),
                    Identity::Internal(_) => true,
                    Identity::Unidentified(_) => false,
                };
                if judged {
                    found.set(found.get() + 1);
                    assert_eq!(
                        rights(&before, &identity),
                        rights(&after, &identity),
                        "{:?}\n{identity:?}",
                        policy.rules
                    );
                }
            }
        }
    });
    assert!(found.get() > 300, "{}", found.get());
}
