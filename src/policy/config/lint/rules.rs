//! Rules that do not do what they seem to say.

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

use std::time::SystemTime;

use crate::policy::capability::{Capability, CapabilitySet};
use crate::policy::compare::Patience;
use crate::policy::config::{Parser, RulePlaces};
use crate::policy::diagnostics::Place;
use crate::policy::effect::WithoutEffect;
use crate::policy::eval::NEVER_FOR_APPS;
use crate::policy::rule::Rule;
use crate::policy::settings::UserEvidence;
use crate::policy::whom::{Contradiction, Kinds, Whom};

impl Parser<'_> {
    pub(super) fn lint_rules(&mut self, now: SystemTime) {
        let mut patience = Patience::default();
        let places = std::mem::take(&mut self.places.rules);
        let rules = self.policy.rules.clone();
        let without_effect = self.policy.rules_without_effect(&mut patience);
        for (at, (rule, places)) in rules.iter().zip(&places).enumerate() {
            let whom = rule.matcher.whom(&mut patience);
            if let Some(against) = whom.as_ref().and_then(|whom| whom.against) {
                self.lint_nobody(against, places);
                continue;
            }
            if let Ok(found) = without_effect.binary_search_by_key(&at, |(at, _)| *at) {
                self.lint_without_effect(&without_effect[found].1, places);
                continue;
            }
            self.lint_over(rule, places, now);
            self.lint_refused(at, places, &mut patience);
            let Some(whom) = whom else { continue };
            let labels = match &rule.for_labels {
                Some(matcher) => matcher.whom(&mut patience).map(|whom| whom.kinds.and(Kinds::LABELLED)),
                None => Some(Kinds::NONE),
            };
            let Some(labels) = labels else { continue };
            self.lint_capped(rule, places, whom.kinds.but(Kinds::LABELLED).or(labels));
            self.lint_nobody_to_ask(rule, places, labels);
            self.lint_evaded(rule, places, &whom);
        }
    }

    /// A `match` that contradicts itself.
    fn lint_nobody(&mut self, against: Contradiction, places: &RulePlaces) {
        let why = match against {
            Contradiction::Kinds(one, other) => format!("`{one}` and `{other}` ask for different kinds of clients"),
            Contradiction::Values(key) => format!("what is asked of `{key}` contradicts itself"),
            Contradiction::Together => "no client is all of this".to_owned(),
            Contradiction::Each => "each of its alternatives contradicts itself".to_owned(),
        };
        let help = format!("{why}; who may have got rid of a label still loses what the rule takes");
        self.sink.warning(places.matcher.clone(), "this rule applies to nobody", Some(help));
    }

    /// Rules that could as well not be there.
    fn lint_without_effect(&mut self, why: &WithoutEffect, places: &RulePlaces) {
        let at = |number: &usize| self.policy.rules.get(*number).map(|rule| rule.at.to_string()).unwrap_or_default();
        let (message, help) = match why {
            WithoutEffect::Empty => ("this rule denies nothing", "remove it, or name what it denies".to_owned()),
            WithoutEffect::Same(other) => {
                ("this rule has no effect", format!("the one at {} says the same: remove one of them", at(other)))
            }
            WithoutEffect::Covered(others) => {
                let list: Vec<_> = others.iter().take(super::MAX_NAMED).map(at).collect();
                let more = if others.len() > list.len() { " and others" } else { "" };
                let ones = if others.len() == 1 { "the one" } else { "those" };
                let list = list.join(", ");
                let help = format!("all of it follows from {ones} at {list}{more}: remove it, or change what it says");
                ("this rule has no effect", help)
            }
        };
        self.sink.warning(places.rule.clone(), message, Some(help));
    }

    /// `until` in the past.
    fn lint_over(&mut self, rule: &Rule, places: &RulePlaces, now: SystemTime) {
        if rule.until.is_some_and(|until| until <= now) {
            let message = if rule.ask.is_empty() {
                "this moment has passed: the rule gives nothing any more"
            } else {
                "this moment has passed: the rule gives nothing any more, and denies what it asked for"
            };
            let help = "remove the rule, or write a later moment";
            self.sink.warning(places.until.clone(), message, Some(help.into()));
        }
    }

    /// Words in `allow` and `ask` that a rule overrules, this one or another.
    fn lint_refused(&mut self, at: usize, places: &RulePlaces, patience: &mut Patience) {
        let refused = self.policy.refused(at, patience);
        for (key, parts, named) in [("allow", refused.allow, &places.allowed), ("ask", refused.ask, &places.asked)] {
            for (set, by) in parts {
                let (words, Some(place)) = self.words_within(named, set) else { continue };
                let Some(other) = self.policy.rules.get(by) else { continue };
                let beats = if words.is_subset(other.deny) { "deny" } else { "ask" };
                let message = format!("{} has no effect here: `{beats}` beats `{key}`", self.names(words));
                let help = if by == at {
                    format!("the rule itself has it in `{beats}`: leave it in one of them")
                } else {
                    let at = &other.at;
                    format!(
                        "the rule at {at} has it in `{beats}`, for all of these clients: except them there by `not`"
                    )
                };
                self.sink.warning(place, message, Some(help));
            }
        }
    }

    /// The words that mean nothing beyond `set`, and the place of the first one.
    fn words_within(&self, named: &[(Capability, Place)], set: CapabilitySet) -> (CapabilitySet, Option<Place>) {
        let within = |c: &Capability| self.with_singles(CapabilitySet::of([*c])).is_subset(set);
        let mut words = named.iter().filter(|(c, _)| within(c));
        let all = CapabilitySet::of(words.clone().map(|(c, _)| *c));
        (all, words.next().map(|(_, place)| place.clone()))
    }

    /// What is not given, because the host does not have it. `kinds` are those to whom the rule can give something.
    fn lint_capped(&mut self, rule: &Rule, places: &RulePlaces, kinds: Kinds) {
        let given = rule.allow.map(|allow| allow.union(rule.ask)).filter(|given| !given.is_empty());
        let Some(given) = given else { return };
        let by_unit = rule.matcher.asks_for_a_unit();
        let capped = by_unit || kinds.has(Kinds::HOST.or(Kinds::NAMESPACED).or(Kinds::USER));
        if !capped || self.policy.trust.user_evidence == UserEvidence::AsWritten {
            return;
        }
        let sometimes = !by_unit && kinds.has(Kinds::SYSTEM.or(Kinds::INTERNAL));
        let host = self.policy.defaults.host.set;
        let silence = if sometimes { "; if only root's labels are meant, match provenance = \"system\"" } else { "" };
        if given.intersection(host).is_empty() {
            let message = if sometimes {
                "this rule gives nothing to a label that the user's own processes could have written"
            } else {
                "this rule gives nothing"
            };
            let help = format!("[defaults] host does not have {}{silence}", self.names(given));
            self.sink.warning(places.rule.clone(), message, Some(help));
            return;
        }
        let named: Vec<_> = places.allowed.iter().chain(&places.asked).cloned().collect();
        let (words, place) = self.words_within(&named, given.difference(host).difference(NEVER_FOR_APPS));
        let Some(place) = place else { return };
        let message = if sometimes {
            format!("{} is not given to a label that the user's own processes could have written", self.names(words))
        } else {
            format!("{} is not given by this rule", self.names(words))
        };
        self.sink.warning(place, message, Some(format!("[defaults] host does not have it{silence}")));
    }

    /// `ask` where there is no application that an answer could hold for.
    fn lint_nobody_to_ask(&mut self, rule: &Rule, places: &RulePlaces, labels: Kinds) {
        if !rule.ask.is_empty() && labels == Kinds::NONE {
            let message = "this rule denies what it asks for: an answer holds for an engine's application ID only";
            let help = "name an `engine` in `match`, or write `allow` or `deny`";
            self.sink.warning(places.ask.clone(), message, Some(help.into()));
        }
    }

    /// A denial that whoever is meant can leave behind.
    ///
    /// Who makes his identification fail has nothing that any rule denies. But the units of a user are up to his manager,
    /// which serves every process of his on the host.
    fn lint_evaded(&mut self, rule: &Rule, places: &RulePlaces, whom: &Whom) {
        let lost = rule.deny.intersection(self.policy.defaults.host.set);
        if whom.host_by_unit && !lost.is_empty() {
            let message = "a program outside any sandbox can evade this: it may start itself again in another unit";
            let help = "take it from [defaults] host, or run the program in a sandbox and match its `engine`";
            self.sink.warning(places.deny.clone(), message, Some(help.into()));
        }
    }
}
