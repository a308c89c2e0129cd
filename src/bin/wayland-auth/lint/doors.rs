//! Services that act for whoever asks them, and other display servers.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::inside::{Inside, connect};
use super::report::{Findings, Severity};
use super::subject::{Namespace, Subject};
use super::{Scene, bus};
use crate::output::shown;

/// The user's service manager: directly, and through buses.
pub(super) fn user_manager(scene: &Scene<'_>, inside: &Inside<'_>, findings: &mut Findings) {
    const PRIVATE: &str = "give the sandbox an XDG_RUNTIME_DIR with nothing in it but what the application needs";
    const BUS: &str = "put a filter before the bus (`xdg-dbus-proxy --filter`) that does not let the application talk to \
                       org.freedesktop.systemd1, or give it no bus";
    for dir in runtime_dirs(scene, findings) {
        let path = dir.join("systemd/private");
        match inside.connect(&path) {
            Ok(Some(_)) => {
                let what =
                    format!("it can ask the user's service manager ({}) to start anything outside", shown(&path));
                findings.add("user-manager", Severity::Unsafe, what, PRIVATE);
            }
            Ok(None) => {}
            Err(e) => findings.unknown("user-manager", shown(&path), &e),
        }
    }
    for address in buses(scene, findings) {
        let connected = match &address {
            Address::Path(path) => inside.connect(path),
            Address::Abstract(name) => rustix::net::SocketAddrUnix::new_abstract_name(name)
                .map_err(io::Error::from)
                .and_then(|address| connect(&address)),
        };
        let name = address.shown();
        match connected.and_then(|stream| stream.map(bus::talks_to_systemd).transpose()) {
            Ok(Some(true)) => {
                let what = format!("the bus {name} lets it talk to systemd, which starts anything outside for it");
                findings.add("session-bus", Severity::Unsafe, what, BUS);
            }
            Ok(Some(false)) => {
                const OTHER: &str = "let only those services through that the application needs";
                let what = format!("a bus is at {name}; systemd does not answer on it, but other services may");
                findings.add("session-bus", Severity::Note, what, OTHER);
            }
            Ok(None) => {}
            Err(e) => findings.unknown("session-bus", format!("whether the bus {name} leads to systemd"), &e),
        }
    }
}

/// Where the user's sockets are, for the process: the usual place and what its environment says.
fn runtime_dirs(scene: &Scene<'_>, findings: &mut Findings) -> Vec<PathBuf> {
    let uids = &scene.powers.status.uids;
    let mut dirs: Vec<PathBuf> = uids.iter().map(|uid| PathBuf::from(format!("/run/user/{uid}"))).collect();
    match scene.subject.variable("XDG_RUNTIME_DIR") {
        Ok(dir) => dirs.extend(dir.map(PathBuf::from).filter(|dir| dir.is_absolute())),
        Err(e) => findings.unknown("environment", "its XDG_RUNTIME_DIR", &e),
    }
    dirs.sort();
    dirs.dedup();
    dirs
}

/// Where a bus may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl Address {
    fn shown(&self) -> String {
        match self {
            Self::Path(path) => shown(path),
            Self::Abstract(name) => format!("@{}", shown(Path::new(&OsString::from_vec(name.clone())))),
        }
    }
}

