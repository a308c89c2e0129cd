//! Rules, and when they apply.

use super::capability::CapabilitySet;
use super::verdict::Location;
use crate::identity::{AppId, AppIdentity, HostIdentity, InstanceId, NestedLabel, Provenance, SandboxEngine, UnitName};

/// One `[[rule]]`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) at: Location,
    pub(super) matcher: Matcher,
    /// `None` if the rule only denies.
    pub(super) allow: Option<CapabilitySet>,
    pub(super) deny: CapabilitySet,
}

/// The keys of `match`; a rule applies if all that are there do.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    pub(super) engine: Option<EngineMatch>,
    pub(super) app_id: Option<AppId>,
    pub(super) instance_id: Option<InstanceId>,
    pub(super) provenance: Option<Provenance>,
    pub(super) unit: Option<UnitName>,
    pub(super) namespaces: Option<NamespaceMatch>,
}

/// The values of `engine`.
#[derive(Clone, Debug)]
pub(super) enum EngineMatch {
    /// This engine.
    Named(SandboxEngine),
    /// No label, but namespaces of its own.
    Unknown,
    /// Any application, the unlabelled ones too.
    Any,
}

/// The values of `namespaces`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamespaceMatch {
    /// At least one namespace is not the compositor's.
    Own,
    /// All of them are the compositor's.
    Shared,
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

/// What is known about a client, as far as rules ask for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    kind: Kind<'a>,
    /// `None` is the fact that there is no unit.
    unit: Option<&'a UnitName>,
    /// `None` is not known.
    shared_namespaces: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Host,
    /// Without a label.
    Namespaced,
    Labelled {
        engine: &'a SandboxEngine,
        /// `None` is not known: the engine does not say.
        app_id: Option<&'a AppId>,
        /// `None` is not known: the engine does not say.
        instance_id: Option<&'a InstanceId>,
        provenance: Provenance,
    },
}

impl<'a> Facts<'a> {
    /// Of a host process. Its claim to an app ID is no fact.
    pub(super) fn of_host(host: &'a HostIdentity) -> Self {
        Self { kind: Kind::Host, unit: host.unit.as_ref(), shared_namespaces: Some(true) }
    }

    /// Of an application by its outermost label.
    pub(super) fn of_app(app: &'a AppIdentity) -> Self {
        let kind = app.engine.as_ref().map_or(Kind::Namespaced, |engine| Kind::Labelled {
            engine,
            app_id: app.app_id.as_ref(),
            instance_id: app.instance_id.as_ref(),
            provenance: app.provenance,
        });
        Self { kind, unit: app.unit.as_ref(), shared_namespaces: app.namespaces.as_ref().map(|n| n.all_same()) }
    }

    /// Of the same process, by a label inside.
    pub(super) fn of_nested(self, label: &'a NestedLabel) -> Self {
        let kind = Kind::Labelled {
            engine: &label.engine,
            app_id: label.app_id.as_ref(),
            instance_id: label.instance_id.as_ref(),
            provenance: label.provenance,
        };
        Self { kind, ..self }
    }

    /// Whether there is a sandbox label.
    pub(super) fn is_labelled(self) -> bool {
        matches!(self.kind, Kind::Labelled { .. })
    }

    /// Whether it is an app that only its namespaces show.
    pub(super) fn is_unlabelled_app(self) -> bool {
        matches!(self.kind, Kind::Namespaced)
    }

    /// Whether any process of the user could have made this evidence.
    pub(super) fn is_user_evidence(self) -> bool {
        !matches!(self.kind, Kind::Labelled { provenance: Provenance::System, .. })
    }
}

impl Matcher {
    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        let Self { engine, app_id, instance_id, provenance, unit, namespaces } = self;
        engine.is_none()
            && app_id.is_none()
            && instance_id.is_none()
            && provenance.is_none()
            && unit.is_none()
            && namespaces.is_none()
    }

    /// Whether the rule is about a unit as such, and not about applications in it.
    pub(super) fn is_about_a_unit(&self) -> bool {
        self.unit.is_some() && self.engine.is_none() && self.provenance.is_none()
    }

    /// Whether only a sandbox label can be meant.
    pub(super) fn asks_for_a_label(&self) -> bool {
        matches!(self.engine, Some(EngineMatch::Named(_)))
            || self.app_id.is_some()
            || self.instance_id.is_some()
            || self.provenance.is_some()
    }

    /// Whether a host process can be meant.
    pub(super) fn can_be_host(&self) -> bool {
        self.engine.is_none() && self.app_id.is_none() && self.instance_id.is_none() && self.provenance.is_none()
    }

    /// Whether a sandbox label of a system's own can be meant.
    pub(super) fn can_be_system(&self) -> bool {
        self.unit.is_none()
            && !matches!(self.engine, Some(EngineMatch::Unknown))
            && !matches!(self.provenance, Some(Provenance::User))
    }

    /// Whether it applies to a client of which `facts` are known.
    pub(super) fn applies(&self, facts: &Facts<'_>) -> Applies {
        let mut applies = Applies::Yes;
        let mut and = |next: Applies| applies = applies.min(next);
        match (&self.engine, facts.kind) {
            (None | Some(EngineMatch::Any), Kind::Namespaced | Kind::Labelled { .. })
            | (None, Kind::Host)
            | (Some(EngineMatch::Unknown), Kind::Namespaced) => {}
            (Some(EngineMatch::Named(wanted)), Kind::Labelled { engine, .. }) => and((wanted == engine).into()),
            (Some(_), _) => return Applies::No,
        }
        if let Some(wanted) = &self.unit {
            and((facts.unit == Some(wanted)).into());
        }
        if let Some(wanted) = self.namespaces {
            and(known(facts.shared_namespaces, |shared| shared == (wanted == NamespaceMatch::Shared)));
        }
        if self.app_id.is_none() && self.instance_id.is_none() && self.provenance.is_none() {
            return applies;
        }
        let Kind::Labelled { app_id, instance_id, provenance, .. } = facts.kind else { return Applies::No };
        if let Some(wanted) = &self.app_id {
            and(known(app_id, |app_id| app_id == wanted));
        }
        if let Some(wanted) = &self.instance_id {
            and(known(instance_id, |instance_id| instance_id == wanted));
        }
        if let Some(wanted) = self.provenance {
            and((provenance == wanted).into());
        }
        applies
    }
}

/// A fact that is not there may be any.
fn known<T>(fact: Option<T>, is: impl FnOnce(T) -> bool) -> Applies {
    fact.map_or(Applies::Maybe, |fact| is(fact).into())
}
