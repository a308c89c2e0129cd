//! The JSON Schema that editors have, and what it makes of policies.
//!
//! A validator would bring some sixty crates along. The schema uses a few keywords only, so they are read here; one that is not
//! known is a failure, and never passed over.

use regex_lite::Regex;
use serde_json::{Map, Value};
use wayland_auth::Policy;

/// The schema, ready to use.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn new() -> Result<Self, String> {
        serde_json::from_str(&Policy::json_schema()).map(Self).map_err(|e| e.to_string())
    }

    /// Whether a policy is valid by it; if not, why.
    pub(crate) fn check(&self, policy: &str) -> Result<(), String> {
        let policy: toml::Table = policy.parse().map_err(|e| format!("no TOML: {e}"))?;
        self.valid(&self.0, &json(toml::Value::Table(policy)), "")
    }

    fn valid(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{path}: nothing may stand here")),
            Value::Object(keywords) => keywords,
            _ => return Err(format!("{path}: {schema} is no schema")),
        };
        keywords.iter().try_for_each(|(keyword, of)| self.holds(keywords, keyword, of, value, path))
    }

    fn holds(
        &self,
        keywords: &Map<String, Value>,
        keyword: &str,
        of: &Value,
        value: &Value,
        path: &str,
    ) -> Result<(), String> {
        let refused = || Err(format!("{path}: {value} is not as `{keyword}` says: {of}"));
        let holds = |holds: bool| if holds { Ok(()) } else { refused() };
        let object = value.as_object();
        match keyword {
            "$schema" | "definitions" | "description" | "title" => Ok(()),
            "$ref" => {
                let definition = of.as_str().and_then(|name| self.0.pointer(name.trim_start_matches('#')));
                self.valid(definition.ok_or(format!("{of} is nowhere"))?, value, path)
            }
            "type" => holds(match of.as_str() {
                Some("array") => value.is_array(),
                Some("integer") => value.is_i64() || value.is_u64(),
                Some("object") => value.is_object(),
                Some("string") => value.is_string(),
                _ => return Err(format!("the type {of} is not known")),
            }),
            "const" => holds(of == value),
            "enum" => holds(of.as_array().is_some_and(|words| words.contains(value))),
            "anyOf" => {
                let choices = of.as_array().ok_or("anyOf")?;
                holds(choices.iter().any(|choice| self.valid(choice, value, path).is_ok()))
            }
            "pattern" => {
                let pattern = Regex::new(of.as_str().ok_or("pattern")?).map_err(|e| e.to_string())?;
                holds(value.as_str().is_none_or(|text| pattern.is_match(text)))
            }
            // An editor that knows nothing of formats has to do without.
            "format" => holds(of == "date-time"),
            "minimum" => holds(value.as_i64().zip(of.as_i64()).is_none_or(|(value, of)| value >= of)),
            "maximum" => holds(value.as_i64().zip(of.as_i64()).is_none_or(|(value, of)| value <= of)),
            "minItems" => holds(value.as_array().is_none_or(|items| of.as_u64() <= Some(items.len() as u64))),
            "minProperties" => holds(object.is_none_or(|entries| of.as_u64() <= Some(entries.len() as u64))),
            "required" => {
                let keys = of.as_array().ok_or("required")?;
                let has =
                    |entries: &Map<_, _>| keys.iter().filter_map(Value::as_str).all(|key| entries.contains_key(key));
                holds(object.is_none_or(has))
            }
            "items" => {
                let mut items = value.as_array().into_iter().flatten().enumerate();
                items.try_for_each(|(at, item)| self.valid(of, item, &format!("{path}[{at}]")))
            }
            "propertyNames" => {
                let mut keys = object.into_iter().flatten();
                keys.try_for_each(|(key, _)| self.valid(of, &Value::String(key.clone()), path))
            }
            "properties" => {
                let mut entries = object.into_iter().flatten();
                entries.try_for_each(|(key, value)| {
                    of.get(key).map_or(Ok(()), |schema| self.valid(schema, value, &format!("{path}.{key}")))
                })
            }
            "additionalProperties" => {
                let known = keywords.get("properties");
                let mut more =
                    object.into_iter().flatten().filter(|(key, _)| known.and_then(|known| known.get(key)).is_none());
                more.try_for_each(|(key, value)| self.valid(of, value, &format!("{path}.{key}")))
            }
            _ => Err(format!("the keyword `{keyword}` is not known to this test")),
        }
    }
}

