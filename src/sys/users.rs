//! The user database.
//!
//! Not part of the library's interface: the tool `wayland-auth delegate` needs it.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::MaybeUninit;

/// The longest entry that is read.
const ENTRY_MAX: usize = 1024 * 1024;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The name, as the database writes it.
    pub name: String,
}

/// Looks a user up by name, or else, if `text` is a number, by that. `None` if there is no such user.
///
/// # Errors
///
/// If the database cannot be read.
///
/// # References
///
/// * [getpwnam_r(3)](https://man7.org/linux/man-pages/man3/getpwnam_r.3.html)
pub fn find(text: &str) -> io::Result<Option<User>> {
    let Ok(name) = CString::new(text) else { return Ok(None) };
    let by_name = entry(|passwd, buffer, len, result| {
        // SAFETY: `name` is a C string; the rest is as `entry` promises.
        unsafe { libc::getpwnam_r(name.as_ptr(), passwd, buffer, len, result) }
    })?;
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match (by_name, text.parse::<u32>()) {
        (None, Ok(uid)) if is_number => entry(|passwd, buffer, len, result| {
            // SAFETY: as `entry` promises.
            unsafe { libc::getpwuid_r(uid, passwd, buffer, len, result) }
        }),
        (found, _) => Ok(found),
    }
}

/// Calls one of the functions with a buffer that is large enough. It gets pointers that are valid for writes, and the
/// buffer's length.
fn entry(
    call: impl Fn(*mut libc::passwd, *mut c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> io::Result<Option<User>> {
    let mut len = 1024;
    loop {
        let mut passwd = MaybeUninit::<libc::passwd>::zeroed();
        let mut buffer: Vec<c_char> = vec![0; len];
        let mut result = std::ptr::null_mut();
        match call(passwd.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut result) {
            libc::ERANGE if len < ENTRY_MAX => len *= 4,
            libc::EINTR => {}
            // "Not found" is no error to POSIX, and one of several to others.
            0 | libc::ENOENT | libc::ESRCH if result.is_null() => return Ok(None),
            0 => {
                // SAFETY: the call succeeded and filled it; any bytes are valid for its integers and pointers.
                let passwd = unsafe { passwd.assume_init() };
                // SAFETY: the call made it point to a C string in `buffer`, which still lives.
                let name = unsafe { CStr::from_ptr(passwd.pw_name) };
                let name = name.to_string_lossy().into_owned();
                return Ok(Some(User { uid: passwd.pw_uid, gid: passwd.pw_gid, name }));
            }
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() -> io::Result<()> {
        let root = User { uid: 0, gid: 0, name: "root".into() };
        assert_eq!(find("root")?, Some(root.clone()));
        assert_eq!(find("0")?, Some(root));
        for nobody in ["", "no such user", "+0", "-1", "4294967295", "4294967296", "ro\0ot", "../root"] {
            assert_eq!(find(nobody)?, None, "{nobody:?}");
        }
        Ok(())
    }
}
