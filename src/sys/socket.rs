//! Peer credentials of a connected `AF_UNIX` socket.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::errno::{Call, SysError, check, retry};

/// `SO_PEERPIDFD`, Linux 6.5.
const SO_PEERPIDFD: libc::c_int = libc::SO_PEERPIDFD;

/// The longest security label that is read, in bytes.
const SECURITY_MAX: usize = 1024;

/// More supplementary groups than Linux allows (`NGROUPS_MAX`).
const GROUPS_MAX: usize = 65536;

/// `SO_PEERCRED` as the kernel gives it, its sentinel values included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerCred {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Reads a socket option into `buffer`; says how many bytes the kernel wrote.
fn get_option(
    call: Call,
    fd: BorrowedFd<'_>,
    option: libc::c_int,
    buffer: &mut [MaybeUninit<u8>],
) -> Result<usize, SysError> {
    let mut len = libc::socklen_t::try_from(buffer.len()).unwrap_or(libc::socklen_t::MAX);
    retry(call, || {
        // SAFETY: `buffer` is valid for writes of its own length, `len` holds no more than that, and the kernel writes at most
        // `len` bytes; `fd` is open for as long as it is borrowed.
        check(unsafe {
            libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, buffer.as_mut_ptr().cast(), &raw mut len)
        })
    })?;
    Ok((len as usize).min(buffer.len()))
}

/// Reads a socket option of exactly `N` bytes.
fn get_fixed<const N: usize>(call: Call, fd: BorrowedFd<'_>, option: libc::c_int) -> Result<[u8; N], SysError> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; N];
    if get_option(call, fd, option, &mut buffer)? != N {
        return Err(SysError::new(call, rustix::io::Errno::IO));
    }
    // SAFETY: the kernel has just written all `N` bytes, and any bytes are a valid `[u8; N]`.
    Ok(unsafe { std::mem::transmute_copy::<[MaybeUninit<u8>; N], [u8; N]>(&buffer) })
}

/// The credentials that the peer had when it connected.
///
/// rustix has this call too, but its type has no room for the pid 0 that the kernel gives for
/// a peer in a pid namespace that is not ours.
///
/// # References
///
/// * [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PEERCRED`
pub(crate) fn peer_cred(fd: BorrowedFd<'_>) -> Result<PeerCred, SysError> {
    const SIZE: usize = size_of::<libc::ucred>();
    let bytes: [u8; SIZE] = get_fixed(Call::PeerCred, fd, libc::SO_PEERCRED)?;
    // SAFETY: `ucred` is three 32-bit integers without padding, for which any bytes are valid.
    let cred = unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<libc::ucred>()) };
    Ok(PeerCred { pid: cred.pid, uid: cred.uid, gid: cred.gid })
}

/// A socket pair of our own, to ask the kernel about itself.
pub(crate) fn own_socket_pair() -> Result<(UnixStream, UnixStream), SysError> {
    retry(Call::SocketPair, || {
        UnixStream::pair()
            .map_err(|e| e.raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error))
    })
}

/// A pidfd of the process that connected.
///
/// # References
///
/// * Linux commit 7b26952a91cf (6.5)
pub(crate) fn peer_pidfd(fd: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    // The length must be that of an int: the kernel would cut a shorter one and leak the descriptor.
    let raw = i32::from_ne_bytes(get_fixed(Call::PeerPidfd, fd, SO_PEERPIDFD)?);
    if raw < 0 {
        return Err(SysError::new(Call::PeerPidfd, rustix::io::Errno::BADF));
    }
    // SAFETY: the kernel has just opened this descriptor (close-on-exec) for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// The supplementary groups that the peer had when it connected: all of them.
pub(crate) fn peer_groups(fd: BorrowedFd<'_>) -> Result<Vec<u32>, SysError> {
    let mut room = 32;
    loop {
        let mut bytes = vec![MaybeUninit::<u8>::uninit(); room * 4];
        match get_option(Call::PeerGroups, fd, libc::SO_PEERGROUPS, &mut bytes) {
            Ok(len) => {
                let group = |at: usize| {
                    // SAFETY: the kernel wrote the first `len` bytes, and `at` runs over whole groups of four of them.
                    u32::from_ne_bytes(std::array::from_fn(|i| unsafe { bytes[at + i].assume_init() }))
                };
                return Ok((0..len / 4).map(|i| group(i * 4)).collect());
            }
            Err(e) if e.errno == rustix::io::Errno::RANGE && room < GROUPS_MAX => room *= 8,
            Err(e) => return Err(e),
        }
    }
}

/// The peer's label in the security module, such as `snap.firefox.firefox (enforce)`; without
/// the NUL that some modules append.
pub(crate) fn peer_security(fd: BorrowedFd<'_>) -> Result<Vec<u8>, SysError> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; SECURITY_MAX];
    let len = get_option(Call::PeerSecurity, fd, libc::SO_PEERSEC, &mut buffer)?;
    // SAFETY: the kernel wrote the first `len` bytes, which are no more than the buffer has.
    let mut label: Vec<u8> = buffer[..len].iter().map(|b| unsafe { b.assume_init() }).collect();
    while label.last() == Some(&0) {
        label.pop();
    }
    Ok(label)
}
