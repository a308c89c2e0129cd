//! What is mounted where, from `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The directory of the file system that is mounted; `/` is all of it.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) point: PathBuf,
    /// The file system's type.
    pub(crate) kind: String,
}

impl Mount {
    /// Whether it shows cgroups, of either version.
    pub(crate) fn is_cgroup(&self) -> bool {
        matches!(self.kind.as_str(), "cgroup" | "cgroup2")
    }
}

/// Reads all mounts of this mount namespace, in the order in which they lie over each other.
pub(crate) fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let root = path(fields.nth(3)?);
    let point = path(fields.next()?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount { root, point, kind: String::from_utf8_lossy(kind).into_owned() })
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
pub(crate) fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'\\')
            .then(|| after.split_at_checked(3))
            .flatten()
            .and_then(|(digits, after)| Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?, after)));
        let (byte, after) = escaped.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_escapes_undone() {
        let text = b"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu\n\
                     41 31 0:38 /a\\134b /mnt/a\\040b rw - cgroup2 none rw\n\
                     garbage\n\
                     50 1 0:40 / / rw - overlay overlay rw\n";
        let mounts = parse(text);
        let points: Vec<_> = mounts.iter().map(|m| (m.root.to_str(), m.point.to_str(), m.is_cgroup())).collect();
        assert_eq!(
            points,
            [
                (Some("/"), Some("/sys/fs/cgroup/cpu"), true),
                (Some("/a\\b"), Some("/mnt/a b"), true),
                (Some("/"), Some("/"), false)
            ]
        );
    }
}
