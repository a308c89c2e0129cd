//! What the user's session offers: its run-time directory, its service manager, its compositor.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// `XDG_RUNTIME_DIR`, if it is set to an absolute path.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Whether the systemd instance that manages the user's session answers.
pub(crate) fn has_user_manager() -> bool {
    runtime_dir().is_some_and(|dir| {
        ["systemd/private", "bus"].iter().any(|name| UnixStream::connect(dir.join(name)).is_ok())
            && dir.join("systemd").is_dir()
    })
}

/// The Wayland socket that a client started here would connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaylandSocket {
    /// This one.
    At(PathBuf),
    /// None, for this reason.
    None(String),
}

impl WaylandSocket {
    /// Looks where libwayland would.
    pub(crate) fn find() -> Self {
        Self::of(std::env::var_os("WAYLAND_DISPLAY"), runtime_dir())
    }

    fn of(display: Option<OsString>, runtime_dir: Option<PathBuf>) -> Self {
        let chosen = display.as_ref().filter(|display| !display.is_empty());
        let name = PathBuf::from(chosen.cloned().unwrap_or_else(|| "wayland-0".into()));
        let path = match (name.is_absolute(), runtime_dir) {
            (true, _) => name,
            (false, Some(dir)) => dir.join(name),
            (false, None) => return Self::None("XDG_RUNTIME_DIR is not set to an absolute path".into()),
        };
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.file_type().is_socket() => Self::At(path),
            Ok(_) => Self::None(format!("{} is not a socket", path.display())),
            Err(_) if chosen.is_none() => Self::None("WAYLAND_DISPLAY is not set".into()),
            Err(e) => Self::None(format!("{}: {e}", path.display())),
        }
    }
}

/// What is wrong with the run-time directory, if anything.
pub(crate) fn runtime_dir_fault(dir: &Path) -> Option<String> {
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(e) => return Some(e.to_string()),
    };
    let uid = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        return Some("it is not a directory".into());
    }
    if metadata.uid() != uid {
        return Some(format!("it belongs to uid {}, and this is uid {uid}", metadata.uid()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| format!("others may enter it (mode {mode:04o}, should be 0700)"))
}

/// Looks for an executable file as `execvp(3)` does.
///
/// Gives every file that could be meant, in the order of `PATH`.
pub(crate) fn candidates(name: &std::ffi::OsStr) -> Vec<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(name)];
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|dir| dir.join(name)).collect()
}

/// Whether this process may execute the file.
pub(crate) fn is_executable(file: &Path) -> bool {
    let permitted = rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    permitted && std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file())
}

/// The first executable file of this name in `PATH`.
pub(crate) fn find_tool(name: &str) -> Option<PathBuf> {
    candidates(name.as_ref()).into_iter().find(|file| file.is_absolute() && is_executable(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_display_needs_a_runtime_dir() {
        let found = WaylandSocket::of(Some("wayland-7".into()), None);
        assert!(matches!(found, WaylandSocket::None(why) if why.contains("XDG_RUNTIME_DIR")));
    }

    #[test]
    fn what_is_no_socket_is_no_wayland_socket() {
        let found = WaylandSocket::of(Some("/dev/null".into()), None);
        assert_eq!(found, WaylandSocket::None("/dev/null is not a socket".into()));
    }

    #[test]
    fn name_with_a_slash_is_not_looked_for_in_path() {
        assert_eq!(candidates("./x".as_ref()), [PathBuf::from("./x")]);
        assert!(candidates("sh".as_ref()).iter().any(|file| is_executable(file)));
    }
}
