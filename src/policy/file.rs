//! Opening a policy file that nobody else could have written.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use super::Policy;
use super::config::MAX_SIZE;
use super::diagnostics::{PolicyErrors, harmless};
use super::include::Includer;

/// Why a policy file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It cannot be opened.
    #[error("cannot open {path}")]
    #[non_exhaustive]
    Open {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read {path}")]
    #[non_exhaustive]
    Read {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is a directory, a device, a pipe or a socket.
    #[error("{path} is not a regular file")]
    #[non_exhaustive]
    NotRegular {
        /// The file.
        path: String,
    },
    /// It belongs to somebody who may not decide.
    #[error("{path} belongs to uid {owner}, and must belong to root or to uid {own}: run `chown {own} {path}`")]
    #[non_exhaustive]
    Owner {
        /// The file.
        path: String,
        /// Its owner.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// Others could write it.
    #[error("{path} can be written by its group or by others (mode {mode:04o}): run `chmod go-w {path}`")]
    #[non_exhaustive]
    Writable {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than any policy may be.
    #[error("{path} is larger than {MAX_SIZE} bytes")]
    #[non_exhaustive]
    TooLarge {
        /// The file.
        path: String,
    },
    /// It is not text.
    #[error("{path}:{line}: this is not UTF-8: save the file as UTF-8")]
    #[non_exhaustive]
    NotUtf8 {
        /// The file.
        path: String,
        /// The line of the first byte that is none, counted from 1.
        line: usize,
    },
    /// It is not a policy.
    #[error(transparent)]
    Invalid(#[from] PolicyErrors),
}

/// What a policy was read from: whoever watches all of it misses no change.
///
/// Paths are as they were opened; those of included files begin with the directory of the main one, unless they are
/// absolute. Editors put a new file in the place of the old one, so what is to be watched for a file is the directory
/// that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    pub(super) files: Vec<PathBuf>,
    pub(super) directories: Vec<PathBuf>,
}

impl PolicyFiles {
    /// The files, the main one first, then the included ones in their order. Also those that could not be read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The directories that were searched by a name with `*`: a file that comes to be there may be a part of the policy.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl Policy {
    /// Reads the policy in the file at `path`, and what it includes.
    ///
    /// Links are followed, and the file is opened once: what is checked is what is read,
    /// whatever happens to the path meanwhile. The directories on the way are not checked; who
    /// can write there can put *another* file of root's or ours in its place, but none of
    /// their own. Included files are opened in the same way, in a directory that only root and we
    /// can write; all of them together have at most 1 MiB once more.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], if it is not a regular file, does not belong to root or to our
    /// effective uid, can be written by its group or by others, is larger than 1 MiB, is not
    /// UTF-8, or is not a policy. Each says what to do about it. What is wrong with an included
    /// file is told where it is included, or at its own line, together with all other errors.
    pub fn from_path(path: &Path) -> Result<Self, PolicyError> {
        let shown = harmless(&path.to_string_lossy());
        let (text, id) = read_text(CWD, path, &shown)?;
        let mut includer = Includer::new(path, id);
        match Self::read(shown.into(), &text, Some(&mut includer)) {
            Ok(policy) => Ok(Self { files: includer.into_files(), ..policy }),
            Err(errors) => Err(errors.of(includer.into_files()).into()),
        }
    }
}

/// The text of the file at `path` in `dir`, and which file it is.
pub(super) fn read_text(dir: impl AsFd, path: &Path, shown: &str) -> Result<(String, FileId), PolicyError> {
    let (bytes, id) = read_at(dir, path, shown)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        PolicyError::NotUtf8 { path: shown.to_owned(), line }
    })?;
    Ok((text, id))
}

/// What the file at `path` has in it.
pub(super) fn read(path: &Path, shown: &str) -> Result<Vec<u8>, PolicyError> {
    read_at(CWD, path, shown).map(|(bytes, _)| bytes)
}

/// Whether nobody but root and us can change what has this `stat`.
pub(super) fn check_owner(stat: &Stat, shown: &str) -> Result<(), PolicyError> {
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != 0 && stat.st_uid != own {
        return Err(PolicyError::Owner { path: shown.to_owned(), owner: stat.st_uid, own });
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(PolicyError::Writable { path: shown.to_owned(), mode: stat.st_mode & 0o7777 });
    }
    Ok(())
}

fn read_at(dir: impl AsFd, path: &Path, shown: &str) -> Result<(Vec<u8>, FileId), PolicyError> {
    let shown = || shown.to_owned();
    // NONBLOCK: nobody waits for the other end of a pipe. It means nothing for a regular file.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let fd = rustix::fs::openat(dir, path, flags, Mode::empty())
        .map_err(|errno| PolicyError::Open { path: shown(), source: errno.into() })?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| PolicyError::Read { path: shown(), source: errno.into() })?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(PolicyError::NotRegular { path: shown() });
    }
    check_owner(&stat, &shown())?;
    let mut bytes = Vec::new();
    File::from(fd)
        .take(MAX_SIZE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| PolicyError::Read { path: shown(), source })?;
    if bytes.len() > MAX_SIZE {
        return Err(PolicyError::TooLarge { path: shown() });
    }
    Ok((bytes, FileId(stat.st_dev, stat.st_ino)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory of our own, removed at the end.
    pub(in crate::policy) struct Dir(PathBuf);

    impl Dir {
        pub(in crate::policy) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wayland-auth-policy-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(in crate::policy) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn file(dir: &Dir, bytes: &[u8], mode: u32) -> PathBuf {
        let path = dir.path().join("policy.toml");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn t32_a_file_of_our_own_is_read_also_through_a_link() {
        let dir = Dir::new("link");
        let path = file(&dir, b"[defaults]\nsandboxed = ['layer-shell']\n", 0o644);
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [path, link] {
            assert!(Policy::from_path(&path).is_ok());
        }
    }

    #[test]
    fn t32_a_file_that_others_can_write_is_refused() {
        let dir = Dir::new("writable");
        for mode in [0o664, 0o646, 0o620, 0o602, 0o777] {
            let error = Policy::from_path(&file(&dir, b"", mode)).unwrap_err();
            assert!(matches!(error, PolicyError::Writable { .. }), "{error}");
            assert!(error.to_string().contains("run `chmod go-w "), "{error}");
        }
    }

    #[test]
    fn t32_a_file_of_another_user_is_refused() {
        let dir = Dir::new("owner");
        let path = file(&dir, b"", 0o600);
        // Only root can make one; for others there is nothing to show.
        if std::os::unix::fs::chown(&path, Some(1), None).is_ok() {
            let error = Policy::from_path(&path).unwrap_err();
            assert!(matches!(error, PolicyError::Owner { owner: 1, .. }), "{error}");
        }
    }

    #[test]
    fn t32_what_is_no_file_is_refused_and_never_waited_for() {
        let dir = Dir::new("special");
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [dir.path(), &fifo, Path::new("/dev/null")] {
            assert!(matches!(Policy::from_path(path), Err(PolicyError::NotRegular { .. })), "{path:?}");
        }
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [dir.path().join("none"), socket] {
            assert!(matches!(Policy::from_path(&path), Err(PolicyError::Open { .. })), "{path:?}");
        }
    }

    #[test]
    fn size_and_encoding_are_checked() {
        let dir = Dir::new("size");
        let error = Policy::from_path(&file(&dir, &vec![b'#'; MAX_SIZE + 1], 0o600)).unwrap_err();
        assert!(matches!(error, PolicyError::TooLarge { .. }), "{error}");
        assert!(Policy::from_path(&file(&dir, &vec![b'#'; MAX_SIZE], 0o600)).is_ok());
        let error = Policy::from_path(&file(&dir, b"a\nb\n# \xff", 0o600)).unwrap_err();
        assert!(matches!(error, PolicyError::NotUtf8 { line: 3, .. }), "{error}");
    }

    #[test]
    fn errors_name_the_file() {
        let dir = Dir::new("name");
        let path = file(&dir, b"x = 1", 0o600);
        let error = Policy::from_path(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("{}:1:1", path.display())), "{error}");
    }
}
