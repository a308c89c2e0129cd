//! What a client may do, and why.

use std::fmt;
use std::sync::Arc;

use super::capability::{Capability, CapabilitySet};
use super::diagnostics::harmless;
use super::grant::{Answer, GrantId, Grantee, Lifetime};
use super::rule::WhenDenied;

/// All capabilities that can exist.
pub(super) const ALL: CapabilitySet = CapabilitySet::from_bits(u64::MAX);

/// A line in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Location {
    /// The name of the file.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", harmless(&self.file), self.line)
    }
}

/// Which key of `[defaults]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DefaultClass {
    /// Processes that are proven to be outside any sandbox.
    Host,
    /// Labelled applications that no rule names.
    Sandboxed,
    /// Applications whose namespaces give them away, without any label.
    Namespaced,
    /// Clients that could not be identified.
    Unidentified,
}

impl DefaultClass {
    /// The key in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Sandboxed => "sandboxed",
            Self::Namespaced => "namespaced",
            Self::Unidentified => "unidentified",
        }
    }
}

impl fmt::Display for DefaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether something gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, or does not give.
    Deny,
}

/// Why a default gives less than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// A rule denies it to somebody.
    DeniedByRule(Location),
    /// A rule that names applications does not give it to them.
    LeftOutByRule(Location),
    /// This class does not have it.
    LackedBy(DefaultClass),
}

/// Why a capability is allowed or denied.
///
/// [`fmt::Display`] says it in one line, with the place in the policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// Nobody asked the policy.
    NotEvaluated,
    /// A rule says so.
    Rule {
        /// The rule.
        at: Location,
        /// What it does.
        effect: Effect,
    },
    /// A rule says what this application may do, and this is not in it.
    LeftOut {
        /// The rule.
        at: Location,
    },
    /// A rule asks for it: each use waits for an answer.
    Ask {
        /// The rule.
        at: Location,
        /// What a no looks like to the client.
        when_denied: WhenDenied,
    },
    /// A rule asks for it, and there is no application that an answer could hold for.
    CannotAsk {
        /// The rule.
        at: Location,
    },
    /// A rule would take it if it applies, and a fact is missing to tell whether it does.
    Uncertain {
        /// The rule.
        at: Location,
    },
    /// `[defaults]` says so.
    Default {
        /// The key.
        class: DefaultClass,
        /// Where it stands; `None` if the policy leaves it out.
        at: Option<Location>,
        /// What it does.
        effect: Effect,
    },
    /// The default is `*`, which this capability is never part of.
    NotInStar {
        /// The key.
        class: DefaultClass,
    },
    /// `[defaults]` names it, but a client that evades identification would gain by it.
    Reduced {
        /// The key.
        class: DefaultClass,
        /// What would be evaded.
        by: Reduction,
    },
    /// It was given for evidence that any process of the user can produce, and the host's
    /// processes do not have it.
    Capped,
    /// A client of this kind never has it, whatever the policy says.
    Withheld,
    /// `[defaults.internal]` says so.
    Internal {
        /// The name that the maker of the socket pair gave to its other end.
        tag: Arc<str>,
        /// Where the tag stands; `None` if it does not.
        at: Option<Location>,
        /// What it does.
        effect: Effect,
    },
    /// A label inside the outermost one does not have it.
    Nested {
        /// That label.
        label: Arc<str>,
        /// Why it does not.
        because: Box<Because>,
    },
    /// It was limited by another verdict, such as the one of a security context.
    Limited {
        /// What limited it.
        by: Arc<str>,
        /// Why that does not have it.
        because: Box<Because>,
    },
    /// It is to be asked for at use, or to look empty, and this compositor checks no use of it.
    NotHeld,
    /// Somebody answered while the compositor runs.
    Grant {
        /// The number of the answer.
        id: GrantId,
        /// What it is.
        answer: Answer,
        /// How long it holds.
        lifetime: Lifetime,
    },
}

