//! What `run` needs, and what a client here would find. None of it decides whether clients can be identified.

use std::os::unix::net::UnixStream;

use super::Line;
use crate::failure::chain;
use crate::output::shown;
use crate::run::{BWRAP_MINIMUM, CGROUP_REMEDIES, InstalledBubblewrap, UsableCgroup};
use crate::session::{self, WaylandSocket};

/// Looks at everything.
pub(super) fn checks() -> Vec<Line> {
    let mut lines = vec![own_cgroup(), user_manager()];
    lines.extend(bubblewrap());
    lines.extend([runtime_dir(), wayland_display()]);
    lines
}

fn own_cgroup() -> Line {
    const NAME: &str = "own cgroup";
    match UsableCgroup::find() {
        Ok(own) => Line::fine(NAME, format!("`run` can label cgroups in {}", shown(own.location()))),
        Err(why) if session::has_user_manager() && session::find_tool("systemd-run").is_some() => {
            Line::fine(NAME, format!("{}; `run` will move into a delegated scope", chain(&why)))
        }
        Err(why) => Line::limited(NAME, format!("`run` cannot work: {}", chain(&why)), CGROUP_REMEDIES.join("; or: ")),
    }
}

fn user_manager() -> Line {
    const NAME: &str = "systemd user manager";
    match (session::has_user_manager(), session::find_tool("systemd-run")) {
        (true, Some(_)) => Line::fine(NAME, "it answers: delegated scopes can be had"),
        (true, None) => {
            Line::limited(NAME, "it answers, but there is no `systemd-run` in PATH", "install systemd's tools")
        }
        (false, _) => Line::limited(
            NAME,
            "none answers: `run` works only where its own cgroup is writable",
            "log in through a display manager or `machinectl shell USER@`, which start `user@UID.service`; without \
             systemd, nothing needs to be done where the cgroup is writable",
        ),
    }
}

/// Whether it is there, and whether it works: the latter needs user namespaces.
fn bubblewrap() -> Vec<Line> {
    const NAME: &str = "bubblewrap";
    let (major, minor) = BWRAP_MINIMUM;
    let bwrap = match InstalledBubblewrap::find() {
        Ok(bwrap) => bwrap,
        Err(failure) => {
            let remedy = format!("install bubblewrap {major}.{minor} or newer, without the set-user-ID bit");
            return vec![Line::limited(NAME, format!("`run --confine` cannot work: {}", failure.message()), remedy)];
        }
    };
    let found = Line::fine(NAME, format!("version {}, `run --confine` can use it", bwrap.version()));
    let works = match bwrap.try_out() {
        Ok(()) => Line::fine("user namespaces", "a sandbox can be made in which there are no further ones"),
        Err(why) => Line::limited(
            "user namespaces",
            format!("`run --confine` cannot work: {why}"),
            "permit user namespaces: `sysctl user.max_user_namespaces=10000`, on Debian \
             `kernel.unprivileged_userns_clone=1`, on Ubuntu an AppArmor profile for bwrap with `userns,`",
        ),
    };
    vec![found, works]
}

fn runtime_dir() -> Line {
    const NAME: &str = "XDG_RUNTIME_DIR";
    let remedy = "let pam_systemd or elogind set it, or make a directory of mode 0700 and set it yourself";
    match session::runtime_dir() {
        None => Line::limited(
            NAME,
            "it is not set to an absolute path: Wayland sockets have no place, and no flatpak can be confirmed",
            remedy,
        ),
        Some(dir) => match session::runtime_dir_fault(&dir) {
            Some(fault) => Line::limited(NAME, format!("{}: {fault}", shown(&dir)), remedy),
            None => Line::fine(NAME, shown(&dir)),
        },
    }
}

fn wayland_display() -> Line {
    const NAME: &str = "WAYLAND_DISPLAY";
    let remedy = "start a compositor, and set WAYLAND_DISPLAY to the name of its socket";
    match WaylandSocket::find() {
        WaylandSocket::None(why) => Line::limited(NAME, format!("no compositor: {why}"), remedy),
        WaylandSocket::At(path) => match UnixStream::connect(&path) {
            Ok(_) => Line::fine(NAME, format!("a compositor listens at {}", shown(&path))),
            Err(e) => Line::limited(NAME, format!("nobody listens at {}: {e}", shown(&path)), remedy),
        },
    }
}
