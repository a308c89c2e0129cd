//! The JSON Schema of a policy, for editors.
//!
//! Its keys and words are those that the parser goes by. It lets through what only the parser can judge, such as whether a
//! capability of that name exists.

use std::fmt::{self, Write as _};

use super::Policy;
use super::capability::BUILT_IN;
use super::config::keys;

/// What a name of a capability of the policy's own looks like, and a single interface.
const OWN_NAME: &str = "^[a-z][a-z0-9-]{0,63}$";
const SINGLE: &str = "^interface:[A-Za-z_][A-Za-z0-9_]*$";
const INTERFACE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

impl Policy {
    /// A JSON Schema (draft 7) by which an editor completes and checks a policy while it is written.
    ///
    /// What is valid by it can still be refused by [`Policy::parse`], which knows more. What [`Policy::parse`] takes is valid
    /// by it.
    #[must_use]
    pub fn json_schema() -> String {
        let definitions = [("capabilities", capabilities()), ("match", table(keys::MATCH, match_key, &[], Some(1)))];
        let Json::Object(mut root) = table(keys::SECTIONS, section, &[], None) else { return String::new() };
        let head = [
            ("$schema", Json::text("http://json-schema.org/draft-07/schema#")),
            ("title", Json::text("A policy of wayland-auth")),
        ];
        root.splice(0..0, head);
        root.push(("definitions", Json::Object(definitions.into())));
        format!("{}\n", Json::Object(root))
    }
}

