//! `[[rule]]`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Parser, in_file_order};
use crate::identity::{AppId, InstanceId, InvalidId, Provenance, SandboxEngine, UnitName};
use crate::policy::capability::CapabilitySet;
use crate::policy::diagnostics::quoted;
use crate::policy::eval::NEVER_FOR_APPS;
use crate::policy::rule::{EngineMatch, Matcher, NamespaceMatch, Rule};
use crate::policy::verdict::Location;

const RULE: &[&str] = &["allow", "deny", "match"];
const MATCH: &[&str] = &["app-id", "engine", "instance-id", "namespaces", "provenance", "unit"];

impl Parser<'_> {
    pub(super) fn rules(&mut self, value: &Spanned<DeValue<'_>>) {
        for rule in self.array(value, "tables, each under [[rule]]").into_iter().flatten() {
            let Some(table) = self.table(rule) else { continue };
            self.known_keys(table, RULE, "a rule");
            // The place of its header, `[[rule]]`.
            let span = rule.span();
            let at = Location { file: self.sink.file().clone(), line: self.sink.line(span.start) };

            let matcher = match table.get("match") {
                Some(value) => self.matcher(value),
                None => {
                    let help = "say whom it is about, or use [defaults]";
                    self.sink.error(span.clone(), "a rule without `match`", Some(help.into()));
                    None
                }
            };
            let mut allow = None;
            let mut deny = CapabilitySet::EMPTY;
            for (key, value) in in_file_order(table) {
                match key.name {
                    "allow" => allow = Some(self.listed(&key, value).set),
                    "deny" => deny = self.denied(value),
                    _ => {}
                }
            }
            if !table.contains_key("allow") && !table.contains_key("deny") && !table.contains_key("ask") {
                let help = "give it `allow`, or `deny`, or both";
                self.sink.error(span.clone(), "a rule that does nothing", Some(help.into()));
            }
            if let Some(matcher) = matcher {
                if let Some(allow) = allow.filter(|_| !matcher.can_be_host()) {
                    self.places.lists.push((span.clone(), allow, NEVER_FOR_APPS));
                }
                self.policy.rules.push(Rule { at, matcher, allow, deny });
                self.places.rules.push(span);
            }
        }
    }

    /// The matcher, unless something is wrong with it.
    fn matcher(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Matcher> {
        let table = self.table(value)?;
        self.known_keys(table, MATCH, "`match`");
        if table.is_empty() {
            let help = "it would apply to every client; [defaults] is the place for that";
            self.sink.error(value.span(), "an empty `match`", Some(help.into()));
            return None;
        }
        let mut matcher = Matcher::default();
        for (key, value) in in_file_order(table) {
            match key.name {
                "engine" => matcher.engine = self.engine(value),
                "app-id" => matcher.app_id = self.id(value, "app ID", |text| AppId::new(text)),
                "instance-id" => matcher.instance_id = self.id(value, "instance ID", |text| InstanceId::new(text)),
                "provenance" => {
                    matcher.provenance =
                        self.choice(value, &[("system", Provenance::System), ("user", Provenance::User)]);
                }
                "unit" => matcher.unit = self.unit(value),
                "namespaces" => {
                    matcher.namespaces =
                        self.choice(value, &[("own", NamespaceMatch::Own), ("shared", NamespaceMatch::Shared)]);
                }
                _ => {}
            }
        }
        self.engine_of_ids(table, &matcher);
        // Only an error leaves a key out, and then the whole policy is refused.
        (!matcher.is_empty()).then_some(matcher)
    }

    /// An ID means something only together with its engine.
    fn engine_of_ids(&mut self, table: &DeTable<'_>, matcher: &Matcher) {
        for (key, _) in in_file_order(table) {
            let of_a_label = matches!(key.name, "app-id" | "instance-id" | "provenance");
            let message = format!("{} without `engine`", quoted(key.name));
            match matcher.engine {
                None if of_a_label && key.name != "provenance" && !table.contains_key("engine") => {
                    let help = "any engine may use any ID: name the engine, or write engine = \"*\"";
                    self.sink.error(key.span, message, Some(help.into()));
                }
                Some(EngineMatch::Unknown) if of_a_label => {
                    let message = format!("{} with engine = \"unknown\" never applies", quoted(key.name));
                    let help = "where the engine is unknown there is no label";
                    self.sink.error(key.span, message, Some(help.into()));
                }
                _ => {}
            }
        }
    }

    fn engine(&mut self, value: &Spanned<DeValue<'_>>) -> Option<EngineMatch> {
        match self.string(value)? {
            "*" => Some(EngineMatch::Any),
            "unknown" => Some(EngineMatch::Unknown),
            _ => self.id(value, "sandbox engine", |text| SandboxEngine::new(text)).map(EngineMatch::Named),
        }
    }

    fn id<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        what: &str,
        new: impl FnOnce(&str) -> Result<T, InvalidId>,
    ) -> Option<T> {
        let text = self.string(value)?;
        if self.is_glob(text, value) {
            return None;
        }
        new(text).map_err(|why| self.sink.error(value.span(), format!("{} as {what} {why}", quoted(text)), None)).ok()
    }

    fn unit(&mut self, value: &Spanned<DeValue<'_>>) -> Option<UnitName> {
        let text = self.string(value)?;
        if self.is_glob(text, value) {
            return None;
        }
        let unit = UnitName::new(text);
        let (message, help) = match &unit {
            Some(unit) if unit.is_service() => return Some(unit.clone()),
            Some(_) => {
                let help = "a process asks for its scope itself, and under any name";
                (format!("{} is a scope; only services can be matched", quoted(text)), Some(help.to_owned()))
            }
            None => {
                let with_suffix = UnitName::new(&format!("{text}.service"));
                let help = with_suffix.map(|unit| format!("did you mean `{unit}`?"));
                (format!("{} is not the name of a service", quoted(text)), help)
            }
        };
        self.sink.error(value.span(), message, help);
        None
    }

    fn is_glob(&mut self, text: &str, value: &Spanned<DeValue<'_>>) -> bool {
        let glob = text.contains('*');
        if glob {
            let help = "write the whole name".to_owned();
            self.sink.error(value.span(), "globs are not supported yet", Some(help));
        }
        glob
    }
}
