//! Which Linux this is, and what that version is known to have.
//!
//! A test must not pass because the machine quietly offers less than its version says: what is expected is decided by
//! the version, what is found by asking.

use crate::Context;

/// The first version with `SO_PEERPIDFD`.
pub const PEER_PIDFD: Version = (6, 5);
/// The first version whose pidfds have inodes of their own.
pub const PIDFS: Version = (6, 9);
/// The first version whose pidfds tell namespaces.
pub const PIDFD_NAMESPACES: Version = (6, 11);
/// The first version with `PIDFD_GET_INFO`.
pub const PIDFD_INFO: Version = (6, 13);

/// Major and minor number.
pub type Version = (u32, u32);

/// The version of the running kernel, as it claims it.
///
/// # Errors
///
/// If its release does not begin with two numbers.
pub fn version() -> Result<Version, String> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    of(&release).context(format!("the release `{release}` has no version"))
}

/// Whether this kernel claims to be this version or a later one.
///
/// # Errors
///
/// If it claims nothing.
pub fn claims(first: Version) -> Result<bool, String> {
    Ok(version()? >= first)
}

/// How many rounds a race takes: `usual`, or fewer where `WAYLAND_AUTH_TESTS_SHORTER` says how many times fewer, as in an
/// emulated machine.
#[must_use]
pub fn rounds(usual: u64) -> u64 {
    let shorter = std::env::var("WAYLAND_AUTH_TESTS_SHORTER").ok().and_then(|n| n.parse::<u64>().ok());
    (usual / shorter.unwrap_or(1).max(1)).max(1)
}

fn of(release: &str) -> Option<Version> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_the_first_two_numbers() {
        assert_eq!(super::of("6.12.107+deb13-cloud-amd64"), Some((6, 12)));
        assert_eq!(super::of("7.3-rc1"), Some((7, 3)));
        assert_eq!(super::of("linux"), None);
    }
}
