//! System calls and nothing else: what `identify` asks the kernel, without what it makes of the answers.
//!
//! A call that fails ends the bench: its time would not be that of the look-up.

use std::ffi::CStr;
use std::os::fd::RawFd;

use rustix::fs::OFlags;

/// A system call.
macro_rules! call {
    ($number:ident, $($argument:expr),*) => {{
        // SAFETY: the number and types of the arguments are those of the call; what they point to is borrowed by the
        // function around it, for reading or writing as the call does, and the length beside it is its own.
        let rc = unsafe { libc::syscall(libc::$number, $($argument),*) };
        assert!(rc >= 0, "{}: {}", stringify!($number), std::io::Error::last_os_error());
        rc
    }};
}

/// rustix says `O_LARGEFILE` on all architectures; `libc` knows it as 0 where it changes nothing.
const FILE: libc::c_int = libc::O_RDONLY | libc::O_CLOEXEC | OFlags::LARGEFILE.bits().cast_signed();
const DIRECTORY: libc::c_int = FILE | libc::O_DIRECTORY;

/// `PIDFD_GET_INFO` for its first, 64-byte form.
const GET_INFO: libc::c_ulong = 0xC040_FF0B;
/// pid, cgroup ID and exit.
const INFO_MASK: u64 = 0b101;
/// `PIDFD_GET_USER_NAMESPACE`, `PIDFD_GET_MNT_NAMESPACE`, `PIDFD_GET_PID_NAMESPACE`.
pub(super) const GET_NAMESPACES: [libc::c_ulong; 3] = [0xFF09, 0xFF03, 0xFF05];

/// Buffers as long as those of the look-up.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) names: Box<[u8; 4096]>,
    pub(super) value: Box<[u8; 256]>,
    pub(super) text: Box<[u8; 8192]>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { names: Box::new([0; 4096]), value: Box::new([0; 256]), text: Box::new([0; 8192]) }
    }
}

fn descriptor(rc: libc::c_long) -> RawFd {
    RawFd::try_from(rc).expect("descriptors are small")
}

pub(super) fn peer_cred(socket: RawFd) {
    let mut cred = [0_u32; 3];
    let mut len: libc::socklen_t = 12;
    call!(SYS_getsockopt, socket, libc::SOL_SOCKET, libc::SO_PEERCRED, &raw mut cred, &raw mut len);
}

pub(super) fn peer_pidfd(socket: RawFd) -> RawFd {
    let mut pidfd: libc::c_int = -1;
    let mut len: libc::socklen_t = 4;
    call!(SYS_getsockopt, socket, libc::SOL_SOCKET, libc::SO_PEERPIDFD, &raw mut pidfd, &raw mut len);
    pidfd
}

pub(super) fn pidfd_info(pidfd: RawFd) {
    let mut info = [0_u64; 8];
    info[0] = INFO_MASK;
    call!(SYS_ioctl, pidfd, GET_INFO, &raw mut info);
}

pub(super) fn namespace(pidfd: RawFd, request: libc::c_ulong) -> RawFd {
    descriptor(call!(SYS_ioctl, pidfd, request, 0))
}

pub(super) fn getpid() {
    call!(SYS_getpid,);
}

/// Marks a place in a trace: `identify` does not ask for its parent.
pub(super) fn mark() {
    call!(SYS_getppid,);
}

pub(super) fn open_file(dir: RawFd, path: &CStr) -> RawFd {
    descriptor(call!(SYS_openat, dir, path.as_ptr(), FILE, 0))
}

pub(super) fn pread(file: RawFd, buffer: &mut [u8]) {
    call!(SYS_pread64, file, buffer.as_mut_ptr(), buffer.len(), 0_u64);
}

pub(super) fn open_beneath(root: RawFd, path: &CStr) -> RawFd {
    let how: [u64; 3] = [
        DIRECTORY.cast_unsigned().into(),
        0,
        libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV,
    ];
    descriptor(call!(SYS_openat2, root, path.as_ptr(), &raw const how, size_of_val(&how)))
}

pub(super) fn open_parent(dir: RawFd) -> RawFd {
    descriptor(call!(SYS_openat, dir, c"..".as_ptr(), DIRECTORY, 0))
}

pub(super) fn handle(dir: RawFd) {
    let mut handle = [8_u32, 0, 0, 0];
    let mut mount_id: libc::c_int = 0;
    call!(SYS_name_to_handle_at, dir, c"".as_ptr(), &raw mut handle, &raw mut mount_id, libc::AT_EMPTY_PATH);
}

pub(super) fn list_xattrs(dir: RawFd, buffer: &mut [u8]) {
    call!(SYS_flistxattr, dir, buffer.as_mut_ptr(), buffer.len());
}

pub(super) fn get_xattr(dir: RawFd, name: &CStr, buffer: &mut [u8]) {
    call!(SYS_fgetxattr, dir, name.as_ptr(), buffer.as_mut_ptr(), buffer.len());
}

pub(super) fn stat(fd: RawFd) {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    call!(SYS_fstat, fd, stat.as_mut_ptr());
}

pub(super) fn stat_at(dir: RawFd, name: &CStr) {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    call!(SYS_newfstatat, dir, name.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW);
}

/// Closes a descriptor that the replay opened.
pub(super) fn close(fd: RawFd) {
    call!(SYS_close, fd);
}
