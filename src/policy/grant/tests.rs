use std::time::{Duration, SystemTime};

use super::*;
use crate::identity::{AppIdentity, HostIdentity, InternalTag, Namespaces, NestedLabel, Provenance, Reason};
use crate::policy::{Because, Capability, Policy, Standing, Verdict};

const CAPTURE: Capability = Capability::SCREEN_CAPTURE;
const ME: ClientSerial = ClientSerial::new(7);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn policy(text: &str) -> Policy {
    Policy::parse("p.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn app(engine: &str, app_id: Option<&str>) -> AppIdentity {
    AppIdentity {
        engine: Some(SandboxEngine::new(engine).unwrap()),
        app_id: app_id.map(|id| AppId::new(id).unwrap()),
        ..AppIdentity::unknown(Namespaces::SHARED)
    }
}

fn grantee(engine: &str, app_id: &str) -> Grantee {
    Grantee { engine: SandboxEngine::new(engine).unwrap(), app_id: AppId::new(app_id).unwrap(), instance_id: None }
}

fn new(answer: Answer, capability: &str) -> NewGrant {
    NewGrant {
        grantee: grantee("e", "a"),
        capability: capability.into(),
        answer,
        lifetime: Lifetime::Session,
        expires: None,
    }
}

fn grants(of: impl IntoIterator<Item = NewGrant>) -> Grants {
    let mut grants = Grants::default();
    for new in of {
        grants.insert(new).unwrap();
    }
    grants
}

fn decide(policy: &Policy, identity: &Identity, grants: &Grants) -> Verdict {
    policy.decide(identity, policy.evaluate(identity), grants, ME, now())
}

#[test]
fn a_grant_gives_what_a_default_and_a_rule_leave_open() {
    let me = Identity::App(app("e", Some("a")));
    let allow = grants([new(Answer::Allow, "screen-capture")]);
    for text in ["", "[[rule]]\nmatch = { engine = 'e' }\nallow = ['output-info']"] {
        let policy = policy(text);
        let verdict = decide(&policy, &me, &allow);
        assert!(verdict.allows(CAPTURE), "{text}");
        assert_eq!(verdict.reason(CAPTURE).to_string(), "grant 1 allows it (session)");
        for other in [app("e", Some("b")), app("f", Some("a")), app("e", None)] {
            assert!(!decide(&policy, &Identity::App(other), &allow).allows(CAPTURE), "{text}");
        }
    }
}

#[test]
fn a_grant_gives_nothing_over_what_a_rule_denies_or_may_deny() {
    let me = Identity::App(app("e", Some("a")));
    let allow = grants([new(Answer::Allow, "screen-capture")]);
    for key in ["engine = 'e'", "engine = 'e', instance-id = '1'"] {
        let policy = policy(&format!("[[rule]]\nmatch = {{ {key} }}\ndeny = ['screen-capture']"));
        assert!(!decide(&policy, &me, &allow).allows(CAPTURE), "{key}");
    }
}

#[test]
fn t10_a_grant_gives_no_more_than_the_host_has_for_what_a_user_can_write() {
    let allow = grants([new(Answer::Allow, "screen-capture")]);
    let user = Identity::App(app("e", Some("a")));
    let system = Identity::App(AppIdentity { provenance: Provenance::System, ..app("e", Some("a")) });
    let narrow = policy("[defaults]\nhost = ['output-info']");
    assert!(!decide(&narrow, &user, &allow).allows(CAPTURE));
    assert!(decide(&narrow, &system, &allow).allows(CAPTURE));
    let as_written = policy("[defaults]\nhost = []\n[trust]\nuser-evidence = 'as-written'");
    assert!(decide(&as_written, &user, &allow).allows(CAPTURE));
}

#[test]
fn t12_a_grant_gives_nothing_that_a_nested_label_does_not_have() {
    let allow = grants([new(Answer::Allow, "screen-capture")]);
    let nested = NestedLabel {
        engine: SandboxEngine::new("f").unwrap(),
        app_id: Some(AppId::new("b").unwrap()),
        instance_id: None,
        extra: Vec::new(),
        provenance: Provenance::User,
    };
    let me = Identity::App(AppIdentity { nested: vec![nested], ..app("e", Some("a")) });
    for (rule, allowed) in [("", false), ("deny = ['screen-capture']", false), ("allow = ['screen-capture']", true)] {
        let rule =
            if rule.is_empty() { String::new() } else { format!("[[rule]]\nmatch = {{ engine = 'f' }}\n{rule}") };
        assert_eq!(decide(&policy(&rule), &me, &allow).allows(CAPTURE), allowed, "{rule}");
    }
    // What is inside the sandbox cannot have a grant used that is about it and not about what is around it.
    let mut inside = new(Answer::Allow, "screen-capture");
    inside.grantee = grantee("f", "b");
    assert!(!decide(&policy(""), &me, &grants([inside])).allows(CAPTURE));
}

#[test]
fn a_grant_gives_nothing_that_a_second_verdict_does_not_have() {
    let text = "[[rule]]\nmatch = { engine = 'f' }\ndeny = ['screen-capture']";
    let policy = policy(text);
    let me = Identity::App(app("e", Some("a")));
    let allow = grants([new(Answer::Allow, "screen-capture")]);
    let of = |identity: &Identity| policy.evaluate(identity);
    let with = |other: &Identity| {
        policy.decide(&me, of(&me).intersect(&of(other), "another"), &allow, ME, now()).allows(CAPTURE)
    };
    assert!(!with(&Identity::App(app("f", Some("a")))), "denied by a rule");
    assert!(!with(&Identity::App(app("g", Some("a")))), "left open, to another application");
    assert!(!with(&Identity::unidentified(Reason::Moved)));
    assert!(with(&me), "the same application, by two witnesses");
    assert!(with(&Identity::Host(HostIdentity::default())), "it has it");
}

#[test]
fn neither_the_host_nor_who_has_no_name_can_be_granted_anything() {
    let allow = grants([new(Answer::Allow, "identity-monitor")]);
    let policy = policy("");
    let others = [
        Identity::Host(HostIdentity { claim: Some(AppId::new("a").unwrap()), ..HostIdentity::default() }),
        Identity::Internal(InternalTag::new("a")),
        Identity::unidentified(Reason::PeerGone),
        Identity::App(AppIdentity::unknown(Namespaces::SHARED)),
        Identity::App(app("e", None)),
    ];
    for other in others {
        assert_eq!(Grantee::of(&other), None, "{other}");
        assert!(!decide(&policy, &other, &allow).allows(Capability::IDENTITY_MONITOR), "{other}");
    }
}

#[test]
fn a_denial_beats_every_allowance_whatever_their_order_and_lifetime() {
    let me = Identity::App(app("e", Some("a")));
    let policy = policy("[[rule]]\nmatch = { engine = 'e' }\nallow = ['screen-capture']");
    let deny = NewGrant { lifetime: Lifetime::Always, ..new(Answer::Deny, "screen-capture") };
    let allow = NewGrant { lifetime: Lifetime::Connection(ME), ..new(Answer::Allow, "screen-capture") };
    for order in [[deny.clone(), allow.clone()], [allow, deny]] {
        let verdict = decide(&policy, &me, &grants(order));
        assert_eq!(verdict.standing(CAPTURE), Standing::Denied);
        assert!(matches!(verdict.reason(CAPTURE), Because::Grant { answer: Answer::Deny, .. }));
    }
}

#[test]
fn an_answer_replaces_a_question_and_a_no_looks_as_the_rule_has_it() {
    let me = Identity::App(app("e", Some("a")));
    for (when_denied, refused) in [("hide", Standing::Denied), ("empty", Standing::Empty)] {
        let rule =
            format!("[[rule]]\nmatch = {{ engine = 'e' }}\nask = ['screen-capture']\nwhen-denied = '{when_denied}'");
        let policy = policy(&rule);
        let standing = |grants: &Grants| decide(&policy, &me, grants).standing(CAPTURE);
        assert_eq!(standing(&Grants::default()), Standing::Ask);
        assert_eq!(standing(&grants([new(Answer::Allow, "screen-capture")])), Standing::Allowed);
        assert_eq!(standing(&grants([new(Answer::Deny, "screen-capture")])), refused);
    }
}

#[test]
fn t18_a_denial_is_not_evaded_by_being_less_well_known() {
    let policy = policy(
        "[defaults]\nsandboxed = ['screen-capture']\nnamespaced = ['screen-capture']\nunidentified = ['screen-capture']",
    );
    let deny = grants([new(Answer::Deny, "screen-capture")]);
    let less = [
        Identity::App(app("e", Some("a"))),
        Identity::App(app("e", None)),
        Identity::App(AppIdentity::unknown(Namespaces::SHARED)),
        Identity::unidentified(Reason::Moved),
    ];
    for identity in less {
        assert!(decide(&policy, &identity, &Grants::default()).allows(CAPTURE), "{identity}");
        assert!(!decide(&policy, &identity, &deny).allows(CAPTURE), "{identity}");
    }
    assert!(decide(&policy, &Identity::App(app("e", Some("b"))), &deny).allows(CAPTURE));
}

#[test]
fn a_grant_to_a_connection_or_an_instance_is_for_no_other() {
    let policy = policy("");
    let instance = |id: Option<&str>| AppIdentity {
        instance_id: id.map(|id| InstanceId::new(id).unwrap()),
        ..app("e", Some("a"))
    };
    let first = Identity::App(instance(Some("1")));
    let mut allow = new(Answer::Allow, "screen-capture");
    allow.grantee = Grantee::instance_of(&first).unwrap();
    let allow = grants([allow]);
    assert!(decide(&policy, &first, &allow).allows(CAPTURE));
    for other in [instance(Some("2")), instance(None)] {
        assert!(!decide(&policy, &Identity::App(other), &allow).allows(CAPTURE));
    }
    let here = grants([NewGrant { lifetime: Lifetime::Connection(ME), ..new(Answer::Allow, "screen-capture") }]);
    assert!(decide(&policy, &first, &here).allows(CAPTURE));
    let elsewhere = policy.decide(&first, policy.evaluate(&first), &here, ClientSerial::new(8), now());
    assert!(!elsewhere.allows(CAPTURE));
}

#[test]
fn what_has_expired_is_as_if_it_had_never_been() {
    let me = Identity::App(app("e", Some("a")));
    let policy = policy("");
    let until = |seconds: i64| {
        let end = now().checked_add(Duration::from_secs(seconds.unsigned_abs())).unwrap();
        let end = if seconds < 0 { now() - Duration::from_secs(seconds.unsigned_abs()) } else { end };
        grants([NewGrant { expires: Some(end), ..new(Answer::Allow, "screen-capture") }])
    };
    assert!(decide(&policy, &me, &until(1)).allows(CAPTURE));
    for ended in [0, -1] {
        let mut grants = until(ended);
        assert_eq!(decide(&policy, &me, &grants), decide(&policy, &me, &Grants::default()));
        assert_eq!(grants.drop_expired(now()).len(), 1);
        assert!(grants.is_empty());
    }
}

#[test]
fn a_capability_that_the_policy_does_not_have_is_not_regarded() {
    let me = Identity::App(app("e", Some("a")));
    let allow = grants([new(Answer::Allow, "my-experiment")]);
    assert!(decide(&policy(""), &me, &allow).allowed().is_empty());
    let policy = policy("[capabilities]\nmy-experiment = ['xx_my_manager_v1']");
    let own = policy.capability("my-experiment").unwrap();
    assert_eq!(decide(&policy, &me, &allow).allowed(), crate::policy::CapabilitySet::of([own]));
}

#[test]
fn what_no_application_can_have_is_not_granted_and_names_are_checked() {
    let mut grants = Grants::default();
    for name in ["security-context", "identity-admin"] {
        assert!(matches!(grants.insert(new(Answer::Allow, name)), Err(GrantError::Withheld(_))));
    }
    for name in ["", "*", "Screen", "a b", "a\n", "a\"", &"a".repeat(161)] {
        assert!(matches!(grants.insert(new(Answer::Allow, name)), Err(GrantError::NotACapability(_))), "{name:?}");
    }
    assert!(grants.insert(new(Answer::Allow, "interface:xx_Thing_v1")).is_ok());
}

#[test]
fn a_second_answer_takes_the_place_of_the_first_and_no_number_comes_back() {
    let mut grants = Grants::default();
    let first = grants.insert(new(Answer::Allow, "screen-capture")).unwrap();
    let deny = new(Answer::Deny, "screen-capture");
    assert_eq!(grants.replaced_by(&deny).map(|grant| grant.id), Some(first));
    let second = grants.insert(deny).unwrap();
    assert_eq!(grants.list().map(|grant| grant.id).collect::<Vec<_>>(), [second]);
    assert_eq!(grants.revoke(second).map(|grant| grant.answer), Some(Answer::Deny));
    assert_eq!(grants.revoke(second), None);
    assert!(grants.insert(new(Answer::Allow, "screen-capture")).unwrap() > second);
}

#[test]
fn there_are_never_too_many() {
    let mut grants = Grants::default();
    let connection =
        |n| NewGrant { lifetime: Lifetime::Connection(ClientSerial::new(n)), ..new(Answer::Allow, "screen-capture") };
    for n in 0..MAX_GRANTS as u64 {
        grants.insert(connection(n)).unwrap();
    }
    assert!(matches!(grants.insert(connection(u64::MAX)), Err(GrantError::TooMany)));
    assert!(grants.insert(connection(0)).is_ok(), "in the place of another");
    assert_eq!(grants.forget_connection(ClientSerial::new(3)).len(), 1);
    assert!(grants.insert(connection(u64::MAX)).is_ok());
}
