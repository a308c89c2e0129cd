//! What is allowed in a policy, but does not do what it seems to say.

mod rules;

use std::time::SystemTime;

use super::Parser;
use crate::policy::capability::{Capability, CapabilitySet};
use crate::policy::diagnostics::{Place, closest, quoted};
use crate::policy::eval::{NEVER_FOR_APPS, NOT_IN_STAR};
use crate::policy::interfaces::{built_in_class, built_in_interfaces};
use crate::policy::verdict::{DefaultClass, Verdict};

/// How many names or reasons one warning has.
const MAX_NAMED: usize = 4;

impl Parser<'_> {
    /// `now` is when `until` counts.
    pub(super) fn lint(&mut self, now: SystemTime) {
        self.lint_security_context();
        self.lint_withheld();
        self.lint_rules(now);
        let computed = self.policy.computed.clone();
        let (namespaced, unidentified) = (self.policy.defaults.namespaced.set, self.policy.defaults.unidentified.set);
        self.lint_reduced(DefaultClass::Namespaced, namespaced, &computed.namespaced, self.places.namespaced.clone());
        let place = self.places.unidentified.clone();
        self.lint_reduced(DefaultClass::Unidentified, unidentified, &computed.unidentified, place);
        self.lint_interfaces();
    }

    /// Without the manager, engines fall back to the ordinary socket.
    fn lint_security_context(&mut self) {
        let security_context = Capability::SECURITY_CONTEXT;
        let help = "flatpak then runs its applications on the ordinary socket, without a context";
        if !self.policy.defaults.host.set.contains(security_context) {
            let message = "programs on the host are not given `security-context`";
            self.sink.warning(self.places.host.clone(), message, Some(help.into()));
        }
        for (rule, place) in self.policy.rules.iter().zip(&self.places.rules) {
            if rule.matcher.can_be_host() && rule.deny.contains(security_context) {
                let message = "this rule hides `security-context` from programs on the host";
                self.sink.warning(place.rule.clone(), message, Some(help.into()));
            }
        }
    }

    /// Names that stand where they never have an effect.
    fn lint_withheld(&mut self) {
        for (place, set, never) in std::mem::take(&mut self.places.lists) {
            let lost = self.written(set).intersection(never);
            if !lost.is_empty() {
                let message = format!("{} is never given to clients of this kind", self.names(lost));
                self.sink.warning(place, message, None);
            }
        }
    }

    /// Defaults that give less than they say.
    fn lint_reduced(&mut self, class: DefaultClass, set: CapabilitySet, given: &Verdict, place: Place) {
        let lost = set.difference(given.allowed()).difference(NEVER_FOR_APPS);
        if lost.is_empty() {
            return;
        }
        let mut reasons: Vec<_> = given
            .reasons()
            .map(|(set, because)| (set.intersection(lost), because))
            .filter(|(set, _)| !set.is_empty())
            .map(|(set, because)| format!("{}: {because}", self.names(set)))
            .collect();
        if reasons.len() > MAX_NAMED {
            reasons.truncate(MAX_NAMED);
            reasons.push("and more".into());
        }
        let message = format!("[defaults] {class} gives less than it says, or evading identification would pay");
        self.sink.warning(place, message, Some(reasons.join("\n")));
    }

    /// Interfaces that are probably misspelt, and single ones that nobody knows.
    fn lint_interfaces(&mut self) {
        // A version that is not known yet is no mistake.
        let without_version = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let near = |interface: &str| {
            closest(interface, built_in_interfaces().map(|(name, _)| name))
                .filter(|known| strsim::osa_distance(known, interface) <= 2)
        };
        for (interface, place) in std::mem::take(&mut self.places.interfaces) {
            if built_in_class(&interface).is_some() {
                continue;
            }
            if let Some(known) = near(&interface).filter(|known| without_version(known) != without_version(&interface))
            {
                let message = format!("no known protocol has the interface {}", quoted(&interface));
                self.sink.warning(place, message, Some(format!("did you mean `{known}`?")));
            }
        }
        for (interface, place) in std::mem::take(&mut self.places.singles) {
            // By convention, this is the name of a draft: that no table has it is the point of naming it.
            let draft = interface.starts_with("xx_") && near(&interface).is_none();
            if draft || built_in_class(&interface).is_some() {
                continue;
            }
            let message = format!("no protocol known to this version has the interface {}", quoted(&interface));
            let help = near(&interface).map(|known| format!("did you mean `{known}`?"));
            let own = || format!("if it is right, make it known: [capabilities] my-own = [\"{interface}\"]");
            self.sink.warning(place, message, Some(help.unwrap_or_else(own)));
        }
    }

    /// What of `set` was written by name, and not as `*`.
    fn written(&self, set: CapabilitySet) -> CapabilitySet {
        if self.star().is_subset(set) { set.intersection(NOT_IN_STAR) } else { set }
    }

    fn names(&self, set: CapabilitySet) -> String {
        let mut names: Vec<_> = set.iter().map(|c| format!("`{}`", self.policy.capability_name(c))).collect();
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        let names = names.join(", ");
        if more > 0 { format!("{names} and {more} more") } else { names }
    }
}