/// What an editor makes of TOML: a date is a string.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(boolean) => boolean.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(entries) => Value::Object(entries.into_iter().map(|(key, of)| (key, json(of))).collect()),
    }
}

/// One for each thing that the schema says, all of them wrong.
const WRONG: &[&str] = &[
    "rules = []",
    "[rule]",
    "[[rule]]\nallow = ['screen-capture']",
    "[[rule]]\nmatch = {}\nallow = []",
    "[[rule]]\nmatch = { app_id = 'a' }\nallow = []",
    "[[rule]]\nmatch = { engine = 1 }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e', any = [] }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e', not = {} }\nallow = []",
    "[[rule]]\nmatch = { all = [{ engine = 'e' }, {}] }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e', provenance = 'root' }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e', namespaces = 'mine' }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e', extra = { verified = 'yes' } }\nallow = []",
    "[[rule]]\nmatch = { uid = -1 }\nallow = []",
    "[[rule]]\nmatch = { uid = 4294967295 }\nallow = []",
    "[[rule]]\nmatch = { uid = [] }\nallow = []",
    "[[rule]]\nmatch = { engine = 'e' }\nallow = 'screen-capture'",
    "[[rule]]\nmatch = { engine = 'e' }\nallow = ['Screen Capture']",
    "[[rule]]\nmatch = { engine = 'e' }\nask = ['interface:a b']",
    "[[rule]]\nmatch = { engine = 'e' }\ndeny = [1]",
    "[[rule]]\nmatch = { engine = 'e' }\ndeny = []\nwhen-denied = 'hidden'",
    "[[rule]]\nmatch = { engine = 'e' }\nallow = []\nuntil = 2027",
    "[[rule]]\nmatch = { engine = 'e' }\nallow = []\nunless = 'x'",
    "[defaults]\nhots = ['*']",
    "[defaults]\nhost = '*'",
    "[defaults]\ninternal = ['*']",
    "[defaults.internal]\nx = 'xwayland'",
    "[capabilities]\nMine = ['xx_a_v1']",
    "[capabilities]\nmine = ['x-y']",
    "[capabilities]\nmine = 'xx_a_v1'",
    "[machine]\nwithout-kernel-identity = 'allow'",
    "[trust]\nuser-evidence = 'as written'",
    "[trust]\nuids = 1000",
    "[trust]\nuids = ['0']",
    "[limits]\nconnections-per-app = 0",
    "[limits]\nconnections-per-app = 'many'",
    "[limits]\nconnections = 1",
    "include = 'policy.d/*.toml'",
];

#[test]
fn what_the_schema_can_tell_to_be_wrong_it_refuses() -> Result<(), String> {
    let schema = Schema::new()?;
    let taken = |text: &&&str| Policy::parse("p", text).is_ok() || schema.check(text).is_ok();
    let taken: Vec<_> = WRONG.iter().filter(taken).collect();
    if taken.is_empty() { Ok(()) } else { Err(format!("{taken:#?}")) }
}

/// From each text, one line and one word after the other is left out; whatever is a policy then has to be valid, too.
pub(crate) fn check_with_less(schema: &Schema, text: &str) -> Result<usize, String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let words: Vec<&str> = text.split_inclusive([' ', ',', '=']).collect();
    let mut checked = 0;
    for parts in [lines, words] {
        for left_out in 0..=parts.len() {
            let less: String =
                parts.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, part)| *part).collect();
            if Policy::parse("p", &less).is_ok() {
                schema.check(&less).map_err(|why| format!("{why}\n{less}"))?;
                checked += 1;
            }
        }
    }
    Ok(checked)
}
