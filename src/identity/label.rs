//! The format of a label: which xattrs of a cgroup directory say what.
//!
//! All names stand in [`XattrNames`]; the rest is a pure function from the bytes that one
//! directory carries to what they state.

use std::ffi::CString;
use std::fmt;

use super::ids::{AppId, InstanceId, InvalidId, SandboxEngine};

/// The names of the xattrs, all in one place.
///
/// `user.app_id` is the name that the draft of systemd-appd reads; the others are this
/// project's proposal, in the words of `wp_security_context_v1`.
///
/// # References
///
/// * systemd pull request 43885 (systemd-appd)
/// * <https://www.freedesktop.org/wiki/CommonExtendedAttributes/>
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XattrNames {
    /// The sandbox engine. Its presence alone makes a label a *sandbox* label.
    pub engine: String,
    /// The application's ID. Without an engine it is a host application's claim.
    pub app_id: String,
    /// An alias of [`XattrNames::app_id`]; if both are there they must agree.
    pub app_id_alias: String,
    /// The running instance.
    pub instance_id: String,
    /// Further names whose values the compositor wants to see.
    pub extra: Vec<String>,
}

impl Default for XattrNames {
    fn default() -> Self {
        Self {
            engine: "user.xdg.sandbox-engine".into(),
            app_id: "user.app_id".into(),
            app_id_alias: "user.xdg.app-id".into(),
            instance_id: "user.xdg.instance-id".into(),
            extra: Vec::new(),
        }
    }
}

/// A name that no xattr has, or that is there twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot be the name of a label's xattr: it must begin with `user.`, have at most 255 bytes and no NUL, and stand there once"
)]
#[non_exhaustive]
pub struct InvalidXattrName {
    /// The name.
    pub name: String,
}

impl XattrNames {
    /// All names as the system calls want them, in the order of [`RawLabel::values`].
    ///
    /// One that is wrong spoils all: left out, it would shift the others to each other's values.
    pub(crate) fn to_c(&self) -> Result<Vec<CString>, InvalidXattrName> {
        let mut names: Vec<CString> = Vec::new();
        for index in 0..4 + self.extra.len() {
            let name = self.get(index).unwrap_or_default();
            let valid = name.len() <= 255 && name.strip_prefix("user.").is_some_and(|rest| !rest.is_empty());
            match CString::new(name) {
                Ok(c_name) if valid && !names.contains(&c_name) => names.push(c_name),
                _ => return Err(InvalidXattrName { name: name.to_owned() }),
            }
        }
        Ok(names)
    }

    /// The name at `index`, in the order of [`RawLabel::values`].
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let fixed = [&self.engine, &self.app_id, &self.app_id_alias, &self.instance_id];
        fixed.get(index).copied().or_else(|| self.extra.get(index - fixed.len())).map(String::as_str)
    }
}

/// One value as it was read from a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RawValue {
    /// The directory has no xattr of that name.
    #[default]
    Absent,
    /// Its bytes, as they are.
    Bytes(Vec<u8>),
    /// It is longer than any valid value; it was not read.
    TooLong,
}

/// What one directory carries under the names of [`XattrNames`], in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawLabel {
    pub(crate) values: Vec<RawValue>,
}

/// What one directory states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Nothing.
    Nothing,
    /// A host application's claim to its ID.
    Claim(AppId),
    /// A sandbox.
    Sandbox(Label),
}

/// A sandbox label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) engine: SandboxEngine,
    pub(crate) app_id: Option<AppId>,
    pub(crate) instance_id: Option<InstanceId>,
    pub(crate) extra: Vec<(String, String)>,
}

/// Why a label does not keep to its format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A value is no identifier.
    #[error("the value of {name} {why}")]
    Value {
        /// The xattr.
        name: String,
        /// What is wrong with it.
        why: InvalidId,
    },
    /// `user.app_id` and its alias are both there and differ.
    #[error("{0} and {1} disagree")]
    Disagree(String, String),
    /// A name that only a sandbox engine writes, without the engine's own.
    #[error("{0} is there without a sandbox engine")]
    WithoutEngine(String),
    /// It changed between two readings.
    #[error("it changed while it was read")]
    Changing,
}

