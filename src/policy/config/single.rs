//! `interface:NAME`: the right to one interface.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Parser, in_file_order};
use crate::policy::capability::{BUILT_IN, Capability, CapabilitySet};
use crate::policy::diagnostics::quoted;
use crate::policy::interfaces::Class;

/// What stands before the name of an interface.
pub(super) const PREFIX: &str = "interface:";

impl Parser<'_> {
    /// Makes a capability of each interface that is named so in a list, before any list is read.
    ///
    /// The interface is taken out of its capability, and lists that name that capability mean both. So `deny` can take one
    /// interface where the capability is allowed, and `allow` can give one without the others.
    pub(super) fn single_interfaces(&mut self, document: &DeTable<'_>) {
        for section in ["defaults", "rule"] {
            if let Some(value) = document.get(section) {
                self.single_interfaces_in(value);
            }
        }
    }

    fn single_interfaces_in(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().for_each(|value| self.single_interfaces_in(value)),
            DeValue::Table(table) => {
                let lists = in_file_order(table).filter(|(key, _)| key.name != "match");
                for (_, value) in lists.collect::<Vec<_>>() {
                    self.single_interfaces_in(value);
                }
            }
            DeValue::String(text) => {
                if let Some(interface) = text.strip_prefix(PREFIX) {
                    self.single_interface(text, interface, &value.span());
                }
            }
            _ => {}
        }
    }

    fn single_interface(&mut self, name: &str, interface: &str, span: &Range<usize>) {
        if self.policy.capability(name).is_some() || !self.interface_may_move(interface, span) {
            return;
        }
        let Class::Capability(whole) = self.policy.class_of(interface) else {
            let message = format!("{} is core: every client sees it", quoted(interface));
            self.sink.error(span.clone(), message, None);
            return;
        };
        let Some(single) = Capability::from_index(BUILT_IN.len() + self.policy.names.len()) else {
            let message = format!("there can be {} capabilities, single interfaces included", Capability::MAX);
            self.sink.error(span.clone(), message, None);
            return;
        };
        if !self.policy.interfaces.contains_key(interface) {
            self.places.singles.push((interface.to_owned(), self.sink.place(span.clone())));
        }
        self.policy.names.push(name.into());
        Arc::make_mut(&mut self.policy.interfaces).insert(interface.into(), single);
        self.policy.singles.push((single, whole));
    }

    /// `set`, with the interfaces that were taken out of what is in it.
    pub(super) fn with_singles(&self, set: CapabilitySet) -> CapabilitySet {
        let taken = self.policy.singles.iter().filter(|(_, whole)| set.contains(*whole)).map(|(single, _)| *single);
        set.union(CapabilitySet::of(taken))
    }
}

#[cfg(test)]
mod tests {
    use crate::identity::{AppId, AppIdentity, Identity, Provenance, SandboxEngine};
    use crate::policy::{Capability, Class, Policy};

    const ONE: &str = "interface:zwlr_screencopy_manager_v1";

