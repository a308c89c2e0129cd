//! Directories of the cgroup2 file system: opening, naming and reading them.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::errno::{Call, SysError, check, retry};
use super::fault;

/// `statfs(2)`'s type of cgroup2.
pub(crate) const CGROUP2_MAGIC: u64 = 0x6367_7270;

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The number that a kernfs file handle carries: the cgroup's ID, 64 bit on every architecture and never used twice.
pub(crate) type HandleId = u64;

/// The type of a kernfs file handle (`FILEID_KERNFS`).
const FILEID_KERNFS: libc::c_int = 0xfe;

/// `struct file_handle` with room for one kernfs ID.
#[repr(C)]
struct KernfsHandle {
    handle_bytes: libc::c_uint,
    handle_type: libc::c_int,
    id: [u8; 8],
}

/// Opens a directory by its path.
pub(crate) fn open_dir(path: &std::path::Path) -> Result<OwnedFd, SysError> {
    retry(Call::Open, || rustix::fs::openat(CWD, path, DIR_FLAGS, Mode::empty()))
}

/// Opens the directory `path` (relative) beneath `root`, following nothing that would lead
/// anywhere else: no link, no `..`, no other mount.
pub(crate) fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, SysError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    retry(Call::OpenBeneath, || rustix::fs::openat2(root, path, DIR_FLAGS, Mode::empty(), resolve))
}

/// Another descriptor of an open file.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    retry(Call::Duplicate, || rustix::io::fcntl_dupfd_cloexec(fd, 0))
}

/// Opens the directory above `dir`.
pub(crate) fn open_parent(dir: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    retry(Call::OpenParent, || rustix::fs::openat(dir, c"..", DIR_FLAGS, Mode::empty()))
}

/// The ID of the cgroup whose directory is open as `dir`. Unprivileged.
///
/// # References
///
/// * [name_to_handle_at(2)](https://man7.org/linux/man-pages/man2/name_to_handle_at.2.html)
pub(crate) fn handle_id(dir: BorrowedFd<'_>) -> Result<HandleId, SysError> {
    let mut handle = KernfsHandle { handle_bytes: 8, handle_type: 0, id: [0; 8] };
    let mut mount_id: libc::c_int = 0;
    retry(Call::HandleId, || {
        // SAFETY: `handle` has the layout of `struct file_handle` with room for the `handle_bytes` it announces, the path is an
        // empty C string, and `mount_id` is valid for writes.
        check(unsafe {
            libc::name_to_handle_at(
                dir.as_raw_fd(),
                c"".as_ptr(),
                (&raw mut handle).cast(),
                &raw mut mount_id,
                libc::AT_EMPTY_PATH,
            )
        })
    })?;
    if handle.handle_bytes != 8 || handle.handle_type != FILEID_KERNFS {
        return Err(SysError::new(Call::HandleId, Errno::OPNOTSUPP));
    }
    Ok(u64::from_ne_bytes(handle.id))
}

/// `statfs(2)`'s type of the file system that `fd` is on.
pub(crate) fn file_system_type(fd: BorrowedFd<'_>) -> Result<u64, SysError> {
    let statfs = retry(Call::StatFs, || rustix::fs::fstatfs(fd))?;
    // The field's type differs between architectures; all magics fit into 32 bits.
    #[allow(clippy::unnecessary_cast, reason = "its type differs between architectures")]
    Ok(u64::from(statfs.f_type as u32))
}

/// One reading of an xattr into a buffer of a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum XattrRead<'a> {
    /// What the buffer holds now.
    Bytes(&'a [u8]),
    /// There is no such xattr.
    Absent,
    /// It does not fit.
    TooLong,
}

/// Reads the xattr `name` of `dir`.
pub(crate) fn get_xattr<'a>(
    dir: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut [MaybeUninit<u8>],
) -> Result<XattrRead<'a>, SysError> {
    match retry(Call::GetXattr, || rustix::fs::fgetxattr(dir, name, &mut *buffer).map(|(value, _)| value.len())) {
        Ok(len) => Ok(XattrRead::Bytes(first(buffer, len))),
        Err(e) if e.errno == Errno::NODATA => Ok(XattrRead::Absent),
        Err(e) if e.errno == Errno::RANGE => Ok(XattrRead::TooLong),
        Err(e) => Err(e),
    }
}

/// Reads the names of all xattrs of `dir`, each with a NUL behind it.
pub(crate) fn list_xattrs<'a>(
    dir: BorrowedFd<'_>,
    buffer: &'a mut [MaybeUninit<u8>],
) -> Result<XattrRead<'a>, SysError> {
    match retry(Call::ListXattr, || rustix::fs::flistxattr(dir, &mut *buffer).map(|(names, _)| names.len())) {
        Ok(len) => Ok(XattrRead::Bytes(first(buffer, fault::length(len)))),
        Err(e) if matches!(e.errno, Errno::RANGE | Errno::TOOBIG) => Ok(XattrRead::TooLong),
        Err(e) => Err(e),
    }
}

/// The first `len` bytes of a buffer, which a call has just written.
fn first(buffer: &[MaybeUninit<u8>], len: usize) -> &[u8] {
    let written = &buffer[..len];
    // SAFETY: both callers give the length of the part that rustix says the kernel wrote, and nothing has touched the
    // buffer since; any bytes are valid `u8`.
    unsafe { std::slice::from_raw_parts(written.as_ptr().cast(), written.len()) }
}

/// Who owns a file, and who else may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) uid: u32,
    mode: u32,
}

impl Ownership {
    fn new(stat: &Stat) -> Self {
        Self { uid: stat.st_uid, mode: stat.st_mode }
    }

    /// Whether nobody but root can write here. Others may in a sticky directory: they make
    /// entries of their own, but cannot set its xattrs.
    pub(crate) fn is_closed_to_all_but_root(self) -> bool {
        const SHARED: u32 = 0o022;
        const STICKY: u32 = 0o1000;
        let directory = self.mode & libc::S_IFMT == libc::S_IFDIR;
        self.uid == 0 && (self.mode & SHARED == 0 || (directory && self.mode & STICKY != 0))
    }
}

/// The ownership of an open directory.
pub(crate) fn ownership(dir: BorrowedFd<'_>) -> Result<Ownership, SysError> {
    retry(Call::Stat, || rustix::fs::fstat(dir)).map(|stat| Ownership::new(&stat))
}

/// The ownership of the file `name` in `dir`.
pub(crate) fn ownership_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<Ownership, SysError> {
    retry(Call::Stat, || rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)).map(|stat| Ownership::new(&stat))
}
