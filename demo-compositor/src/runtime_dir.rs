//! The directory that the socket lives in, and the socket.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use smithay::reexports::wayland_server::{BindError, ListeningSocket};

/// Why no socket could be opened. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// `XDG_RUNTIME_DIR` is not set.
    #[error(
        "XDG_RUNTIME_DIR is not set, so there is no place for the socket: log in through a session, or set it to a \
         directory of your own, for example `export XDG_RUNTIME_DIR=$(mktemp -d)`"
    )]
    NoRuntimeDir,
    /// `XDG_RUNTIME_DIR` is not an absolute path.
    #[error("XDG_RUNTIME_DIR is `{}`, which is not an absolute path", .0.display())]
    RelativeRuntimeDir(PathBuf),
    /// `XDG_RUNTIME_DIR` cannot be looked at.
    #[error("XDG_RUNTIME_DIR is `{}`, which cannot be used: create it with `mkdir -m 0700`", .path.display())]
    #[non_exhaustive]
    UnusableRuntimeDir {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// `XDG_RUNTIME_DIR` is not a directory.
    #[error("XDG_RUNTIME_DIR is `{}`, which is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// `XDG_RUNTIME_DIR` is somebody else's.
    #[error(
        "XDG_RUNTIME_DIR is `{path}`, which belongs to uid {owner} and not to uid {us}: set it to a directory of your \
         own (`sudo -i` and `su -` do that)"
    )]
    ForeignRuntimeDir {
        /// The directory.
        path: String,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Others may create files in `XDG_RUNTIME_DIR`.
    #[error("XDG_RUNTIME_DIR is `{path}`, which others may write to (mode {mode:04o}): do `chmod 0700 '{path}'`")]
    OpenRuntimeDir {
        /// The directory.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The name is none that a socket in a directory could have.
    #[error("`{}` cannot be the name of a socket: it must be a plain file name that does not end in `.lock`", .0.display())]
    InvalidName(OsString),
    /// Someone else listens there, or something that is no socket is in the way.
    #[error("the socket `{}` is already in use: choose another name with `--socket`, or none to get a free one", .0.display())]
    InUse(PathBuf),
    /// All the usual names are taken.
    #[error("wayland-{} to wayland-{} are all in use: choose another name with `--socket`", NUMBERS.start, NUMBERS.end - 1)]
    AllInUse,
    /// The socket could not be made.
    #[error("cannot listen in `{}`", .path.display())]
    #[non_exhaustive]
    Listen {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: BindError,
    },
}

/// The numbers of the names that are tried when none is given. `wayland-0` is left to the real session.
const NUMBERS: std::ops::Range<usize> = 1..33;

/// Listens under `name`, or under the first free name.
///
/// # Errors
///
/// If `XDG_RUNTIME_DIR` is not a directory that only this user can write to, or the name is invalid or taken.
pub(crate) fn listen(name: Option<&OsStr>) -> Result<ListeningSocket, SocketError> {
    let directory = runtime_dir()?;
    let failed = |source| SocketError::Listen { path: directory.clone(), source };
    let Some(name) = name else {
        return ListeningSocket::bind_auto("wayland", NUMBERS).map_err(|error| match error {
            BindError::AlreadyInUse => SocketError::AllInUse,
            error => failed(error),
        });
    };

    let path = directory.join(name);
    if !is_plain_name(name) {
        return Err(SocketError::InvalidName(name.to_owned()));
    }
    if is_taken(&path) {
        return Err(SocketError::InUse(path));
    }
    ListeningSocket::bind(name).map_err(|error| match error {
        BindError::AlreadyInUse => SocketError::InUse(path),
        error => failed(error),
    })
}

/// `XDG_RUNTIME_DIR`, if it is safe: ours, and closed to all others.
fn runtime_dir() -> Result<PathBuf, SocketError> {
    let path = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).ok_or(SocketError::NoRuntimeDir)?;
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(SocketError::RelativeRuntimeDir(path));
    }
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(source) => return Err(SocketError::UnusableRuntimeDir { path, source }),
    };
    if !metadata.is_dir() {
        return Err(SocketError::NotADirectory(path));
    }
    let us = rustix::process::geteuid().as_raw();
    let name = path.display().to_string();
    if metadata.uid() != us {
        return Err(SocketError::ForeignRuntimeDir { path: name, owner: metadata.uid(), us });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(SocketError::OpenRuntimeDir { path: name, mode: metadata.mode() & 0o7777 });
    }
    Ok(path)
}

/// Whether `name` names a file in a directory, and not the lock of another socket.
fn is_plain_name(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/') && !bytes.ends_with(b".lock")
}

/// Whether something is at `path` that is not a socket which its owner left behind.
///
/// [`ListeningSocket::bind`] removes whatever it finds, and its lock keeps out other compositors only.
fn is_taken(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_socket() => UnixStream::connect(path).is_ok(),
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_a_plain_name() {
        for name in ["wayland-1", "a b", "..x"] {
            assert!(is_plain_name(OsStr::new(name)), "{name}");
        }
        for name in ["", ".", "..", "/tmp/x", "a/b", "wayland-1.lock"] {
            assert!(!is_plain_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert!(!is_taken(&path));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(is_taken(&path));
        drop(listener);
        assert!(!is_taken(&path));
    }

    #[test]
    fn a_plain_file_is_in_the_way() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(is_taken(file.path()));
    }
}
