//! `[[rule]]`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::Key;
use super::{Parser, RulePlaces, in_file_order};
use crate::identity::{AppId, InstanceId, InvalidId, Provenance, SandboxEngine, UnitName};
use crate::policy::capability::CapabilitySet;
use crate::policy::diagnostics::quoted;
use crate::policy::eval::NEVER_FOR_APPS;
use crate::policy::pattern::Pattern;
use crate::policy::rule::{Fact, Matcher, Rule, WhenDenied};
use crate::policy::verdict::Location;

pub(in crate::policy) const RULE: &[&str] = &["allow", "ask", "deny", "match", "until", "when-denied"];
pub(in crate::policy) const MATCH: &[&str] = &[
    "all",
    "any",
    "app-id",
    "engine",
    "extra",
    "instance-id",
    "internal",
    "namespaces",
    "not",
    "provenance",
    "uid",
    "unit",
];

pub(in crate::policy) const WHEN_DENIED: &[(&str, WhenDenied)] =
    &[("hide", WhenDenied::Hide), ("empty", WhenDenied::Empty)];

pub(in crate::policy) const PROVENANCES: [(&str, Provenance); 2] =
    [("system", Provenance::System), ("user", Provenance::User)];

/// Whether all of them are shared.
pub(in crate::policy) const NAMESPACES: [(&str, bool); 2] = [("own", false), ("shared", true)];

/// The keys about which only a label can say something.
const OF_A_LABEL: &[&str] = &["app-id", "extra", "instance-id", "provenance"];

/// How deep `any`, `all` and `not` may be nested.
const MAX_DEPTH: usize = 8;

