//! A directory of our own that does not outlive us.

use std::{
    env,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use crate::{
    cli,
    error::{Context, Error},
};

/// The longest path of the directory: a socket in it must fit into a socket's address, which has 108 bytes.
const MAX_PATH: usize = 80;

/// A directory that is closed to all others, and removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Creates it where temporary files go.
    ///
    /// # Errors
    ///
    /// If nothing can be created there.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let parent = env::temp_dir();
        for attempt in 0..100 {
            let path = parent.join(format!("{name}-{}-{attempt}", process::id()));
            if path.as_os_str().len() > MAX_PATH {
                return Err(Error::failed(format!("the path `{}` is too long for a socket", path.display()))
                    .remedy("set TMPDIR to a directory with a shorter name, such as /tmp"));
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::failed(format!("cannot create the directory `{}`", path.display()))
                        .because(error)
                        .remedy("set TMPDIR to a directory that you can write to"));
                }
            }
        }
        Err(Error::failed(format!("all names `{name}-*` in `{}` are taken", parent.display())))
    }

    /// Lets everybody create files in it, as in `/tmp`.
    ///
    /// # Errors
    ///
    /// If its mode cannot be changed.
    pub(crate) fn open_to_all(&self) -> Result<(), Error> {
        fs::set_permissions(&self.path, Permissions::from_mode(0o1777))
            .or_fail(|| format!("cannot change the mode of `{}`", self.path.display()))
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            cli::detail(format!("cannot remove `{}`: {error}", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_private_and_goes_with_its_guard() {
        let scratch = Scratch::new("xtask-test").unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("d")).unwrap();
        fs::write(path.join("d/f"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
