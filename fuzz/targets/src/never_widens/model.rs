//! Policies and clients out of choices, and what the policy's documentation says of them, written down once more.
//!
//! The reference knows no "maybe": it answers for clients of whom everything is known. What is missing is tried with
//! every value that it could have.

use std::fmt::Write;

use wayland_auth::fuzzing::App;
use wayland_auth::identity::{
    AppId, Comparison, InstanceId, Namespaces, NestedLabel, Provenance, SandboxEngine, UnitName,
};
use wayland_auth::policy::{Capability, CapabilitySet};

use crate::source::Source;

const NAMES: &[&str] = &[
    "screen-capture",
    "layer-shell",
    "toplevel-list",
    "security-context",
    "identity-monitor",
    "identity-admin",
    "unclassified",
    "output-info",
];
const ENGINES: &[&str] = &["e", "f", "g"];
const APPS: &[&str] = &["a", "b", "c"];
const INSTANCES: &[&str] = &["1", "2"];
const UNITS: &[&str] = &["u.service", "v.service", "w.scope"];
const UIDS: &[u32] = &[0, 1000, 1001];

/// All capabilities that can be.
const ALL: CapabilitySet = CapabilitySet::from_bits(u64::MAX);

/// What no application has.
pub(super) const NEVER: CapabilitySet =
    CapabilitySet::from_bits(1 << Capability::SECURITY_CONTEXT.index() | 1 << Capability::IDENTITY_ADMIN.index());

/// A list of capabilities.
#[derive(Clone, Debug, Default)]
struct List {
    names: Vec<&'static str>,
    star: bool,
}

impl List {
    fn any(source: &mut Source<'_>) -> Self {
        let bits = source.below(256);
        let names = NAMES.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| *name);
        Self { names: names.collect(), star: source.one_in(4) }
    }

    fn text(&self) -> String {
        let names = self.names.iter().copied().chain(self.star.then_some("*"));
        format!("[{}]", names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", "))
    }

    fn named(&self) -> CapabilitySet {
        CapabilitySet::of(self.names.iter().filter_map(|name| Capability::built_in(name)))
    }

    /// What it gives.
    fn gives(&self) -> CapabilitySet {
        let identity = CapabilitySet::of([Capability::IDENTITY_MONITOR, Capability::IDENTITY_ADMIN]);
        let all = CapabilitySet::of((0..Capability::UNCLASSIFIED.index() + 1).filter_map(Capability::from_index));
        if self.star { self.named().union(all.difference(identity)) } else { self.named() }
    }

    /// What it takes.
    fn takes(&self) -> CapabilitySet {
        if self.star { ALL } else { self.named() }
    }
}

/// A rule.
#[derive(Clone, Debug, Default)]
struct Rule {
    engine: Option<&'static str>,
    app_id: Option<&'static str>,
    instance_id: Option<&'static str>,
    provenance: Option<Provenance>,
    unit: Option<&'static str>,
    shared: Option<bool>,
    /// None of them: any user.
    uids: Vec<u32>,
    allow: Option<List>,
    ask: Option<List>,
    deny: Option<List>,
    /// `when-denied = "empty"`.
    empty: bool,
    /// It has an `until` that has passed.
    over: bool,
}

/// What is looked at: each contains the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What is allowed without a question.
    Allowed,
    /// And what somebody's yes gives.
    Asked,
    /// And what is only seen.
    Seen,
}

impl Rule {
    fn any(source: &mut Source<'_>) -> Self {
        let engine = source.maybe(|s| s.pick(&["e", "f", "*", "unknown"]));
        let labelled = engine.is_some_and(|engine| engine != "unknown");
        let mut rule = Self {
            engine,
            app_id: source.maybe(|s| s.pick(&["a", "b"])).filter(|_| labelled),
            instance_id: source.maybe(|s| s.pick(INSTANCES)).filter(|_| labelled),
            provenance: source
                .maybe(|s| s.pick(&[Provenance::System, Provenance::User]))
                .filter(|_| engine != Some("unknown")),
            unit: source.maybe(|s| s.pick(&["u.service", "v.service"])),
            shared: source.maybe(|s| s.one_in(2)),
            uids: (0..source.below(5).saturating_sub(2)).map(|_| source.pick(UIDS)).collect(),
            allow: source.maybe(List::any),
            ask: source.maybe(List::any).filter(|_| source.one_in(2)),
            deny: source.maybe(List::any),
            empty: source.one_in(3),
            over: source.one_in(6),
        };
        if rule.keys().is_empty() {
            rule.unit = Some("u.service");
        }
        if rule.allow.is_none() && rule.ask.is_none() && rule.deny.is_none() {
            rule.allow = Some(List::default());
        }
        rule
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut key = |name: &str, value: Option<&str>| keys.extend(value.map(|value| format!("{name} = '{value}'")));
        key("engine", self.engine);
        key("app-id", self.app_id);
        key("instance-id", self.instance_id);
        key("provenance", self.provenance.map(|p| if p == Provenance::System { "system" } else { "user" }));
        key("unit", self.unit);
        key("namespaces", self.shared.map(|shared| if shared { "shared" } else { "own" }));
        match *self.uids {
            [] => {}
            [uid] => keys.push(format!("uid = {uid}")),
            _ => keys.push(format!("uid = {:?}", self.uids)),
        }
        keys
    }