impl Parser<'_> {
    pub(super) fn rules(&mut self, value: &Spanned<DeValue<'_>>) {
        for rule in self.array(value, "tables, each under [[rule]]").into_iter().flatten() {
            let Some(table) = self.table(rule) else { continue };
            self.known_keys(table, RULE, "a rule");
            // The place of its header, `[[rule]]`.
            let span = rule.span();
            let at = Location { file: self.sink.file().clone(), line: self.sink.line(span.start) };

            let matcher = match table.get("match") {
                Some(value) => self.matcher(value, Around::default()),
                None => {
                    let help = "say whom it is about, or use [defaults]";
                    self.sink.error(span.clone(), "a rule without `match`", Some(help.into()));
                    None
                }
            };
            let mut allow = None;
            let (mut ask, mut deny) = (CapabilitySet::EMPTY, CapabilitySet::EMPTY);
            let (mut until, mut when_denied) = (None, WhenDenied::Hide);
            let mut places = RulePlaces { rule: self.sink.place(span.clone()), ..RulePlaces::default() };
            for (key, value) in in_file_order(table) {
                let place = self.sink.place(key.span.clone());
                match key.name {
                    "match" => places.matcher = place,
                    "ask" => (places.ask, places.asked) = (place, self.named(value)),
                    "allow" => places.allowed = self.named(value),
                    "deny" => places.deny = place,
                    "until" => places.until = place,
                    _ => {}
                }
                match key.name {
                    "allow" => allow = Some(self.listed(&key, value).set),
                    "ask" => ask = self.listed(&key, value).set,
                    "deny" => deny = self.denied(value),
                    "until" => until = self.time(value),
                    "when-denied" => when_denied = self.choice(value, WHEN_DENIED).unwrap_or_default(),
                    _ => {}
                }
            }
            let has = |key: &str| table.contains_key(key);
            if has("ask") {
                // Who is asked about is named by the rule, as by one that allows.
                allow = Some(allow.unwrap_or_default());
            }
            if has("until") && allow.is_none() {
                let help = "`until` ends what a rule allows or asks for; what it denies stays denied";
                self.sink.error(span.clone(), "`until` without `allow` or `ask`", Some(help.into()));
            }
            if has("when-denied") && !has("deny") && !has("ask") {
                let help = "it says what a denial looks like: give the rule `deny` or `ask`";
                self.sink.error(span.clone(), "`when-denied` without `deny` or `ask`", Some(help.into()));
            }
            if !has("allow") && !has("deny") && !has("ask") {
                let help = "give it `allow`, `ask` or `deny`";
                self.sink.error(span.clone(), "a rule that does nothing", Some(help.into()));
            }
            if let Some(matcher) = matcher {
                if let Some(allow) = allow.filter(|_| !matcher.can_be_host()) {
                    self.places.lists.push((self.sink.place(span.clone()), allow.union(ask), NEVER_FOR_APPS));
                }
                let for_labels = matcher.for_labels();
                self.policy.rules.push(Rule { at, for_labels, matcher, allow, ask, deny, when_denied, until });
                self.places.rules.push(places);
            }
        }
    }

    /// The matcher, unless something is wrong with it. `around` is what the tables around it ask for.
    fn matcher(&mut self, value: &Spanned<DeValue<'_>>, around: Around) -> Option<Matcher> {
        let table = self.table(value)?;
        self.known_keys(table, MATCH, "`match`");
        if table.is_empty() {
            let help = "it would apply to every client; [defaults] is the place for that";
            self.sink.error(value.span(), "an empty `match`", Some(help.into()));
            return None;
        }
        if around.depth == MAX_DEPTH {
            self.sink.error(value.span(), format!("`match` is nested more than {MAX_DEPTH} times"), None);
            return None;
        }
        let around = around.with(table);
        self.engine_of_ids(table, around);
        let mut parts = Vec::new();
        for (key, value) in in_file_order(table) {
            let part = match key.name {
                "all" => self.matchers(value, around).map(Matcher::All),
                "any" => self.matchers(value, around).map(Matcher::Any),
                "not" => self.matcher(value, around).map(|part| Matcher::Not(Box::new(part))),
                "extra" => self.extra(value),
                _ => self.fact(&key, value).map(Matcher::Fact),
            };
            parts.extend(part);
        }
        // Only an error leaves a key out, and then the whole policy is refused.
        (!parts.is_empty()).then_some(Matcher::All(parts))
    }

    /// The matchers of `any` and `all`.
    fn matchers(&mut self, value: &Spanned<DeValue<'_>>, around: Around) -> Option<Vec<Matcher>> {
        let array = self.array(value, "tables like that of `match`")?;
        if array.is_empty() {
            let help = "list at least one table like that of `match`";
            self.sink.error(value.span(), "nothing is listed here", Some(help.into()));
        }
        let matchers: Vec<_> = array.iter().filter_map(|value| self.matcher(value, around)).collect();
        (!matchers.is_empty()).then_some(matchers)
    }

    /// What further xattrs say: which are read, the compositor decides.
    fn extra(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Matcher> {
        let table = self.table(value)?;
        if table.is_empty() {
            let help = "name an xattr: extra = { \"user.example.verified\" = \"yes\" }";
            self.sink.error(value.span(), "nothing is asked for here", Some(help.into()));
        }
        let mut parts = Vec::new();
        for (key, value) in in_file_order(table) {
            if !key.name.starts_with("user.") {
                let help = "the names of these xattrs begin with `user.`";
                self.sink.error(
                    key.span.clone(),
                    format!("{} is no xattr of a label", quoted(key.name)),
                    Some(help.into()),
                );
            }
            let Some(text) = self.string(value) else { continue };
            let text = text.to_owned();
            parts.extend(self.wild(value, &text).map(|wanted| Matcher::Fact(Fact::Extra(key.name.into(), wanted))));
        }
        (!parts.is_empty()).then_some(Matcher::All(parts))
    }

    fn fact(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Option<Fact> {
        match key.name {
            "engine" => self.engine(value),
            "app-id" => {
                self.pattern(value, "app ID", |id| AppId::new(id).map(|id| id.as_str().to_owned())).map(Fact::AppId)
            }
            "instance-id" => self
                .pattern(value, "instance ID", |id| InstanceId::new(id).map(|id| id.as_str().to_owned()))
                .map(Fact::InstanceId),
            "provenance" => self.choice(value, &PROVENANCES).map(Fact::Provenance),
            "uid" => self.uid_or_uids(value).map(Fact::Uid),
            "unit" => self.unit(value).map(Fact::Unit),
            "internal" => {
                let tag = self.string(value)?.to_owned();
                self.wild(value, &tag).map(Fact::Internal)
            }
            "namespaces" => self.choice(value, &NAMESPACES).map(Fact::SharedNamespaces),
            _ => None,
        }
    }

    /// An ID means something only together with its engine.
    fn engine_of_ids(&mut self, table: &DeTable<'_>, around: Around) {
        for (key, _) in in_file_order(table).filter(|(key, _)| OF_A_LABEL.contains(&key.name)) {
            if around.unknown_engine {
                let message = format!("{} with engine = \"unknown\" never applies", quoted(key.name));
                let help = "where the engine is unknown there is no label";
                self.sink.error(key.span, message, Some(help.into()));
            } else if !around.engine && key.name != "provenance" {
                let message = format!("{} without `engine`", quoted(key.name));
                let help = "any engine may use any ID: name the engine, or write engine = \"*\"";
                self.sink.error(key.span, message, Some(help.into()));
            }
        }
    }

    fn engine(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Fact> {
        match self.string(value)? {
            "*" => Some(Fact::AnyEngine),
            "unknown" => Some(Fact::UnknownEngine),
            _ => self
                .pattern(value, "sandbox engine", |name| SandboxEngine::new(name).map(|e| e.as_str().to_owned()))
                .map(Fact::Engine),
        }
    }

    /// A name, or a pattern over names: what it says beside its `*` must be able to stand in a name.
    fn pattern(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        what: &str,
        new: impl FnOnce(&str) -> Result<String, InvalidId>,
    ) -> Option<Pattern> {
        let text = self.string(value)?;
        let exact = !text.contains('*');
        let name = match new(&text.replace('*', "x")) {
            Ok(name) => name,
            Err(why) => {
                self.sink.error(value.span(), format!("{} as {what} {why}", quoted(text)), None);
                return None;
            }
        };
        self.wild(value, if exact { &name } else { text })
    }

    fn wild(&mut self, value: &Spanned<DeValue<'_>>, text: &str) -> Option<Pattern> {
        Pattern::new(text).map_err(|why| self.sink.error(value.span(), format!("{} {why}", quoted(text)), None)).ok()
    }

    fn unit(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Pattern> {
        let text = self.string(value)?;
        let as_name = |text: &str| UnitName::new(&text.replace('*', "x"));
        let (message, help) = match as_name(text) {
            Some(unit) if unit.is_service() => return self.wild(value, text),
            Some(_) => {
                let help = "a process asks for its scope itself, and under any name";
                (format!("{} is a scope; only services can be matched", quoted(text)), Some(help.to_owned()))
            }
            None => {
                let with_suffix = format!("{text}.service");
                let help = as_name(&with_suffix).map(|_| format!("did you mean `{with_suffix}`?"));
                (format!("{} is not the name of a service", quoted(text)), help)
            }
        };
        self.sink.error(value.span(), message, help);
        None
    }
}

/// What the tables around a part of `match` ask for.
#[derive(Clone, Copy, Debug, Default)]
struct Around {
    depth: usize,
    /// An engine.
    engine: bool,
    /// That there is no label.
    unknown_engine: bool,
}

impl Around {
    /// With what this table adds.
    fn with(self, table: &DeTable<'_>) -> Self {
        let engine =
            table.get("engine").map(|value| matches!(value.get_ref(), DeValue::String(name) if name == "unknown"));
        Self {
            depth: self.depth + 1,
            engine: self.engine || engine.is_some(),
            unknown_engine: self.unknown_engine || engine == Some(true),
        }
    }
}
