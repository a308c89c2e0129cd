//! Who the compositor took its clients for, from its own log.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::error::{Context, Error};

/// The audit log of the compositor, as far as it was read.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    read: usize,
}

/// Whom the compositor took a client for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Proven to be outside any sandbox.
    Host,
    /// An application.
    App {
        /// Its engine, if that is known.
        engine: Option<String>,
        /// Its ID, if it has one.
        app_id: Option<String>,
    },
    /// Nothing is certain.
    Unidentified {
        /// The short word for the reason.
        code: String,
        /// The reason.
        message: String,
    },
    /// Something that this program does not know.
    Other(String),
}

impl Audit {
    /// The log in `path`, which need not exist yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0 }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The clients that connected since the last time.
    ///
    /// The compositor logs a client before the client gets its first answer, so whoever waited for an answer is here.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub(crate) fn connected(&mut self) -> Result<Vec<Identity>, Error> {
        let text = fs::read_to_string(&self.path)
            .or_fail(|| format!("cannot read the compositor's audit log `{}`", self.path.display()))?;
        // An unfinished line is left for the next time.
        let end = text.rfind('\n').map_or(0, |at| at + 1);
        let news = text.get(self.read..end).unwrap_or_default();
        self.read = end;
        Ok(parse(news))
    }
}

fn parse(lines: &str) -> Vec<Identity> {
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "connect").map(|event| Identity::new(&event["identity"])).collect()
}

impl Identity {
    fn new(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        match value["kind"].as_str() {
            Some("host") => Self::Host,
            Some("app") => Self::App { engine: text("engine"), app_id: text("app-id") },
            Some("unidentified") => Self::Unidentified {
                code: text("reason").unwrap_or_default(),
                message: text("message").unwrap_or_default(),
            },
            _ => Self::Other(value.to_string()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host (proven)"),
            Self::App { engine: Some(engine), app_id: Some(app_id) } => write!(f, "app {app_id} of {engine}"),
            Self::App { engine: Some(engine), app_id: None } => write!(f, "an app of {engine}"),
            Self::App { engine: None, .. } => f.write_str("app, engine unknown"),
            Self::Unidentified { code, .. } => write!(f, "unidentified: {}", code.replace('-', " ")),
            Self::Other(value) => write!(f, "? {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_identity_is_understood() {
        let identities = parse(
            r#"
{"event":"connect","identity":{"kind":"host","claim":null,"unit":null}}
{"event":"bind-hidden","identity":{"kind":"host"}}
{"event":"connect","identity":{"kind":"app","engine":"e","app-id":"a","provenance":"user"}}
{"event":"connect","identity":{"kind":"app","engine":null,"app-id":null}}
{"event":"connect","identity":{"kind":"unidentified","reason":"malformed-label","message":"m"}}
"#,
        );
        let shown: Vec<_> = identities.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["host (proven)", "app a of e", "app, engine unknown", "unidentified: malformed label"]);
    }

    #[test]
    fn only_news_is_told_and_a_line_only_when_it_is_whole() {
        let directory = crate::scratch::Scratch::new("xtask-test").unwrap();
        let path = directory.path().join("audit");
        let mut audit = Audit::new(&path);
        assert!(audit.connected().is_err());
        let line = "{\"event\":\"connect\",\"identity\":{\"kind\":\"host\"}}\n";
        fs::write(&path, format!("{line}{}", &line[..9])).unwrap();
        assert_eq!(audit.connected().unwrap(), [Identity::Host]);
        assert_eq!(audit.connected().unwrap(), []);
        fs::write(&path, format!("{line}{line}")).unwrap();
        assert_eq!(audit.connected().unwrap(), [Identity::Host]);
    }
}
