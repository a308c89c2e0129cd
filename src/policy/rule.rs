//! Rules, and when they apply.

use std::time::SystemTime;

use super::capability::CapabilitySet;
use super::pattern::Pattern;
use super::verdict::Location;
use crate::identity::{AppId, AppIdentity, HostIdentity, InstanceId, NestedLabel, Provenance, SandboxEngine, UnitName};

/// One `[[rule]]`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) at: Location,
    pub(super) matcher: Matcher,
    /// What is left of `matcher` for clients with a label; only what it allows goes by it.
    pub(super) for_labels: Option<Matcher>,
    /// `None` if the rule only denies. What it only asks for is not in it.
    pub(super) allow: Option<CapabilitySet>,
    /// What waits for an answer at each use.
    pub(super) ask: CapabilitySet,
    pub(super) deny: CapabilitySet,
    /// What becomes of what it denies, and of what it asks for when the answer is no.
    pub(super) when_denied: WhenDenied,
    /// From then on it allows nothing, and denies what it asked for.
    pub(super) until: Option<SystemTime>,
}

impl Rule {
    /// What it allows and asks for at this time; `None` if it only denies.
    pub(super) fn gives(&self, now: SystemTime) -> Option<Gives> {
        let allow = self.allow?;
        Some(if self.is_over(now) {
            Gives::default()
        } else {
            Gives { allow: allow.difference(self.ask), ask: self.ask }
        })
    }

    /// What it denies at this time.
    pub(super) fn denies(&self, now: SystemTime) -> CapabilitySet {
        // A question that is asked no longer must not become a yes by what another rule allows.
        if self.is_over(now) { self.deny.union(self.ask) } else { self.deny }
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// What it allows whatever the time is: by this goes what those may have who evade identification.
    pub(super) fn always_gives(&self) -> Option<CapabilitySet> {
        let allow = self.allow?;
        Some(if self.until.is_some() { CapabilitySet::EMPTY } else { allow.difference(self.ask) })
    }
}

/// What a rule with an `allow` or an `ask` gives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gives {
    pub(super) allow: CapabilitySet,
    pub(super) ask: CapabilitySet,
}

/// `when-denied`: how a denial looks to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenDenied {
    /// The globals are hidden; a use that waited for an answer fails.
    #[default]
    Hide,
    /// The globals stay visible and give nothing: a black picture, an empty offer.
    Empty,
}

impl Rule {
    /// Whether both say the same about the same clients, wherever they stand.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        // Whatever a rule comes to have more of is either compared here or said not to be.
        let Self { at: _, matcher, for_labels: _, allow, ask, deny, when_denied, until } = self;
        *matcher == other.matcher
            && (*allow, *ask, *deny) == (other.allow, other.ask, other.deny)
            && (*when_denied, *until) == (other.when_denied, other.until)
    }
}

/// What is asked of a client in `match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matcher {
    /// All of these.
    All(Vec<Self>),
    /// At least one of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// One fact.
    Fact(Fact),
}

/// What is asked about one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// `engine`: one that the pattern names.
    Engine(Pattern),
    /// `engine = "unknown"`: no label, but namespaces of its own.
    UnknownEngine,
    /// `engine = "*"`: any application, the unlabelled ones too.
    AnyEngine,
    /// `app-id`.
    AppId(Pattern),
    /// `instance-id`.
    InstanceId(Pattern),
    /// `provenance`.
    Provenance(Provenance),
    /// `unit`.
    Unit(Pattern),
    /// `namespaces`: whether all of them are the compositor's.
    SharedNamespaces(bool),
    /// `uid`: one of these users.
    Uid(Box<[u32]>),
    /// `internal`: the name that the compositor gave to the other end of a socket pair.
    Internal(Pattern),
    /// `extra`: what a further xattr says.
    Extra(Box<str>, Pattern),
}

/// Whether a rule applies, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Applies {
    No,
    /// A fact is missing: it may or may not.
    Maybe,
    Yes,
}

