//! What can be said of the `match` of two rules, without a client.
//!
//! Nothing here is guessed: what is not proved is answered with `false`.

use super::pattern::Pattern;
use super::rule::{Fact, Matcher};

/// How much is looked at before nothing more is proved. A policy of some hundred rules needs far less.
const STEPS: usize = 5_000_000;

/// What is left of the patience with one policy.
#[derive(Debug)]
pub(super) struct Patience(usize);

impl Default for Patience {
    fn default() -> Self {
        Self(STEPS)
    }
}

impl Patience {
    /// Takes so many steps; `false` if there are not as many left.
    pub(super) fn takes(&mut self, steps: usize) -> bool {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }

    /// Whether nothing is left, so that there is no use in going on.
    pub(super) fn is_over(&self) -> bool {
        self.0 == 0
    }
}

impl Matcher {
    /// Whether `other` applies to every client at least as surely as this does: certainly where this does, and perhaps where
    /// this may.
    pub(super) fn is_within(&self, other: &Self, patience: &mut Patience) -> bool {
        if !patience.takes(1) {
            return false;
        }
        match (self, other) {
            (Self::Any(parts), _) => parts.iter().all(|part| part.is_within(other, patience)),
            (_, Self::All(parts)) => parts.iter().all(|part| self.is_within(part, patience)),
            (Self::All(parts), Self::Any(others)) => {
                parts.iter().any(|part| part.is_within(other, patience))
                    || others.iter().any(|other| self.is_within(other, patience))
            }
            (Self::All(parts), _) => parts.iter().any(|part| part.is_within(other, patience)),
            (_, Self::Any(others)) => others.iter().any(|other| self.is_within(other, patience)),
            (Self::Not(part), Self::Not(other)) => other.is_within(part, patience),
            (Self::Fact(fact), Self::Fact(other)) => fact.is_within(other, patience),
            // Where one of them is not known, the other is not either.
            (Self::Fact(fact), Self::Not(other)) => {
                matches!(&**other, Self::Fact(other) if fact.excludes(other, patience))
            }
            (Self::Not(_), Self::Fact(_)) => false,
        }
    }

    /// How many parts it has.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::size).sum::<usize>(),
            Self::Not(part) => 1 + part.size(),
            Self::Fact(_) => 1,
        }
    }
}

impl Fact {
    /// Whether `other` holds for every client at least as surely as this does.
    pub(super) fn is_within(&self, other: &Self, patience: &mut Patience) -> bool {
        if let Some((one, other)) = self.patterns(other) {
            return patience.takes(one.steps(other)) && other.covers(one);
        }
        match (self, other) {
            (Self::Uid(uids), Self::Uid(others)) => {
                patience.takes(uids.len().saturating_mul(others.len())) && uids.iter().all(|uid| others.contains(uid))
            }
            (Self::Provenance(one), Self::Provenance(other)) => one == other,
            (Self::SharedNamespaces(one), Self::SharedNamespaces(other)) => one == other,
            (Self::UnknownEngine, Self::UnknownEngine) => true,
            (_, Self::AnyEngine) => matches!(self, Self::AnyEngine | Self::UnknownEngine) || self.is_of_a_label(),
            _ => false,
        }
    }

    /// Whether both are about the same, and never hold together.
    pub(super) fn excludes(&self, other: &Self, patience: &mut Patience) -> bool {
        if let Some((one, other)) = self.patterns(other) {
            return patience.takes(one.steps(other)) && one.excludes(other);
        }
        match (self, other) {
            (Self::Uid(uids), Self::Uid(others)) => {
                patience.takes(uids.len().saturating_mul(others.len())) && !uids.iter().any(|uid| others.contains(uid))
            }
            (Self::Provenance(one), Self::Provenance(other)) => one != other,
            (Self::SharedNamespaces(one), Self::SharedNamespaces(other)) => one != other,
            _ => false,
        }
    }

    /// The patterns of both, if both are about the same name.
    fn patterns<'a>(&'a self, other: &'a Self) -> Option<(&'a Pattern, &'a Pattern)> {
        match (self, other) {
            (Self::Engine(one), Self::Engine(other))
            | (Self::AppId(one), Self::AppId(other))
            | (Self::InstanceId(one), Self::InstanceId(other))
            | (Self::Unit(one), Self::Unit(other))
            | (Self::Internal(one), Self::Internal(other)) => Some((one, other)),
            (Self::Extra(name, one), Self::Extra(of, other)) if name == of => Some((one, other)),
            _ => None,
        }
    }
}
