//! What holds for every policy and every client, tried with many of each.

mod effects;

use std::time::{Duration, SystemTime};

use super::eval::NEVER_FOR_APPS;
use super::{
    Answer, Because, Capability, CapabilitySet, ClientSerial, Effect, Grantee, Grants, Lifetime, NewGrant, Policy,
    Standing, Verdict,
};
use crate::identity::{
    AppId, AppIdentity, Comparison, HostIdentity, Identity, InstanceId, InternalTag, Namespaces, NestedLabel,
    Provenance, Reason, SandboxEngine, UnitName,
};

const NAMES: &[&str] = &[
    "screen-capture",
    "layer-shell",
    "toplevel-list",
    "security-context",
    "identity-monitor",
    "identity-admin",
    "unclassified",
    "output-info",
];

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const ME: ClientSerial = ClientSerial::new(1);

/// A small generator (xorshift64*): the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.one_in(2) { Some(make(self)) } else { None }
    }

    fn list(&mut self) -> String {
        let mut names: Vec<_> = NAMES.iter().filter(|_| self.one_in(2)).map(|n| format!("'{n}'")).collect();
        if self.one_in(4) {
            names.push("'*'".into());
        }
        format!("[{}]", names.join(", "))
    }

    fn rule(&mut self) -> String {
        let mut keys = Vec::new();
        if let Some(engine) = self.maybe(|r| r.pick(&["e", "f", "*", "unknown"])) {
            keys.push(format!("engine = '{engine}'"));
            if engine != "unknown" {
                keys.extend(self.maybe(|r| format!("app-id = '{}'", r.pick(&["a", "b"]))));
                keys.extend(self.maybe(|r| format!("provenance = '{}'", r.pick(&["system", "user"]))));
            }
            if engine == "e" && self.one_in(4) {
                keys.push("instance-id = '1'".into());
            }
        }
        if keys.is_empty() || self.one_in(4) {
            keys.push(format!("unit = '{}.service'", self.pick(&["u", "v"])));
        }
        if self.one_in(3) {
            keys.push(format!("namespaces = '{}'", self.pick(&["own", "shared"])));
        }
        if self.one_in(4) {
            keys.push(format!("uid = {}", self.pick(&["0", "1000", "[0, 1001]"])));
        }
        let mut rule = format!("[[rule]]\nmatch = {{ {} }}\n", keys.join(", "));
        let allow = self.one_in(2);
        if allow {
            rule += &format!("allow = {}\n", self.list());
        }
        let ask = self.one_in(3);
        if ask {
            rule += &format!("ask = {}\n", self.list());
        }
        if !allow && !ask || self.one_in(3) {
            rule += &format!("deny = {}\n", self.list());
            if self.one_in(3) {
                rule += "when-denied = 'empty'\n";
            }
        }
        if (allow || ask) && self.one_in(6) {
            rule += "until = 1999-12-31T23:59:59Z\n";
        }
        rule
    }

    fn policy_text(&mut self) -> String {
        let mut text = String::from("[defaults]\n");
        for key in ["host", "sandboxed", "namespaced", "unidentified"] {
            if !self.one_in(4) {
                text += &format!("{key} = {}\n", self.list());
            }
        }
        for _ in 0..self.below(5) {
            text += &self.rule();
        }
        if self.one_in(4) {
            text += "[trust]\nuser-evidence = 'as-written'\n";
        }
        text
    }

    fn engine(&mut self) -> SandboxEngine {
        SandboxEngine::new(self.pick(&["e", "f", "g"])).unwrap()
    }

    fn app_id(&mut self) -> Option<AppId> {
        self.maybe(|r| AppId::new(r.pick(&["a", "b", "c"])).unwrap())
    }

    fn instance_id(&mut self) -> Option<InstanceId> {
        self.maybe(|r| InstanceId::new(r.pick(&["1", "2"])).unwrap())
    }

    fn unit(&mut self) -> Option<UnitName> {
        self.maybe(|r| UnitName::new(r.pick(&["u.service", "v.service", "w.scope"])).unwrap())
    }

    fn uid(&mut self) -> Option<u32> {
        self.maybe(|r| r.pick(&[0, 1000, 1001]))
    }

    fn provenance(&mut self) -> Provenance {
        self.pick(&[Provenance::System, Provenance::User])
    }

    fn app(&mut self) -> AppIdentity {
        let pid = self.pick(&[Comparison::Same, Comparison::Different]);
        let labelled = !self.one_in(4);
        AppIdentity {
            engine: labelled.then(|| self.engine()),
            app_id: self.app_id().filter(|_| labelled),
            instance_id: self.instance_id().filter(|_| labelled),
            extra: Vec::new(),
            provenance: self.provenance(),
            namespaces: self.maybe(|_| Namespaces { user: Comparison::Same, mount: Comparison::Same, pid }),
            unit: self.unit(),
            uid: self.uid(),
            nested: if self.one_in(4) { vec![self.nested()] } else { Vec::new() },
        }
    }

    /// Anybody, with the verdict on him, limited by another's now and then.
    fn judged(&mut self, policy: &Policy) -> (Identity, Verdict) {
        let identity = match self.below(6) {
            0 => Identity::Host(HostIdentity {
                claim: self.app_id(),
                unit: self.unit(),
                uid: self.uid(),
                ..HostIdentity::default()
            }),
            1 => Identity::unidentified(Reason::Moved),
            2 => Identity::Internal(InternalTag::new("xwayland")),
            _ => Identity::App(self.app()),
        };
        let verdict = policy.evaluate(&identity);
        if !self.one_in(3) {
            return (identity, verdict);
        }
        let (_, other) = self.judged(policy);
        (identity, verdict.intersect(&other, "another"))
    }

    /// Most of them are about the client.
    fn grants(&mut self, identity: &Identity) -> Grants {
        let mut grants = Grants::default();
        for _ in 0..1 + self.below(6) {
            let other = Grantee {
                engine: self.engine(),
                app_id: AppId::new(self.pick(&["a", "b", "c"])).unwrap(),
                instance_id: self.instance_id().filter(|_| self.one_in(3)),
            };
            let grantee = Grantee::of(identity).filter(|_| !self.one_in(4)).unwrap_or(other);
            let lifetime = match self.below(3) {
                0 => Lifetime::Connection(ClientSerial::new(1 + self.below(2) as u64)),
                1 => Lifetime::Session,
                _ => Lifetime::Always,
            };
            let capability = self.pick(NAMES).into();
            let answer = self.pick(&[Answer::Allow, Answer::Allow, Answer::Deny]);
            let expires = self.maybe(|r| NOW + Duration::from_secs(1) - Duration::from_secs(r.below(3) as u64));
            // What no application can have is refused here already.
            let _ = grants.insert(NewGrant { grantee, capability, answer, lifetime, expires });
        }
        grants
    }

    fn nested(&mut self) -> NestedLabel {
        NestedLabel {
            engine: self.engine(),
            app_id: self.app_id(),
            instance_id: self.instance_id(),
            extra: Vec::new(),
            provenance: self.provenance(),
        }
    }
}