impl RawLabel {
    fn value(&self, index: usize) -> &RawValue {
        self.values.get(index).unwrap_or(&RawValue::Absent)
    }

    /// Whether none of the names is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| *v == RawValue::Absent)
    }

    /// Reads the bytes by the grammar; nothing is truncated, replaced or guessed.
    pub(crate) fn parse(&self, names: &XattrNames) -> Result<Statement, Malformed> {
        let engine = id(self.value(0), &names.engine, |b| SandboxEngine::new(b))?;
        let app_id = id(self.value(1), &names.app_id, |b| AppId::new(b))?;
        let alias = id(self.value(2), &names.app_id_alias, |b| AppId::new(b))?;
        let instance_id = id(self.value(3), &names.instance_id, |b| InstanceId::new(b))?;
        if let (Some(a), Some(b)) = (&app_id, &alias)
            && a != b
        {
            return Err(Malformed::Disagree(names.app_id.clone(), names.app_id_alias.clone()));
        }
        let Some(engine) = engine else {
            for (there, name) in [(alias.is_some(), &names.app_id_alias), (instance_id.is_some(), &names.instance_id)] {
                if there {
                    return Err(Malformed::WithoutEngine(name.clone()));
                }
            }
            return Ok(app_id.map_or(Statement::Nothing, Statement::Claim));
        };
        let mut extra = Vec::new();
        for (index, name) in names.extra.iter().enumerate() {
            if let Some(value) = id(self.value(4 + index), name, |b| InstanceId::new(b))? {
                extra.push((name.clone(), value.as_str().to_owned()));
            }
        }
        Ok(Statement::Sandbox(Label { engine, app_id: app_id.or(alias), instance_id, extra }))
    }
}

