//! Children made by `clone3(2)` itself: in microseconds, in a chosen cgroup, with a chosen pid.
//!
//! What such a child does is one of a few fixed [lives](Life), made of plain system calls alone: it
//! is the copy of one thread of a process that may have others, and must take no lock.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, WaitOptions};

/// `CLONE_INTO_CGROUP`, Linux 5.7.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a child does.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "only the tests use it")]
pub enum Life<'a> {
    /// Connects, and exits.
    ConnectAndExit(&'a Address),
    /// Connects, leaves the socket to a child of its own that holds it to its end, and exits; if there
    /// is a descriptor, not before a byte can be read from it.
    ConnectAndLeave(&'a Address, Option<BorrowedFd<'a>>),
    /// Waits to be killed.
    Wait,
}

/// The address of a socket.
#[derive(Clone, Copy)]
pub struct Address {
    raw: libc::sockaddr_un,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

impl Address {
    /// The address of the socket at `path`.
    ///
    /// # Errors
    ///
    /// If the path is too long for one.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = path.as_os_str().as_bytes();
        let mut sun_path = [0; 108];
        if path.len() >= sun_path.len() {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        for (to, from) in sun_path.iter_mut().zip(path) {
            *to = from.cast_signed();
        }
        Ok(Self { raw: libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path } })
    }
}

/// A child. It must be waited for.
#[derive(Debug)]
#[must_use]
pub struct Offspring {
    pid: Pid,
}

impl Offspring {
    /// Makes a child, in this cgroup and with this pid if they are given.
    ///
    /// A pid can be chosen by whoever has `CAP_CHECKPOINT_RESTORE` over the pid namespace; it must be free.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    ///
    /// # References
    ///
    /// * [clone3(2)](https://man7.org/linux/man-pages/man2/clone3.2.html), `set_tid`, `CLONE_INTO_CGROUP`
    pub fn new(life: Life<'_>, cgroup: Option<BorrowedFd<'_>>, pid: Option<u32>) -> io::Result<Self> {
        let wanted = pid.map(u32::cast_signed);
        let child = clone(cgroup.map(|fd| fd.as_raw_fd()), wanted.as_ref());
        if child == 0 {
            live(life);
        }
        let child = i32::try_from(child).ok().and_then(|pid| if pid > 0 { Pid::from_raw(pid) } else { None });
        child.map(|pid| Self { pid }).ok_or_else(io::Error::last_os_error)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Waits for its end, and reaps it; whether it succeeded.
    ///
    /// # Errors
    ///
    /// If somebody else did.
    pub fn wait(self) -> io::Result<bool> {
        let status = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(self.pid), WaitOptions::empty()))?;
        Ok(status.is_some_and(|(_, status)| status.exit_status() == Some(0)))
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// If that cannot be.
    pub fn kill(self) -> io::Result<()> {
        rustix::process::kill_process(self.pid, Signal::KILL)?;
        self.wait().map(drop)
    }
}

/// `struct clone_args` of `clone3(2)`, the same on all machines. libc has it for some C libraries only.
#[derive(Default)]
#[repr(C, align(8))]
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

/// `clone3(2)` like `fork(2)`: 0 in the child, which must go on to [`live`].
fn clone(cgroup: Option<RawFd>, pid: Option<&i32>) -> libc::c_long {
    let mut args = CloneArgs { exit_signal: libc::SIGCHLD.cast_unsigned().into(), ..CloneArgs::default() };
    if let Some(cgroup) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = cgroup.cast_unsigned().into();
    }
    if let Some(pid) = pid {
        args.set_tid = std::ptr::from_ref(pid).addr() as u64;
        args.set_tid_size = 1;
    }
    // SAFETY: `args` is valid for its size, and `set_tid` points to one pid that outlives the call. Without CLONE_VM and
    // without a stack the child goes on in a copy of this memory, as after `fork`; both callers let it do nothing but
    // system calls.
    unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) }
}

/// The child's part. System calls only: nothing is allocated, and no lock is taken.
fn live(life: Life<'_>) -> ! {
    let code = match life {
        Life::ConnectAndExit(to) => i32::from(connect(to).is_none()),
        Life::ConnectAndLeave(to, go) => connect(to).map_or(1, |socket| {
            match clone(None, None) {
                0 => {
                    while read_byte(socket) == 1 {}
                    exit(0)
                }
                child if child < 0 => return 2,
                _ => {}
            }
            i32::from(go.is_some_and(|go| read_byte(go.as_raw_fd()) != 1))
        }),
        Life::Wait => loop {
            // SAFETY: waits for a signal; touches no memory.
            unsafe { libc::pause() };
        },
    };
    exit(code)
}

fn connect(to: &Address) -> Option<RawFd> {
    // SAFETY: no memory is involved.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return None;
    }
    let len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `to` is a whole `sockaddr_un`, its path ends in a NUL, and `len` is its size.
    let rc = unsafe { libc::connect(socket, (&raw const to.raw).cast(), len) };
    (rc == 0).then_some(socket)
}

fn read_byte(fd: RawFd) -> isize {
    let mut byte = 0_u8;
    // SAFETY: `byte` is valid for a write of one byte.
    unsafe { libc::read(fd, (&raw mut byte).cast(), 1) }
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything that was registered for its exit.
    unsafe { libc::_exit(code) }
}