fn ask(policy: &Policy, app: &AppIdentity) -> CapabilitySet {
    policy.evaluate(&Identity::App(app.clone())).allowed()
}

/// Calls `check` with many policies, each with its text and a source of clients.
fn for_many_policies(check: impl Fn(&Policy, &str, &mut Random)) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..500 {
        let text = random.policy_text();
        let policy = Policy::parse("p", &text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        for _ in 0..10 {
            check(&policy, &text, &mut random);
        }
    }
}

#[test]
fn t18_nobody_gains_by_not_being_identified() {
    for_many_policies(|policy, text, random| {
        let unidentified = policy.evaluate(&Identity::unidentified(Reason::Moved)).allowed();
        let app = random.app();
        assert!(unidentified.is_subset(ask(policy, &app)), "{text}\n{app:?}");
        let host =
            HostIdentity { claim: random.app_id(), unit: random.unit(), uid: random.uid(), ..HostIdentity::default() };
        assert!(unidentified.is_subset(policy.evaluate(&Identity::Host(host)).allowed()), "{text}");
    });
}

#[test]
fn t11_an_app_that_no_rule_about_unlabelled_ones_names_does_not_gain_by_losing_its_label() {
    for_many_policies(|policy, text, random| {
        if text.contains("unknown") || text.contains("engine = '*'") || text.contains("unit") {
            return;
        }
        let labelled = AppIdentity { engine: Some(random.engine()), ..random.app() };
        let stripped = AppIdentity { engine: None, app_id: None, instance_id: None, ..labelled.clone() };
        assert!(ask(policy, &stripped).is_subset(ask(policy, &labelled)), "{text}\n{labelled:?}");
    });
}

