//! Asking the kernel something from inside the namespaces of another process.
//!
//! Not part of the library's interface: the tool `wayland-auth lint` needs it. A child of ours enters the namespaces, asks
//! one thing and ends. It cannot be looked into from there: it is not dumpable, and its memory belongs to our user namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions};

/// How much a child says at most: a path as `/proc/PID/cgroup` gives it, with the lines of cgroup1.
const ANSWER_MAX: usize = 64 * 1024;

/// The namespaces to enter, and whom to become there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The user namespace; `None` stays in ours.
    pub user: Option<BorrowedFd<'a>>,
    /// The cgroup namespace; `None` stays in ours.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The user and the group to become, as the user namespace numbers them; `None` stays who we are.
    pub ids: Option<(u32, u32)>,
}

/// What a child did not manage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// To enter the namespaces.
    Enter = 1,
    /// To become the user.
    Become = 2,
    /// What was asked of it.
    Ask = 3,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Refused {
    /// What failed.
    pub step: Step,
    /// The kernel's error.
    pub source: io::Error,
}

/// What a child is to do once it is there. Its system calls only: it is the copy of one thread.
#[derive(Clone, Copy)]
enum Question<'a> {
    MakeUserNamespace,
    Read(BorrowedFd<'a>),
}

/// Whether a user namespace can be made there. It is gone when this returns.
///
/// Seccomp filters and security modules are those of this process, not of a process that is there already.
///
/// # Errors
///
/// If no process can be made; the inner error says why there is no such namespace.
///
/// # References
///
/// * [user_namespaces(7)](https://man7.org/linux/man-pages/man7/user_namespaces.7.html)
pub fn make_user_namespace(place: Place<'_>) -> io::Result<Result<(), Refused>> {
    Ok(ask(place, Question::MakeUserNamespace)?.map(drop))
}

/// What a file of `/proc`, open and not read yet, says to somebody who is there.
///
/// # Errors
///
/// If no process can be made; the inner error says why it could not be read.
pub fn read(place: Place<'_>, file: BorrowedFd<'_>) -> io::Result<Result<Vec<u8>, Refused>> {
    ask(place, Question::Read(file))
}

fn ask(place: Place<'_>, question: Question<'_>) -> io::Result<Result<Vec<u8>, Refused>> {
    let (from, to) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: the new process enters `carry_out`, which keeps to system calls, as the copy of one thread must, and never
    // returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        carry_out(place, question, &to);
    }
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else { return Err(io::Error::last_os_error()) };
    drop(to);
    let answer = read_all(&from);
    // Not reaped by anybody else, the number is still that of our child.
    let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::empty()));
    parse(&answer?)
}

fn read_all(from: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(from, &mut chunk))? {
            0 => return Ok(bytes),
            n if bytes.len() + n > ANSWER_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// A zero and what was read, or the step that failed and its errno. No answer is an error, too.
fn parse(answer: &[u8]) -> io::Result<Result<Vec<u8>, Refused>> {
    let (&first, rest) = answer.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
    let step = match first {
        0 => return Ok(Ok(rest.to_vec())),
        1 => Step::Enter,
        2 => Step::Become,
        _ => Step::Ask,
    };
    let errno = rest.try_into().map(i32::from_ne_bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    Ok(Err(Refused { step, source: io::Error::from_raw_os_error(errno) }))
}

fn carry_out(place: Place<'_>, question: Question<'_>, to: &OwnedFd) -> ! {
    if let Err((step, errno)) = go(place, question, to) {
        let mut report = [step as u8; 5];
        report[1..].copy_from_slice(&errno.to_ne_bytes());
        let _ = rustix::io::write(to, &report);
    }
    // SAFETY: it ends this process without running anything that was meant for its maker.
    unsafe { libc::_exit(0) }
}

fn go(place: Place<'_>, question: Question<'_>, to: &OwnedFd) -> Result<(), (Step, i32)> {
    let check = |step: Step, rc: libc::c_int| if rc < 0 { Err((step, errno())) } else { Ok(()) };
    check(Step::Enter, not_dumpable())?;
    // The user namespace first: the right to enter the others comes with it.
    for (namespace, kind) in [(place.user, libc::CLONE_NEWUSER), (place.cgroup, libc::CLONE_NEWCGROUP)] {
        if let Some(namespace) = namespace {
            // SAFETY: the descriptor is borrowed, and so open.
            check(Step::Enter, unsafe { libc::setns(namespace.as_raw_fd(), kind) })?;
        }
    }
    if let Some((uid, gid)) = place.ids {
        // SAFETY: numbers only. The plain call, so that no library tells threads that are not there.
        let rc = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
        check(Step::Become, rc as libc::c_int)?;
        // SAFETY: as above.
        let rc = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
        check(Step::Become, rc as libc::c_int)?;
        // Becoming somebody may have made it dumpable again.
        check(Step::Become, not_dumpable())?;
    }
    match question {
        Question::MakeUserNamespace => {
            // SAFETY: a number only; this process has one thread, and its memory is its own.
            check(Step::Ask, unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
            send(to, &[0])
        }
        Question::Read(file) => copy(file, to),
    }
}

/// Nobody of the same user may look into this process or trace it.
fn not_dumpable() -> libc::c_int {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }
}

/// Passes a file on, in pieces.
fn copy(file: BorrowedFd<'_>, to: &OwnedFd) -> Result<(), (Step, i32)> {
    let mut chunk = [0; 4096];
    // The first piece before the zero that says that all went well.
    let mut len = read_piece(file, &mut chunk)?;
    send(to, &[0])?;
    while len > 0 {
        send(to, &chunk[..len])?;
        len = read_piece(file, &mut chunk)?;
    }
    Ok(())
}

fn read_piece(file: BorrowedFd<'_>, chunk: &mut [u8]) -> Result<usize, (Step, i32)> {
    rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *chunk)).map_err(|e| (Step::Ask, e.raw_os_error()))
}

fn send(to: &OwnedFd, bytes: &[u8]) -> Result<(), (Step, i32)> {
    match rustix::io::retry_on_intr(|| rustix::io::write(to.as_fd(), bytes)) {
        Ok(len) if len == bytes.len() => Ok(()),
        Ok(_) => Err((Step::Ask, libc::EIO)),
        Err(e) => Err((Step::Ask, e.raw_os_error())),
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_from_where_we_are() -> io::Result<()> {
        let file = std::fs::File::open("/proc/self/cgroup")?;
        let answer = read(Place::default(), file.as_fd())?;
        assert!(answer.is_ok_and(|text| text.split(|&b| b == b'\n').any(|line| line.starts_with(b"0::/"))));
        Ok(())
    }

    #[test]
    fn what_is_no_namespace_is_not_entered() -> io::Result<()> {
        let file = std::fs::File::open("/proc/self/cgroup")?;
        let place = Place { cgroup: Some(file.as_fd()), ..Place::default() };
        assert!(matches!(make_user_namespace(place)?, Err(Refused { step: Step::Enter, .. })));
        Ok(())
    }

    #[test]
    fn no_answer_is_none() {
        assert!(parse(b"").is_err());
        assert!(parse(&[3, 1]).is_err());
        assert!(matches!(parse(&[0]), Ok(Ok(rest)) if rest.is_empty()));
    }
}
