//! Reading the files that a policy includes.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Dir, Mode, OFlags};

use super::config::MAX_SIZE;
use super::diagnostics::{harmless, quoted};
use super::file::{FileId, PolicyError, PolicyFiles, check_owner, read_text};

/// How many files a policy can include.
pub(super) const MAX_FILES: usize = 64;

/// How many names may be in a directory that is searched.
const MAX_NAMES: usize = 4096;

/// An included file.
#[derive(Debug)]
pub(super) struct Included {
    /// What errors and reasons call it.
    pub(super) name: Arc<str>,
    pub(super) text: String,
}

/// Why something is not included.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Refused {
    fn new(message: impl Into<String>, help: &str) -> Self {
        Self { message: message.into(), help: (!help.is_empty()).then(|| help.to_owned()) }
    }
}

impl From<PolicyError> for Refused {
    fn from(error: PolicyError) -> Self {
        let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self::new(format!("{error}{why}"), "")
    }
}

/// Reads what one policy includes.
#[derive(Debug)]
pub(super) struct Includer {
    /// The directory of the main file.
    base: PathBuf,
    main: FileId,
    seen: Vec<FileId>,
    /// How many bytes further files may have.
    room: usize,
    files: PolicyFiles,
}

impl Includer {
    /// For the policy whose main file this is.
    pub(super) fn new(path: &Path, main: FileId) -> Self {
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let files = PolicyFiles { files: vec![path.to_owned()], directories: Vec::new() };
        Self { base, main, seen: Vec::new(), room: MAX_SIZE, files }
    }

    /// What was read, or tried to be.
    pub(super) fn into_files(self) -> PolicyFiles {
        self.files
    }

    /// The files that `pattern` names, in the order of their names.
    ///
    /// They are opened in a directory that is checked, and by it: what happens to its path meanwhile is of no matter.
    pub(super) fn read(&mut self, pattern: &str) -> Vec<Result<Included, Refused>> {
        let (directory, name) = match split(pattern) {
            Ok(parts) => parts,
            Err(refused) => return vec![Err(refused)],
        };
        if self.is_full() {
            return Vec::new();
        }
        let path = self.base.join(directory);
        if !name.contains('*') {
            self.files.files.push(path.join(name));
            return vec![open_directory(&path).and_then(|dir| self.read_one(&dir, &path, OsStr::new(name)))];
        }
        if !self.files.directories.contains(&path) {
            self.files.directories.push(if path.as_os_str().is_empty() { ".".into() } else { path.clone() });
        }
        let found = open_directory(&path).and_then(|dir| Ok((names(&dir, &path, name)?, dir)));
        let (names, dir) = match found {
            Ok(found) => found,
            Err(refused) => return vec![Err(refused)],
        };
        let mut read = Vec::new();
        for name in names {
            self.files.files.push(path.join(&name));
            read.push(self.read_one(&dir, &path, &name));
            if self.is_full() {
                break;
            }
        }
        read
    }

    /// Whether a file was refused because there are too many; then there is no use in trying further ones.
    fn is_full(&self) -> bool {
        self.files.files.len() > MAX_FILES + 1
    }

    fn read_one(&mut self, dir: &OwnedFd, path: &Path, name: &OsStr) -> Result<Included, Refused> {
        // One is the main file.
        if self.is_full() {
            return Err(Refused::new(format!("more than {MAX_FILES} files are included"), ""));
        }
        let shown = harmless(&path.join(name).to_string_lossy());
        let (text, id) = read_text(dir, Path::new(name), &shown)?;
        if id == self.main {
            let help = "keep what is included in a directory of its own";
            return Err(Refused::new(format!("{shown} is the file that includes it"), help));
        }
        if self.seen.contains(&id) {
            return Err(Refused::new(format!("{shown} is included already"), "name each file once"));
        }
        self.seen.push(id);
        let Some(room) = self.room.checked_sub(text.len()) else {
            return Err(Refused::new(format!("with {shown}, included files have more than {MAX_SIZE} bytes"), ""));
        };
        self.room = room;
        Ok(Included { name: shown.into(), text })
    }
}

/// The directory and the name in it. Only the name may have a `*`.
fn split(pattern: &str) -> Result<(&str, &str), Refused> {
    let refused = |what: &str, help: &str| Refused::new(format!("{} {what}", quoted(pattern)), help);
    let (directory, name) = match pattern.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("", pattern),
    };
    if matches!(name, "" | "." | "..") {
        return Err(refused("does not name a file", "to include all of a directory, write its name and `/*.toml`"));
    }
    if directory.contains('*') {
        return Err(refused("has a `*` before the last `/`", "only one directory is searched: name it"));
    }
    // Who wrote one of these meant it to stand for more than itself, and would miss what he meant.
    if name.contains("**") || name.contains(['?', '[', ']', '{', '}', '\\']) {
        return Err(refused("is not a name that is understood", "`*` stands for any text; nothing else is special"));
    }
    if pattern.starts_with(['~', '$']) {
        return Err(refused("is not expanded", "a name is relative to the file, or begins with `/`"));
    }
    Ok((directory, name))
}

/// A directory in which nobody but root and us can have put anything.
fn open_directory(path: &Path) -> Result<OwnedFd, Refused> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let shown = harmless(&path.to_string_lossy());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| PolicyError::Open { path: shown.clone(), source: errno.into() })?;
    let stat =
        rustix::fs::fstat(&dir).map_err(|errno| PolicyError::Read { path: shown.clone(), source: errno.into() })?;
    check_owner(&stat, &shown)?;
    Ok(dir)
}

/// The names in `dir` that `pattern` stands for, in their order.
fn names(dir: &OwnedFd, path: &Path, pattern: &str) -> Result<Vec<OsString>, Refused> {
    let shown = || harmless(&path.to_string_lossy());
    let failed = |errno: rustix::io::Errno| PolicyError::Read { path: shown(), source: errno.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listed = rustix::fs::openat(dir, ".", flags, Mode::empty()).and_then(Dir::new).map_err(failed)?;
    let mut names = Vec::new();
    for (count, entry) in listed.enumerate() {
        if count == MAX_NAMES {
            let help = "use one that has only what is included";
            return Err(Refused::new(format!("{} has more than {MAX_NAMES} names in it", shown()), help));
        }
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if is_match(pattern.as_bytes(), name) {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

/// Whether `pattern` stands for `name`. A hidden file is meant only if it is named as one: editors leave such behind.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !pattern.starts_with(b".") {
        return false;
    }
    let mut parts = pattern.split(|b| *b == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = (0..=rest.len()).find_map(|at| rest.get(at..)?.strip_prefix(part));
        let Some(behind) = found else { return false };
        rest = behind;
    }
    rest.is_empty()
}