    fn text(&self) -> String {
        let mut text = format!("[[rule]]\nmatch = {{ {} }}\n", self.keys().join(", "));
        for (key, list) in [("allow", &self.allow), ("ask", &self.ask), ("deny", &self.deny)] {
            if let Some(list) = list {
                let _ = writeln!(text, "{key} = {}", list.text());
            }
        }
        if self.empty && (self.ask.is_some() || self.deny.is_some()) {
            text.push_str("when-denied = 'empty'\n");
        }
        if self.over && self.names() {
            text.push_str("until = 1999-12-31T23:59:59Z\n");
        }
        text
    }

    /// Whether it says what an application may have.
    fn names(&self) -> bool {
        self.allow.is_some() || self.ask.is_some()
    }

    fn asks(&self) -> CapabilitySet {
        self.ask.as_ref().map_or(CapabilitySet::EMPTY, List::gives)
    }

    fn denies(&self) -> CapabilitySet {
        let deny = self.deny.as_ref().map_or(CapabilitySet::EMPTY, List::takes);
        if self.over { deny.union(self.asks()) } else { deny }
    }

    /// What it gives at once, if it says so at all.
    fn gives(&self) -> Option<CapabilitySet> {
        let allow = self.allow.as_ref().map_or(CapabilitySet::EMPTY, List::gives).difference(self.asks());
        self.names().then_some(if self.over { CapabilitySet::EMPTY } else { allow })
    }

    /// Whether it is about such a label, or, without a label, such an application.
    fn applies(&self, who: &Known<'_>) -> bool {
        let label = who.label.as_ref();
        let engine = match self.engine {
            None | Some("*") => true,
            Some("unknown") => label.is_none(),
            Some(engine) => label.is_some_and(|label| label.engine == engine),
        };
        engine
            && self.app_id.fits(label.and_then(|label| label.app_id))
            && self.instance_id.fits(label.and_then(|label| label.instance_id))
            && self.provenance.fits(label.map(|label| label.provenance))
            && self.unit.fits(who.unit)
            && self.shared.fits(Some(who.shared))
            && (self.uids.is_empty() || self.uids.contains(&who.uid))
    }

    /// Whether it is about a unit, and not about applications in it.
    fn is_about_a_unit(&self) -> bool {
        self.unit.is_some() && self.engine.is_none() && self.provenance.is_none()
    }

    /// Whether only a label can be meant.
    fn asks_for_a_label(&self) -> bool {
        self.engine.is_some_and(|engine| !matches!(engine, "*" | "unknown"))
            || self.app_id.is_some()
            || self.instance_id.is_some()
            || self.provenance.is_some()
    }
}

trait Wanted<T> {
    /// Whether nothing is wanted, or exactly this.
    fn fits(self, there: Option<T>) -> bool;
}

impl<T: PartialEq> Wanted<T> for Option<T> {
    fn fits(self, there: Option<T>) -> bool {
        self.is_none() || self == there
    }
}

/// A client of whom everything is known, by one of its labels.
#[derive(Clone, Debug)]
struct Known<'a> {
    label: Option<KnownLabel<'a>>,
    unit: Option<&'a str>,
    shared: bool,
    uid: u32,
}

#[derive(Clone, Debug)]
struct KnownLabel<'a> {
    engine: &'a str,
    app_id: Option<&'a str>,
    instance_id: Option<&'a str>,
    provenance: Provenance,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Model {
    host: Option<List>,
    sandboxed: Option<List>,
    namespaced: Option<List>,
    unidentified: Option<List>,
    rules: Vec<Rule>,
    pub(super) as_written: bool,
}