    fn policy(text: &str) -> Policy {
        Policy::parse("p", text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn error(text: &str) -> String {
        Policy::parse("p", text).unwrap_err().iter().next().unwrap().message.clone()
    }

    /// Whether an application of engine "e" has one interface, and the rest of its capability.
    fn has(text: &str) -> (bool, bool) {
        let policy = policy(text);
        let app = AppIdentity {
            engine: SandboxEngine::new("e").ok(),
            app_id: AppId::new("a").ok(),
            instance_id: None,
            extra: Vec::new(),
            provenance: Provenance::User,
            namespaces: None,
            unit: None,
            uid: None,
            nested: Vec::new(),
        };
        let verdict = policy.evaluate(&Identity::App(app));
        (verdict.allows(policy.capability(ONE).unwrap()), verdict.allows(Capability::SCREEN_CAPTURE))
    }

    #[test]
    fn one_interface_can_be_given_and_taken_alone() {
        let rule = |keys: &str| format!("[[rule]]\nmatch = {{ engine = 'e' }}\n{keys}\n");
        assert_eq!(has(&rule(&format!("allow = ['{ONE}']"))), (true, false));
        assert_eq!(has(&rule(&format!("allow = ['screen-capture']\ndeny = ['{ONE}']"))), (false, true));
        // Whoever has the capability has all of it, and who is denied it is denied all of it.
        let elsewhere = format!("[[rule]]\nmatch = {{ engine = 'x' }}\nallow = ['{ONE}']\n");
        assert_eq!(has(&(elsewhere.clone() + &rule("allow = ['screen-capture']"))), (true, true));
        assert_eq!(has(&(elsewhere.clone() + &rule("allow = ['*']"))), (true, true));
        assert_eq!(
            has(&rule(&format!("allow = ['{ONE}', 'screen-capture']\ndeny = ['screen-capture']"))),
            (false, false)
        );
        assert_eq!(has(&format!("[defaults]\nsandboxed = ['screen-capture']\n{elsewhere}")), (true, true));
        assert_eq!(has(&format!("[defaults]\nsandboxed = ['{ONE}']")), (true, false));
    }

    #[test]
    fn one_interface_is_the_capability_of_that_name() {
        let policy = policy("[defaults]\nsandboxed = ['interface:xx_draft_v1', 'interface:xx_draft_v1']");
        let draft = policy.capability("interface:xx_draft_v1").unwrap();
        assert_eq!(policy.class_of("xx_draft_v1"), Class::Capability(draft));
        assert_eq!(policy.capability_name(draft), "interface:xx_draft_v1");
        assert_eq!(policy.interfaces_of(draft).collect::<Vec<_>>(), ["xx_draft_v1"]);
    }

    #[test]
    fn an_interface_of_an_own_capability_can_be_taken_out_of_it() {
        let text = "[capabilities]\nmine = ['xx_a_v1', 'xx_b_v1']\n[defaults]\nsandboxed = ['mine']\n\
                    [[rule]]\nmatch = { engine = '*' }\ndeny = ['interface:xx_b_v1']";
        let policy = policy(text);
        let mine = policy.capability("mine").unwrap();
        assert_eq!(policy.interfaces_of(mine).collect::<Vec<_>>(), ["xx_a_v1"]);
        let single = policy.capability("interface:xx_b_v1").unwrap();
        assert!(policy.defaults.sandboxed.set.contains(single));
    }

    #[test]
    fn t33_what_is_no_single_interface_is_an_error() {
        for (name, expected) in [
            ("wl_compositor", "`wl_compositor` is core: every client sees it"),
            ("wl_registry", "`wl_registry` belongs to every client"),
            ("a b", "`a b` is not the name of an interface"),
            ("", "`` is not the name of an interface"),
            (
                "wp_security_context_manager_v1",
                "`wp_security_context_manager_v1` cannot be moved to another capability",
            ),
        ] {
            assert_eq!(error(&format!("[defaults]\nsandboxed = ['interface:{name}']")), expected, "{name}");
        }
    }

    #[test]
    fn a_single_interface_that_nobody_knows_is_warned_of_until_the_policy_makes_it_known() {
        let warnings = |text: &str| -> Vec<_> {
            let policy = policy(text);
            policy.warnings().iter().map(|w| (w.line, w.column, w.help.clone().unwrap_or_default())).collect()
        };
        let listed = |name: &str| format!("[defaults]\nsandboxed = ['interface:{name}']\n");
        assert_eq!(
            warnings(&listed("zwlr_screencopy_manger_v1")),
            [(2, 14, "did you mean `zwlr_screencopy_manager_v1`?".to_owned())]
        );
        let help = "if it is right, make it known: [capabilities] my-own = [\"acme_widget_v1\"]";
        assert_eq!(warnings(&listed("acme_widget_v1")), [(2, 14, help.to_owned())]);
        assert_eq!(warnings(&(listed("acme_widget_v1") + "[capabilities]\nmy-own = ['acme_widget_v1']")), []);
        // The name of a draft.
        assert_eq!(warnings(&listed("xx_widget_v1")), []);
        assert_eq!(warnings(&listed("zwlr_screencopy_manager_v1")), []);
    }
}