impl Because {
    /// Whether it only says that nobody gave it, or that somebody is to be asked: then an answer counts.
    fn is_open(&self) -> bool {
        match self {
            Self::Ask { .. } | Self::LeftOut { .. } | Self::Default { .. } | Self::NotInStar { .. } => true,
            Self::Rule { effect, .. } => *effect != Effect::Deny,
            Self::NotEvaluated
            | Self::CannotAsk { .. }
            | Self::Uncertain { .. }
            | Self::Reduced { .. }
            | Self::Capped
            | Self::Withheld
            | Self::Internal { .. }
            | Self::Nested { .. }
            | Self::Limited { .. }
            | Self::NotHeld
            | Self::Grant { .. } => false,
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |at: &Option<Location>| at.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
        match self {
            Self::NotEvaluated => f.write_str("no policy was asked"),
            Self::Rule { at, effect: Effect::Allow } => write!(f, "the rule at {at} allows it"),
            Self::Rule { at, effect: Effect::Deny } => write!(f, "the rule at {at} denies it"),
            Self::Ask { at, .. } => write!(f, "the rule at {at} asks for it"),
            Self::CannotAsk { at } => {
                write!(f, "the rule at {at} asks for it, and an answer holds for an engine's application ID only")
            }
            Self::LeftOut { at } => write!(f, "the rule at {at} applies and does not allow it"),
            Self::Uncertain { at } => {
                write!(f, "the rule at {at} would take it, and too little is known to tell whether it applies")
            }
            Self::Default { class, at: place, effect: Effect::Allow } => {
                write!(f, "[defaults] {class} has it{}", at(place))
            }
            Self::Default { class, at: place, effect: Effect::Deny } => {
                write!(f, "[defaults] {class} does not have it{}", at(place))
            }
            Self::NotInStar { class } => {
                write!(f, "[defaults] {class} does not name it, and `*` does not contain it")
            }
            Self::Reduced { class, by } => {
                write!(f, "[defaults] {class} names it, but ")?;
                match by {
                    Reduction::DeniedByRule(at) => write!(f, "the rule at {at} denies it to others"),
                    Reduction::LeftOutByRule(at) => write!(f, "the rule at {at} does not give it to others"),
                    Reduction::LackedBy(class) => write!(f, "[defaults] {class} does not have it"),
                }
            }
            Self::Capped => f.write_str("any process of the user could claim it, and [defaults] host does not have it"),
            Self::Withheld => f.write_str("a client of this kind never has it"),
            Self::Internal { tag, at: place, effect: Effect::Allow } => {
                write!(f, "[defaults.internal] {} has it{}", harmless(tag), at(place))
            }
            Self::Internal { tag, at: place, effect: Effect::Deny } => {
                write!(f, "[defaults.internal] {} does not have it{}", harmless(tag), at(place))
            }
            Self::Nested { label, because } => write!(f, "inside it is {}: {because}", harmless(label)),
            Self::Limited { by, because } => write!(f, "{}: {because}", harmless(by)),
            Self::NotHeld => f.write_str("a rule would have it held at use, which this compositor cannot do"),
            Self::Grant { id, answer: Answer::Allow, lifetime } => write!(f, "grant {id} allows it ({lifetime})"),
            Self::Grant { id, answer: Answer::Deny, lifetime } => write!(f, "grant {id} denies it ({lifetime})"),
        }
    }
}

/// How a client stands to a capability. The later ones in this list include the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// It does not see the globals.
    Denied,
    /// It sees the globals, and their use gives nothing: a black picture, an empty offer.
    Empty,
    /// It sees the globals, and each use waits for somebody's answer.
    Ask,
    /// It may use them.
    Allowed,
}

impl Standing {
    /// The word for it in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Empty => "empty",
            Self::Ask => "ask",
            Self::Allowed => "allowed",
        }
    }
}