impl Model {
    pub(super) fn any(source: &mut Source<'_>) -> Self {
        let list = |source: &mut Source<'_>| if source.one_in(4) { None } else { Some(List::any(source)) };
        Self {
            host: list(source),
            sandboxed: list(source),
            namespaced: list(source),
            unidentified: list(source),
            rules: (0..source.below(6)).map(|_| Rule::any(source)).collect(),
            as_written: source.one_in(5),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::from("[defaults]\n");
        let defaults = [&self.host, &self.sandboxed, &self.namespaced, &self.unidentified];
        for (key, list) in ["host", "sandboxed", "namespaced", "unidentified"].into_iter().zip(defaults) {
            if let Some(list) = list {
                let _ = writeln!(text, "{key} = {}", list.text());
            }
        }
        text.extend(self.rules.iter().map(Rule::text));
        if self.as_written {
            text.push_str("[trust]\nuser-evidence = 'as-written'\n");
        }
        text
    }

    /// What `[defaults] host` gives.
    pub(super) fn host(&self) -> CapabilitySet {
        self.host.clone().unwrap_or(List { names: Vec::new(), star: true }).gives()
    }

    /// Whether a rule gives something to what has no label but namespaces, or to a unit.
    pub(super) fn names_unlabelled(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.engine, Some("unknown" | "*")) || rule.unit.is_some())
    }

    /// All that some rule asks for.
    pub(super) fn asked(&self) -> CapabilitySet {
        self.rules.iter().fold(CapabilitySet::EMPTY, |all, rule| all.union(rule.asks()))
    }

    /// The most that an application may have.
    pub(super) fn most(&self, app: &App, level: Level) -> CapabilitySet {
        let outer = app.engine.as_ref().map(|engine| Label {
            engine: engine.as_str(),
            app_id: app.app_id.as_ref().map(AppId::as_str),
            instance_id: app.instance_id.as_ref().map(InstanceId::as_str),
            provenance: app.provenance,
        });
        let inner = app.nested.iter().map(|label| {
            Some(Label {
                engine: label.engine.as_str(),
                app_id: label.app_id.as_ref().map(AppId::as_str),
                instance_id: label.instance_id.as_ref().map(InstanceId::as_str),
                provenance: label.provenance,
            })
        });
        let labels = std::iter::once(outer).chain(inner);
        labels.fold(ALL, |most, label| most.intersection(self.most_by_one(app, label.as_ref(), level)))
    }

    /// The most that one label may have, whatever the facts are that are missing.
    fn most_by_one(&self, app: &App, label: Option<&Label<'_>>, level: Level) -> CapabilitySet {
        let shared = match app.namespaces {
            Some(namespaces) => vec![namespaces.all_same()],
            None => vec![true, false],
        };
        // What is not known may also be somebody whom no rule knows.
        let uids = app.uid.map_or_else(|| [UIDS, &[7]].concat(), |uid| vec![uid]);
        let mut most = ALL;
        for (shared, uid) in shared.into_iter().flat_map(|shared| uids.iter().map(move |uid| (shared, *uid))) {
            let unit = app.unit.as_ref().map(UnitName::as_str);
            let Some(label) = label else {
                most = most.intersection(self.most_if(&Known { label: None, unit, shared, uid }, level));
                continue;
            };
            // What is not known may also be something that no rule knows.
            for app_id in possible(label.app_id, APPS) {
                for instance_id in possible(label.instance_id, INSTANCES) {
                    let label = KnownLabel { engine: label.engine, app_id, instance_id, provenance: label.provenance };
                    most = most.intersection(self.most_if(&Known { label: Some(label), unit, shared, uid }, level));
                }
            }
        }
        most
    }

    fn most_if(&self, who: &Known<'_>, level: Level) -> CapabilitySet {
        let user = by_user(who.label.as_ref());
        let cap = |by_user: bool| if by_user && !self.as_written { self.host() } else { ALL };
        let denied =
            self.rules.iter().filter(|rule| rule.applies(who) || who.label.is_none() && rule.asks_for_a_label());
        let (mut hidden, mut shown) = (NEVER, CapabilitySet::EMPTY);
        let mut asked = CapabilitySet::EMPTY;
        for rule in denied {
            let cap = cap(user || rule.unit.is_some());
            let is_meant = rule.applies(who);
            if level == Level::Seen && is_meant && rule.empty {
                shown = shown.union(rule.denies().intersection(cap));
                hidden = hidden.union(rule.denies().difference(cap));
            } else {
                hidden = hidden.union(rule.denies());
            }
            let may_be_asked = is_meant && who.label.as_ref().is_some_and(|label| label.app_id.is_some());
            // What it asked for when it was not over yet is in what it denies.
            if rule.over {
                continue;
            }
            if level >= Level::Asked && may_be_asked && !rule.is_about_a_unit() {
                asked = asked.union(rule.asks().intersection(cap));
            } else {
                hidden = hidden.union(rule.asks());
            }
        }
        let allowing: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.applies(who) && !(who.label.is_some() && rule.is_about_a_unit()))
            .filter_map(|rule| Some(rule.gives()?.intersection(cap(user || rule.unit.is_some()))))
            .collect();
        let gives = |list: &Option<List>| list.as_ref().map_or(CapabilitySet::EMPTY, List::gives);
        let given = if !allowing.is_empty() {
            allowing.into_iter().fold(CapabilitySet::EMPTY, CapabilitySet::union)
        } else if who.label.is_some() {
            gives(&self.sandboxed).intersection(cap(user))
        } else {
            self.for_everybody(gives(&self.namespaced)).intersection(gives(&self.sandboxed)).intersection(cap(true))
        };
        given.union(asked).union(shown).difference(hidden)
    }

    /// The most that somebody may have who was not identified.
    pub(super) fn most_unidentified(&self) -> CapabilitySet {
        let [sandboxed, namespaced, unidentified] = [&self.sandboxed, &self.namespaced, &self.unidentified]
            .map(|list| list.as_ref().map_or(CapabilitySet::EMPTY, List::gives));
        let classes = unidentified.intersection(namespaced).intersection(sandboxed).intersection(self.host());
        self.for_everybody(classes).difference(NEVER)
    }

    /// `set` without everything that some rule takes or leaves out.
    fn for_everybody(&self, set: CapabilitySet) -> CapabilitySet {
        self.rules.iter().fold(set, |set, rule| {
            let set = rule.gives().map_or(set, |allow| set.intersection(allow));
            set.difference(rule.denies()).difference(rule.asks())
        })
    }
}

