//! Spare file descriptors for the moment when there are none.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// As many as one look-up has open at a time: the pidfd, a directory, its parent, a label's directory and a file.
const SPARE: usize = 6;

/// File descriptors that are held so that they can be given back.
#[derive(Debug)]
pub(super) struct Reserve {
    spare: Mutex<Vec<OwnedFd>>,
}

impl Reserve {
    pub(super) fn new() -> Self {
        Self { spare: Mutex::new(acquire()) }
    }

    /// Gives the spare descriptors back while `f` runs, then takes new ones.
    ///
    /// Another thread may be faster in using them up; then `f` fails as it did before.
    pub(super) fn lend<T>(&self, f: impl FnOnce() -> T) -> T {
        let mut spare = self.spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        spare.clear();
        let result = f();
        *spare = acquire();
        result
    }
}

/// Opens as many descriptors as can be had, up to [`SPARE`].
fn acquire() -> Vec<OwnedFd> {
    let open = || std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
    std::iter::repeat_with(open).take(SPARE).flatten().collect()
}
