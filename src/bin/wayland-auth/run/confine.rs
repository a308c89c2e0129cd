//! What the sandbox of `--confine` contains.
//!
//! What must hold, whatever else is inside: no cgroup file system; no further user namespaces, so that none
//! can be mounted; no process outside in sight, and none of the sockets in `/run` and `/tmp`, through which a service
//! could be asked to do it. So these are empty but for what names need to be resolved and graphics to be drawn. Sockets
//! elsewhere (in the user's home, or abstract ones) stay in reach.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::program::{self, CommandLine, DESCRIPTOR_VARIABLES};
use crate::failure::{Failure, NOT_FOUND};
use crate::mounts::{self, Mount};
use crate::output::shown;
use crate::session::{self, WaylandSocket};

/// Directories whose contents the sandbox does not see, with the mode of the empty ones in their place.
const EMPTIED: &[(&str, &str)] = &[("/tmp", "1777"), ("/run", "0755")];

/// What of `/run` it does see, where it exists: no sockets.
const KEPT_OF_RUN: &[&str] = &[
    "/run/NetworkManager/resolv.conf",
    "/run/booted-system",
    "/run/connman/resolv.conf",
    "/run/current-system",
    "/run/opengl-driver",
    "/run/opengl-driver-32",
    "/run/resolvconf/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
];

/// Variables that lead to services outside, which would act for the command with its user's rights.
const SERVICE_VARIABLES: &[&str] = &[
    "AT_SPI_BUS_ADDRESS",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_STARTER_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DISPLAY",
    "DOCKER_HOST",
    "GNOME_KEYRING_CONTROL",
    "GPG_AGENT_INFO",
    "HYPRLAND_INSTANCE_SIGNATURE",
    "I3SOCK",
    "IBUS_ADDRESS",
    "ICEAUTHORITY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NIRI_SOCKET",
    "NOTIFY_SOCKET",
    "PIPEWIRE_REMOTE",
    "PIPEWIRE_RUNTIME_DIR",
    "PULSE_RUNTIME_PATH",
    "PULSE_SERVER",
    "SESSION_MANAGER",
    "SSH_AUTH_SOCK",
    "SWAYSOCK",
    "TMPDIR",
    "TMUX",
    "WAYFIRE_SOCKET",
    "XAUTHORITY",
];

/// Where cgroups usually are. Hidden whole, since on a hybrid machine each hierarchy is a mount of its own in it.
const CGROUP_DIR: &str = "/sys/fs/cgroup";

/// `statfs(2)`'s types of the cgroup file systems.
const CGROUP_MAGICS: &[u32] = &[0x0027_e0eb, 0x6367_7270];

/// A sandbox, before it is made.
#[derive(Debug)]
pub(super) struct Confinement {
    /// Further directories that are emptied and made read-only: the cgroup file systems, a run-time directory elsewhere.
    hidden: Vec<PathBuf>,
    runtime_dir: PathBuf,
    /// The socket outside, and its name in the run-time directory inside.
    wayland: Option<(PathBuf, OsString)>,
    /// Why there is no Wayland socket.
    pub(super) without_wayland: Option<String>,
}

impl Confinement {
    /// Looks at this machine and this session.
    pub(super) fn plan() -> Result<Self, Failure> {
        let mounts = mounts::read()
            .map_err(|e| Failure::launcher("could not read /proc/self/mountinfo, to hide cgroupfs").because(e))?;
        let mut hidden = cgroup_mounts(&mounts);
        hidden.extend(session::runtime_dir().filter(|dir| dir.is_dir() && !is_emptied(dir) && dir.parent().is_some()));
        // `/var/run` is a link to `/run`, but where it is not, its sockets are elsewhere.
        let var_run = Path::new("/var/run");
        hidden.extend(var_run.symlink_metadata().is_ok_and(|m| m.is_dir()).then(|| var_run.to_owned()));
        let runtime_dir = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
        let (wayland, without_wayland) = match WaylandSocket::find() {
            WaylandSocket::At(path) => match path.file_name().map(OsString::from) {
                Some(name) => (Some((path, name)), None),
                None => (None, Some(format!("{} has no name", path.display()))),
            },
            WaylandSocket::None(why) => (None, Some(why)),
        };
        Ok(Self { hidden, runtime_dir, wayland, without_wayland })
    }