/// What one client may do, and why: the answer of [`Policy::evaluate`](super::Policy::evaluate).
///
/// It is a snapshot; a later policy does not change it. The default allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    allowed: CapabilitySet,
    /// Disjoint from `allowed`.
    ask: CapabilitySet,
    /// Disjoint from both.
    empty: CapabilitySet,
    /// Disjoint sets that together are all capabilities.
    reasons: Vec<(CapabilitySet, Because)>,
    /// What a grant to this application may still give. Disjoint from `allowed`.
    open: Option<(Grantee, CapabilitySet)>,
}

impl Default for Verdict {
    fn default() -> Self {
        let none = CapabilitySet::EMPTY;
        Self { allowed: none, ask: none, empty: none, reasons: vec![(ALL, Because::NotEvaluated)], open: None }
    }
}

impl Verdict {
    /// Everything that is allowed without a question.
    #[must_use]
    pub fn allowed(&self) -> CapabilitySet {
        self.allowed
    }

    /// What may be used after somebody said yes.
    #[must_use]
    pub fn ask(&self) -> CapabilitySet {
        self.ask
    }

    /// What is denied at use only: the client sees the globals, and gets nothing from them.
    #[must_use]
    pub fn empty(&self) -> CapabilitySet {
        self.empty
    }

    /// Everything whose globals the client sees.
    #[must_use]
    pub fn visible(&self) -> CapabilitySet {
        self.at_least(Standing::Empty)
    }

    /// How the client stands to `capability`.
    #[must_use]
    pub fn standing(&self, capability: Capability) -> Standing {
        let all = [(self.allowed, Standing::Allowed), (self.ask, Standing::Ask), (self.empty, Standing::Empty)];
        all.iter().find(|(set, _)| set.contains(capability)).map_or(Standing::Denied, |(_, standing)| *standing)
    }

    fn at_least(&self, standing: Standing) -> CapabilitySet {
        match standing {
            Standing::Denied => ALL,
            Standing::Empty => self.allowed.union(self.ask).union(self.empty),
            Standing::Ask => self.allowed.union(self.ask),
            Standing::Allowed => self.allowed,
        }
    }

