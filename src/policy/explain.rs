//! Which rules met an identity, and what would change its verdict.

use std::fmt::Write as _;

use super::capability::{Capability, CapabilitySet};
use super::rule::{Applies, Facts};
use super::verdict::{Because, Location, Reduction, Verdict};
use super::{Class, Policy};
use crate::identity::{AppIdentity, Identity};

/// A rule that applies to an identity, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleMatch {
    /// The rule.
    pub at: Location,
    /// The label that it met; `None` is the process itself, or its outermost label.
    pub label: Option<String>,
    /// Whether it certainly applies; else a fact is missing, and only what it denies counts.
    pub certain: bool,
    /// What it allows, if it has an `allow`.
    pub allow: Option<CapabilitySet>,
    /// What it asks for.
    pub ask: CapabilitySet,
    /// What it denies.
    pub deny: CapabilitySet,
}

impl Policy {
    /// The rules that apply to `identity`, or may, in the order of the file; for each nested label again.
    #[must_use]
    pub fn rules_for(&self, identity: &Identity) -> Vec<RuleMatch> {
        match identity {
            Identity::Host(host) => self.meeting(&Facts::of_host(host), None),
            Identity::App(app) => {
                let facts = Facts::of_app(app);
                let outermost = self.meeting(&facts, None);
                let nested = app.nested.iter().flat_map(|label| {
                    let name = label.app_id.as_ref().map_or_else(String::new, |id| format!("{id} of "));
                    self.meeting(&facts.of_nested(label), Some(format!("{name}{}", label.engine)))
                });
                outermost.into_iter().chain(nested).collect()
            }
            Identity::Internal(tag) => self.meeting(&Facts::of_internal(tag.as_str()), None),
            Identity::Unidentified(_) => Vec::new(),
        }
    }

    fn meeting(&self, facts: &Facts<'_>, label: Option<String>) -> Vec<RuleMatch> {
        let met = self.rules.iter().map(|rule| (rule, rule.matcher.applies(facts)));
        met.filter(|(_, applies)| *applies != Applies::No)
            .map(|(rule, applies)| RuleMatch {
                at: rule.at.clone(),
                label: label.clone(),
                certain: applies == Applies::Yes,
                allow: rule.allow,
                ask: rule.ask,
                deny: rule.deny,
            })
            .collect()
    }

    /// What would give `capability` to clients of this identity; `None` if they have it, or can never have it.
    ///
    /// What an answer says can be pasted into the policy; it is said of the policy alone, not of whether it is wise.
    #[must_use]
    pub fn remedy(&self, identity: &Identity, verdict: &Verdict, capability: Capability) -> Option<String> {
        if verdict.allows(capability) {
            return None;
        }
        self.remedy_for(identity, verdict.reason(capability), capability)
    }

    fn remedy_for(&self, identity: &Identity, because: &Because, capability: Capability) -> Option<String> {
        let name = self.capability_name(capability);
        match because {
            Because::NotEvaluated | Because::Withheld => None,
            Because::Rule { at, .. } => Some(format!("take `{name}` out of `deny` at {at}")),
            Because::Ask { at, .. } => {
                Some(format!("a yes when it is asked for, or `{name}` in `allow` instead of `ask` at {at}"))
            }
            Because::CannotAsk { at } => {
                Some(format!("an application ID from its engine, or `{name}` in `allow` instead of `ask` at {at}"))
            }
            Because::LeftOut { at } => Some(format!("add `{name}` to `allow` at {at}")),
            Because::Uncertain { at } => {
                Some(format!("let the engine say what the rule at {at} asks for, or ask for less there"))
            }
            Because::Default { class, .. } => Some(match identity {
                Identity::App(app) => match self.rule_giving(app, capability) {
                    Some(rule) => rule,
                    None => format!("add `{name}` to [defaults] {class}; what rules deny to anybody stays denied"),
                },
                _ => format!("add `{name}` to [defaults] {class}"),
            }),
            Because::NotInStar { class } => Some(format!("name `{name}` in [defaults] {class}, beside `*`")),
            Because::Reduced { by, .. } => Some(match by {
                Reduction::DeniedByRule(at) => format!("nothing, as long as the rule at {at} denies it to somebody"),
                Reduction::LeftOutByRule(at) => {
                    format!("nothing, as long as the rule at {at} leaves it out for somebody")
                }
                Reduction::LackedBy(class) => format!("add `{name}` to [defaults] {class} too"),
            }),
            Because::Capped => {
                Some(format!("add `{name}` to [defaults] host, or let root alone write the label (see `provenance`)"))
            }
            Because::Internal { tag, .. } => Some(format!("add `{name}` to [defaults.internal] {tag}")),
            Because::Nested { label, because } => {
                let inner = self.remedy_for(identity, because, capability);
                inner.map(|remedy| format!("for {label}, which is inside: {remedy}"))
            }
            Because::Limited { by, .. } => Some(format!("what limits it is {by}")),
            Because::NotHeld => Some(format!("`{name}` in `allow` instead")),
            Because::Grant { id, .. } => Some(format!("revoke grant {id}")),
        }
    }