/// A label of which not everything is known.
struct Label<'a> {
    engine: &'a str,
    app_id: Option<&'a str>,
    instance_id: Option<&'a str>,
    provenance: Provenance,
}

/// What a fact may be: if it is known, that alone.
fn possible<'a>(fact: Option<&'a str>, values: &[&'static str]) -> Vec<Option<&'a str>> {
    match fact {
        Some(fact) => vec![Some(fact)],
        None => values.iter().map(|&value| Some(value)).chain([Some("something else")]).collect(),
    }
}

/// Whether any process of the user could have made this evidence.
fn by_user(label: Option<&KnownLabel<'_>>) -> bool {
    label.map(|label| label.provenance) != Some(Provenance::System)
}

pub(super) fn app_id(source: &mut Source<'_>) -> Option<AppId> {
    source.maybe(|s| s.pick(APPS)).and_then(|id| AppId::new(id).ok())
}

fn instance_id(source: &mut Source<'_>) -> Option<InstanceId> {
    source.maybe(|s| s.pick(INSTANCES)).and_then(|id| InstanceId::new(id).ok())
}

pub(super) fn uid(source: &mut Source<'_>) -> Option<u32> {
    source.maybe(|s| s.pick(UIDS))
}

pub(super) fn unit(source: &mut Source<'_>) -> Option<UnitName> {
    source.maybe(|s| s.pick(UNITS)).and_then(UnitName::new)
}

fn engine(source: &mut Source<'_>) -> SandboxEngine {
    SandboxEngine::new(source.pick(ENGINES)).expect("an ID")
}

fn provenance(source: &mut Source<'_>) -> Provenance {
    source.pick(&[Provenance::User, Provenance::System])
}

pub(super) fn nested(source: &mut Source<'_>) -> NestedLabel {
    wayland_auth::fuzzing::nested(engine(source), app_id(source), instance_id(source), provenance(source))
}

/// An application.
pub(super) fn app(source: &mut Source<'_>) -> App {
    let kinds = [Comparison::Same, Comparison::Different, Comparison::NotCompared];
    let labelled = !source.one_in(4);
    App {
        engine: labelled.then(|| engine(source)),
        app_id: app_id(source).filter(|_| labelled),
        instance_id: instance_id(source).filter(|_| labelled),
        provenance: provenance(source),
        namespaces: source.maybe(|s| Namespaces { user: s.pick(&kinds), mount: s.pick(&kinds), pid: s.pick(&kinds) }),
        unit: unit(source),
        uid: uid(source),
        nested: (0..source.below(3)).map(|_| nested(source)).collect(),
    }
}
