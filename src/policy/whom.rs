//! What kinds of clients a `match` can apply to at all.

use super::compare::Patience;
use super::rule::{Fact, Matcher};
use crate::identity::Provenance;

/// How many alternatives a `match` may have, and facts in one, before nothing is said about it.
const MAX_ALTERNATIVES: usize = 64;
const MAX_FACTS: usize = 64;

/// A set of kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    /// On the host.
    pub(super) const HOST: Self = Self(1);
    /// Without a label, in namespaces of their own.
    pub(super) const NAMESPACED: Self = Self(1 << 1);
    /// With a label that root alone could have written.
    pub(super) const SYSTEM: Self = Self(1 << 2);
    /// With another label.
    pub(super) const USER: Self = Self(1 << 3);
    /// The other ends of socket pairs.
    pub(super) const INTERNAL: Self = Self(1 << 4);
    pub(super) const LABELLED: Self = Self(Self::SYSTEM.0 | Self::USER.0);
    const ALL: Self = Self(0x1f);

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn has(self, any_of: Self) -> bool {
        self.0 & any_of.0 != 0
    }
}

/// A fact that must hold, or (`false`) must not.
type Literal<'m> = (&'m Fact, bool);

/// To whom a `match` can certainly apply.
#[derive(Debug)]
pub(super) struct Whom {
    /// Nobody of another kind; perhaps not all of these.
    pub(super) kinds: Kinds,
    /// Whether some on the host are meant by their unit.
    pub(super) host_by_unit: bool,
    /// If it is nobody: what speaks against it.
    pub(super) against: Option<Contradiction>,
}

/// Why nobody is meant. The names are those of keys in `match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// No client that the one key can be about is one that the other can be about.
    Kinds(&'static str, &'static str),
    /// What is asked of this key never holds at once.
    Values(&'static str),
    /// No client is one of whom all of it holds.
    Together,
    /// There are several alternatives, each with something against it.
    Each,
}

impl Matcher {
    /// Whom it can apply to, as far as that can be told from itself; `None` if that takes too long.
    pub(super) fn whom(&self, patience: &mut Patience) -> Option<Whom> {
        let alternatives = self.alternatives(true)?;
        let mut whom = Whom { kinds: Kinds::NONE, host_by_unit: false, against: None };
        for alternative in &alternatives {
            if !patience.takes(alternative.len() * alternative.len()) {
                return None;
            }
            match kinds_of(alternative, patience) {
                Ok(kinds) => {
                    whom.kinds = whom.kinds.or(kinds);
                    let by_unit = alternative.iter().any(|(fact, _)| matches!(fact, Fact::Unit(_)));
                    whom.host_by_unit |= kinds.has(Kinds::HOST) && by_unit;
                }
                Err(against) => {
                    whom.against = Some(if alternatives.len() == 1 { against } else { Contradiction::Each })
                }
            }
        }
        whom.against = whom.against.filter(|_| whom.kinds == Kinds::NONE);
        Some(whom)
    }

    /// What it says (or, if not `holds`, denies) as a list of alternatives; `None` if these are too many.
    fn alternatives(&self, holds: bool) -> Option<Vec<Vec<Literal<'_>>>> {
        match (self, holds) {
            (Self::Fact(fact), _) => Some(vec![vec![(fact, holds)]]),
            (Self::Not(part), _) => part.alternatives(!holds),
            (Self::Any(parts), true) | (Self::All(parts), false) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.alternatives(holds)?);
                    if all.len() > MAX_ALTERNATIVES {
                        return None;
                    }
                }
                Some(all)
            }
            (Self::All(parts), true) | (Self::Any(parts), false) => {
                let mut all = vec![Vec::new()];
                for part in parts {
                    let more = part.alternatives(holds)?;
                    if all.len() * more.len() > MAX_ALTERNATIVES {
                        return None;
                    }
                    let pairs = all.iter().flat_map(|so_far| more.iter().map(move |more| (so_far, more)));
                    all = pairs.map(|(so_far, more)| [so_far.as_slice(), more.as_slice()].concat()).collect();
                    if all.iter().any(|facts| facts.len() > MAX_FACTS) {
                        return None;
                    }
                }
                Some(all)
            }
        }
    }
}