fn buses(scene: &Scene<'_>, findings: &mut Findings) -> Vec<Address> {
    let mut ignored = Findings::default();
    let mut addresses: Vec<Address> =
        runtime_dirs(scene, &mut ignored).into_iter().map(|dir| Address::Path(dir.join("bus"))).collect();
    match scene.subject.variable("DBUS_SESSION_BUS_ADDRESS") {
        Ok(variable) => addresses.extend(variable.iter().flat_map(|text| parse_addresses(text.as_bytes()))),
        Err(e) => findings.unknown("environment", "its DBUS_SESSION_BUS_ADDRESS", &e),
    }
    match abstract_sockets(scene.subject) {
        Ok(names) => {
            addresses.extend(names.into_iter().filter(|name| name.starts_with(b"/tmp/dbus-")).map(Address::Abstract))
        }
        Err(e) => findings.unknown("abstract-sockets", "the abstract sockets in its network namespace", &e),
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The sockets in a list of D-Bus addresses. Their escapes are undone.
fn parse_addresses(text: &[u8]) -> Vec<Address> {
    let mut found = Vec::new();
    for address in text.split(|&b| b == b';') {
        let Some(pairs) = address.strip_prefix(b"unix:") else { continue };
        for pair in pairs.split(|&b| b == b',') {
            if let Some(path) = pair.strip_prefix(b"path=") {
                found.push(Address::Path(PathBuf::from(OsString::from_vec(unescape(path)))));
            } else if let Some(name) = pair.strip_prefix(b"abstract=") {
                found.push(Address::Abstract(unescape(name)));
            }
        }
    }
    found.retain(|address| !matches!(address, Address::Path(path) if !path.is_absolute()));
    found
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = (first == b'%').then(|| after.split_at_checked(2)).flatten();
        let escaped = digits
            .and_then(|(digits, after)| Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, after)));
        let (byte, after) = escaped.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// The names of the abstract sockets in the process' network namespace, if that is ours: else nothing of ours is in it.
fn abstract_sockets(subject: &Subject) -> io::Result<Vec<Vec<u8>>> {
    if !subject.shares(Namespace::Network)? {
        return Ok(Vec::new());
    }
    let text = subject.read("net/unix")?;
    let names = text.split(|&b| b == b'\n').filter_map(|line| {
        // The eighth field, after a single space.
        let at = line.windows(2).position(|two| two == b" @")?;
        line.get(at + 2..).map(<[u8]>::to_vec)
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Other display servers than the one Wayland socket that an application needs. None of it touches the label.
pub(super) fn displays(scene: &Scene<'_>, inside: &Inside<'_>, findings: &mut Findings) {
    const X11: &str =
        "give the sandbox no X11 socket, and a network namespace of its own: abstract sockets are not files";
    const WAYLAND: &str = "give the sandbox one Wayland socket";
    let mut x11: Vec<String> = Vec::new();
    match inside.sockets(Path::new("/tmp/.X11-unix"), "X") {
        Ok(paths) => {
            let open = |path: &PathBuf| inside.connect(path).is_ok_and(|stream| stream.is_some());
            x11.extend(paths.iter().filter(|path| open(path)).map(|path| shown(path)));
        }
        Err(e) => findings.add("x11", Severity::Note, format!("/tmp/.X11-unix was not looked at: {e}"), X11),
    }
    let names = abstract_sockets(scene.subject).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.starts_with(b"/tmp/.X11-unix/"));
    x11.extend(names.map(|name| Address::Abstract(name).shown()));
    if !x11.is_empty() {
        let what = format!("X11 is in reach, where applications are not kept apart: {}", x11.join(", "));
        findings.add("x11", Severity::Weak, what, X11);
    }
    let mut ignored = Findings::default();
    let mut wayland = Vec::new();
    for dir in runtime_dirs(scene, &mut ignored) {
        match inside.sockets(&dir, "wayland-") {
            Ok(paths) => wayland.extend(paths.iter().map(|path| shown(path))),
            Err(e) => {
                findings.add("wayland", Severity::Note, format!("{} was not looked at: {e}", shown(&dir)), WAYLAND)
            }
        }
    }
    if wayland.len() > 1 {
        let what = format!("several Wayland sockets are in reach: {}", wayland.join(", "));
        findings.add("wayland", Severity::Weak, what, WAYLAND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buses_are_read() {
        let text = b"unix:path=/run/user/1/b%75s,guid=1;unix:abstract=/tmp/dbus-x;tcp:host=x;unix:path=relative";
        let expected = [Address::Path("/run/user/1/bus".into()), Address::Abstract(b"/tmp/dbus-x".to_vec())];
        assert_eq!(parse_addresses(text), expected);
        assert_eq!(unescape(b"%zz%4"), b"%zz%4");
    }
}