impl From<bool> for Applies {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl std::ops::Not for Applies {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// What is known about a client, as far as rules ask for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    kind: Kind<'a>,
    unit: Unit<'a>,
    /// `None` is not known.
    shared_namespaces: Option<bool>,
    /// `None` is not known.
    uid: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Host,
    /// Without a label.
    Namespaced,
    Labelled(Label<'a>),
    /// A socket pair of the compositor's own, by its name.
    Internal(&'a str),
}

/// What a label says. `None` is not known: the engine does not say.
#[derive(Clone, Copy, Debug)]
struct Label<'a> {
    engine: Option<&'a SandboxEngine>,
    app_id: Option<&'a AppId>,
    instance_id: Option<&'a InstanceId>,
    provenance: Option<Provenance>,
    extra: &'a [(String, String)],
}

/// The unit of a client.
#[derive(Clone, Copy, Debug)]
enum Unit<'a> {
    None,
    Known(&'a UnitName),
    Unknown,
}

impl<'a> Facts<'a> {
    /// Of a host process. Its claim to an app ID is no fact.
    pub(super) fn of_host(host: &'a HostIdentity) -> Self {
        Self { kind: Kind::Host, unit: Unit::of(host.unit.as_ref()), shared_namespaces: Some(true), uid: host.uid }
    }

    /// Of an application by its outermost label.
    pub(super) fn of_app(app: &'a AppIdentity) -> Self {
        let kind = app.engine.as_ref().map_or(Kind::Namespaced, |engine| {
            Kind::Labelled(Label {
                engine: Some(engine),
                app_id: app.app_id.as_ref(),
                instance_id: app.instance_id.as_ref(),
                provenance: Some(app.provenance),
                extra: &app.extra,
            })
        });
        let shared_namespaces = app.namespaces.as_ref().map(|n| n.all_same());
        Self { kind, unit: Unit::of(app.unit.as_ref()), shared_namespaces, uid: app.uid }
    }

    /// Of the other end of a socket pair.
    pub(super) fn of_internal(tag: &'a str) -> Self {
        Self { kind: Kind::Internal(tag), unit: Unit::None, shared_namespaces: None, uid: None }
    }

    /// Of the same process, by a label inside.
    pub(super) fn of_nested(self, label: &'a NestedLabel) -> Self {
        let label = Label {
            engine: Some(&label.engine),
            app_id: label.app_id.as_ref(),
            instance_id: label.instance_id.as_ref(),
            provenance: Some(label.provenance),
            extra: &label.extra,
        };
        Self { kind: Kind::Labelled(label), ..self }
    }

    /// Of some host process.
    const ANY_HOST: Facts<'static> =
        Facts { kind: Kind::Host, unit: Unit::Unknown, shared_namespaces: Some(true), uid: None };

    /// Of an application without a label, of which nothing else is believed either: who got rid of his label may have got
    /// into another unit on the way.
    const SHED: Facts<'static> =
        Facts { kind: Kind::Namespaced, unit: Unit::Unknown, shared_namespaces: None, uid: None };

    /// Whether there is a sandbox label.
    pub(super) fn is_labelled(self) -> bool {
        matches!(self.kind, Kind::Labelled(_))
    }

    /// What holds for its label.
    fn of_label(self, holds: impl FnOnce(Label<'a>) -> Applies) -> Applies {
        match self.kind {
            Kind::Host | Kind::Internal(_) => Applies::No,
            // It may be the very application that is meant, having shed its label.
            Kind::Namespaced => Applies::Maybe,
            Kind::Labelled(label) => holds(label),
        }
    }

    /// Whether there is a name that an answer can hold for: an engine's application.
    pub(super) fn can_be_asked_for(self) -> bool {
        matches!(self.kind, Kind::Labelled(Label { engine: Some(_), app_id: Some(_), .. }))
    }

    /// Whether any process of the user could have made this evidence.
    pub(super) fn is_user_evidence(self) -> bool {
        !matches!(self.kind, Kind::Labelled(Label { provenance: Some(Provenance::System), .. }))
    }
}

impl<'a> Unit<'a> {
    fn of(unit: Option<&'a UnitName>) -> Self {
        unit.map_or(Self::None, Self::Known)
    }
}

impl Matcher {
    /// Whether a host process can be meant.
    pub(super) fn can_be_host(&self) -> bool {
        self.applies(&Facts::ANY_HOST) != Applies::No
    }

    /// Whether a unit is asked for, which the user's own manager names.
    pub(super) fn asks_for_a_unit(&self) -> bool {
        self.asks(&|fact| matches!(fact, Fact::Unit(_)))
    }

    /// Whether it is about socket pairs of the compositor's own: nobody else's rules give anything to them.
    pub(super) fn asks_for_internal(&self) -> bool {
        self.asks(&|fact| matches!(fact, Fact::Internal(_)))
    }

    /// Whether something is asked for that only a label can tell.
    pub(super) fn asks_for_a_label(&self) -> bool {
        self.asks(&Fact::is_of_a_label)
    }

    fn asks(&self, about: &impl Fn(&Fact) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.asks(about)),
            Self::Not(part) => part.asks(about),
            Self::Fact(fact) => about(fact),
        }
    }

