//! Rules, and words in them, that have no effect because of other rules.
//!
//! What is found here can be removed, and nobody's rights change; `invariants` tries that. What is not found may still have
//! no effect.

use super::Policy;
use super::capability::CapabilitySet;
use super::compare::Patience;
use super::rule::{Fact, Matcher, Rule, WhenDenied};

/// Why a rule has no effect. The numbers are those of other rules, which have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WithoutEffect {
    /// It says nothing.
    Empty,
    /// Another one says the same about the same clients.
    Same(usize),
    /// These others, which apply to all of its clients, already do all that it does.
    Covered(Vec<usize>),
}

impl Policy {
    /// The rules without effect. All of them can be removed at once.
    pub(super) fn rules_without_effect(&self, patience: &mut Patience) -> Vec<(usize, WithoutEffect)> {
        let mut kept = vec![true; self.rules.len()];
        let mut found = Vec::new();
        // Of two that say the same, the first one stays.
        for at in (0..self.rules.len()).rev() {
            if patience.is_over() {
                break;
            }
            let same = (0..at).find(|other| self.says_the_same(at, *other, patience));
            if let Some(other) = same {
                kept[at] = false;
                found.push((at, WithoutEffect::Same(other)));
            }
        }
        for at in 0..self.rules.len() {
            if !kept[at] || patience.is_over() {
                continue;
            }
            if let Some(why) = self.covered(at, &kept, patience) {
                kept[at] = false;
                found.push((at, why));
            }
        }
        found.sort_by_key(|(at, _)| *at);
        found
    }

    fn says_the_same(&self, one: usize, other: usize, patience: &mut Patience) -> bool {
        let (one, other) = (&self.rules[one], &self.rules[other]);
        patience.takes(1 + one.matcher.size()) && one.says_the_same(other)
    }

    /// The rules of which whoever wrote the one at `at` could know: not those of later files, which are there to take back what
    /// an earlier one says.
    fn known_to(&self, at: usize) -> impl Iterator<Item = (usize, &Rule)> {
        let file = self.rules.get(at).map(|rule| &rule.at.file);
        self.rules.iter().enumerate().filter(move |(other, rule)| *other <= at || Some(&rule.at.file) == file)
    }

    fn covered(&self, at: usize, kept: &[bool], patience: &mut Patience) -> Option<WithoutEffect> {
        let rule = &self.rules[at];
        if rule.allow.is_none() && rule.deny.is_empty() {
            return Some(WithoutEffect::Empty);
        }
        let others = || self.known_to(at).filter(|(other, _)| *other != at && kept[*other]);
        let mut by = Vec::new();
        let (mut denied, mut asked) = (rule.deny, rule.ask);
        for (number, other) in others() {
            let both = other.deny.intersection(denied.union(asked));
            if both.is_empty() || !patience.takes(1) {
                continue;
            }
            let hidden = if rule.is_denied_by(other, patience) { both } else { CapabilitySet::EMPTY };
            let shown = if rule.looks_like(other) { other.deny.intersection(denied) } else { CapabilitySet::EMPTY };
            if hidden.union(shown).is_empty() {
                continue;
            }
            asked = asked.difference(hidden);
            denied = denied.difference(hidden.union(shown));
            by.push(number);
        }
        if !denied.union(asked).is_empty() {
            return None;
        }
        if rule.allow.is_some() {
            let (number, _) = others().find(|(_, other)| self.gives_all_of(rule, other, patience))?;
            by.push(number);
        }
        by.sort_unstable();
        by.dedup();
        Some(WithoutEffect::Covered(by))
    }

    /// Whether `other` gives what `rule` gives to all its clients, and takes from nobody less of the defaults than `rule` does.
    fn gives_all_of(&self, rule: &Rule, other: &Rule, patience: &mut Patience) -> bool {
        let (Some(allow), Some(wider), Some(always)) = (rule.allow, other.allow, rule.always_gives()) else {
            return false;
        };
        let (allow, wider) = (allow.difference(rule.ask), wider.difference(other.ask));
        let lasts = other.until.is_none() || other.until == rule.until;
        let (unit, other_unit) = (rule.matcher.asks_for_a_unit(), other.matcher.asks_for_a_unit());
        let internal = !rule.matcher.asks_for_internal() || other.matcher.asks_for_internal();
        if !patience.takes(1) || !allow.is_subset(wider) || !lasts || (other_unit && !unit) || !internal {
            return false;
        }
        // A rule that names applications also takes: what it leaves out, where it is not known whether it applies.
        let defaults = &self.defaults;
        let given = defaults.sandboxed.set.union(defaults.namespaced.set).union(defaults.unidentified.set);
        let always = if unit && !other_unit { always.intersection(defaults.host.set) } else { always };
        if !wider.intersection(given).is_subset(always) {
            return false;
        }
        let labels = match (&rule.for_labels, &other.for_labels) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => one.is_within(other, patience),
        };
        labels && rule.matcher.is_within(&other.matcher, patience)
    }

    /// Of what the rule at `at` allows or asks for, what is refused to all of its clients anyway; each part with the rule
    /// that does so, which may be itself.
    pub(super) fn refused(&self, at: usize, patience: &mut Patience) -> Refused {
        let rule = &self.rules[at];
        let mut refused = Refused::default();
        let Some(allow) = rule.allow else { return refused };
        let (mut allow, mut ask) = (allow, rule.ask);
        for (number, other) in self.known_to(at) {
            if patience.is_over() {
                break;
            }
            // Who is asked for something is not simply allowed it.
            let lost = allow.intersection(other.deny.union(other.ask));
            let applies = |patience: &mut Patience| number == at || rule.matcher.is_within(&other.matcher, patience);
            if !lost.is_empty() && patience.takes(1) && applies(patience) {
                refused.allow.push((lost, number));
                allow = allow.difference(lost);
            }
            let lost = ask.intersection(other.deny);
            if !lost.is_empty() && patience.takes(1) && rule.is_denied_by(other, patience) {
                refused.ask.push((lost, number));
                ask = ask.difference(lost);
            }
        }
        refused
    }
}

/// Parts of what a rule gives, each with the number of the rule that refuses it.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) allow: Vec<(CapabilitySet, usize)>,
    pub(super) ask: Vec<(CapabilitySet, usize)>,
}

impl Rule {
    /// Whether `other` hides what it denies from all clients from which this rule may take something.
    fn is_denied_by(&self, other: &Self, patience: &mut Patience) -> bool {
        other.when_denied == WhenDenied::Hide
            && self.matcher.is_within(&other.matcher, patience)
            && (!self.matcher.asks_for_a_label()
                || other.matcher.asks_for_a_label()
                || other.is_about_all_unlabelled(patience))
    }

    /// Whether it certainly applies to every application without a label, who may have got rid of one.
    fn is_about_all_unlabelled(&self, patience: &mut Patience) -> bool {
        Matcher::Fact(Fact::UnknownEngine).is_within(&self.matcher, patience)
    }

    /// Whether both show the same clients what they deny.
    fn looks_like(&self, other: &Self) -> bool {
        (self.when_denied, other.when_denied) == (WhenDenied::Empty, WhenDenied::Empty) && self.matcher == other.matcher
    }
}
