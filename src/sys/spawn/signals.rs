//! Signals, received by reading a descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Signal;

/// A set of blocked signals, as a thread has one.
#[derive(Clone, Copy)]
pub struct SignalMask {
    set: libc::sigset_t,
}

impl std::fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalMask")
    }
}

impl SignalMask {
    /// No signals.
    #[must_use]
    pub fn none() -> Self {
        Self::of(&[])
    }

    fn of(signals: &[Signal]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `set` is valid for writes, and sigemptyset(3) initialises all of it.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in signals {
            // SAFETY: `set` is initialised. A number that is no signal is refused, and changes nothing.
            unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
        }
        Self { set }
    }

    /// Makes this the calling thread's mask. Async-signal-safe.
    pub fn apply(&self) {
        // SAFETY: the set is initialised; the old mask is not asked for. It cannot fail, as `SIG_SETMASK` is a valid way.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.set, std::ptr::null_mut()) };
    }
}

/// Signals that no longer interrupt this thread, but can be read.
///
/// For a process of one thread. They stay blocked when this is dropped: what they would do by
/// default (end the process) is what their reader decided against. Processes that this one makes inherit
/// that, unless they set [`SignalMask::none`].
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    before: SignalMask,
}

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Whether the kernel sent it, as a terminal's keys make it do; else a process did.
    pub by_kernel: bool,
}

/// The size of `struct signalfd_siginfo`.
const SIGINFO_LEN: usize = 128;

/// `si_code` of what the kernel itself sends.
const SI_KERNEL: i32 = 0x80;

impl Signals {
    /// Blocks `signals` in this thread and opens a descriptor that tells of them.
    ///
    /// # Errors
    ///
    /// The kernel's, which can only be a lack of resources.
    ///
    /// # References
    ///
    /// * [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let mask = SignalMask::of(signals);
        let mut before = SignalMask::none();
        // SAFETY: both sets are initialised, and `before` is valid for writes.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask.set, &raw mut before.set) };
        if rc != 0 {
            return Err(io::Error::from_raw_os_error(rc));
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const mask.set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened this descriptor for us; nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, before })
    }

    /// The mask before any of this, for a program to start with.
    #[must_use]
    pub fn mask_before(&self) -> SignalMask {
        self.before
    }

    /// The next signal that came, if any did.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn next(&self) -> io::Result<Option<Received>> {
        let mut info = [0; SIGINFO_LEN];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut info)) {
            Ok(SIGINFO_LEN) => {}
            Ok(_) | Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        let field = |at: usize| i32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        // ssi_signo is the first field, ssi_errno the second and ssi_code the third.
        Ok(Signal::from_named_raw(field(0)).map(|signal| Received { signal, by_kernel: field(8) == SI_KERNEL }))
    }
}

/// Makes the kernel keep the exit statuses of this process' children until they are asked for.
///
/// It does not where `SIGCHLD` is ignored, and a process inherits that from its maker; several
/// compositors ignore it.
pub fn keep_exit_statuses() {
    // SAFETY: SIGCHLD is a valid signal, and SIG_DFL a valid disposition that runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