#[test]
fn t12_t15_a_further_nested_label_never_gives() {
    for_many_policies(|policy, text, random| {
        let app = random.app();
        let mut deeper = app.clone();
        deeper.nested.insert(random.below(app.nested.len() + 1), random.nested());
        assert!(ask(policy, &deeper).is_subset(ask(policy, &app)), "{text}\n{deeper:?}");
    });
}

#[test]
fn t21_a_missing_fact_never_gives() {
    for_many_policies(|policy, text, random| {
        let app = random.app();
        let full = ask(policy, &app);
        let less = [
            AppIdentity { namespaces: None, ..app.clone() },
            AppIdentity { app_id: None, ..app.clone() },
            AppIdentity { instance_id: None, ..app.clone() },
            AppIdentity { uid: None, ..app.clone() },
            AppIdentity { namespaces: None, app_id: None, instance_id: None, uid: None, ..app.clone() },
        ];
        for less in less {
            assert!(ask(policy, &less).is_subset(full), "{text}\n{app:?}\n{less:?}");
        }
    });
}

#[test]
fn t04_t10_what_users_can_write_gives_no_more_than_the_host_has() {
    for_many_policies(|policy, text, random| {
        if text.contains("as-written") {
            return;
        }
        let host = policy.defaults.host.set;
        let app = AppIdentity { provenance: Provenance::User, ..random.app() };
        assert!(ask(policy, &app).is_subset(host), "{text}\n{app:?}");
        let claims =
            HostIdentity { claim: random.app_id(), unit: random.unit(), uid: random.uid(), ..HostIdentity::default() };
        assert!(policy.evaluate(&Identity::Host(claims)).allowed().is_subset(host), "{text}");
    });
}

#[test]
fn a_denial_always_wins() {
    for_many_policies(|policy, text, random| {
        let app = random.app();
        let before = ask(policy, &app);
        let name = random.pick(NAMES);
        let denied = Capability::built_in(name).unwrap();
        if !random.one_in(5) {
            return;
        }
        for whom in ["engine = '*'", "engine = '*', namespaces = 'own'", "engine = '*', namespaces = 'shared'"] {
            let denying = format!("{text}\n[[rule]]\nmatch = {{ {whom} }}\ndeny = ['{name}']\n");
            let after = ask(&Policy::parse("p", &denying).unwrap(), &app);
            assert!(after.is_subset(before), "{denying}\n{app:?}");
            let known = app.namespaces.is_some();
            if !whom.contains("namespaces") || !known {
                assert!(!after.contains(denied), "{denying}\n{app:?}");
            }
        }
    });
}

#[test]
fn what_is_withheld_is_never_given() {
    for_many_policies(|policy, text, random| {
        let app = ask(policy, &random.app());
        let unidentified = policy.evaluate(&Identity::unidentified(Reason::Moved)).allowed();
        for set in [app, unidentified] {
            assert!(!set.contains(Capability::SECURITY_CONTEXT) && !set.contains(Capability::IDENTITY_ADMIN), "{text}");
        }
    });
}

#[test]
fn an_intersection_is_one_and_every_answer_has_a_reason() {
    for_many_policies(|policy, text, random| {
        let verdict = |random: &mut Random| policy.evaluate(&Identity::App(random.app()));
        let (a, b) = (verdict(random), verdict(random));
        let both: Verdict = a.intersect(&b, "the context");
        assert_eq!(both.allowed(), a.allowed().intersection(b.allowed()), "{text}");
        for verdict in [a, b, both] {
            let reasons: Vec<_> = verdict.reasons().collect();
            let union = reasons.iter().fold(CapabilitySet::EMPTY, |all, (set, _)| all.union(*set));
            let bits: u32 = reasons.iter().map(|(set, _)| set.bits().count_ones()).sum();
            assert_eq!((union.bits(), bits), (u64::MAX, 64), "{text}");
            assert!(reasons.iter().all(|(_, because)| **because != super::Because::NotEvaluated), "{text}");
        }
    });
}

