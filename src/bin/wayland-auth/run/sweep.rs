//! Removing the cgroups of launchers that were killed before they could.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Dir, FlockOperation, Mode};
use rustix::process::{Pid, geteuid};
use wayland_auth::identity::MAX_LEN;
use wayland_auth::identity::label::XattrNames;

use super::hierarchy::{DIR_FLAGS, OwnCgroup};
use super::tree::{self, Events};

/// What the names of our cgroups start with.
pub(super) const PREFIX: &str = "wayland-auth-";

/// How much of an ID a name contains: with the pid and the random number it fits into 255 bytes.
pub(super) const WHOSE_MAX: usize = 200;

/// Removes what is abandoned beside us. Not being able to is no reason not to run.
///
/// Abandoned is a directory that has one of our names and a sandbox label, belongs to our user, contains no
/// process and is locked by nobody. The lock tells that its launcher is gone, which its pid could not: that may
/// be in use again, or be of another pid namespace. The pid in the name is for people.
pub(super) fn sweep(own: &OwnCgroup) {
    let Ok(entries) = Dir::read_from(own.dir()) else { return };
    for entry in entries.filter_map(Result::ok) {
        if let Ok(name) = entry.file_name().to_str()
            && launcher_of(name.as_bytes()).is_some()
        {
            let _ = sweep_one(own, name);
        }
    }
}

fn sweep_one(own: &OwnCgroup, name: &str) -> io::Result<()> {
    let dir = rustix::fs::openat(own.dir(), name, DIR_FLAGS, Mode::empty())?;
    if rustix::fs::fstat(&dir)?.st_uid != geteuid().as_raw() || Events::open(dir.as_fd())?.is_populated()? {
        return Ok(());
    }
    if !is_labelled(dir.as_fd()) {
        return Ok(());
    }
    rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
    // Populated since? Then it is busy, and stays.
    tree::remove(own.dir(), name)
}

/// Whether a sandbox engine's name is on it: somebody else's directory may be called as ours are.
fn is_labelled(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0; MAX_LEN];
    rustix::fs::fgetxattr(dir, XattrNames::default().engine.as_str(), &mut value).is_ok()
}

/// The pid in one of our names, `wayland-auth-<ID>-<pid>-<16 hexadecimal digits>`.
pub(super) fn launcher_of(name: &[u8]) -> Option<u32> {
    let rest = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
    let (rest, random) = rest.rsplit_once('-')?;
    let (whose, pid) = rest.rsplit_once('-')?;
    let is_random = random.len() == 16 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let pid = pid.parse::<i32>().ok().and_then(Pid::from_raw)?;
    (is_random && !whose.is_empty()).then(|| pid.as_raw_nonzero().get().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_swept() {
        assert_eq!(launcher_of(b"wayland-auth-org.example-App-12-0123456789abcdef"), Some(12));
        for other in [
            &b"wayland-auth-12-0123456789abcdef"[..],
            b"wayland-auth--12-0123456789abcdef",
            b"wayland-auth-a-x-0123456789abcdef",
            b"wayland-auth-a-12-0123456789ABCDEF",
            b"wayland-auth-a-12-0123",
            b"wayland-auth-a-0-0123456789abcdef",
            b"app-a-12-0123456789abcdef",
            b"wayland-auth-a-12-0123456789abcdef\xff",
            b"",
        ] {
            assert_eq!(launcher_of(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