fn id<T>(value: &RawValue, name: &str, new: impl Fn(&[u8]) -> Result<T, InvalidId>) -> Result<Option<T>, Malformed> {
    match value {
        RawValue::Absent => Ok(None),
        RawValue::Bytes(bytes) => new(bytes).map(Some),
        RawValue::TooLong => Err(InvalidId::TooLong),
    }
    .map_err(|why| Malformed::Value { name: name.to_owned(), why })
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app_id {
            Some(app_id) => write!(f, "{app_id} of {}", self.engine),
            None => write!(f, "{}", self.engine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// engine, app ID, alias, instance ID
    fn raw(values: [Option<&str>; 4]) -> RawLabel {
        let values = values.into_iter().map(|v| v.map_or(RawValue::Absent, |v| RawValue::Bytes(v.into()))).collect();
        RawLabel { values }
    }

    fn parse(values: [Option<&str>; 4]) -> Result<Statement, Malformed> {
        raw(values).parse(&XattrNames::default())
    }

    #[test]
    fn names_that_no_xattr_has_are_refused() {
        assert_eq!(XattrNames::default().to_c().map(|names| names.len()), Ok(4));
        for bad in ["", "user.", "engine", "trusted.x", "user.a\0", "user.app_id", &format!("user.{}", "x".repeat(251))]
        {
            let names = XattrNames { engine: bad.to_owned(), ..XattrNames::default() };
            assert_eq!(names.to_c(), Err(InvalidXattrName { name: bad.to_owned() }));
            let names = XattrNames { extra: vec![bad.to_owned()], ..XattrNames::default() };
            assert!(names.to_c().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_engine_alone_is_a_sandbox() {
        let Ok(Statement::Sandbox(label)) = parse([Some("org.example.E"), None, None, None]) else { panic!() };
        assert_eq!((label.engine.as_str(), &label.app_id, &label.instance_id), ("org.example.E", &None, &None));
    }

    #[test]
    fn an_app_id_alone_is_a_claim_and_no_sandbox() {
        assert_eq!(parse([None, Some("a.b"), None, None]), Ok(Statement::Claim(AppId::new("a.b").unwrap())));
        assert_eq!(parse([None; 4]), Ok(Statement::Nothing));
    }

    #[test]
    fn the_alias_names_the_app_too() {
        for values in [[Some("e"), None, Some("a.b"), None], [Some("e"), Some("a.b"), Some("a.b"), None]] {
            let Ok(Statement::Sandbox(label)) = parse(values) else { panic!() };
            assert_eq!(label.app_id, Some(AppId::new("a.b").unwrap()));
        }
    }

    #[test]
    fn names_that_disagree_or_lack_their_engine_are_malformed() {
        assert!(matches!(parse([Some("e"), Some("a"), Some("b"), None]), Err(Malformed::Disagree(..))));
        assert!(matches!(parse([None, Some("a"), Some("b"), None]), Err(Malformed::Disagree(..))));
        assert!(
            matches!(parse([None, None, Some("a"), None]), Err(Malformed::WithoutEngine(n)) if n == "user.xdg.app-id")
        );
        assert!(matches!(parse([None, Some("a"), Some("a"), None]), Err(Malformed::WithoutEngine(_))));
        assert!(
            matches!(parse([None, None, None, Some("1")]), Err(Malformed::WithoutEngine(n)) if n == "user.xdg.instance-id")
        );
        assert!(matches!(parse([None, Some("a"), None, Some("1")]), Err(Malformed::WithoutEngine(_))));
    }

    #[test]
    fn t25_any_bad_value_spoils_the_whole_label() {
        for index in 0..4 {
            for bad in ["", "a b", "a\0", "\u{20ac}"] {
                let mut values = [Some("e"), Some("a"), Some("a"), Some("1")];
                values[index] = Some(bad);
                assert!(matches!(parse(values), Err(Malformed::Value { .. })), "{values:?}");
            }
            let mut label = raw([Some("e"), Some("a"), Some("a"), Some("1")]);
            label.values[index] = RawValue::TooLong;
            assert!(matches!(
                label.parse(&XattrNames::default()),
                Err(Malformed::Value { why: InvalidId::TooLong, .. })
            ));
        }
    }

    #[test]
    fn extra_names_are_read_and_spoil_the_label_too() {
        let names = XattrNames { extra: vec!["user.x".into()], ..XattrNames::default() };
        let mut label = raw([Some("e"), None, None, None]);
        label.values.push(RawValue::Bytes(b"v".to_vec()));
        let Ok(Statement::Sandbox(parsed)) = label.parse(&names) else { panic!() };
        assert_eq!(parsed.extra, [("user.x".to_owned(), "v".to_owned())]);
        let two = XattrNames { extra: vec!["user.x".into(), "user.y".into()], ..XattrNames::default() };
        let mut both = raw([Some("e"), None, None, None]);
        both.values.extend([RawValue::Absent, RawValue::Bytes(b"second".to_vec())]);
        let Ok(Statement::Sandbox(parsed)) = both.parse(&two) else { panic!() };
        assert_eq!(parsed.extra, [("user.y".to_owned(), "second".to_owned())]);
        label.values[4] = RawValue::Bytes(b"\n".to_vec());
        assert!(label.parse(&names).is_err());
    }

    #[test]
    fn the_longest_name_of_an_xattr_is_taken() {
        let longest = format!("user.{}", "x".repeat(250));
        let names = XattrNames { extra: vec![longest.clone()], ..XattrNames::default() };
        assert_eq!(names.to_c().map(|names| names[4].to_bytes().to_vec()), Ok(longest.into_bytes()));
        assert_eq!(names.get(5), None);
    }

    #[test]
    fn a_label_is_shown_by_app_and_engine() {
        let shown = |app_id| match parse([Some("e"), app_id, None, None]) {
            Ok(Statement::Sandbox(label)) => label.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!((shown(Some("a")).as_str(), shown(None).as_str()), ("a of e", "e"));
    }

    #[test]
    fn only_what_has_none_of_the_names_is_empty() {
        assert!(raw([None; 4]).is_empty() && RawLabel::default().is_empty());
        for index in 0..4 {
            let mut values = [None; 4];
            values[index] = Some("");
            assert!(!raw(values).is_empty(), "{index}");
        }
    }
}
