//! Typed values out of the file; what is of another type is an error.

use std::ops::Range;
use std::time::SystemTime;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::Parser;
use super::single::PREFIX;
use crate::policy::capability::{BUILT_IN, Capability, CapabilitySet};
use crate::policy::diagnostics::{Place, did_you_mean, quoted};
use crate::policy::eval::NOT_IN_STAR;
use crate::policy::interfaces::Class;
use crate::policy::settings::Listed;
use crate::policy::verdict::{ALL, Location};

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) span: Range<usize>,
}

impl Parser<'_> {
    /// Refuses every key that is not in `known`.
    pub(super) fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str], section: &str) {
        for (key, _) in table {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                self.unknown_key(Key { name, span: key.span() }, known, section);
            }
        }
    }

    pub(super) fn unknown_key(&mut self, key: Key<'_>, known: &[&str], section: &str) {
        let help = did_you_mean(key.name, known.iter().copied()).unwrap_or_else(|| {
            let keys: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
            format!("{section} knows {}", keys.join(", "))
        });
        self.sink.error(key.span, format!("unknown key {}", quoted(key.name)), Some(help));
    }

    pub(super) fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, expected: &str, help: Option<String>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.sink.error(value.span(), format!("expected {expected}, found {found}"), help);
    }

    pub(super) fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        self.wrong_type(value, "a table", None);
        None
    }

    pub(super) fn string<'v>(&mut self, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text);
        }
        self.wrong_type(value, "a string", None);
        None
    }

    pub(super) fn array<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, of: &str) -> Option<&'v DeArray<'i>> {
        if let DeValue::Array(array) = value.get_ref() {
            return Some(array);
        }
        let help = match value.get_ref() {
            DeValue::String(text) if text.len() <= 64 => Some(format!("write [{text:?}]")),
            _ => None,
        };
        self.wrong_type(value, &format!("an array of {of}"), help);
        None
    }

    /// The strings of an array, each with its place.
    pub(super) fn strings(&mut self, value: &Spanned<DeValue<'_>>, of: &str) -> Vec<(String, Range<usize>)> {
        let mut strings = Vec::new();
        for element in self.array(value, of).into_iter().flatten() {
            if let Some(text) = self.string(element) {
                strings.push((text.to_owned(), element.span()));
            }
        }
        strings
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, value: &Spanned<DeValue<'_>>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(value)?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if chosen.is_none() {
            let help = did_you_mean(text, choices.iter().map(|(word, _)| *word)).unwrap_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("it is one of {}", words.join(", "))
            });
            self.sink.error(value.span(), format!("unknown value {}", quoted(text)), Some(help));
        }
        chosen
    }

    /// An array of capabilities, `*` among them, for a key that gives them.
    pub(super) fn listed(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Listed {
        let (set, star) = self.set(value);
        let set = self.with_singles(if star { set.union(self.star()) } else { set });
        let at = Location { file: self.sink.file().clone(), line: self.sink.line(key.span.start) };
        Listed { set, star, at: Some(at) }
    }

    /// An array of capabilities for a key that takes them, where `*` leaves nothing out.
    pub(super) fn denied(&mut self, value: &Spanned<DeValue<'_>>) -> CapabilitySet {
        let (set, star) = self.set(value);
        if star { ALL } else { self.with_singles(set) }
    }

    /// What `*` contains.
    pub(super) fn star(&self) -> CapabilitySet {
        CapabilitySet::of(self.policy.capabilities()).difference(NOT_IN_STAR)
    }

    fn set(&mut self, value: &Spanned<DeValue<'_>>) -> (CapabilitySet, bool) {
        let mut set = CapabilitySet::EMPTY;
        let mut star = false;
        for (name, span) in self.strings(value, "capabilities") {
            if name == "*" {
                star = true;
            } else if let Some(capability) = self.policy.capability(&name) {
                set = set.union(CapabilitySet::of([capability]));
            } else if !name.starts_with(PREFIX) && !self.names_are_missing {
                // What is wrong with a single interface was said when it was met first.
                let help = self.instead_of_capability(&name);
                self.sink.error(span, format!("unknown capability {}", quoted(&name)), help);
            }
        }
        (set, star)
    }

    /// The capabilities that an array names, each with its place; without `*`, and without what is wrong with it.
    pub(super) fn named(&self, value: &Spanned<DeValue<'_>>) -> Vec<(Capability, Place)> {
        let DeValue::Array(array) = value.get_ref() else { return Vec::new() };
        let named = array.iter().filter_map(|element| match element.get_ref() {
            DeValue::String(name) => Some((self.policy.capability(name)?, self.sink.place(element.span()))),
            _ => None,
        });
        named.collect()
    }

    fn instead_of_capability(&self, name: &str) -> Option<String> {
        if name == "core" {
            return Some("every client sees the core globals, whatever the policy says".into());
        }
        let interface = self.policy.interfaces.contains_key(name) || super::built_in_class(name).is_some();
        if interface {
            return Some(match self.policy.class_of(name) {
                Class::Core => format!("the interface `{name}` is core: every client sees it"),
                Class::Capability(c) => {
                    let whole = self.policy.capability_name(c);
                    format!("the interface `{name}` belongs to the capability `{whole}`; alone it is `{PREFIX}{name}`")
                }
            });
        }
        let own = self.policy.names.iter().map(|name| &**name);
        did_you_mean(name, BUILT_IN.iter().map(|c| c.name).chain(own))
    }

    /// A date and time with its offset from UTC, which is needed to say when it is.
    pub(super) fn time(&mut self, value: &Spanned<DeValue<'_>>) -> Option<SystemTime> {
        let DeValue::Datetime(written) = value.get_ref() else {
            self.wrong_type(value, "a date and time", Some("such as 2027-01-31T18:00:00Z, without quotes".into()));
            return None;
        };
        let time = instant(&written.to_string());
        if time.is_none() {
            let message = "this is no moment: it takes a date, a time and an offset from UTC";
            self.sink.error(value.span(), message, Some("write it as 2027-01-31T18:00:00Z".into()));
        }
        time
    }

    /// An array of user IDs.
    pub(super) fn uids(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<u32> {
        self.array(value, "user IDs").into_iter().flatten().filter_map(|element| self.uid(element)).collect()
    }

    /// A user ID, or an array of at least one.
    pub(super) fn uid_or_uids(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Box<[u32]>> {
        let mut uids = match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                self.sink.error(value.span(), "nothing is listed here", Some("list at least one user ID".into()));
                return None;
            }
            DeValue::Array(_) => self.uids(value),
            _ => vec![self.uid(value)?],
        };
        // The same users are the same rule, however they are written.
        uids.sort_unstable();
        uids.dedup();
        Some(uids.into())
    }

    fn uid(&mut self, value: &Spanned<DeValue<'_>>) -> Option<u32> {
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(value, "a user ID", None);
            return None;
        };
        // The last one is what the kernel uses for "no user".
        let uid = u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|uid| *uid != u32::MAX);
        if uid.is_none() {
            self.sink.error(value.span(), "this is not a user ID", None);
        }
        uid
    }
}

