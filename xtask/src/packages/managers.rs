//! Package managers.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::needs::Need;

/// From this age on the package lists are fetched again: what they name may no longer be on the server.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// A package manager.
#[derive(Debug)]
pub(super) struct Manager {
    /// What it is called, and found by.
    pub(super) program: &'static str,
    /// Whether its package names and options were tried.
    pub(super) tested: bool,
    /// The arguments that install packages without asking.
    pub(super) install: &'static [&'static str],
    /// The arguments that fetch the lists of packages, if it does not do so itself.
    pub(super) refresh: Option<&'static [&'static str]>,
    /// Whether that is needed.
    pub(super) lists_are_old: fn() -> bool,
    /// `NAME=VALUE` for its environment.
    pub(super) environment: &'static [&'static str],
    /// Its column in [`Need::packages`].
    column: usize,
}

impl Manager {
    /// The packages that have what is needed.
    pub(super) fn packages_of(&self, need: &Need) -> impl Iterator<Item = &'static str> + use<> {
        need.packages.get(self.column).copied().unwrap_or_default().split_whitespace()
    }
}

/// All that are known, in the order they are looked for. Only apt was tried.
pub(super) const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        tested: true,
        install: &["install", "--yes", "--no-install-recommends"],
        refresh: Some(&["update"]),
        lists_are_old: apt_lists_are_old,
        environment: &["DEBIAN_FRONTEND=noninteractive"],
        column: 0,
    },
    Manager {
        program: "dnf",
        tested: false,
        install: &["install", "--assumeyes", "--setopt=install_weak_deps=False"],
        refresh: None,
        lists_are_old: never,
        environment: &[],
        column: 1,
    },
    Manager {
        program: "pacman",
        tested: false,
        // Not `-Sy`: lists that are newer than what is installed break a rolling distribution.
        install: &["-S", "--needed", "--noconfirm"],
        refresh: None,
        lists_are_old: never,
        environment: &[],
        column: 2,
    },
    Manager {
        program: "zypper",
        tested: false,
        install: &["--non-interactive", "install", "--no-recommends"],
        refresh: None,
        lists_are_old: never,
        environment: &[],
        column: 3,
    },
    Manager {
        program: "apk",
        tested: false,
        install: &["add", "--update-cache"],
        refresh: None,
        lists_are_old: never,
        environment: &[],
        column: 4,
    },
];

fn never() -> bool {
    false
}

/// Whether apt has no lists (as in most containers) or fetched them long ago.
///
/// The lists themselves carry the server's times, their directories those of the last fetch.
fn apt_lists_are_old() -> bool {
    let lists = Path::new("/var/lib/apt/lists");
    let has_lists = fs::read_dir(lists)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages")));
    let fetched =
        [lists.to_owned(), lists.join("partial")].iter().filter_map(|path| path.metadata().ok()?.modified().ok()).max();
    !has_lists || fetched.is_none_or(|fetched| is_old(fetched, SystemTime::now()))
}

/// A time in the future says nothing, so it counts as old.
fn is_old(then: SystemTime, now: SystemTime) -> bool {
    now.duration_since(then).map_or(true, |age| age > OLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_fetched_again_after_a_day() {
        let now = SystemTime::now();
        assert!(!is_old(now - Duration::from_secs(60), now));
        assert!(is_old(now - Duration::from_secs(25 * 60 * 60), now));
        assert!(is_old(now + Duration::from_secs(60), now));
    }
}