    /// The capability that a global of this interface, or this very capability, needs; `None` if the word is neither,
    /// or every client sees it.
    #[must_use]
    pub fn needed_for(&self, word: &str) -> Option<Capability> {
        self.capability(word).or_else(|| match self.class_of(word) {
            Class::Capability(capability) => Some(capability),
            Class::Core => None,
        })
    }

    /// A rule that gives a capability to exactly this application, beside what it has now.
    fn rule_giving(&self, app: &AppIdentity, capability: Capability) -> Option<String> {
        let engine = app.engine.as_ref()?;
        let mut keys = format!("engine = \"{engine}\"");
        if let Some(app_id) = &app.app_id {
            let _ = write!(keys, ", app-id = \"{app_id}\"");
        }
        let outermost = AppIdentity { nested: Vec::new(), ..app.clone() };
        let has = self.evaluate(&Identity::App(outermost)).allowed();
        let names: Vec<_> =
            has.union(CapabilitySet::of([capability])).iter().map(|c| self.capability_name(c)).collect();
        Some(format!("[[rule]]\nmatch = {{ {keys} }}\nallow = {names:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AppId, HostIdentity, Provenance, Reason, SandboxEngine};

    fn policy(text: &str) -> Policy {
        Policy::parse("p.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn app(engine: Option<&str>, app_id: Option<&str>) -> Identity {
        Identity::App(AppIdentity {
            engine: engine.map(|e| SandboxEngine::new(e).unwrap()),
            app_id: app_id.map(|a| AppId::new(a).unwrap()),
            instance_id: None,
            extra: Vec::new(),
            provenance: Provenance::User,
            namespaces: None,
            unit: None,
            uid: None,
            nested: Vec::new(),
        })
    }

    #[test]
    fn rules_are_told_with_their_place_and_whether_they_are_certain() {
        let policy = policy(
            "[[rule]]\nmatch = { engine = 'e' }\nallow = ['screen-capture']\n\
             [[rule]]\nmatch = { engine = 'e', app-id = 'a' }\ndeny = ['layer-shell']\n\
             [[rule]]\nmatch = { engine = 'x' }\ndeny = ['*']",
        );
        let told: Vec<_> =
            policy.rules_for(&app(Some("e"), None)).iter().map(|m| (m.at.line, m.certain, m.allow.is_some())).collect();
        assert_eq!(told, [(1, true, true), (4, false, false)]);
        assert!(policy.rules_for(&Identity::unidentified(Reason::PeerGone)).is_empty());
    }

    /// Doing what is said gives the capability: every remedy that is a rule to paste is pasted.
    #[test]
    fn the_rule_to_paste_does_what_it_says() {
        let text = "[defaults]\nsandboxed = ['output-info']\n";
        let before = policy(text);
        let game = app(Some("org.flatpak"), Some("org.example.Game"));
        let verdict = before.evaluate(&game);
        let rule = before.remedy(&game, &verdict, Capability::SCREEN_CAPTURE).unwrap();
        let after = policy(&format!("{text}{rule}"));
        let verdict = after.evaluate(&game);
        assert!(verdict.allows(Capability::SCREEN_CAPTURE) && verdict.allows(Capability::OUTPUT_INFO), "{rule}");
        assert!(
            !after.evaluate(&app(Some("org.flatpak"), Some("org.example.Other"))).allows(Capability::SCREEN_CAPTURE)
        );
        assert_eq!(after.remedy(&game, &verdict, Capability::SCREEN_CAPTURE), None);
    }

    #[test]
    fn what_can_never_be_had_has_no_remedy() {
        let policy = policy("");
        for (identity, expected) in [
            (app(Some("e"), Some("a")), None),
            (Identity::Host(HostIdentity::default()), Some("name `identity-admin` in [defaults] host, beside `*`")),
        ] {
            let verdict = policy.evaluate(&identity);
            assert_eq!(policy.remedy(&identity, &verdict, Capability::IDENTITY_ADMIN).as_deref(), expected);
        }
    }

    #[test]
    fn a_global_and_a_capability_both_name_what_is_needed() {
        let policy = policy("");
        for word in ["zwlr_screencopy_manager_v1", "screen-capture"] {
            assert_eq!(policy.needed_for(word), Some(Capability::SCREEN_CAPTURE));
        }
        assert_eq!(policy.needed_for("wl_compositor"), None);
        assert_eq!(policy.needed_for("xx_nobody_v1"), Some(Capability::UNCLASSIFIED));
    }
}