/// The moment that a date and time with an offset names.
fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_needs_its_offset() {
        let seconds =
            |text: &str| instant(text).and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()).map(|d| d.as_secs());
        // What `date -u -d TEXT +%s` says.
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:01Z", Some(951_825_601)),
            ("2026-12-31T23:59:59+01:00", Some(1_798_757_999)),
            ("1969-12-31T23:59:59-00:30", Some(1_799)),
            ("2026-12-31T23:59:59", None),
            ("2026-12-31", None),
            ("07:32:00", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn star_is_every_capability_there_is_but_those_about_identities() {
        let policy = crate::policy::Policy::parse(
            "p",
            "[capabilities]\nmine = []\n[defaults]\nhost = [\"*\"]\nsandboxed = [\"*\", \"identity-monitor\"]",
        );
        let policy = policy.unwrap();
        let mine = policy.capability("mine").unwrap();
        let star = policy.defaults.host.set;
        assert!(star.contains(mine) && star.contains(Capability::UNCLASSIFIED));
        assert!(!star.contains(Capability::IDENTITY_MONITOR) && !star.contains(Capability::IDENTITY_ADMIN));
        assert_eq!(star.iter().count(), BUILT_IN.len() + 1 - 2);
        assert!(policy.defaults.sandboxed.set.contains(Capability::IDENTITY_MONITOR));
    }
}