    /// Whether `capability` is allowed.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.allowed.contains(capability)
    }

    /// Why `capability` is allowed or denied.
    #[must_use]
    pub fn reason(&self, capability: Capability) -> &Because {
        self.reasons
            .iter()
            .find(|(set, _)| set.contains(capability))
            .map_or(&Because::NotEvaluated, |(_, because)| because)
    }

    /// How the client stands to `capability` after somebody said no to it.
    #[must_use]
    pub fn when_refused(&self, capability: Capability) -> Standing {
        match (self.standing(capability), self.reason(capability)) {
            (Standing::Ask, Because::Ask { when_denied: WhenDenied::Empty, .. }) | (Standing::Empty, _) => {
                Standing::Empty
            }
            _ => Standing::Denied,
        }
    }

    /// What both allow. For what only `self` allows, the reason names `by` and the reason of
    /// `other`.
    #[must_use]
    pub fn intersect(&self, other: &Self, by: &str) -> Self {
        let by: Arc<str> = by.into();
        let both = self.limit(other, |because| Because::Limited { by: by.clone(), because: Box::new(because) });
        match (&self.open, &other.open) {
            // One application, of which two witnesses speak: an answer about it is about both.
            (Some((grantee, _)), Some((same, _))) if grantee == same => {
                let could = |verdict: &Self| verdict.allowed.union(verdict.open_to_grants(grantee));
                let open = could(self).intersection(could(other)).difference(both.allowed);
                Self { open: Some((grantee.clone(), open)), ..both }
            }
            _ => both,
        }
    }

    /// What a grant that allows could give to `grantee`.
    pub(super) fn open_to_grants(&self, grantee: &Grantee) -> CapabilitySet {
        let open = self.open.as_ref().filter(|(to, _)| to.engine == grantee.engine && to.app_id == grantee.app_id);
        open.map_or(CapabilitySet::EMPTY, |(_, open)| *open)
    }

    /// The same, where a grant to `grantee` may give at most `limit`, and only what is open.
    pub(super) fn opened_to(mut self, grantee: Option<Grantee>, limit: CapabilitySet) -> Self {
        let sets = self.reasons.iter().filter(|(_, because)| because.is_open()).map(|(set, _)| *set);
        let open = sets.fold(CapabilitySet::EMPTY, CapabilitySet::union).difference(self.allowed).intersection(limit);
        self.open = grantee.map(|grantee| (grantee, open));
        self
    }

    /// The same for a compositor that checks the uses of `held` only: whatever else is visible without being allowed is
    /// denied.
    pub(crate) fn held_at_use(self, held: CapabilitySet) -> Self {
        let not_held = self.ask.union(self.empty).difference(held);
        if not_held.is_empty() {
            return self;
        }
        let mut builder = Builder::default();
        builder.deny(not_held, || Because::NotHeld);
        builder.base(&self);
        Self { open: self.open, ..builder.finish() }
    }

    /// The same, to which no grant gives anything any more.
    pub(super) fn closed_to_grants(self) -> Self {
        Self { open: None, ..self }
    }

    /// The reasons, each with what it decided.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (CapabilitySet, &Because)> {
        self.reasons.iter().map(|(set, because)| (*set, because))
    }

    pub(super) fn limit(&self, other: &Self, wrap: impl Fn(Because) -> Because) -> Self {
        let mut builder = Builder::default();
        // Where `other` gives less, it decides.
        for less in [Standing::Denied, Standing::Empty, Standing::Ask] {
            let more = match less {
                Standing::Denied => self.visible(),
                Standing::Empty => self.at_least(Standing::Ask),
                _ => self.allowed,
            };
            let here = other.exactly(less).intersection(more);
            for (set, because) in &other.reasons {
                builder.decide(set.intersection(here), less, || wrap(because.clone()));
            }
        }
        builder.base(self);
        // A grant is about `self` alone: it cannot give what `other` does not have.
        let open = self.open.clone().map(|(grantee, open)| (grantee, open.intersection(other.allowed)));
        Self { open, ..builder.finish() }
    }

    fn exactly(&self, standing: Standing) -> CapabilitySet {
        match standing {
            Standing::Denied => ALL.difference(self.visible()),
            Standing::Empty => self.empty,
            Standing::Ask => self.ask,
            Standing::Allowed => self.allowed,
        }
    }

    /// Every capability of `policy`: its name, whether it is allowed, and why.
    #[must_use]
    pub fn describe(&self, policy: &super::Policy) -> Vec<(String, bool, String)> {
        policy
            .capabilities()
            .map(|c| (policy.capability_name(c).to_owned(), self.allows(c), self.reason(c).to_string()))
            .collect()
    }
}

/// Builds a [`Verdict`]: what is decided first stays.
pub(super) struct Builder {
    undecided: CapabilitySet,
    verdict: Verdict,
}

impl Default for Builder {
    fn default() -> Self {
        let verdict = Verdict { reasons: Vec::with_capacity(4), ..Verdict::default() };
        Self { undecided: ALL, verdict }
    }
}

impl Builder {
    /// Decides what of `set` is undecided.
    pub(super) fn decide(&mut self, set: CapabilitySet, standing: Standing, because: impl FnOnce() -> Because) {
        let set = set.intersection(self.undecided);
        if set.is_empty() {
            return;
        }
        self.undecided = self.undecided.difference(set);
        self.add(set, standing);
        self.verdict.reasons.push((set, because()));
    }

    fn add(&mut self, set: CapabilitySet, standing: Standing) {
        let target = match standing {
            Standing::Denied => return,
            Standing::Empty => &mut self.verdict.empty,
            Standing::Ask => &mut self.verdict.ask,
            Standing::Allowed => &mut self.verdict.allowed,
        };
        *target = target.union(set);
    }

