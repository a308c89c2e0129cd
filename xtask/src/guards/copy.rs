//! A copy of the sources, in which things can be broken.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    cargo, cli,
    error::{Context, Error},
};

/// The copy. It is removed on drop; what was built from it is kept for the next time, among cargo's other builds.
#[derive(Debug)]
pub(super) struct Copy {
    tree: PathBuf,
    target: PathBuf,
    /// One run at a time.
    _lock: File,
}

/// An edited file. It is as it was on drop.
#[derive(Debug)]
pub(super) struct Edited {
    path: PathBuf,
    text: String,
}

impl Copy {
    /// Copies the workspace.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written, or another run has its copy there.
    pub(super) fn new() -> Result<Self, Error> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let base = cargo::workspace().join(target).join("guards");
        let (tree, target) = (base.join("tree"), base.join("target"));
        let failed = || format!("cannot copy the sources to {}", tree.display());
        fs::create_dir_all(&base).or_fail(failed)?;
        let lock = File::create(base.join("lock")).or_fail(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Error::failed("`cargo xtask guards` runs already").because(error))?;
        // That of a run that was killed.
        let _ = fs::remove_dir_all(&tree);
        copy_dir(cargo::workspace(), &tree).or_fail(failed)?;
        Ok(Self { tree, target, _lock: lock })
    }

    /// Where the copy is.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Where it is built.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Replaces a text in a file until the result is dropped; `None` if it does not stand there exactly once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub(super) fn edit(&self, file: &str, find: &str, replace: &str) -> Result<Option<Edited>, Error> {
        let path = self.tree.join(file);
        let text = fs::read_to_string(&path).or_fail(|| format!("cannot read {}", path.display()))?;
        if text.matches(find).count() != 1 {
            return Ok(None);
        }
        fs::write(&path, text.replace(find, replace)).or_fail(|| format!("cannot write {}", path.display()))?;
        Ok(Some(Edited { path, text }))
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.text) {
            cli::detail(format!("cannot write {}: {error}", self.path.display()));
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.tree) {
            cli::detail(format!("cannot remove {}: {error}", self.tree.display()));
        }
    }
}

/// Everything but the history and what was built.
fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let (source, goal) = (entry.path(), to.join(entry.file_name()));
        let is_built = source.join("CACHEDIR.TAG").exists() || entry.file_name() == OsStr::new("target");
        if kind.is_dir() && entry.file_name() != OsStr::new(".git") && !is_built {
            copy_dir(&source, &goal)?;
        } else if kind.is_file() {
            fs::copy(&source, &goal)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &goal)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_sources_and_not_what_was_built() {
        let scratch = crate::scratch::Scratch::new("xtask-copy").unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        for file in ["a/b.rs", ".cargo/config.toml", ".git/HEAD", "target/x", "built/CACHEDIR.TAG"] {
            let path = from.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        copy_dir(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b.rs")).unwrap(), "a/b.rs");
        assert!(to.join(".cargo/config.toml").is_file());
        assert!(!to.join(".git").exists() && !to.join("target").exists() && !to.join("built").exists());
    }
}
