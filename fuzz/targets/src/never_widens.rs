//! Whatever a client does, it never gets more than it may (T04, T10, T12, T15, T18, T42).

mod model;

use model::{Level, Model, NEVER};
use wayland_auth::fuzzing::{self, App};
use wayland_auth::identity::{Identity, Namespaces, Provenance, Reason};
use wayland_auth::policy::{CapabilitySet, Policy, Verdict};
use wayland_auth::{ClientAuth, SandboxContext};

use super::source::Source;

/// Choices: a policy, then clients.
pub(super) fn run(data: &[u8]) {
    check_one_policy(&mut Source::Bytes(data), 4);
}

/// Makes a policy and `clients` clients of it, and asks of each whether anything that it can do gives it more.
///
/// # Panics
///
/// If something does.
pub fn check_one_policy(source: &mut Source<'_>, clients: usize) {
    let model = Model::any(source);
    let text = model.text();
    let policy = Policy::parse("p", &text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let mut case = Case { model, text, policy, level: Level::Allowed };
    for _ in 0..clients {
        if source.is_empty() {
            return;
        }
        let app = model::app(source);
        case.level = source.pick(&[Level::Allowed, Level::Asked, Level::Seen]);
        case.is_limited(&app);
        case.loses_by_another_label(&app, source);
        case.loses_by_a_missing_fact(&app);
        case.loses_by_failing(&app);
        case.loses_by_stripping(&app);
        case.loses_by_being_labelled(&app);
        case.loses_by_a_context(app, source);
    }
}

struct Case {
    model: Model,
    text: String,
    policy: Policy,
    level: Level,
}

impl Case {
    fn allowed(&self, identity: &Identity) -> CapabilitySet {
        self.level_of(&self.policy.evaluate(identity))
    }

    fn level_of(&self, verdict: &Verdict) -> CapabilitySet {
        match self.level {
            Level::Allowed => verdict.allowed(),
            Level::Asked => verdict.allowed().union(verdict.ask()),
            Level::Seen => verdict.visible(),
        }
    }

    fn of(&self, app: &App) -> CapabilitySet {
        self.allowed(&fuzzing::app(app.clone()))
    }

    fn assert_within(&self, less: CapabilitySet, more: CapabilitySet, what: &str, who: &App) {
        let gained = less.difference(more);
        assert!(gained.is_empty(), "{what}: {gained:?} beyond {more:?}\n{}\n{who:?}", self.text);
    }

    /// The reference, and the cap on what users can write.
    fn is_limited(&self, app: &App) {
        let allowed = self.of(app);
        self.assert_within(allowed, self.model.most(app, self.level), "more than the policy says", app);
        assert!(allowed.intersection(NEVER).is_empty());
        let outermost_is_users = app.engine.is_none() || app.provenance == Provenance::User;
        if outermost_is_users && !self.model.as_written {
            self.assert_within(allowed, self.model.host(), "a user's own label", app);
        }
    }

    /// Any label, anywhere on the way down.
    fn loses_by_another_label(&self, app: &App, source: &mut Source<'_>) {
        let mut deeper = app.clone();
        deeper.nested.insert(source.below(app.nested.len() + 1), model::nested(source));
        self.assert_within(self.of(&deeper), self.of(app), "a nested label", &deeper);
        if let Some(engine) = &app.engine {
            // And outside of all that were there.
            let outer = model::nested(source);
            let mut inside = app.clone();
            let was = fuzzing::nested(engine.clone(), app.app_id.clone(), app.instance_id.clone(), app.provenance);
            inside.nested.insert(0, was);
            inside.engine = Some(outer.engine);
            inside.app_id = outer.app_id;
            inside.instance_id = outer.instance_id;
            inside.provenance = outer.provenance;
            self.assert_within(self.of(&inside), self.of(app), "a label outside", &inside);
        }
    }

    fn loses_by_a_missing_fact(&self, app: &App) {
        for which in 1..16_u8 {
            let known = u8::from(app.app_id.is_some())
                | u8::from(app.instance_id.is_some()) << 1
                | u8::from(app.namespaces.is_some()) << 2
                | u8::from(app.uid.is_some()) << 3;
            if which & !known != 0 {
                continue;
            }
            let mut less = app.clone();
            if which & 1 != 0 {
                less.app_id = None;
            }
            if which & 2 != 0 {
                less.instance_id = None;
            }
            if which & 4 != 0 {
                less.namespaces = None;
            }
            if which & 8 != 0 {
                less.uid = None;
            }
            self.assert_within(self.of(&less), self.of(app), "a missing fact", &less);
        }
    }

    /// Whoever is not identified has at most what everybody has.
    fn loses_by_failing(&self, app: &App) {
        let nobody = self.allowed(&Identity::unidentified(Reason::Moved));
        self.assert_within(nobody, self.of(app), "unidentified", app);
        self.assert_within(nobody, self.model.most_unidentified(), "unidentified", app);
        let host = fuzzing::host(app.app_id.clone(), app.unit.clone(), app.uid);
        self.assert_within(nobody, self.allowed(&host), "unidentified and the host", app);
    }

    /// Without its label it is one of those whose namespaces alone are seen.
    fn loses_by_stripping(&self, app: &App) {
        if app.engine.is_none() || self.model.names_unlabelled() {
            return;
        }
        let stripped =
            App { engine: None, app_id: None, instance_id: None, provenance: Provenance::User, ..app.clone() };
        let labelled = App { nested: Vec::new(), ..app.clone() };
        let stripped = App { nested: Vec::new(), ..stripped };
        self.assert_within(self.of(&stripped), self.of(&labelled), "namespaced", app);
    }

    /// A program of the user gives itself a label.
    fn loses_by_being_labelled(&self, app: &App) {
        if app.engine.is_none() || self.model.as_written {
            return;
        }
        let labelled = App { provenance: Provenance::User, namespaces: Some(Namespaces::SHARED), ..app.clone() };
        let host = fuzzing::host(app.app_id.clone(), app.unit.clone(), app.uid);
        // Nobody can be asked about a host process; about one with a label somebody can, and may say yes.
        let asked = if self.level == Level::Allowed { CapabilitySet::EMPTY } else { self.model.asked() };
        let more = self.allowed(&host).union(asked);
        self.assert_within(self.of(&labelled), more, "a label that a host process gave itself", app);
    }

    /// It comes through a security context, of whoever made it and whatever that says.
    fn loses_by_a_context(&self, app: App, source: &mut Source<'_>) {
        let creator = match source.below(4) {
            0 => fuzzing::host(None, model::unit(source), model::uid(source)),
            1 => Identity::unidentified(Reason::Moved),
            _ => fuzzing::app(model::app(source)),
        };
        let creator: ClientAuth = fuzzing::client_auth(&self.policy, creator);
        let names = ["e", "f", "a", "b", "1", "bad name", ""];
        let name = |source: &mut Source<'_>| source.maybe(|s| s.pick(&names).to_owned());
        let context =
            SandboxContext::new(creator.clone()).engine(name(source)).app_id(name(source)).instance_id(name(source));
        let by_kernel = match source.below(4) {
            0 => fuzzing::host(model::app_id(source), app.unit.clone(), app.uid),
            1 => Identity::unidentified(Reason::Moved),
            _ => fuzzing::app(app.clone()),
        };
        let (identity, verdict) = fuzzing::sandboxed(&self.policy, by_kernel.clone(), &context);
        let allowed = self.level_of(&verdict);
        self.assert_within(allowed, self.level_of(&creator.verdict()), "more than the context's maker", &app);
        assert!(allowed.intersection(NEVER).is_empty(), "{context:?}");
        assert!(!matches!(identity, Identity::Host(_)), "a context's client became the host: {context:?}");
        // A sandbox that only its namespaces show is the one that the context names.
        let unlabelled = matches!(&by_kernel, Identity::App(app) if app.engine.is_none());
        if !unlabelled {
            self.assert_within(allowed, self.allowed(&by_kernel), "more than without the context", &app);
        }
        if !self.model.as_written {
            self.assert_within(allowed, self.model.host(), "a context is a user's own evidence", &app);
        }
    }
}
