//! Which errno each call of the look-up can have.
//!
//! # References
//!
//! * The ERRORS of the man page that stands beside each row (<https://man7.org/linux/man-pages>), and the kernel's source
//!   where there is none: `net/core/sock.c` and `net/unix/af_unix.c` (socket options), `fs/pidfs.c` (ioctls of pidfds),
//!   `fs/proc/base.c` (files of processes), `fs/kernfs/` (cgroup directories).

use libc as c;
use wayland_auth::fault::Answer;
use wayland_auth_tests::{Outcome, ensure};

/// What a filter, a security module, a shortage or a signal can make of any call.
const ANY: &[i32] = &[c::EPERM, c::EACCES, c::ENOSYS, c::ENOMEM, c::EINTR, c::EIO, c::EINVAL, c::EBADF, c::EFAULT];

/// Opening anything: open(2), openat2(2); `ESRCH` from files of processes.
const OPEN: &[i32] = &[
    c::EMFILE,
    c::ENFILE,
    c::ENOENT,
    c::ENOTDIR,
    c::ELOOP,
    c::ENAMETOOLONG,
    c::ENODEV,
    c::ENXIO,
    c::EOVERFLOW,
    c::ESTALE,
    c::ESRCH,
    c::EBUSY,
    c::EWOULDBLOCK,
    c::EROFS,
    c::ETXTBSY,
    c::EDQUOT,
];

/// Looking at a file: stat(2), statx(2).
const STAT: &[i32] = &[c::ENOENT, c::ENOTDIR, c::ELOOP, c::ENAMETOOLONG, c::EOVERFLOW, c::ESRCH, c::ESTALE];

/// Socket options: getsockopt(2), unix(7).
const OPTION: &[i32] = &[c::ENOPROTOOPT, c::ENOTSOCK, c::EOPNOTSUPP, c::ENOTCONN, c::ENODATA];

/// The calls, and what each can say beside [`ANY`].
const TABLE: &[(&str, &[&[i32]])] = &[
    // socketpair(2)
    ("socketpair", &[&[c::EAFNOSUPPORT, c::EMFILE, c::ENFILE, c::EOPNOTSUPP, c::EPROTONOSUPPORT]]),
    ("getsockopt(SO_PEERCRED)", &[OPTION]),
    // sk_getsockopt(): EINVAL or ESRCH for a reaped peer (6.5 to 6.15), and what pidfd_prepare() says.
    ("getsockopt(SO_PEERPIDFD)", &[OPTION, &[c::ESRCH, c::EMFILE, c::ENFILE, c::ENODEV]]),
    ("getsockopt(SO_PEERGROUPS)", &[OPTION, &[c::ERANGE]]),
    ("getsockopt(SO_PEERSEC)", &[OPTION, &[c::ERANGE]]),
    // pidfd_open(2)
    ("pidfd_open", &[&[c::EMFILE, c::ENFILE, c::ENODEV, c::ESRCH]]),
    // fs/pidfs.c: pidfd_info(). EREMOTE from 6.18 on, ENOTTY and EINVAL from kernels that do not have it.
    ("ioctl(PIDFD_GET_INFO)", &[&[c::ENOTTY, c::ESRCH, c::EREMOTE, c::E2BIG]]),
    // fs/pidfs.c: pidfd_ioctl(), open_namespace()
    ("ioctl(PIDFD_GET_*_NAMESPACE)", &[&[c::ENOTTY, c::ESRCH, c::EOPNOTSUPP, c::EMFILE, c::ENFILE, c::EREMOTE]]),
    // poll(2)
    ("poll", &[]),
    ("open", &[OPEN]),
    ("openat", &[OPEN]),
    ("openat2", &[OPEN, &[c::EXDEV, c::EAGAIN, c::E2BIG]]),
    ("openat(..)", &[OPEN]),
    // open_by_handle_at(2)
    ("name_to_handle_at", &[&[c::EOPNOTSUPP, c::EOVERFLOW, c::ENOTDIR, c::ENOENT, c::ELOOP, c::ESTALE]]),
    // read(2); ESRCH from files of processes
    ("read", &[&[c::EAGAIN, c::EISDIR, c::ESRCH, c::ESTALE]]),
    ("fstat", &[STAT]),
    // statfs(2)
    ("fstatfs", &[&[c::EOVERFLOW, c::ESTALE]]),
    // listxattr(2)
    ("flistxattr", &[&[c::E2BIG, c::EOPNOTSUPP, c::ERANGE, c::ENODATA, c::ENOENT, c::ESTALE]]),
    // getxattr(2)
    ("fgetxattr", &[&[c::E2BIG, c::EOPNOTSUPP, c::ERANGE, c::ENODATA, c::ENOENT, c::ESTALE]]),
    // fcntl(2)
    ("fcntl(F_DUPFD_CLOEXEC)", &[&[c::EMFILE]]),
];

