use super::super::{Because, Policy, Verdict};
use super::*;
use crate::identity::{
    AppId, Comparison, HostIdentity, InternalTag, Namespaces, NestedLabel, Provenance, Reason, SandboxEngine, UnitName,
};

const CAPTURE: Capability = Capability::SCREEN_CAPTURE;
const LAYER: Capability = Capability::LAYER_SHELL;
const LIST: Capability = Capability::TOPLEVEL_LIST;

fn policy(text: &str) -> Policy {
    Policy::parse("p.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn app(engine: Option<&str>, app_id: Option<&str>) -> AppIdentity {
    AppIdentity {
        engine: engine.map(|e| SandboxEngine::new(e).unwrap()),
        app_id: app_id.map(|a| AppId::new(a).unwrap()),
        instance_id: None,
        extra: Vec::new(),
        provenance: Provenance::User,
        namespaces: None,
        unit: None,
        uid: None,
        nested: Vec::new(),
    }
}

fn ask(policy: &Policy, app: &AppIdentity) -> Verdict {
    policy.evaluate(&Identity::App(app.clone()))
}

fn unit(name: &str) -> Option<UnitName> {
    Some(UnitName::new(name).unwrap())
}

fn unidentified() -> Identity {
    Identity::unidentified(Reason::PeerGone)
}

fn of(capabilities: impl IntoIterator<Item = Capability>) -> CapabilitySet {
    CapabilitySet::of(capabilities)
}

#[test]
fn without_a_file_the_host_has_everything_and_all_others_nothing() {
    let policy = Policy::built_in();
    let host = policy.evaluate(&Identity::Host(HostIdentity::default()));
    for capability in policy.capabilities() {
        assert_eq!(host.allows(capability), !NOT_IN_STAR.contains(capability), "{capability:?}");
    }
    assert_eq!(host.reason(CAPTURE).to_string(), "[defaults] host has it");
    assert_eq!(host.reason(Capability::IDENTITY_ADMIN), &Because::NotInStar { class: DefaultClass::Host });
    let app = Identity::App(app(Some("org.flatpak"), Some("a.b")));
    for other in [app, unidentified(), Identity::Internal(InternalTag::new("xwayland"))] {
        assert!(policy.evaluate(&other).allowed().is_empty(), "{other}");
    }
}

#[test]
fn a_rule_replaces_the_default_and_says_so_by_file_and_line() {
    let policy = policy(
        "[defaults]\nsandboxed = ['output-info']\n\n[[rule]]\nmatch = { engine = 'e', app-id = 'a' }\nallow = ['screen-capture']",
    );
    let named = ask(&policy, &app(Some("e"), Some("a")));
    assert_eq!(named.allowed(), of([CAPTURE]));
    assert_eq!(named.reason(CAPTURE).to_string(), "the rule at p.toml:4 allows it");
    assert_eq!(named.reason(Capability::OUTPUT_INFO).to_string(), "the rule at p.toml:4 applies and does not allow it");
    let other = ask(&policy, &app(Some("e"), Some("b")));
    assert_eq!(other.allowed(), of([Capability::OUTPUT_INFO]));
    assert_eq!(other.reason(Capability::OUTPUT_INFO).to_string(), "[defaults] sandboxed has it (p.toml:2)");
}

#[test]
fn two_engines_may_share_an_app_id() {
    let policy = policy("[[rule]]\nmatch = { engine = 'org.flatpak', app-id = 'a' }\nallow = ['screen-capture']");
    assert!(ask(&policy, &app(Some("flatpak"), Some("a"))).allows(CAPTURE));
    assert!(!ask(&policy, &app(Some("io.snapcraft"), Some("a"))).allows(CAPTURE));
    assert!(!ask(&policy, &app(None, Some("a"))).allows(CAPTURE));
}

#[test]
fn rules_add_up_and_a_denial_beats_them_all() {
    let policy = policy(
        "[[rule]]\nmatch = { engine = 'e' }\nallow = ['screen-capture']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\nallow = ['layer-shell', 'toplevel-list']\n\
         [[rule]]\nmatch = { engine = '*' }\ndeny = ['toplevel-list']",
    );
    let verdict = ask(&policy, &app(Some("e"), Some("a")));
    assert_eq!(verdict.allowed(), of([CAPTURE, LAYER]));
    assert_eq!(verdict.reason(LIST).to_string(), "the rule at p.toml:7 denies it");
}

#[test]
fn a_rule_that_only_denies_leaves_the_rest_of_the_default() {
    let policy = policy(
        "[defaults]\nsandboxed = ['screen-capture', 'layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e' }\ndeny = ['layer-shell']",
    );
    assert_eq!(ask(&policy, &app(Some("e"), Some("a"))).allowed(), of([CAPTURE]));
}

#[test]
fn an_empty_allow_leaves_nothing() {
    let policy = policy("[defaults]\nsandboxed = ['*']\n[[rule]]\nmatch = { engine = 'e' }\nallow = []");
    assert!(ask(&policy, &app(Some("e"), None)).allowed().is_empty());
}

#[test]
fn t10_a_users_label_gives_no_more_than_the_host_has_and_a_systems_label_does() {
    let text = "[defaults]\nhost = ['layer-shell', 'security-context']\n\
                [[rule]]\nmatch = { engine = 'e' }\nallow = ['screen-capture', 'layer-shell']";
    let mut app = app(Some("e"), None);
    let verdict = ask(&policy(text), &app);
    assert_eq!(verdict.allowed(), of([LAYER]));
    assert_eq!(verdict.reason(CAPTURE), &Because::Capped);
    let as_written = policy(&format!("[trust]\nuser-evidence = 'as-written'\n{text}"));
    assert_eq!(ask(&as_written, &app).allowed(), of([CAPTURE, LAYER]));
    app.provenance = Provenance::System;
    assert_eq!(ask(&policy(text), &app).allowed(), of([CAPTURE, LAYER]));
}

#[test]
fn a_default_is_capped_too() {
    let policy = policy("[defaults]\nhost = ['layer-shell', 'security-context']\nsandboxed = ['*']");
    let verdict = ask(&policy, &app(Some("e"), None));
    assert_eq!(verdict.allowed(), of([LAYER]));
    assert_eq!(verdict.reason(CAPTURE), &Because::Capped);
}

#[test]
fn an_unlabelled_app_is_user_evidence_whatever_its_provenance_says() {
    let policy = policy(
        "[defaults]\nhost = ['layer-shell', 'security-context']\n\
         [[rule]]\nmatch = { engine = 'unknown' }\nallow = ['screen-capture', 'layer-shell']",
    );
    let mut app = app(None, None);
    app.provenance = Provenance::System;
    assert_eq!(ask(&policy, &app).allowed(), of([LAYER]));
}

#[test]
fn some_capabilities_are_never_an_applications() {
    let policy = policy(
        "[defaults]\nhost = ['*', 'identity-admin', 'identity-monitor']\nsandboxed = ['*']\n\
         [defaults.internal]\nx = ['*', 'identity-admin']\n\
         [[rule]]\nmatch = { engine = 'e' }\nallow = ['security-context', 'identity-admin', 'identity-monitor']",
    );
    let mut named = app(Some("e"), None);
    named.provenance = Provenance::System;
    assert_eq!(ask(&policy, &named).allowed(), of([Capability::IDENTITY_MONITOR]));
    assert_eq!(ask(&policy, &named).reason(Capability::SECURITY_CONTEXT), &Because::Withheld);
    assert!(!ask(&policy, &app(Some("f"), None)).allows(Capability::SECURITY_CONTEXT));
    let internal = policy.evaluate(&Identity::Internal(InternalTag::new("x")));
    assert!(internal.allows(Capability::IDENTITY_ADMIN) && !internal.allows(Capability::SECURITY_CONTEXT));
    let host = policy.evaluate(&Identity::Host(HostIdentity::default()));
    assert!(host.allows(Capability::SECURITY_CONTEXT) && host.allows(Capability::IDENTITY_ADMIN));
}

#[test]
fn t12_t15_a_nested_label_can_only_take() {
    let policy = policy(
        "[[rule]]\nmatch = { engine = 'e', app-id = 'outer' }\nallow = ['screen-capture', 'layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'inner' }\nallow = ['screen-capture', 'toplevel-list']",
    );
    let mut app = app(Some("e"), Some("outer"));
    app.nested.push(NestedLabel {
        engine: SandboxEngine::new("e").unwrap(),
        app_id: Some(AppId::new("inner").unwrap()),
        instance_id: None,
        extra: Vec::new(),
        provenance: Provenance::User,
    });
    let verdict = ask(&policy, &app);
    assert_eq!(verdict.allowed(), of([CAPTURE]));
    assert_eq!(
        verdict.reason(LAYER).to_string(),
        "inside it is inner of e: the rule at p.toml:4 applies and does not allow it"
    );
}

#[test]
fn a_host_process_is_no_app_whatever_it_claims() {
    let policy = policy(
        "[defaults]\nhost = ['layer-shell', 'security-context']\n[trust]\nuser-evidence = 'as-written'\n\
         [[rule]]\nmatch = { engine = '*', app-id = 'a' }\nallow = ['screen-capture']\ndeny = ['layer-shell']",
    );
    let host = HostIdentity { claim: Some(AppId::new("a").unwrap()), unit: None, ..HostIdentity::default() };
    assert_eq!(policy.evaluate(&Identity::Host(host)).allowed(), of([LAYER, Capability::SECURITY_CONTEXT]));
}

#[test]
fn a_unit_rule_takes_from_the_host_and_gives_only_as_written() {
    let text = "[defaults]\nhost = ['layer-shell', 'security-context']\n\
                [[rule]]\nmatch = { unit = 'a.service' }\nallow = ['screen-capture']\ndeny = ['layer-shell']";
    let inside = Identity::Host(HostIdentity { claim: None, unit: unit("a.service"), ..HostIdentity::default() });
    let outside = Identity::Host(HostIdentity { claim: None, unit: unit("b.service"), ..HostIdentity::default() });
    let capped = policy(text);
    assert_eq!(capped.evaluate(&inside).allowed(), of([Capability::SECURITY_CONTEXT]));
    assert_eq!(capped.evaluate(&inside).reason(CAPTURE), &Because::Capped);
    assert_eq!(capped.evaluate(&outside).allowed(), of([LAYER, Capability::SECURITY_CONTEXT]));
    let as_written = policy(&format!("[trust]\nuser-evidence = 'as-written'\n{text}"));
    assert_eq!(as_written.evaluate(&inside).allowed(), of([CAPTURE, Capability::SECURITY_CONTEXT]));
}

#[test]
fn a_unit_rule_serves_a_namespaced_service_and_no_label_inside_it() {
    let policy = policy("[[rule]]\nmatch = { unit = 'portal.service' }\nallow = ['screen-capture']");
    let mut service = app(None, None);
    service.unit = unit("portal.service");
    assert!(ask(&policy, &service).allows(CAPTURE));
    let mut labelled = app(Some("e"), Some("a"));
    labelled.unit = unit("portal.service");
    labelled.provenance = Provenance::System;
    assert!(ask(&policy, &labelled).allowed().is_empty());
}

#[test]
fn a_rule_that_asks_for_a_unit_gives_no_more_than_the_host_has_even_to_a_systems_label() {
    let policy = policy(
        "[defaults]\nhost = ['layer-shell', 'security-context']\n\
         [[rule]]\nmatch = { engine = 'e', unit = 'a.service' }\nallow = ['screen-capture', 'layer-shell']",
    );
    let mut app = app(Some("e"), None);
    app.unit = unit("a.service");
    app.provenance = Provenance::System;
    assert_eq!(ask(&policy, &app).allowed(), of([LAYER]));
}

#[test]
fn t21_where_a_fact_is_missing_a_denial_counts_and_an_allowance_does_not() {
    let text = |effect| {
        format!(
            "[defaults]\nsandboxed = ['screen-capture', 'layer-shell']\n\
             [[rule]]\nmatch = {{ engine = 'e', namespaces = 'shared' }}\n{effect}"
        )
    };
    let same = Namespaces { user: Comparison::Same, mount: Comparison::Same, pid: Comparison::Same };
    let own = Namespaces { pid: Comparison::Different, ..same };
    let with = |namespaces| AppIdentity { namespaces, ..app(Some("e"), None) };

    let denying = policy(&text("deny = ['screen-capture']"));
    assert_eq!(ask(&denying, &with(Some(own))).allowed(), of([CAPTURE, LAYER]));
    assert_eq!(ask(&denying, &with(Some(same))).allowed(), of([LAYER]));
    let verdict = ask(&denying, &with(None));
    assert_eq!(verdict.allowed(), of([LAYER]));
    assert!(matches!(verdict.reason(CAPTURE), Because::Uncertain { .. }));

    let allowing = policy(&text("allow = ['toplevel-list', 'layer-shell']"));
    assert_eq!(ask(&allowing, &with(Some(own))).allowed(), of([CAPTURE, LAYER]));
    assert_eq!(ask(&allowing, &with(Some(same))).allowed(), of([LIST, LAYER]));
    // Only what it has either way.
    assert_eq!(ask(&allowing, &with(None)).allowed(), of([LAYER]));
}

#[test]
fn t21_a_user_who_is_not_known_may_be_any() {
    let text = |keys: &str, effect| {
        format!("[defaults]\nsandboxed = ['screen-capture', 'layer-shell']\n[[rule]]\nmatch = {{ {keys} }}\n{effect}")
    };
    let of_user = |uid| AppIdentity { uid, ..app(Some("e"), None) };
    let denying = policy(&text("uid = [1000, 0]", "deny = ['screen-capture']"));
    for (uid, allowed) in [(Some(1000), of([LAYER])), (Some(1001), of([CAPTURE, LAYER])), (None, of([LAYER]))] {
        assert_eq!(ask(&denying, &of_user(uid)).allowed(), allowed, "{uid:?}");
        // The host, and a label inside, are of that user as well.
        let host = denying.evaluate(&Identity::Host(HostIdentity { uid, ..HostIdentity::default() }));
        assert_eq!(host.allows(CAPTURE), allowed.contains(CAPTURE), "{uid:?}");
    }
    assert!(matches!(ask(&denying, &of_user(None)).reason(CAPTURE), Because::Uncertain { .. }));
    let allowing = policy(&text("engine = 'e', uid = 1000", "allow = ['toplevel-list', 'layer-shell']"));
    assert_eq!(ask(&allowing, &of_user(Some(1000))).allowed(), of([LIST, LAYER]));
    assert_eq!(ask(&allowing, &of_user(Some(1001))).allowed(), of([CAPTURE, LAYER]));
    // Only what it has either way.
    assert_eq!(ask(&allowing, &of_user(None)).allowed(), of([LAYER]));
    let others = policy(&text("not = { uid = 1000 }", "deny = ['screen-capture']"));
    for (uid, allowed) in [(Some(1000), true), (Some(1001), false), (None, false)] {
        assert_eq!(ask(&others, &of_user(uid)).allows(CAPTURE), allowed, "{uid:?}");
    }
}

#[test]
fn a_label_inside_is_of_the_same_user() {
    let policy =
        policy("[defaults]\nsandboxed = ['layer-shell']\n[[rule]]\nmatch = { engine = 'f', uid = 1000 }\ndeny = ['*']");
    let mut outer = AppIdentity { uid: Some(1001), ..app(Some("e"), None) };
    outer.nested.push(NestedLabel {
        engine: SandboxEngine::new("f").unwrap(),
        app_id: None,
        instance_id: None,
        extra: Vec::new(),
        provenance: Provenance::User,
    });
    assert!(ask(&policy, &outer).allows(LAYER));
    outer.uid = Some(1000);
    assert!(ask(&policy, &outer).allowed().is_empty());
}

#[test]
fn a_user_gives_nothing_to_a_unit_s_labels_and_nothing_to_socket_pairs() {
    let text = "[[rule]]\nmatch = { uid = 1000, unit = 'u.service' }\nallow = ['screen-capture']\n\
                [[rule]]\nmatch = { uid = 1000 }\ndeny = ['layer-shell']\n\
                [defaults.internal]\nx = ['layer-shell']";
    let policy = policy(text);
    let service = AppIdentity { uid: Some(1000), unit: unit("u.service"), ..app(None, None) };
    assert_eq!(ask(&policy, &service).allowed(), of([CAPTURE]));
    let labelled = AppIdentity { uid: Some(1000), unit: unit("u.service"), ..app(Some("e"), None) };
    assert!(ask(&policy, &labelled).allowed().is_empty());
    assert_eq!(policy.evaluate(&Identity::Internal(InternalTag::new("x"))).allowed(), of([LAYER]));
}

#[test]
fn an_engine_that_says_no_app_id_evades_no_denial() {
    let policy = policy(
        "[defaults]\nsandboxed = ['screen-capture', 'layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\ndeny = ['screen-capture']",
    );
    assert_eq!(ask(&policy, &app(Some("e"), None)).allowed(), of([LAYER]));
    assert_eq!(ask(&policy, &app(Some("f"), None)).allowed(), of([CAPTURE, LAYER]));
}

#[test]
fn t11_an_app_that_sheds_its_label_evades_no_denial() {
    for denial in [
        "engine = 'e', app-id = 'evil'",
        "engine = '*', app-id = 'evil'",
        "engine = 'e'",
        "engine = '*', provenance = 'user'",
    ] {
        let policy = policy(&format!(
            "[[rule]]\nmatch = {{ engine = '*' }}\nallow = ['screen-capture', 'layer-shell']\n\
             [[rule]]\nmatch = {{ {denial} }}\ndeny = ['screen-capture']"
        ));
        assert_eq!(ask(&policy, &app(Some("e"), Some("evil"))).allowed(), of([LAYER]), "{denial}");
        assert_eq!(ask(&policy, &app(None, None)).allowed(), of([LAYER]), "{denial}");
    }
    // The control: a rule about units takes nothing from those outside it.
    let policy = policy(
        "[[rule]]\nmatch = { engine = 'unknown' }\nallow = ['layer-shell']\n\
         [[rule]]\nmatch = { unit = 'a.service' }\ndeny = ['layer-shell']",
    );
    assert_eq!(ask(&policy, &app(None, None)).allowed(), of([LAYER]));
}

#[test]
fn no_unit_is_a_fact() {
    let policy =
        policy("[defaults]\nsandboxed = ['layer-shell']\n[[rule]]\nmatch = { unit = 'a.service' }\ndeny = ['*']");
    assert_eq!(ask(&policy, &app(Some("e"), None)).allowed(), of([LAYER]));
}

#[test]
fn t18_failing_to_be_identified_evades_no_rule() {
    let policy = policy(
        "[defaults]\nhost = ['*']\nunidentified = ['*']\nsandboxed = ['screen-capture', 'layer-shell', 'toplevel-list', 'output-info']\n\
         namespaced = ['*']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\ndeny = ['layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'b' }\nallow = ['screen-capture', 'layer-shell', 'output-info']\n\
         [[rule]]\nmatch = { unit = 'c.service' }\ndeny = ['output-info']",
    );
    for (identity, class) in [(unidentified(), "unidentified"), (Identity::App(app(None, None)), "namespaced")] {
        let verdict = policy.evaluate(&identity);
        assert_eq!(verdict.allowed(), of([CAPTURE]), "{class}");
        let reason = |c| verdict.reason(c).to_string();
        assert_eq!(
            reason(LAYER),
            match class {
                "namespaced" =>
                    "the rule at p.toml:6 would take it, and too little is known to tell whether it applies",
                _ => "[defaults] unidentified names it, but the rule at p.toml:6 denies it to others",
            }
        );
        assert_eq!(
            reason(LIST),
            format!("[defaults] {class} names it, but the rule at p.toml:9 does not give it to others")
        );
        assert_eq!(
            reason(Capability::GAMMA_CONTROL),
            format!("[defaults] {class} names it, but [defaults] sandboxed does not have it")
        );
    }
    let reduced = policy.warnings().iter().filter(|w| w.message.starts_with("[defaults]"));
    assert_eq!(reduced.count(), 2, "{:?}", policy.warnings());
}

#[test]
fn an_internal_client_has_what_its_tag_has() {
    let policy = policy("[defaults.internal]\nxwayland = ['xwayland']");
    let ask = |tag: &'static str| policy.evaluate(&Identity::Internal(InternalTag::new(tag)));
    assert_eq!(ask("xwayland").allowed(), of([Capability::XWAYLAND]));
    assert_eq!(
        ask("xwayland").reason(Capability::XWAYLAND).to_string(),
        "[defaults.internal] xwayland has it (p.toml:2)"
    );
    assert!(ask("Xwayland").allowed().is_empty());
    assert_eq!(ask("t\n").reason(CAPTURE).to_string(), "[defaults.internal] t\u{240a} does not have it");
}

#[test]
fn a_verdict_describes_every_capability_by_name() {
    let policy = policy("[capabilities]\nmine = ['xx_mine_v1']\n[defaults]\nsandboxed = ['mine']");
    let described = ask(&policy, &app(Some("e"), None)).describe(&policy);
    assert_eq!(described.len(), policy.capabilities().count());
    let mine = described.last().unwrap();
    assert_eq!((mine.0.as_str(), mine.1, mine.2.as_str()), ("mine", true, "[defaults] sandboxed has it (p.toml:4)"));
}

#[test]
fn patterns_match_by_segments() {
    let policy = policy("[[rule]]\nmatch = { engine = 'flatpak', app-id = 'org.gnome.*' }\nallow = ['screen-capture']");
    for (app_id, allowed) in [("org.gnome.Maps", true), ("org.gnome.Maps.Devel", false), ("org.gnomex.Maps", false)] {
        assert_eq!(ask(&policy, &app(Some("org.flatpak"), Some(app_id))).allows(CAPTURE), allowed, "{app_id}");
    }
}

#[test]
fn any_all_and_not_nest() {
    let policy = policy(
        "[[rule]]\nmatch = { engine = 'e', any = [{ app-id = 'a' }, { app-id = 'b', not = { provenance = 'user' } }] }\n\
         allow = ['screen-capture']",
    );
    let mut b = app(Some("e"), Some("b"));
    assert!(ask(&policy, &app(Some("e"), Some("a"))).allows(CAPTURE));
    assert!(!ask(&policy, &b).allows(CAPTURE) && !ask(&policy, &app(Some("e"), Some("c"))).allows(CAPTURE));
    assert!(!ask(&policy, &app(Some("x"), Some("a"))).allows(CAPTURE));
    b.provenance = Provenance::System;
    assert!(ask(&policy, &b).allows(CAPTURE));
}

/// A fact that is missing makes `not` no surer.
#[test]
fn not_of_what_is_not_known_allows_nothing_and_denies() {
    let allow = policy("[[rule]]\nmatch = { engine = '*', not = { app-id = 'a' } }\nallow = ['screen-capture']");
    let deny = policy(
        "[defaults]\nsandboxed = ['*']\nnamespaced = ['*']\n[[rule]]\nmatch = { engine = '*', not = { app-id = 'a' } }\ndeny = ['screen-capture']",
    );
    assert!(ask(&allow, &app(Some("e"), Some("b"))).allows(CAPTURE));
    assert!(!ask(&deny, &app(Some("e"), Some("b"))).allows(CAPTURE));
    assert!(ask(&deny, &app(Some("e"), Some("a"))).allows(CAPTURE));
    for unknown in [app(Some("e"), None), app(None, None)] {
        assert!(!ask(&allow, &unknown).allows(CAPTURE), "{unknown}");
        assert!(!ask(&deny, &unknown).allows(CAPTURE), "{unknown}");
    }
}

/// A rule that would be about a unit alone in one of its branches gives that branch to nobody with a label.
#[test]
fn a_branch_about_a_unit_gives_nothing_to_labels_inside() {
    let text = "[[rule]]\nmatch = { any = [{ unit = 'a.service' }, { engine = 'e' }] }\nallow = ['screen-capture']";
    let policy = policy(text);
    let mut inside = app(Some("x"), Some("a"));
    inside.unit = unit("a.service");
    assert!(!ask(&policy, &inside).allows(CAPTURE));
    assert!(ask(&policy, &app(Some("e"), Some("a"))).allows(CAPTURE));
    let mut unlabelled = app(None, None);
    unlabelled.unit = unit("a.service");
    assert!(ask(&policy, &unlabelled).allows(CAPTURE));
}

#[test]
fn further_xattrs_can_be_asked_for() {
    let rule = "[[rule]]\nmatch = { engine = 'e', extra = { 'user.example.verified' = 'yes' } }\n";
    let allow = policy(&format!("{rule}allow = ['screen-capture']"));
    let deny = policy(&format!("[defaults]\nsandboxed = ['*']\n{rule}deny = ['screen-capture']"));
    let mut app = app(Some("e"), Some("a"));
    for (value, allows) in [(Some("yes"), true), (Some("no"), false), (None, false)] {
        app.extra = value.map(|value| ("user.example.verified".to_owned(), value.to_owned())).into_iter().collect();
        assert_eq!(ask(&allow, &app).allows(CAPTURE), allows, "{value:?}");
        assert_eq!(ask(&deny, &app).allows(CAPTURE), value == Some("no"), "{value:?}");
    }
}

#[test]
fn only_rules_about_socket_pairs_give_something_to_them() {
    let policy = policy(
        "[defaults.internal]\nxwayland = ['xwayland', 'layer-shell']\n\
         [[rule]]\nmatch = { internal = 'x*' }\nallow = ['toplevel-list']\n\
         [[rule]]\nmatch = { not = { engine = 'e' } }\nallow = ['screen-capture']\n\
         [[rule]]\nmatch = { internal = 'xwayland' }\ndeny = ['layer-shell']",
    );
    let allowed = |tag: &'static str| policy.evaluate(&Identity::Internal(InternalTag::new(tag))).allowed();
    assert_eq!(allowed("xwayland"), of([Capability::XWAYLAND, LIST]));
    assert_eq!(allowed("xother"), of([LIST]));
    assert!(allowed("other").is_empty());
    // And nobody else is a socket pair.
    assert!(!ask(&policy, &app(Some("x"), None)).allows(LIST) && ask(&policy, &app(Some("x"), None)).allows(CAPTURE));
}

/// Who got rid of his label may have got into another unit on the way.
#[test]
fn t11_a_label_that_may_have_been_shed_is_denied_wherever_its_bearer_is_now() {
    let policy = policy(
        "[defaults]\nsandboxed = ['*']\nnamespaced = ['*']\n\
         [[rule]]\nmatch = { engine = 'e', unit = 'a.service' }\ndeny = ['screen-capture']\n\
         [[rule]]\nmatch = { engine = 'unknown', unit = 'b.service' }\nallow = ['screen-capture']",
    );
    let mut shed = app(None, None);
    shed.unit = unit("b.service");
    assert!(!ask(&policy, &shed).allows(CAPTURE));
    let mut labelled = app(Some("e"), None);
    labelled.unit = unit("b.service");
    assert!(ask(&policy, &labelled).allows(CAPTURE));
}

#[test]
fn what_a_rule_asks_for_is_neither_allowed_nor_denied_and_names_the_application() {
    let policy = policy(
        "[defaults]\nsandboxed = ['layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\nask = ['screen-capture']",
    );
    let verdict = ask(&policy, &app(Some("e"), Some("a")));
    assert_eq!((verdict.allowed(), verdict.ask(), verdict.empty()), (of([]), of([CAPTURE]), of([])));
    assert_eq!(verdict.visible(), of([CAPTURE]));
    assert_eq!(verdict.reason(CAPTURE).to_string(), "the rule at p.toml:3 asks for it");
    assert_eq!(verdict.reason(LAYER).to_string(), "the rule at p.toml:3 applies and does not allow it");
    assert_eq!(verdict.when_refused(CAPTURE), Standing::Denied);
}

#[test]
fn a_denial_beats_a_question_and_a_question_beats_a_permission() {
    let rule =
        |engine: &str, key: &str| format!("[[rule]]\nmatch = {{ engine = '{engine}' }}\n{key} = ['screen-capture']\n");
    for (first, second, expected) in [
        ("allow", "ask", Standing::Ask),
        ("ask", "allow", Standing::Ask),
        ("ask", "deny", Standing::Denied),
        ("deny", "ask", Standing::Denied),
        ("allow", "allow", Standing::Allowed),
    ] {
        let policy = policy(&(rule("e", first) + &rule("*", second)));
        assert_eq!(ask(&policy, &app(Some("e"), Some("a"))).standing(CAPTURE), expected, "{first}, {second}");
    }
    let both = policy("[[rule]]\nmatch = { engine = 'e' }\nallow = ['*']\nask = ['screen-capture']");
    assert_eq!(ask(&both, &app(Some("e"), Some("a"))).standing(CAPTURE), Standing::Ask);
    assert_eq!(ask(&both, &app(Some("e"), Some("a"))).standing(LAYER), Standing::Allowed);
}

#[test]
fn t18_nobody_is_asked_about_who_has_no_name_that_an_answer_could_hold_for() {
    let policy = policy(
        "[defaults]\nhost = ['*']\nsandboxed = ['screen-capture']\nnamespaced = ['screen-capture']\n\
         unidentified = ['screen-capture']\n\
         [[rule]]\nmatch = { engine = '*' }\nask = ['screen-capture']\n\
         [[rule]]\nmatch = { unit = 'u.service' }\nask = ['layer-shell']",
    );
    for who in [app(Some("e"), None), app(None, None)] {
        assert_eq!(ask(&policy, &who).standing(CAPTURE), Standing::Denied, "{who:?}");
    }
    assert!(ask(&policy, &app(Some("e"), None)).reason(CAPTURE).to_string().contains("asks for it, and an answer"));
    assert_eq!(policy.evaluate(&unidentified()).standing(CAPTURE), Standing::Denied);
    let service = policy.evaluate(&Identity::Host(HostIdentity { unit: unit("u.service"), ..HostIdentity::default() }));
    assert_eq!((service.standing(LAYER), service.standing(CAPTURE)), (Standing::Denied, Standing::Allowed));
    // A label in that unit is not meant, but may not have what the unit is asked about either.
    let inside = AppIdentity { unit: unit("u.service"), ..app(Some("e"), Some("a")) };
    assert_eq!(ask(&policy, &inside).standing(LAYER), Standing::Denied);
}

#[test]
fn t10_nobody_is_asked_about_what_the_host_does_not_have() {
    let policy = policy(
        "[defaults]\nhost = ['layer-shell', 'security-context']\n\
         [[rule]]\nmatch = { engine = 'e' }\nask = ['screen-capture', 'layer-shell']",
    );
    let user = app(Some("e"), Some("a"));
    assert_eq!(ask(&policy, &user).ask(), of([LAYER]));
    assert_eq!(ask(&policy, &user).reason(CAPTURE), &Because::Capped);
    let system = AppIdentity { provenance: Provenance::System, ..user };
    assert_eq!(ask(&policy, &system).ask(), of([CAPTURE, LAYER]));
}

#[test]
fn what_is_denied_may_stay_visible_and_empty() {
    let text =
        "[[rule]]\nmatch = { engine = 'e' }\nwhen-denied = 'empty'\ndeny = ['screen-capture']\nask = ['layer-shell']\n";
    let empty = policy(text);
    let who = app(Some("e"), Some("a"));
    let verdict = ask(&empty, &who);
    assert_eq!((verdict.standing(CAPTURE), verdict.when_refused(CAPTURE)), (Standing::Empty, Standing::Empty));
    assert_eq!((verdict.standing(LAYER), verdict.when_refused(LAYER)), (Standing::Ask, Standing::Empty));
    // One rule that hides is enough, and one that allows is not.
    let hidden = policy(&format!("{text}[[rule]]\nmatch = {{ engine = '*' }}\ndeny = ['screen-capture']"));
    assert_eq!(ask(&hidden, &who).standing(CAPTURE), Standing::Denied);
    let allowed = policy(&format!("{text}[[rule]]\nmatch = {{ engine = '*' }}\nallow = ['screen-capture']"));
    assert_eq!(ask(&allowed, &who).standing(CAPTURE), Standing::Empty);
    // Not for those of whom it is not sure that they are meant, and nothing that the host does not see.
    assert_eq!(ask(&empty, &app(None, None)).standing(CAPTURE), Standing::Denied);
    assert_eq!(empty.evaluate(&unidentified()).standing(CAPTURE), Standing::Denied);
    let narrow = policy(&format!("[defaults]\nhost = ['security-context']\n{text}"));
    assert_eq!(ask(&narrow, &who).standing(CAPTURE), Standing::Denied);
}

#[test]
fn what_one_rule_may_not_show_no_other_shows_whichever_comes_first() {
    let rules = ["provenance = 'system'", "unit = 'u.service'"]
        .map(|keys| format!("[[rule]]\nmatch = {{ {keys} }}\nwhen-denied = 'empty'\ndeny = ['screen-capture']\n"));
    let who = AppIdentity { provenance: Provenance::System, unit: unit("u.service"), ..app(Some("e"), Some("a")) };
    for [first, second] in [[0, 1], [1, 0]] {
        let rules = format!("{}{}", rules[first], rules[second]);
        let narrow = policy(&format!("[defaults]\nhost = ['security-context']\n{rules}"));
        assert_eq!(ask(&narrow, &who).standing(CAPTURE), Standing::Denied, "{rules}");
        assert_eq!(ask(&policy(&rules), &who).standing(CAPTURE), Standing::Empty, "{rules}");
    }
}

#[test]
fn a_rule_that_is_over_gives_nothing_and_what_it_asked_for_is_denied() {
    let policy = policy(
        "[defaults]\nsandboxed = ['toplevel-list']\nunidentified = ['toplevel-list']\n\
         [[rule]]\nmatch = { engine = 'e' }\nuntil = 2026-12-31T12:00:00Z\n\
         allow = ['screen-capture', 'toplevel-list']\nask = ['layer-shell']\n\
         [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\nallow = ['layer-shell']",
    );
    let over = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_798_718_400);
    let before = over - std::time::Duration::from_secs(1);
    let who = Identity::App(app(Some("e"), Some("a")));
    let verdict = policy.evaluate_at(&who, before);
    assert_eq!((verdict.allowed(), verdict.ask()), (of([CAPTURE, LIST]), of([LAYER])));
    let verdict = policy.evaluate_at(&who, over);
    assert_eq!((verdict.allowed(), verdict.ask()), (of([]), of([])));
    let other = Identity::App(app(Some("e"), Some("b")));
    assert_eq!(policy.evaluate_at(&other, over).visible(), of([]));
    assert_eq!((policy.next_change(before), policy.next_change(over)), (Some(over), None));
    // Who evades has, at any time, what is left when it is over.
    assert!(policy.evaluate_at(&unidentified(), before).allowed().is_empty());
}
