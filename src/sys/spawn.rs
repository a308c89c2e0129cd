//! Starting a program that waits, in its cgroup, until it is told to go.
//!
//! Not part of the library's interface: the tool `wayland-auth run` needs it. It differs from
//! [`std::process::Command`] in three ways: the new process can be *born* in another cgroup, it
//! executes nothing before its maker has looked at it, and it inherits no descriptors.

mod child;
mod signals;

use std::ffi::{CString, c_char};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use child::Plan;
pub use child::Step;
pub use signals::{Received, SignalMask, Signals, keep_exit_statuses};

/// A program to execute, with everything it gets.
#[derive(Debug)]
pub struct Program {
    /// Files to execute, tried one after the other as `execvp(3)` tries those of `PATH`.
    pub files: Vec<CString>,
    /// Its arguments; the first is its name.
    pub arguments: Vec<CString>,
    /// Its environment, `NAME=VALUE` each.
    pub environment: Vec<CString>,
    /// The signals that it blocks.
    pub mask: SignalMask,
    /// A descriptor that it inherits under the same number, beside 0, 1 and 2.
    pub keep: Option<OwnedFd>,
    /// Whether it becomes the leader of a process group of its own.
    pub own_group: bool,
}

/// A process that exists, and waits to be told to execute its program.
///
/// Dropped, it ends without having executed anything.
#[derive(Debug)]
pub struct Paused {
    process: Option<Process>,
    go: OwnedFd,
    report: OwnedFd,
}

/// A process that this one made and has not reaped.
#[derive(Debug)]
pub struct Process {
    /// Its pid. While it is not reaped, the number belongs to nobody else.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// Why a paused process did not execute its program. It is gone.
#[derive(Debug)]
pub struct StartError {
    /// What it was doing.
    pub step: Step,
    /// The kernel's error.
    pub source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.step.name())
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Makes a process that will execute `program` once it is told to.
///
/// With `cgroup`, the directory of a cgroup, the process is in that cgroup from its first
/// instruction on (`CLONE_INTO_CGROUP`, Linux 5.7); without, it is in the maker's.
///
/// # Errors
///
/// The kernel's. With `cgroup`, `ENOSYS` and `EPERM` may also be a seccomp filter that does not
/// know `clone3`.
///
/// # References
///
/// * [clone3(2)](https://man7.org/linux/man-pages/man2/clone3.2.html)
/// * Linux commit ef2c41cf38a7 (5.7), `CLONE_INTO_CGROUP`
pub fn spawn_paused(program: &Program, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Paused> {
    let (go_read, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (report, report_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let files = pointers(&program.files);
    let arguments = pointers(&program.arguments);
    let environment = pointers(&program.environment);
    let plan = Plan {
        files: &files,
        arguments: &arguments,
        environment: &environment,
        mask: &program.mask,
        keep: program.keep.as_ref().map(AsFd::as_fd),
        own_group: program.own_group,
        go: go_read.as_fd(),
        others_go: go.as_raw_fd(),
        report: report_write.as_fd(),
    };
    let process = match cgroup {
        Some(cgroup) => clone_into(cgroup, &plan)?,
        None => fork(&plan)?,
    };
    Ok(Paused { process: Some(process), go, report })
}

/// The addresses of some strings, with the null pointer behind them that `execve(2)` asks for.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// `struct clone_args` as of Linux 5.7, the first with a cgroup.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const _: () = assert!(size_of::<CloneArgs>() == 88);

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone_into(cgroup: BorrowedFd<'_>, plan: &Plan<'_>) -> io::Result<Process> {
    let mut pidfd: libc::c_int = -1;
    let exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    let arguments = CloneArgs {
        flags: CLONE_PIDFD | CLONE_INTO_CGROUP,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal,
        cgroup: u64::from(cgroup.as_raw_fd().unsigned_abs()),
        ..CloneArgs::default()
    };
    // SAFETY: `arguments` has the layout and the size that are announced; `pidfd` is valid for writes. Without CLONE_VM and
    // without a stack the call is a fork: the new process has its own copy of our memory and returns here too, where it enters
    // `Plan::carry_out`, which keeps to what a copy of one thread may do, and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArgs>()) };
    if pid == 0 {
        plan.carry_out();
    }
    let (Some(pid), true) = (libc::pid_t::try_from(pid).ok().and_then(Pid::from_raw), pid > 0) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the call succeeded in the parent, so the kernel has opened this descriptor for us; nobody else knows of it.
    Ok(Process { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

fn fork(plan: &Plan<'_>) -> io::Result<Process> {
    // SAFETY: the new process enters `Plan::carry_out`, which keeps to what the copy of one thread may do, and never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        plan.carry_out();
    }
    let (Some(pid), true) = (Pid::from_raw(pid), pid > 0) else {
        return Err(io::Error::last_os_error());
    };
    // Not reaped by us, the number is still that of our child.
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Process { pid, pidfd }),
        Err(errno) => {
            // It ends by itself, as the descriptor that would tell it to go is closed on return.
            Err(errno.into())
        }
    }
}

impl Paused {
    /// The process.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|p| p.pid)
    }

    /// Lets the process execute its program, and returns when it has.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what could not be done; the process has ended then.
    pub fn start(mut self) -> Result<Process, StartError> {
        let failed = |source: io::Error| StartError { step: Step::Pause, source };
        rustix::io::retry_on_intr(|| rustix::io::write(&self.go, &[1])).map_err(|e| failed(e.into()))?;
        let mut report = [0; child::REPORT_LEN];
        let len =
            rustix::io::retry_on_intr(|| rustix::io::read(&self.report, &mut report)).map_err(|e| failed(e.into()))?;
        if len > 0 {
            let (step, errno) = child::parse_report(report);
            return Err(StartError { step, source: io::Error::from_raw_os_error(errno) });
        }
        // End of file without a report: the descriptor was closed by the program's execution (or by a signal that ended the
        // process first, which its exit status then tells).
        self.process.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // Paused it waits for nothing but our word, and if it has failed it is ending.
            let _ = rustix::process::pidfd_send_signal(&process.pidfd, rustix::process::Signal::KILL);
            let _ = rustix::io::retry_on_intr(|| {
                rustix::process::waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED)
            });
        }
    }
}