    /// Refuses standard streams that lead out of the sandbox: through a directory one can open what is outside, and
    /// who may write to a file of cgroupfs was decided when it was opened.
    pub(super) fn check_streams(&self) -> Result<(), Failure> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let streams = [("input", stdin.as_fd()), ("output", stdout.as_fd()), ("error", stderr.as_fd())];
        for (name, stream) in streams {
            let failed =
                |e: Errno| Failure::launcher(format!("could not look at standard {name}")).because(io::Error::from(e));
            let kind = FileType::from_raw_mode(rustix::fs::fstat(stream).map_err(failed)?.st_mode);
            let magic = rustix::fs::fstatfs(stream).map_err(failed)?.f_type as u32;
            if kind == FileType::Directory || CGROUP_MAGICS.contains(&magic) {
                let what = if kind == FileType::Directory { "a directory" } else { "a file of cgroupfs" };
                return Err(Failure::launcher(format!(
                    "standard {name} is {what}, through which the sandbox could be left"
                ))
                .remedy("redirect it to or from an ordinary file, or /dev/null"));
            }
        }
        Ok(())
    }

    /// Refuses a command that the sandbox would not see.
    pub(super) fn check_visible(&self, command: &CommandLine) -> Result<(), Failure> {
        let Some(file) = command.file().and_then(|file| file.canonicalize().ok()) else { return Ok(()) };
        let hidden = |dir: &&Path| file.starts_with(dir);
        let mut all = EMPTIED.iter().map(|(dir, _)| Path::new(*dir)).chain(self.hidden.iter().map(PathBuf::as_path));
        match all.find(hidden) {
            Some(dir) if !KEPT_OF_RUN.iter().any(|kept| file.starts_with(kept)) => {
                let (file, dir) = (shown(&file), shown(dir));
                Err(Failure::new(NOT_FOUND, format!("{file} is not in the sandbox, where {dir} is empty"))
                    .remedy("put it somewhere else"))
            }
            _ => Ok(()),
        }
    }

    /// bubblewrap's arguments, up to the command.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
            arguments.extend(words.iter().map(|word| word.as_ref().to_owned()));
        };
        add(&[&"--unshare-user", &"--disable-userns", &"--unshare-pid", &"--unshare-cgroup"]);
        add(&[&"--unshare-ipc", &"--unshare-uts", &"--die-with-parent", &"--new-session"]);
        add(&[&"--cap-drop", &"ALL"]);
        add(&[&"--ro-bind", &"/", &"/", &"--dev", &"/dev", &"--proc", &"/proc"]);
        for (dir, mode) in EMPTIED {
            add(&[&"--perms", mode, &"--tmpfs", dir]);
        }
        for path in KEPT_OF_RUN {
            add(&[&"--ro-bind-try", path, path]);
        }
        for dir in &self.hidden {
            add(&[&"--tmpfs", dir, &"--remount-ro", dir]);
        }
        add(&[&"--perms", &"0700", &"--tmpfs", &self.runtime_dir]);
        if let Some((socket, name)) = &self.wayland {
            add(&[&"--ro-bind", socket, &self.runtime_dir.join(name)]);
        }
        add(&[&"--remount-ro", &"/run"]);
        arguments
    }

    /// The command's environment.
    pub(super) fn environment(&self) -> Vec<OsString> {
        let mut removed = [SERVICE_VARIABLES, DESCRIPTOR_VARIABLES].concat();
        removed.push("WAYLAND_DISPLAY");
        let display = self.wayland.as_ref().map(|(_, name)| ("WAYLAND_DISPLAY", name.clone()));
        let runtime_dir = ("XDG_RUNTIME_DIR", self.runtime_dir.clone().into_os_string());
        program::environment(&removed, display.into_iter().chain([runtime_dir]))
    }
}

/// Where cgroups of any version can be seen: the outermost directories only, and only those that a path leads to.
fn cgroup_mounts(mounts: &[Mount]) -> Vec<PathBuf> {
    let usual = Path::new(CGROUP_DIR);
    let mut points: Vec<PathBuf> = mounts
        .iter()
        .filter(|mount| mount.is_cgroup())
        .map(|mount| if mount.point.starts_with(usual) { usual.to_owned() } else { mount.point.clone() })
        .filter(|point| !is_emptied(point) && point.is_dir())
        .collect();
    points.sort();
    // An outer directory sorts before what is in it.
    points.dedup_by(|inner, outer| inner.starts_with(outer));
    points
}

fn is_emptied(path: &Path) -> bool {
    EMPTIED.iter().any(|(dir, _)| path.starts_with(dir)) || ["/proc", "/dev"].iter().any(|dir| path.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(point: &str, kind: &str) -> Mount {
        Mount { root: "/".into(), point: point.into(), kind: kind.into() }
    }

    #[test]
    fn every_cgroup_mount_is_hidden_once() {
        let mounts = [
            mount("/", "ext4"),
            mount("/sys/fs/cgroup/cpu", "cgroup"),
            mount("/sys/fs/cgroup/unified", "cgroup2"),
            mount("/usr", "cgroup2"),
            mount("/usr/bin", "cgroup2"),
            mount("/tmp/cg", "cgroup2"),
            mount("/no/such/directory", "cgroup2"),
        ];
        assert_eq!(cgroup_mounts(&mounts), [PathBuf::from("/sys/fs/cgroup"), PathBuf::from("/usr")]);
        assert_eq!(cgroup_mounts(&[mount("/", "ext4")]), [] as [PathBuf; 0]);
    }

    #[test]
    fn sandbox_hides_what_leads_outside() -> Result<(), String> {
        let plan = Confinement {
            hidden: vec!["/sys/fs/cgroup".into()],
            runtime_dir: "/run/user/7".into(),
            wayland: Some(("/somewhere/wayland-3".into(), "wayland-3".into())),
            without_wayland: None,
        };
        let arguments = plan.arguments();
        let position = |words: &[&str]| {
            arguments.windows(words.len()).position(|w| w == words).ok_or_else(|| format!("no {words:?}"))
        };
        let everything = position(&["--ro-bind", "/", "/"])?;
        let run = position(&["--tmpfs", "/run"])?;
        let runtime_dir = position(&["--tmpfs", "/run/user/7"])?;
        assert!(everything < run && run < runtime_dir);
        assert!(everything < position(&["--tmpfs", "/sys/fs/cgroup", "--remount-ro", "/sys/fs/cgroup"])?);
        assert!(runtime_dir < position(&["--ro-bind", "/somewhere/wayland-3", "/run/user/7/wayland-3"])?);
        position(&["--unshare-user", "--disable-userns"])?;
        position(&["--cap-drop", "ALL"])?;
        let environment = plan.environment();
        assert!(environment.contains(&"WAYLAND_DISPLAY=wayland-3".into()));
        assert!(environment.contains(&"XDG_RUNTIME_DIR=/run/user/7".into()));
        Ok(())
    }
}