    pub(super) fn allow(&mut self, set: CapabilitySet, because: impl FnOnce() -> Because) {
        self.decide(set, Standing::Allowed, because);
    }

    pub(super) fn deny(&mut self, set: CapabilitySet, because: impl FnOnce() -> Because) {
        self.decide(set, Standing::Denied, because);
    }

    /// Leaves the rest to another verdict.
    pub(super) fn base(&mut self, base: &Verdict) {
        for (set, because) in &base.reasons {
            let set = set.intersection(self.undecided);
            if set.is_empty() {
                continue;
            }
            self.undecided = self.undecided.difference(set);
            for standing in [Standing::Empty, Standing::Ask, Standing::Allowed] {
                self.add(set.intersection(base.exactly(standing)), standing);
            }
            self.verdict.reasons.push((set, because.clone()));
        }
    }

    /// What was decided; the rest is denied.
    pub(super) fn finish(mut self) -> Verdict {
        self.deny(ALL, || Because::NotEvaluated);
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(allowed: CapabilitySet) -> Verdict {
        let mut builder = Builder::default();
        builder.allow(allowed, || Because::Default { class: DefaultClass::Host, at: None, effect: Effect::Allow });
        builder.deny(ALL, || Because::Withheld);
        builder.finish()
    }

    #[test]
    fn the_default_allows_nothing() {
        assert!(Verdict::default().allowed().is_empty());
        assert_eq!(Verdict::default().reason(Capability::LAYER_SHELL), &Because::NotEvaluated);
    }

    #[test]
    fn what_is_decided_first_stays() {
        let mut builder = Builder::default();
        builder.deny(CapabilitySet::of([Capability::LAYER_SHELL]), || Because::Withheld);
        builder.allow(ALL, || Because::Capped);
        let verdict = builder.finish();
        assert!(!verdict.allows(Capability::LAYER_SHELL) && verdict.allows(Capability::SCREEN_CAPTURE));
        assert_eq!(verdict.reason(Capability::LAYER_SHELL), &Because::Withheld);
    }

    #[test]
    fn an_intersection_allows_what_both_allow_and_says_who_took_the_rest() {
        let a = verdict(CapabilitySet::of([Capability::LAYER_SHELL, Capability::SCREEN_CAPTURE]));
        let b = verdict(CapabilitySet::of([Capability::SCREEN_CAPTURE, Capability::OUTPUT_POWER]));
        let both = a.intersect(&b, "the security context");
        assert_eq!(both.allowed(), CapabilitySet::of([Capability::SCREEN_CAPTURE]));
        assert_eq!(
            both.reason(Capability::LAYER_SHELL).to_string(),
            "the security context: a client of this kind never has it"
        );
        assert_eq!(both.reason(Capability::OUTPUT_POWER), &Because::Withheld);
        assert_eq!(both.reason(Capability::SCREEN_CAPTURE), a.reason(Capability::SCREEN_CAPTURE));
    }
    #[test]
    fn an_intersection_is_the_lesser_of_both_for_each_capability() {
        use Standing::{Allowed, Ask, Denied, Empty};
        let all = [Denied, Empty, Ask, Allowed];
        let of = |choose: fn(usize) -> usize| {
            let mut builder = Builder::default();
            for at in 0..16 {
                let one = CapabilitySet::of(Capability::from_index(at));
                builder.decide(one, all[choose(at)], || Because::Capped);
            }
            builder.finish()
        };
        let (a, b) = (of(|at| at % 4), of(|at| at / 4));
        let both = a.intersect(&b, "b");
        for capability in (0..16).filter_map(Capability::from_index) {
            let lesser = a.standing(capability).min(b.standing(capability));
            assert_eq!(both.standing(capability), lesser, "{capability:?}");
            let limited = b.standing(capability) < a.standing(capability);
            assert_eq!(matches!(both.reason(capability), Because::Limited { .. }), limited, "{capability:?}");
        }
        assert_eq!(both.visible(), both.allowed().union(both.ask()).union(both.empty()));
    }
}