    /// Whether a client without a label may be one that is meant, and have got rid of the label that is asked for.
    pub(super) fn may_have_been_shed(&self, facts: &Facts<'_>) -> bool {
        matches!(facts.kind, Kind::Namespaced) && self.asks_for_a_label() && self.applies(&Facts::SHED) != Applies::No
    }

    /// What is left of it for clients with a label.
    ///
    /// Who asks for a unit without a word about applications means what runs there outside any sandbox, not a label inside.
    pub(super) fn for_labels(&self) -> Option<Self> {
        self.within(false)
    }

    /// `about_apps` is whether what surrounds it is about applications.
    fn within(&self, about_apps: bool) -> Option<Self> {
        match self {
            Self::All(parts) => {
                let about_apps = about_apps || parts.iter().any(|part| matches!(part, Self::Fact(f) if f.is_of_apps()));
                parts.iter().map(|part| part.within(about_apps)).collect::<Option<_>>().map(Self::All)
            }
            Self::Any(parts) => {
                let parts: Vec<_> = parts.iter().filter_map(|part| part.within(about_apps)).collect();
                (!parts.is_empty()).then_some(Self::Any(parts))
            }
            Self::Not(part) => {
                let meant = about_apps || !part.asks_for_a_unit() || part.asks(&Fact::is_of_apps);
                meant.then(|| self.clone())
            }
            Self::Fact(Fact::Unit(_)) => about_apps.then(|| self.clone()),
            Self::Fact(_) => Some(self.clone()),
        }
    }

    /// Whether it applies to a client of which `facts` are known.
    pub(super) fn applies(&self, facts: &Facts<'_>) -> Applies {
        match self {
            Self::All(parts) => parts.iter().map(|part| part.applies(facts)).min().unwrap_or(Applies::Yes),
            Self::Any(parts) => parts.iter().map(|part| part.applies(facts)).max().unwrap_or(Applies::No),
            Self::Not(part) => !part.applies(facts),
            Self::Fact(fact) => fact.applies(facts),
        }
    }
}

impl Fact {
    /// Whether it is about applications.
    fn is_of_apps(&self) -> bool {
        !matches!(self, Self::Unit(_) | Self::SharedNamespaces(_) | Self::Uid(_) | Self::Internal(_))
    }

    /// Whether only a label can tell it.
    pub(super) fn is_of_a_label(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::AppId(_) | Self::InstanceId(_) | Self::Provenance(_) | Self::Extra(..))
    }

    fn applies(&self, facts: &Facts<'_>) -> Applies {
        match self {
            Self::Unit(wanted) => match facts.unit {
                Unit::None => Applies::No,
                Unit::Known(unit) => wanted.is_match(unit.as_str()).into(),
                Unit::Unknown => Applies::Maybe,
            },
            // The other end of a socket pair may be anywhere, and is not looked at.
            Self::SharedNamespaces(_) | Self::Uid(_) if matches!(facts.kind, Kind::Internal(_)) => Applies::No,
            Self::SharedNamespaces(wanted) => known(facts.shared_namespaces, |shared| shared == *wanted),
            Self::Uid(wanted) => known(facts.uid, |uid| wanted.contains(&uid)),
            Self::Internal(wanted) => match facts.kind {
                Kind::Internal(tag) => wanted.is_match(tag).into(),
                _ => Applies::No,
            },
            Self::AnyEngine => matches!(facts.kind, Kind::Namespaced | Kind::Labelled(_)).into(),
            Self::UnknownEngine => matches!(facts.kind, Kind::Namespaced).into(),
            Self::Engine(wanted) => facts.of_label(|label| known(label.engine, |e| wanted.is_match(e.as_str()))),
            Self::AppId(wanted) => facts.of_label(|label| known(label.app_id, |id| wanted.is_match(id.as_str()))),
            Self::InstanceId(wanted) => {
                facts.of_label(|label| known(label.instance_id, |id| wanted.is_match(id.as_str())))
            }
            Self::Extra(name, wanted) => facts.of_label(|label| {
                let value = label.extra.iter().find(|(other, _)| **other == **name);
                known(value, |(_, value)| wanted.is_match(value))
            }),
            Self::Provenance(wanted) => facts.of_label(|label| known(label.provenance, |by| by == *wanted)),
        }
    }
}

/// A fact that is not there may be any.
fn known<T>(fact: Option<T>, is: impl FnOnce(T) -> bool) -> Applies {
    fact.map_or(Applies::Maybe, |fact| is(fact).into())
}
