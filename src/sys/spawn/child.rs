//! What a new process does between its birth and the execution of its program.
//!
//! It is the copy of one thread of a process that may have had several: locks that others held
//! stay locked for ever. So nothing here allocates, panics or takes a lock; every call is one
//! that POSIX lists as async-signal-safe, or a plain system call.

use std::convert::Infallible;
use std::ffi::{c_char, c_int};
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags};

use super::signals::SignalMask;

/// Everything that the new process needs, made before it exists.
pub(super) struct Plan<'a> {
    /// Null-terminated, as are the next two.
    pub(super) files: &'a [*const c_char],
    pub(super) arguments: &'a [*const c_char],
    pub(super) environment: &'a [*const c_char],
    pub(super) mask: &'a SignalMask,
    pub(super) keep: Option<BorrowedFd<'a>>,
    pub(super) own_group: bool,
    /// Read from: one byte says "go", the end of the file "do not".
    pub(super) go: BorrowedFd<'a>,
    /// The other end of `go`, of which the new process has a copy that it must not keep.
    pub(super) others_go: RawFd,
    /// Written to if something fails.
    pub(super) report: BorrowedFd<'a>,
}

/// What a new process can fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Waiting for the word to go.
    Pause,
    /// Becoming the leader of a process group.
    Group,
    /// Closing what it inherited.
    Descriptors,
    /// Executing the program.
    Execute,
}

impl Step {
    /// The step, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "waiting for its cgroup to be verified",
            Self::Group => "making a process group (setpgid)",
            Self::Descriptors => "closing inherited descriptors (close_range needs Linux 5.11)",
            Self::Execute => "executing the program",
        }
    }
}

/// The length of a report: the step and the errno.
pub(super) const REPORT_LEN: usize = 5;

/// What a report says.
pub(super) fn parse_report(report: [u8; REPORT_LEN]) -> (Step, i32) {
    let [step, errno @ ..] = report;
    let step = match step {
        1 => Step::Group,
        2 => Step::Descriptors,
        3 => Step::Execute,
        _ => Step::Pause,
    };
    (step, i32::from_ne_bytes(errno))
}

const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;

impl Plan<'_> {
    /// Waits for the word, and executes the program. Returns to nobody.
    pub(super) fn carry_out(&self) -> ! {
        let Err((step, errno)) = self.try_to_carry_out();
        let [a, b, c, d] = errno.raw_os_error().to_ne_bytes();
        let number = match step {
            Step::Pause => 0,
            Step::Group => 1,
            Step::Descriptors => 2,
            Step::Execute => 3,
        };
        let _ = rustix::io::write(self.report, &[number, a, b, c, d]);
        // SAFETY: ends this process at once; no destructors and no handlers run.
        unsafe { libc::_exit(125) }
    }

    fn try_to_carry_out(&self) -> Result<Infallible, (Step, Errno)> {
        // SAFETY: this process' own copy of the descriptor, which nothing here uses: `Paused` is the maker's. It must go, or the
        // maker's end would not end the file.
        unsafe { libc::close(self.others_go) };
        let mut word = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(self.go, &mut word)) {
            Ok(1) => {}
            Ok(_) => return Err((Step::Pause, Errno::CANCELED)),
            Err(errno) => return Err((Step::Pause, errno)),
        }
        if self.own_group {
            rustix::process::setpgid(None, None).map_err(|errno| (Step::Group, errno))?;
        }
        self.close_on_execution().map_err(|errno| (Step::Descriptors, errno))?;
        self.reset_signals();
        Err((Step::Execute, self.execute()))
    }

    /// Marks every descriptor but 0, 1, 2 and the one to keep.
    fn close_on_execution(&self) -> Result<(), Errno> {
        let first: libc::c_uint = 3;
        // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC only sets a flag on this process' own descriptors.
        let rc = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
        if rc < 0 {
            return Err(last_errno());
        }
        self.keep.map_or(Ok(()), |fd| rustix::io::fcntl_setfd(fd, FdFlags::empty()))
    }

    /// Undoes what this process, and Rust's start-up code before it, changed.
    fn reset_signals(&self) {
        // SAFETY: SIGPIPE is a valid signal, and SIG_DFL a valid disposition that runs no code of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        self.mask.apply();
    }

    /// Executes the first of the files that can be; returns only if none can.
    fn execute(&self) -> Errno {
        let mut denied = false;
        let mut errno = Errno::NOENT;
        for &file in self.files.iter().take_while(|file| !file.is_null()) {
            // SAFETY: `file` is a C string, `arguments` and `environment` are null-terminated arrays of C strings; all were made by
            // `spawn_paused` from values that it borrows, of which this process has its own copy.
            unsafe { libc::execve(file, self.arguments.as_ptr(), self.environment.as_ptr()) };
            errno = last_errno();
            match errno {
                Errno::ACCESS => denied = true,
                Errno::NOENT | Errno::NOTDIR => {}
                _ => return errno,
            }
        }
        if denied { Errno::ACCESS } else { errno }
    }
}

/// The errno of the `libc` call that just failed.
fn last_errno() -> Errno {
    // SAFETY: the address is that of this thread's errno, always valid for reads.
    let errno: c_int = unsafe { *libc::__errno_location() };
    Errno::from_raw_os_error(errno)
}