/// Of what kinds a client can be for which all of this certainly holds.
fn kinds_of(alternative: &[Literal<'_>], patience: &mut Patience) -> Result<Kinds, Contradiction> {
    for (at, (one, one_holds)) in alternative.iter().enumerate() {
        for (other, other_holds) in &alternative[..at] {
            let never = match (one_holds, other_holds) {
                (true, true) => one.excludes(other, patience),
                (true, false) => one.is_within(other, patience),
                (false, true) => other.is_within(one, patience),
                (false, false) => false,
            };
            if never {
                return Err(against(one, other));
            }
        }
    }
    let mut kinds = Kinds::ALL;
    for (at, (fact, holds)) in alternative.iter().enumerate() {
        let left = kinds.and(fact.kinds(*holds));
        if left == Kinds::NONE {
            let mut before = alternative[..at].iter();
            let other =
                before.find(|(other, other_holds)| fact.kinds(*holds).and(other.kinds(*other_holds)) == Kinds::NONE);
            return Err(other.map_or(Contradiction::Together, |(other, _)| against(fact, other)));
        }
        kinds = left;
    }
    Ok(kinds)
}

fn against(one: &Fact, other: &Fact) -> Contradiction {
    if one.key() == other.key() {
        Contradiction::Values(one.key())
    } else {
        Contradiction::Kinds(other.key(), one.key())
    }
}

impl Fact {
    /// Of what kinds a client can be for which it certainly holds, or (`false`) certainly does not.
    fn kinds(&self, holds: bool) -> Kinds {
        let every_other = |kinds| Kinds::ALL.but(kinds);
        match (self, holds) {
            (Self::Provenance(Provenance::System), true) => Kinds::SYSTEM,
            (Self::Provenance(Provenance::User), true) => Kinds::USER,
            (Self::Provenance(Provenance::System), false) => every_other(Kinds::NAMESPACED.or(Kinds::SYSTEM)),
            (Self::Provenance(Provenance::User), false) => every_other(Kinds::NAMESPACED.or(Kinds::USER)),
            // Without a label, there may have been any.
            (Self::Engine(_) | Self::AppId(_) | Self::InstanceId(_) | Self::Extra(..), true) => Kinds::LABELLED,
            (Self::Engine(_) | Self::AppId(_) | Self::InstanceId(_) | Self::Extra(..), false) => {
                every_other(Kinds::NAMESPACED)
            }
            (Self::UnknownEngine, true) => Kinds::NAMESPACED,
            (Self::UnknownEngine, false) => every_other(Kinds::NAMESPACED),
            (Self::AnyEngine, true) => Kinds::NAMESPACED.or(Kinds::LABELLED),
            (Self::AnyEngine, false) => Kinds::HOST.or(Kinds::INTERNAL),
            (Self::Internal(_), true) => Kinds::INTERNAL,
            (Self::SharedNamespaces(false), true) => every_other(Kinds::INTERNAL.or(Kinds::HOST)),
            (Self::SharedNamespaces(true), false) => every_other(Kinds::HOST),
            (Self::Unit(_) | Self::Uid(_) | Self::SharedNamespaces(true), true) => every_other(Kinds::INTERNAL),
            (Self::Internal(_) | Self::Unit(_) | Self::Uid(_) | Self::SharedNamespaces(false), false) => Kinds::ALL,
        }
    }

    /// Its key in `match`.
    fn key(&self) -> &'static str {
        match self {
            Self::Engine(_) | Self::UnknownEngine | Self::AnyEngine => "engine",
            Self::AppId(_) => "app-id",
            Self::InstanceId(_) => "instance-id",
            Self::Provenance(_) => "provenance",
            Self::Unit(_) => "unit",
            Self::SharedNamespaces(_) => "namespaces",
            Self::Uid(_) => "uid",
            Self::Internal(_) => "internal",
            Self::Extra(..) => "extra",
        }
    }
}