/// As much of JSON as a schema needs.
#[derive(Debug)]
enum Json {
    Text(String),
    Number(u32),
    False,
    /// Everything is valid. Stands where a key has no schema, which a test looks for.
    Anything,
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, depth: usize| write!(f, "\n{:1$}", "", 2 * depth);
        match self {
            Self::Text(text) => quote(f, text),
            Self::Number(number) => write!(f, "{number}"),
            Self::False => f.write_str("false"),
            Self::Anything => f.write_str("true"),
            Self::List(items) => {
                f.write_char('[')?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    line(f, depth + 1)?;
                    item.write(f, depth + 1)?;
                }
                line(f, depth)?;
                f.write_char(']')
            }
            Self::Object(entries) => {
                f.write_char('{')?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    line(f, depth + 1)?;
                    quote(f, key)?;
                    f.write_str(": ")?;
                    value.write(f, depth + 1)?;
                }
                line(f, depth)?;
                f.write_char('}')
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// A text as JSON has it.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// A table that has these keys and no others.
fn table(keys: &[&'static str], of: fn(&str) -> Json, required: &[&str], at_least: Option<u32>) -> Json {
    let mut object = vec![
        ("type", Json::text("object")),
        ("additionalProperties", Json::False),
        ("properties", Json::Object(keys.iter().map(|key| (*key, of(key))).collect())),
    ];
    if !required.is_empty() {
        object.push(("required", Json::List(required.iter().map(|key| Json::text(*key)).collect())));
    }
    object.extend(at_least.map(|number| ("minProperties", Json::Number(number))));
    Json::Object(object)
}

/// A table whose keys the user chooses.
fn map(of: Json, names: Option<&str>) -> Json {
    let mut object = vec![("type", Json::text("object")), ("additionalProperties", of)];
    object.extend(names.map(|pattern| ("propertyNames", Json::Object(vec![("pattern", Json::text(pattern))]))));
    Json::Object(object)
}

fn array(of: Json) -> Json {
    Json::Object(vec![("type", Json::text("array")), ("items", of)])
}

fn non_empty_array(of: Json) -> Json {
    Json::Object(vec![("type", Json::text("array")), ("minItems", Json::Number(1)), ("items", of)])
}

fn string() -> Json {
    Json::Object(vec![("type", Json::text("string"))])
}

fn like(pattern: &str) -> Json {
    Json::Object(vec![("type", Json::text("string")), ("pattern", Json::text(pattern))])
}

fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Json {
    Json::Object(vec![("enum", Json::List(words.into_iter().map(Json::text).collect()))])
}

fn integer(from: u32, to: u32) -> Json {
    Json::Object(vec![("type", Json::text("integer")), ("minimum", Json::Number(from)), ("maximum", Json::Number(to))])
}

fn any_of(choices: impl IntoIterator<Item = Json>) -> Json {
    Json::Object(vec![("anyOf", Json::List(choices.into_iter().collect()))])
}

fn reference(to: &str) -> Json {
    Json::Object(vec![("$ref", Json::text(format!("#/definitions/{to}")))])
}

/// The capabilities, each with what it lets a client do; and what else such a list may have in it.
fn capabilities() -> Json {
    let constant = |name: &str, description: &str| {
        Json::Object(vec![("const", Json::text(name)), ("description", Json::text(description))])
    };
    let built_in = BUILT_IN.iter().map(|capability| constant(capability.name, capability.description));
    let star = constant("*", "All capabilities but identity-monitor and identity-admin; in `deny`, all.");
    array(any_of(built_in.chain([star, like(SINGLE), like(OWN_NAME)])))
}

fn section(key: &str) -> Json {
    match key {
        "capabilities" => map(array(like(INTERFACE)), Some(OWN_NAME)),
        "defaults" => table(keys::DEFAULTS, default_key, &[], None),
        "include" => array(string()),
        "limits" => table(keys::LIMITS, limit, &[], None),
        "machine" => table(keys::MACHINE, |_| words(keys::WITHOUT_KERNEL_IDENTITY.map(|(word, _)| word)), &[], None),
        "rule" => array(table(keys::RULE, rule_key, &["match"], None)),
        "trust" => table(keys::TRUST, trust_key, &[], None),
        _ => Json::Anything,
    }
}

fn default_key(key: &str) -> Json {
    match key {
        "host" | "namespaced" | "sandboxed" | "unidentified" => reference("capabilities"),
        "internal" => map(reference("capabilities"), None),
        _ => Json::Anything,
    }
}

fn limit(_: &str) -> Json {
    any_of([integer(1, keys::MAX_LIMIT), words(["unlimited"])])
}

fn trust_key(key: &str) -> Json {
    match key {
        "uids" => array(integer(0, u32::MAX - 1)),
        "user-evidence" => words(keys::USER_EVIDENCE.map(|(word, _)| word)),
        _ => Json::Anything,
    }
}

fn rule_key(key: &str) -> Json {
    match key {
        "allow" | "ask" | "deny" => reference("capabilities"),
        "match" => reference("match"),
        "until" => Json::Object(vec![("type", Json::text("string")), ("format", Json::text("date-time"))]),
        "when-denied" => words(keys::WHEN_DENIED.iter().map(|(word, _)| *word)),
        _ => Json::Anything,
    }
}

fn match_key(key: &str) -> Json {
    match key {
        "all" | "any" => non_empty_array(reference("match")),
        "not" => reference("match"),
        "app-id" | "engine" | "instance-id" | "internal" | "unit" => string(),
        "extra" => map(string(), Some("^user\\.")),
        "namespaces" => words(keys::NAMESPACES.map(|(word, _)| word)),
        "provenance" => words(keys::PROVENANCES.map(|(word, _)| word)),
        "uid" => any_of([integer(0, u32::MAX - 1), non_empty_array(integer(0, u32::MAX - 1))]),
        _ => Json::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_that_is_checked_in_is_the_one_of_this_parser() {
        let checked_in = include_str!("policy.schema.json");
        assert!(checked_in == Policy::json_schema(), "write it anew: wayland-auth check --schema");
    }

    #[test]
    fn every_key_of_the_parser_has_a_schema() {
        type Table = (&'static [&'static str], fn(&str) -> Json);
        let tables: [Table; 5] = [
            (keys::SECTIONS, section),
            (keys::DEFAULTS, default_key),
            (keys::TRUST, trust_key),
            (keys::RULE, rule_key),
            (keys::MATCH, match_key),
        ];
        for (keys, of) in tables {
            for key in keys {
                assert!(!matches!(of(key), Json::Anything), "{key} has none");
            }
        }
        assert!(matches!(section("frobnicate"), Json::Anything));
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(Json::text("a\"\\\n\u{e4}").to_string(), "\"a\\\"\\\\\\u000a\u{e4}\"");
    }
}