/// Whether this reason, or one that it rests on, leaves no room for an answer.
fn is_final(because: &Because) -> bool {
    let open = matches!(
        because,
        Because::Ask { .. } | Because::Default { .. } | Because::LeftOut { .. } | Because::NotInStar { .. }
    );
    !open && !matches!(because, Because::Rule { effect, .. } if *effect != Effect::Deny)
}

#[test]
fn a_grant_gives_only_to_its_grantee_and_only_what_is_open() {
    let given = std::cell::Cell::new(0);
    for_many_policies(|policy, text, random| {
        let (identity, verdict) = random.judged(policy);
        let grants = random.grants(&identity);
        let after = policy.decide(&identity, verdict.clone(), &grants, ME, NOW);
        for capability in after.allowed().difference(verdict.allowed()).iter() {
            given.set(given.get() + 1);
            let case = format!("{text}\n{identity:?}\n{grants:?}\n{capability:?}");
            let Identity::App(app) = &identity else { panic!("{case}") };
            assert!(app.engine.is_some() && app.app_id.is_some(), "{case}");
            assert!(!is_final(verdict.reason(capability)), "{case}\n{}", verdict.reason(capability));
            assert!(!NEVER_FOR_APPS.contains(capability), "{case}");
            let capped = app.provenance == Provenance::User && !text.contains("as-written");
            assert!(!capped || policy.defaults.host.set.contains(capability), "{case}");
            assert!(app.nested.iter().all(|nested| ask(policy, &alone(app, nested)).contains(capability)), "{case}");
            let Because::Grant { id, .. } = after.reason(capability) else { panic!("{case}") };
            let grant = grants.get(*id).unwrap();
            assert!(grant.answer == Answer::Allow && grant.grantee.is(&identity) && !grant.has_expired(NOW), "{case}");
            assert!(!matches!(grant.lifetime, Lifetime::Connection(serial) if serial != ME), "{case}");
        }
    });
    assert!(given.get() > 100, "{}", given.get());
}

/// A nested label as if it were the outermost one.
fn alone(outer: &AppIdentity, nested: &NestedLabel) -> AppIdentity {
    AppIdentity {
        engine: Some(nested.engine.clone()),
        app_id: nested.app_id.clone(),
        instance_id: nested.instance_id.clone(),
        provenance: nested.provenance,
        nested: Vec::new(),
        ..outer.clone()
    }
}

#[test]
fn a_grant_that_denies_always_wins_and_one_that_has_expired_is_as_if_absent() {
    for_many_policies(|policy, text, random| {
        let (identity, verdict) = random.judged(policy);
        let grants = random.grants(&identity);
        let after = policy.decide(&identity, verdict.clone(), &grants, ME, NOW);
        let covers = |lifetime| !matches!(lifetime, Lifetime::Connection(serial) if serial != ME);
        for grant in grants.list().filter(|g| g.answer == Answer::Deny && !g.has_expired(NOW) && covers(g.lifetime)) {
            let capability = Capability::built_in(&grant.capability).unwrap();
            let unnamed = !identity.is_identified() || matches!(&identity, Identity::App(app) if app.engine.is_none());
            if unnamed || grant.grantee.is(&identity) {
                let expected = verdict.when_refused(capability);
                assert!(expected < Standing::Ask, "{text}");
                assert_eq!(after.standing(capability), expected, "{text}\n{identity:?}\n{grants:?}");
            }
        }
        let mut current = grants.clone();
        current.drop_expired(NOW);
        assert_eq!(policy.decide(&identity, verdict, &current, ME, NOW), after, "{text}\n{identity:?}\n{grants:?}");
    });
}

#[test]
fn t18_nobody_gains_by_not_being_identified_when_grants_deny() {
    for_many_policies(|policy, text, random| {
        let app = random.app();
        let grants = random.grants(&Identity::App(app.clone()));
        let decide = |identity: &Identity| policy.decide(identity, policy.evaluate(identity), &grants, ME, NOW);
        let unidentified = decide(&Identity::unidentified(Reason::Moved)).allowed();
        assert!(unidentified.is_subset(decide(&Identity::App(app.clone())).allowed()), "{text}\n{app:?}\n{grants:?}");
    });
}
