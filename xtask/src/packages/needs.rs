//! What the commands need from the machine.

use std::{
    env, fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What something is needed for. A later one needs what the earlier ones do, the last one aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask test`.
    Test,
    /// `cargo xtask bench`.
    Bench,
    /// `cargo xtask kernels`, which needs little of what the others do.
    Kernels,
}

/// Something that must be there.
#[derive(Debug)]
pub(super) struct Need {
    probe: Probe,
    purpose: Purpose,
    /// The packages that have it, by package manager: apt, dnf, pacman, zypper, apk.
    pub(super) packages: [&'static str; 5],
}

/// How it is looked for.
#[derive(Debug)]
enum Probe {
    /// A program in PATH.
    Program(&'static str),
    /// A C library with its headers.
    Library(&'static str),
    /// What xkbcommon reads keyboard layouts from.
    KeyboardLayouts,
}

/// Everything.
pub(super) const NEEDS: &[Need] = &[
    need(Probe::Program("cc"), Purpose::Demo, ["gcc libc6-dev", "gcc", "gcc", "gcc", "gcc musl-dev"]),
    need(
        Probe::Program("pkg-config"),
        Purpose::Demo,
        ["pkg-config", "pkgconf-pkg-config", "pkgconf", "pkgconf-pkg-config", "pkgconf"],
    ),
    need(
        Probe::Library("pixman-1"),
        Purpose::Demo,
        ["libpixman-1-dev", "pixman-devel", "pixman", "libpixman-1-0-devel", "pixman-dev"],
    ),
    need(
        Probe::Library("xkbcommon"),
        Purpose::Demo,
        ["libxkbcommon-dev", "libxkbcommon-devel", "libxkbcommon", "libxkbcommon-devel", "libxkbcommon-dev"],
    ),
    need(
        Probe::KeyboardLayouts,
        Purpose::Demo,
        ["xkb-data", "xkeyboard-config", "xkeyboard-config", "xkeyboard-config", "xkeyboard-config"],
    ),
    need(Probe::Program("bwrap"), Purpose::Demo, ["bubblewrap"; 5]),
    need(Probe::Program("grim"), Purpose::Demo, ["grim"; 5]),
    need(Probe::Program("wl-paste"), Purpose::Demo, ["wl-clipboard"; 5]),
    need(Probe::Program("wtype"), Purpose::Demo, ["wtype"; 5]),
    need(
        Probe::Library("wayland-server"),
        Purpose::Test,
        ["libwayland-dev", "wayland-devel", "wayland", "wayland-devel", "wayland-dev"],
    ),
    need(Probe::Program("setfattr"), Purpose::Test, ["attr"; 5]),
    need(Probe::Program("firejail"), Purpose::Test, ["firejail"; 5]),
    need(
        Probe::Program("systemd-nspawn"),
        Purpose::Test,
        ["systemd-container", "systemd-container", "systemd", "systemd-container", "systemd"],
    ),
    need(Probe::Program("flatpak"), Purpose::Test, ["flatpak"; 5]),
    need(Probe::Program("dbus-daemon"), Purpose::Test, ["dbus-daemon", "dbus-daemon", "dbus", "dbus-1-daemon", "dbus"]),
    need(Probe::Program("strace"), Purpose::Test, ["strace"; 5]),
    need(Probe::Program("weston"), Purpose::Test, ["weston"; 5]),
    need(
        Probe::Program("qemu-system-x86_64"),
        Purpose::Kernels,
        ["qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86", "qemu-x86", "qemu-system-x86_64"],
    ),
    need(
        Probe::Program("busybox"),
        Purpose::Kernels,
        ["busybox-static", "busybox", "busybox", "busybox-static", "busybox-static"],
    ),
];

const fn need(probe: Probe, purpose: Purpose, packages: [&'static str; 5]) -> Need {
    Need { probe, purpose, packages }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.probe {
            Probe::Program(name) => write!(f, "the program `{name}`"),
            Probe::Library(name) => write!(f, "the headers of `{name}`"),
            Probe::KeyboardLayouts => f.write_str("keyboard layouts (xkb)"),
        }
    }
}

/// What is not there.
pub(super) fn missing(purpose: Purpose) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| need.is_for(purpose) && !need.probe.is_there()).collect()
}

impl Need {
    /// Whether it is needed for this.
    fn is_for(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Kernels => {
                self.purpose == Purpose::Kernels || matches!(self.probe, Probe::Program("cc" | "bwrap"))
            }
            _ => self.purpose <= purpose,
        }
    }
}

impl Probe {
    fn is_there(&self) -> bool {
        match self {
            Self::Program(name) => in_path(name),
            Self::Library(name) => library(name),
            Self::KeyboardLayouts => {
                let root = env::var_os("XKB_CONFIG_ROOT").unwrap_or_else(|| "/usr/share/X11/xkb".into());
                PathBuf::from(root).join("rules/evdev").is_file()
            }
        }
    }
}

/// Whether there is a program of that name.
pub(crate) fn in_path(name: &str) -> bool {
    path_of(name).is_some()
}

/// Where the program of that name is.
pub(crate) fn path_of(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0))
}

/// Whether pkg-config knows the library. Without pkg-config, which is then missing itself, whether its file is in a
/// usual place.
fn library(name: &str) -> bool {
    let mut command = Command::new(env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into()));
    command.args(["--exists", name]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) => status.success(),
        Err(_) => in_usual_place(&format!("{name}.pc")),
    }
}

fn in_usual_place(file: &str) -> bool {
    let plain = ["/usr/lib/pkgconfig", "/usr/lib64/pkgconfig", "/usr/share/pkgconfig", "/usr/local/lib/pkgconfig"];
    let by_machine = Path::new("/usr/lib").read_dir().into_iter().flatten().flatten();
    let by_machine = by_machine.map(|entry| entry.path().join("pkgconfig"));
    plain.iter().map(PathBuf::from).chain(by_machine).any(|directory| directory.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_their_name_alone() {
        assert!(in_path("sh"));
        assert!(!in_path("no-such-program-anywhere"));
    }

    #[test]
    fn a_library_that_is_not_there_is_missing() {
        assert!(!library("no-such-library-anywhere"));
        assert!(!in_usual_place("no-such-library-anywhere.pc"));
    }

    #[test]
    fn each_purpose_needs_what_the_earlier_ones_do() {
        let count = |purpose| NEEDS.iter().filter(|need| need.is_for(purpose)).count();
        assert!(count(Purpose::Demo) < count(Purpose::Test) && count(Purpose::Test) <= count(Purpose::Bench));
        // The kernels' own needs are nobody else's.
        let kernels = NEEDS.iter().filter(|need| need.purpose == Purpose::Kernels).count();
        assert_eq!(count(Purpose::Bench) + kernels, NEEDS.len());
        assert!(count(Purpose::Kernels) < count(Purpose::Demo));
    }
}
