//! Ctrl-C and its relatives.
//!
//! Whatever waits, waits for them too ([`Signals`] can be polled) and gives up with [`Error::Interrupted`]; the guards
//! on the stack then remove what there is. The signals themselves never end this program.

use std::{
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};

use crate::error::{Context, Error};

/// Becomes readable for good with the first signal.
#[derive(Debug)]
pub(crate) struct Signals {
    woken: UnixStream,
    seen: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    ///
    /// If the kernel has no socket pair left for it.
    pub(crate) fn install() -> Result<Self, Error> {
        let what = || "cannot handle signals".to_owned();
        let (woken, wake) = UnixStream::pair().or_fail(what)?;
        let seen = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Handlers run in this order: whoever is woken finds the number.
            flag::register_usize(signal, Arc::clone(&seen), usize::try_from(signal).or_fail(what)?).or_fail(what)?;
            pipe::register(signal, wake.try_clone().or_fail(what)?).or_fail(what)?;
        }
        Ok(Self { woken, seen })
    }

    /// Fails if a signal came.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if one did.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.seen.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(Error::Interrupted(i32::try_from(signal).unwrap_or(SIGTERM))),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}
