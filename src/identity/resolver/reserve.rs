//! Spare file descriptors for the moment when there are none.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// As many as one look-up has open at a time, if there is one label: the pidfd, a file of `/proc`, the cgroup's directory,
/// the label's, our own, its parent and the one above. Each further label takes one more.
const SPARE: usize = 7;

/// File descriptors that are held so that they can be given back.
#[derive(Debug)]
pub(super) struct Reserve {
    spare: Mutex<Vec<OwnedFd>>,
}

impl Reserve {
    pub(super) fn new() -> Self {
        let reserve = Self { spare: Mutex::default() };
        reserve.fill();
        reserve
    }

    /// Gives the spare descriptors back while `f` runs, then takes new ones.
    ///
    /// Another thread may be faster in using them up; then `f` fails as it did before, and what could
    /// not be taken again is missing until [`fill`](Self::fill) finds it.
    pub(super) fn lend<T>(&self, f: impl FnOnce() -> T) -> T {
        let mut spare = self.spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        spare.clear();
        let result = f();
        top_up(&mut spare);
        result
    }

    /// Takes what is missing, now that descriptors can be had again. Waits for nobody.
    pub(super) fn fill(&self) {
        if let Ok(mut spare) = self.spare.try_lock() {
            top_up(&mut spare);
        }
    }
}

/// Opens as many descriptors as can be had, up to [`SPARE`] in all.
fn top_up(spare: &mut Vec<OwnedFd>) {
    while spare.len() < SPARE
        && let Ok(file) = std::fs::File::open("/dev/null")
    {
        spare.push(file.into());
    }
}
