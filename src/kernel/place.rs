//! Whether we stand where the session stands.
//!
//! A compositor in namespaces of its own (a service with `PrivateTmp=`, a container) cannot tell the session's programs
//! from sandboxed ones: they all live in other namespaces than it does. Better told at start than guessed from what
//! becomes of the clients.

use crate::sys::{Procfs, ReadLimit, SysError, unless_short};

/// The most that is read of a file of `/proc/1`.
const LIMIT: ReadLimit = ReadLimit(256 * 1024);

/// The namespaces, of those that make a sandbox, in which the process with pid 1 is not; `None` where that cannot be told.
///
/// The process with pid 1 stands for the session: whoever starts it, it is in no sandbox of its own. Needs no right to
/// ptrace it. In a pid namespace made for us alone that process is one of ours, and nothing is found.
///
/// An error is a shortage, which tells nothing.
pub(super) fn apart_from_first_process(procfs: &Procfs) -> Result<Option<Vec<&'static str>>, SysError> {
    unless_short(compare(procfs))
}

fn compare(procfs: &Procfs) -> Result<Vec<&'static str>, SysError> {
    let read = |file: &str| procfs.read(file, LIMIT);
    let mut apart = Vec::new();
    if read("self/uid_map")? != read("1/uid_map")? {
        apart.push("user");
    }
    if !has_mount(&read("1/mountinfo")?, procfs.root_mount_of("self")?) {
        apart.push("mount");
    }
    if pid_levels(&read("self/status")?) != Some(1) {
        apart.push("pid");
    }
    Ok(apart)
}

/// The field of `/proc/PID/status` with this name. The process' own name, which comes first,
/// cannot imitate one: the kernel escapes newlines in it.
pub(crate) fn field<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = status.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// In how many pid namespaces, from that of `/proc` down, the process has a pid.
pub(crate) fn pid_levels(status: &[u8]) -> Option<usize> {
    field(status, "NSpid").map(|pids| pids.split_ascii_whitespace().count()).filter(|&n| n > 0)
}

/// Whether there is a mount with this ID.
pub(crate) fn has_mount(mountinfo: &[u8], id: u64) -> bool {
    let id = id.to_string();
    mountinfo.split(|&b| b == b'\n').any(|line| line.split(|&b| b == b' ').next() == Some(id.as_bytes()))
}