/// The answers that *are* what a directory without a label gives: there is nothing to tell them from the truth.
///
/// A list without a name is held out. An xattr that is not there is held out where a directory has more names than are
/// listed; elsewhere its name stands in the list, and the look-up notices.
pub(crate) const HELD_OUT: &[(&str, Answer)] =
    &[("fgetxattr", Answer::Errno(c::ENODATA)), ("flistxattr", Answer::Empty)];

/// What is tried on a call; `None` if it has no row.
pub(crate) fn answers(call: &str) -> Option<Vec<Answer>> {
    let (_, rows) = TABLE.iter().find(|(name, _)| *name == call)?;
    let mut errnos: Vec<i32> = ANY.iter().chain(rows.iter().copied().flatten()).copied().collect();
    errnos.sort_unstable();
    errnos.dedup();
    let short: &[Answer] = match call {
        "read" => &[Answer::Cut, Answer::Empty],
        "flistxattr" => &[Answer::Empty],
        "ioctl(PIDFD_GET_INFO)" => &[Answer::NoPid, Answer::NoCgroup],
        _ => &[],
    };
    Some(errnos.into_iter().map(Answer::Errno).chain(short.iter().copied()).collect())
}

/// The errnos that any call from some moment on can have.
pub(crate) const LASTING: &[i32] = &[
    c::EPERM,
    c::EACCES,
    c::ENOENT,
    c::ESRCH,
    c::EINVAL,
    c::EMFILE,
    c::ENFILE,
    c::ENOMEM,
    c::EIO,
    c::ENOSYS,
    c::EINTR,
    c::EOPNOTSUPP,
    c::ENOTTY,
    c::ENOPROTOOPT,
    c::ESTALE,
];

/// The errnos that mean that something has run out.
pub(crate) const SHORTAGE: &[i32] = &[c::EMFILE, c::ENFILE, c::ENOMEM, c::ENOBUFS];

/// Whether everything that the issue names is somewhere in the table.
pub(crate) fn is_complete() -> Outcome {
    let all: Vec<i32> = TABLE
        .iter()
        .filter_map(|(call, _)| answers(call))
        .flatten()
        .filter_map(|answer| if let Answer::Errno(errno) = answer { Some(errno) } else { None })
        .collect();
    let wanted = [
        c::EPERM,
        c::EACCES,
        c::ENOENT,
        c::ESRCH,
        c::EINVAL,
        c::ENODATA,
        c::ENOTTY,
        c::EMFILE,
        c::ENFILE,
        c::ENOMEM,
        c::EINTR,
        c::EIO,
        c::ELOOP,
        c::ENAMETOOLONG,
        c::ESTALE,
        c::ERANGE,
        c::EOPNOTSUPP,
        c::ENOSYS,
        c::EREMOTE,
    ];
    for errno in wanted {
        ensure!(all.contains(&errno), "errno {errno} is tried on no call");
    }
    Ok(())
}
