//! Reading a policy from TOML.
//!
//! The whole file, and what it includes, is read before anything is refused, so all errors are
//! told at once. What this form does not know is an error and never ignored.

mod include;
pub(super) mod keys;
mod limits;
mod lint;
mod rules;
mod single;
#[cfg(test)]
mod tests;
mod value;

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Policy;
use super::capability::{BUILT_IN, Capability, CapabilitySet};
use super::diagnostics::{Place, PolicyErrors, Sink, quoted};
use super::eval::{NEVER_FOR_APPS, NEVER_INTERNAL, NOT_IN_STAR};
use super::include::{Included, Includer};
use super::interfaces::{Class, built_in_class};
use super::settings::{Defaults, Machine, TrustSettings};
use keys::{DEFAULTS, MACHINE, SECTIONS, TRUST, USER_EVIDENCE, WITHOUT_KERNEL_IDENTITY};
use value::Key;

/// The largest policy that is read, in bytes.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// Interfaces that every client uses before anything else.
const NEVER_MOVED: &[&str] = &["wl_display", "wl_registry"];

impl Policy {
    /// Reads a policy. `name` is what errors and reasons call the file.
    ///
    /// Nothing is ignored: an unknown key, an unknown capability or a value of the wrong type
    /// refuses the whole policy. So does `include`, whose names are relative to a file; for that,
    /// [`Policy::from_path`] reads one.
    ///
    /// ```toml,should-fail
    /// [[rule]]
    /// match = { app-id = "org.example.App" }    # of which engine? any may use this ID
    /// allow = ["screen-capture"]
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyErrors`] has everything that is wrong with it, with line, column and help.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyErrors> {
        Self::read(name.into(), text, None)
    }

    /// Reads a policy and, if it may include something, that.
    pub(super) fn read(file: Arc<str>, text: &str, includer: Option<&mut Includer>) -> Result<Self, PolicyErrors> {
        if text.len() > MAX_SIZE {
            let mut sink = Sink::new(file, "");
            sink.error(0..0, format!("a policy may have {MAX_SIZE} bytes, this one has {}", text.len()), None);
            return Err(sink.into_errors());
        }
        let included: Vec<Included>;
        let mut parser = Parser::new(file, text);
        if let Some(main) = parser.well_formed(text) {
            included = parser.include(&main, includer);
            let mut documents = vec![(0, main)];
            for file in &included {
                let number = parser.sink.add(file.name.clone(), &file.text);
                parser.sink.select(number);
                documents.extend(parser.well_formed(&file.text).map(|document| (number, document)));
            }
            parser.documents(&documents);
        }
        parser.finish()
    }
}

/// Where things stand that warnings point at.
#[derive(Debug, Default)]
struct Places {
    host: Place,
    namespaced: Place,
    unidentified: Place,
    /// One for each of the policy's rules.
    rules: Vec<RulePlaces>,
    /// Lists of capabilities, and what has no effect in them.
    lists: Vec<(Place, CapabilitySet, CapabilitySet)>,
    /// The interfaces that `[capabilities]` names.
    interfaces: Vec<(String, Place)>,
    /// The interfaces that are named alone, and by no `[capabilities]`.
    singles: Vec<(String, Place)>,
}

/// The same for one rule.
#[derive(Debug, Default)]
struct RulePlaces {
    rule: Place,
    /// The keys.
    matcher: Place,
    ask: Place,
    deny: Place,
    until: Place,
    /// The capabilities that `allow` and `ask` name, each with its place; not what `*` stands for.
    allowed: Vec<(Capability, Place)>,
    asked: Vec<(Capability, Place)>,
}

#[derive(Debug)]
struct Parser<'t> {
    sink: Sink<'t>,
    policy: Policy,
    places: Places,
    /// Whether a file could not be read that may give names to capabilities. Then names that nobody gave are no errors of
    /// their own.
    names_are_missing: bool,
}

impl<'t> Parser<'t> {
    fn new(file: Arc<str>, text: &'t str) -> Self {
        let (policy, places) = (Policy::built_in(), Places::default());
        Self { sink: Sink::new(file, text), policy, places, names_are_missing: false }
    }

    /// The TOML of the current file. What is left of a broken one tells little: it is not judged.
    fn well_formed(&mut self, text: &'t str) -> Option<DeTable<'t>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            self.sink.error(error.span().unwrap_or(0..0), error.message(), None);
        }
        self.names_are_missing |= !errors.is_empty();
        errors.is_empty().then(|| document.into_inner())
    }
}

impl Parser<'_> {
    fn finish(mut self) -> Result<Policy, PolicyErrors> {
        self.policy.compute();
        if self.sink.is_clean() {
            self.lint(SystemTime::now());
        }
        let Self { sink, mut policy, .. } = self;
        policy.warnings = sink.finish()?;
        Ok(policy)
    }

    /// All files that are well-formed, each with its number; the main one first.
    fn documents(&mut self, documents: &[(usize, DeTable<'_>)]) {
        for (number, document) in documents {
            self.sink.select(*number);
            match number {
                0 => self.known_keys(document, SECTIONS, "this form of a policy"),
                _ => self.known_in_included(document),
            }
        }
        // The names come first: every other section may use them.
        for (number, document) in documents {
            self.sink.select(*number);
            if let Some(value) = document.get("capabilities") {
                self.capabilities(value);
            }
        }
        for (number, document) in documents {
            self.sink.select(*number);
            self.single_interfaces(document);
        }
        self.policy.defaults.host.set = self.star();
        for (number, document) in documents {
            self.sink.select(*number);
            if *number == 0 {
                self.settings(document);
            }
            if let Some(value) = document.get("rule") {
                self.rules(value);
            }
        }
    }

    /// What the main file alone may have.
    fn settings(&mut self, document: &DeTable<'_>) {
        if let Some(value) = document.get("defaults") {
            self.defaults(value);
        }
        if let Some(value) = document.get("machine") {
            self.machine(value);
        }
        if let Some(value) = document.get("trust") {
            self.trust(value);
        }
        if let Some(value) = document.get("limits") {
            self.limits(value);
        }
    }

    fn capabilities(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(value) else { return };
        for (key, value) in in_file_order(table) {
            let Some(capability) = self.own_capability(&key) else { continue };
            for (interface, span) in self.strings(value, "interfaces") {
                if !self.interface_may_move(&interface, &span) {
                    continue;
                }
                self.places.interfaces.push((interface.clone(), self.sink.place(span.clone())));
                let interfaces = Arc::make_mut(&mut self.policy.interfaces);
                if let Some(other) = interfaces.insert(interface.as_str().into(), capability) {
                    let other = self.policy.capability_name(other);
                    let message = format!("{} is in {} already", quoted(&interface), quoted(other));
                    self.sink.error(span, message, Some("name each interface once".into()));
                }
            }
        }
    }

    /// The capability that a key of `[capabilities]` names, made if there is none.
    fn own_capability(&mut self, key: &Key<'_>) -> Option<Capability> {
        if let Some(capability) = self.policy.capability(key.name) {
            return Some(capability);
        }
        let valid = key.name.len() <= 64
            && key.name.starts_with(|c: char| c.is_ascii_lowercase())
            && key.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid || key.name == "core" {
            let message = format!("{} is not a name for a capability", quoted(key.name));
            let help = "use lower-case letters, digits and `-`, up to 64, with a letter first; not `core`";
            self.sink.error(key.span.clone(), message, Some(help.into()));
            return None;
        }
        let Some(capability) = Capability::from_index(BUILT_IN.len() + self.policy.names.len()) else {
            let message =
                format!("there can be {} capabilities, {} of them your own", Capability::MAX, self.policy.names.len());
            self.sink.error(key.span.clone(), message, None);
            return None;
        };
        self.policy.names.push(key.name.into());
        Some(capability)
    }

    fn interface_may_move(&mut self, interface: &str, span: &Range<usize>) -> bool {
        let valid = interface.len() <= 128
            && interface.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && interface.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let class = built_in_class(interface);
        let fixed = NEVER_FOR_APPS.union(NOT_IN_STAR);
        let message = if !valid {
            format!("{} is not the name of an interface", quoted(interface))
        } else if NEVER_MOVED.contains(&interface) {
            format!("{} belongs to every client", quoted(interface))
        } else if class.and_then(Class::capability).is_some_and(|c| fixed.contains(c)) {
            format!("{} cannot be moved to another capability", quoted(interface))
        } else {
            return true;
        };
        self.sink.error(span.clone(), message, None);
        false
    }

    fn defaults(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(value) else { return };
        self.known_keys(table, DEFAULTS, "[defaults]");
        let mut defaults = Defaults { host: self.policy.defaults.host.clone(), ..Defaults::default() };
        for (key, value) in in_file_order(table) {
            let place = self.sink.place(key.span.clone());
            match key.name {
                "host" => {
                    defaults.host = self.listed(&key, value);
                    self.places.host = place;
                }
                "sandboxed" => {
                    defaults.sandboxed = self.listed(&key, value);
                    self.places.lists.push((place, defaults.sandboxed.set, NEVER_FOR_APPS));
                }
                "namespaced" => {
                    defaults.namespaced = self.listed(&key, value);
                    self.places.namespaced = place.clone();
                    self.places.lists.push((place, defaults.namespaced.set, NEVER_FOR_APPS));
                }
                "unidentified" => {
                    defaults.unidentified = self.listed(&key, value);
                    self.places.unidentified = place.clone();
                    self.places.lists.push((place, defaults.unidentified.set, NEVER_FOR_APPS));
                }
                "internal" => {
                    let Some(tags) = self.table(value) else { continue };
                    for (tag, value) in in_file_order(tags) {
                        let listed = self.listed(&tag, value);
                        self.places.lists.push((self.sink.place(tag.span), listed.set, NEVER_INTERNAL));
                        defaults.internal.insert(tag.name.into(), listed);
                    }
                }
                _ => {}
            }
        }
        self.policy.defaults = defaults;
    }

    fn machine(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(value) else { return };
        self.known_keys(table, MACHINE, "[machine]");
        let chosen = table.get("without-kernel-identity").and_then(|v| self.choice(v, &WITHOUT_KERNEL_IDENTITY));
        let without_kernel_identity = chosen.unwrap_or_default();
        self.policy.machine = Machine { without_kernel_identity };
    }

    fn trust(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(value) else { return };
        self.known_keys(table, TRUST, "[trust]");
        let user_evidence = table.get("user-evidence").and_then(|v| self.choice(v, &USER_EVIDENCE)).unwrap_or_default();
        let uids = table.get("uids").map(|v| self.uids(v)).unwrap_or_default();
        self.policy.trust = TrustSettings { user_evidence, uids };
    }
}

/// The entries of a table as they stand in the file, which sorts errors and numbers names.
fn in_file_order<'a>(table: &'a DeTable<'_>) -> impl Iterator<Item = (Key<'a>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (Key { name: key.get_ref(), span: key.span() }, value)).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries.into_iter()
}
