//! The file in which answers stay that hold for good.
//!
//! It belongs to the compositor alone and is no part of the policy, which is the user's:
//!
//! ```toml,grants
//! [[grant]]
//! engine = "org.flatpak"
//! app-id = "com.obsproject.Studio"
//! capability = "screen-capture"
//! answer = "allow"
//! ```
//!
//! `instance-id` and `expires`, in seconds since 1970 in UTC, may stand beside these. A file that says anything else is
//! refused as a whole: nothing of it holds, and it is neither removed nor written over.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Answer, Grant, GrantError, Grantee, Grants, Lifetime, MAX_GRANTS, NewGrant, check_capability};
use crate::identity::{AppId, InstanceId, InvalidId, SandboxEngine};
use crate::policy::PolicyError;
use crate::policy::config::MAX_SIZE;
use crate::policy::diagnostics::{PolicyErrors, Sink, did_you_mean, harmless, quoted};
use crate::policy::file;

const KEYS: &[&str] = &["answer", "app-id", "capability", "engine", "expires", "instance-id"];

const HEADER: &str = "\
# Answers that hold until they are revoked. Written by the compositor: to take one back, revoke it there
# (`wayland-auth revoke`), or remove it here while the compositor does not run.
";

/// Why answers could not be read, or not be written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file was refused.
    #[error(transparent)]
    Refused(#[from] PolicyError),
    /// Somebody else changed the file since it was read.
    #[error("{path} was changed by somebody else, and is left as it is")]
    #[non_exhaustive]
    Changed {
        /// The file.
        path: String,
    },
    /// There is more to write than would be read again.
    #[error("{path} would be larger than {MAX_SIZE} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// The file.
        path: String,
    },
    /// It could not be written; what was there before is still there.
    #[error("cannot write {path}")]
    #[non_exhaustive]
    Write {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The file of the grants with [`Lifetime::Always`].
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// What was in it when it was last read or written; `None` if it was not there.
    content: Option<Vec<u8>>,
}

impl StateFile {
    /// `$XDG_STATE_HOME/wayland-auth/grants.toml`, or where that is by default; `None` without a home.
    #[must_use]
    pub fn default_path() -> Option<PathBuf> {
        // As the XDG specification says: what is not absolute does not count.
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
        Some(state.join("wayland-auth/grants.toml"))
    }

    /// Reads the file and adds all that holds at `now` to `grants`. That it does not exist is no error.
    ///
    /// As with a policy, the file is opened once and checked open: it must be a regular one of root's or our own that
    /// nobody else can write.
    ///
    /// # Errors
    ///
    /// Where the file is not as it must be, or anything in it is not: then nothing was added, and since nobody got a
    /// `StateFile`, it will not be written over.
    pub fn open(path: impl Into<PathBuf>, grants: &mut Grants, now: SystemTime) -> Result<Self, StateError> {
        let path = path.into();
        let shown = harmless(&path.to_string_lossy());
        let Some(content) = read(&path)? else { return Ok(Self { path, content: None }) };
        let text = std::str::from_utf8(&content).map_err(|e| PolicyError::NotUtf8 {
            path: shown.clone(),
            line: 1 + content.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count(),
        })?;
        let mut all = grants.clone();
        for new in parse(&shown, text).map_err(PolicyError::Invalid)? {
            if new.expires.is_some_and(|end| end <= now) {
                continue;
            }
            if let Err(why) = all.insert(new) {
                // What is well-formed may be too much together with what holds already.
                let mut sink = Sink::new(shown.as_str().into(), text);
                sink.error(0..0, why.to_string(), None);
                return Err(PolicyError::Invalid(sink.into_errors()).into());
            }
        }
        *grants = all;
        Ok(Self { path, content: Some(content) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes those of `grants` that hold for good, and nothing else.
    ///
    /// The file is replaced as a whole, with mode 0600, by one that was written to disk before: after a crash there is
    /// the old one or the new one. If it is a symbolic link, the link is replaced. Directories that do not exist are
    /// made, for us alone.
    ///
    /// # Errors
    ///
    /// Where it cannot be written, or somebody else changed it meanwhile; then it is what it was.
    pub fn save(&mut self, grants: &Grants) -> Result<(), StateError> {
        let shown = || harmless(&self.path.to_string_lossy());
        let text = render(grants);
        if text.len() > MAX_SIZE {
            return Err(StateError::TooLarge { path: shown() });
        }
        let found = read(&self.path)?;
        if found.is_some() && found != self.content {
            return Err(StateError::Changed { path: shown() });
        }
        replace(&self.path, text.as_bytes()).map_err(|source| StateError::Write { path: shown(), source })?;
        self.content = Some(text.into_bytes());
        Ok(())
    }
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, PolicyError> {
    match file::read(path, &harmless(&path.to_string_lossy())) {
        Err(PolicyError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(io::ErrorKind::InvalidInput.into()),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = directory.join(temporary);
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

/// Writes a file that is not there, to disk.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    // One may be left of a compositor that was killed here.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Made and never opened as it is: it is nobody else's, and no link.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn render(grants: &Grants) -> String {
    let mut text = String::from(HEADER);
    for grant in grants.list().filter(|grant| grant.lifetime == Lifetime::Always) {
        render_one(&mut text, grant);
    }
    text
}

/// Every text in a grant is of a few harmless characters, by its type: none needs an escape.
fn render_one(text: &mut String, grant: &Grant) {
    let Grantee { engine, app_id, instance_id } = &grant.grantee;
    let _ = write!(text, "\n[[grant]]\nengine = \"{engine}\"\napp-id = \"{app_id}\"\n");
    if let Some(instance) = instance_id {
        let _ = writeln!(text, "instance-id = \"{instance}\"");
    }
    let _ = write!(text, "capability = \"{}\"\nanswer = \"{}\"\n", grant.capability, grant.answer);
    if let Some(end) = grant.expires {
        // A part of a second less is on the safe side.
        let seconds = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let _ = writeln!(text, "expires = {seconds}");
    }
}

/// Reads what [`render`] writes.
fn parse(name: &str, text: &str) -> Result<Vec<NewGrant>, PolicyErrors> {
    let mut reader = Reader { sink: Sink::new(name.into(), text) };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.sink.error(error.span().unwrap_or(0..0), error.message(), None);
    }
    let grants = if errors.is_empty() { reader.document(document.get_ref()) } else { Vec::new() };
    reader.sink.finish()?;
    Ok(grants)
}

struct Reader<'t> {
    sink: Sink<'t>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<NewGrant> {
        self.known_keys(document, &["grant"]);
        let Some(value) = document.get("grant") else { return Vec::new() };
        let DeValue::Array(entries) = value.get_ref() else {
            self.sink.error(value.span(), "expected [[grant]]", None);
            return Vec::new();
        };
        if entries.len() > MAX_GRANTS {
            self.sink.error(value.span(), format!("there are more than {MAX_GRANTS} grants"), None);
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        entries.iter().filter_map(|entry| self.grant(entry, &mut seen)).collect()
    }

    fn grant(&mut self, entry: &Spanned<DeValue<'_>>, seen: &mut BTreeSet<String>) -> Option<NewGrant> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.sink.error(entry.span(), "expected [[grant]]", None);
            return None;
        };
        self.known_keys(table, KEYS);
        let at = entry.span();
        // All of them, so that all errors are told.
        let engine = self.id(table, "engine", &at, |text| SandboxEngine::new(text));
        let app_id = self.id(table, "app-id", &at, |text| AppId::new(text));
        let instance_id = match table.get("instance-id") {
            Some(_) => self.id(table, "instance-id", &at, |text| InstanceId::new(text)).map(Some),
            None => Some(None),
        };
        let capability = self.capability(table, &at);
        let answer = self.answer(table, &at);
        let expires = self.expires(table);
        let grantee = Grantee { engine: engine?, app_id: app_id?, instance_id: instance_id? };
        let (capability, answer, expires) = (capability?, answer?, expires?);
        if !seen.insert(format!("{capability} {grantee}")) {
            self.sink.error(at, "this is answered twice", None);
            return None;
        }
        Some(NewGrant { grantee, capability, answer, lifetime: Lifetime::Always, expires })
    }

    fn text<'v>(&mut self, table: &'v DeTable<'_>, key: &str, at: &Range<usize>) -> Option<(&'v str, Range<usize>)> {
        match table.get(key).map(|value| (value.get_ref(), value.span())) {
            Some((DeValue::String(text), span)) => return Some((text, span)),
            Some((_, span)) => self.sink.error(span, "expected a string", None),
            None => self.sink.error(at.clone(), format!("`{key}` is missing"), None),
        }
        None
    }

    fn id<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        at: &Range<usize>,
        new: impl Fn(&str) -> Result<T, InvalidId>,
    ) -> Option<T> {
        let (text, span) = self.text(table, key, at)?;
        new(text).map_err(|why| self.sink.error(span, format!("{} {why}", quoted(text)), None)).ok()
    }

    fn capability(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<Box<str>> {
        let (text, span) = self.text(table, "capability", at)?;
        match check_capability(text) {
            Ok(()) => return Some(text.into()),
            Err(GrantError::Withheld(_)) => {
                self.sink.error(span, format!("{} is never an application's", quoted(text)), None);
            }
            Err(_) => self.sink.error(span, format!("{} is not the name of a capability", quoted(text)), None),
        }
        None
    }

    fn answer(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<Answer> {
        let (text, span) = self.text(table, "answer", at)?;
        let answer = [Answer::Allow, Answer::Deny].into_iter().find(|answer| answer.as_str() == text);
        if answer.is_none() {
            self.sink.error(span, format!("{} is neither `allow` nor `deny`", quoted(text)), None);
        }
        answer
    }

    fn expires(&mut self, table: &DeTable<'_>) -> Option<Option<SystemTime>> {
        let Some(value) = table.get("expires") else { return Some(None) };
        let seconds = match value.get_ref() {
            DeValue::Integer(number) => seconds(number),
            _ => None,
        };
        let end = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        if end.is_none() {
            self.sink.error(value.span(), "expected a time in seconds since 1970", None);
        }
        end.map(Some)
    }

    fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let help = did_you_mean(name, known.iter().copied());
                self.sink.error(key.span(), format!("unknown key {}", quoted(name)), help);
            }
        }
    }
}

fn seconds(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}
