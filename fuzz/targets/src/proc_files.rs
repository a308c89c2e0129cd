//! What is read in `/proc`: `cgroup`, `mountinfo`, `status`, `uid_map`, `fdinfo` (T09, T25).

use std::os::unix::ffi::OsStrExt;

use wayland_auth::fuzzing;
use wayland_auth::identity::UnitName;

/// A file, a line, or a name that a process gives itself: all parsers read it.
pub(super) fn run(data: &[u8]) {
    cgroup(data);
    mountinfo(data);
    status(data);
}

fn cgroup(data: &[u8]) {
    // The kernel's line for a cgroup with this path; no name of a cgroup has a newline.
    if !data.contains(&b'\n') {
        let text = [b"5:cpu:/0::\n0::/", data, b"\n"].concat();
        let names: Vec<&[u8]> = if data.is_empty() { Vec::new() } else { data.split(|&b| b == b'/').collect() };
        let is_path = names.len() <= 128 && !names.iter().any(|name| matches!(*name, b"" | b"." | b".."));
        let path = [b"/", data].concat();
        assert_eq!(fuzzing::cgroup_path(&text), is_path.then_some((path, names.len())), "{:?}", data.escape_ascii());
    }
    let Some((path, depth)) = fuzzing::cgroup_path(data) else { return };
    assert_eq!(path.first(), Some(&b'/'));
    let names = path[1..].split(|&b| b == b'/').filter(|_| path.len() > 1);
    assert!(names.clone().all(|name| !matches!(name, b"" | b"." | b"..") && !name.contains(&b'\n')), "{path:?}");
    assert!(names.count() == depth && depth <= 128, "{depth}");
    let first = data.split(|&b| b == b'\n').find(|line| line.starts_with(b"0::"));
    assert_eq!(first.map(|line| &line[3..]), Some(&path[..]), "only the unified hierarchy's own line counts");
    // Lines of other hierarchies around it change nothing.
    let more = [b"12:cpu,0::/x:/0::/y\n", data, b"\n0::/other\n"].concat();
    assert_eq!(fuzzing::cgroup_path(&more), Some((path.clone(), depth)));
    let _ = UnitName::of_path(&path);
}

fn mountinfo(data: &[u8]) {
    assert!(fuzzing::unescape(data).len() <= data.len());
    let written = escape(data);
    assert_eq!(fuzzing::unescape(&written), data, "{:?}", written.escape_ascii());
    if !data.contains(&0) {
        // Whatever a mount point is called, it is one field.
        let line = [b"7 1 0:5 / /", &written[..], b" rw shared:1 - cgroup2 none rw\n"].concat();
        let points = fuzzing::mount_points(&line);
        assert_eq!(points.iter().map(|p| p.as_os_str().as_bytes()).collect::<Vec<_>>(), [[b"/", data].concat()]);
        assert!(fuzzing::has_mount(&line, 7) && !fuzzing::has_mount(&line, 8) && !fuzzing::has_mount(&line, 0));
        // Nor does it make its file system another one.
        let line = [b"7 1 0:5 / /", &written[..], b" rw - tmpfs ", &written[..], b" rw\n"].concat();
        assert_eq!(fuzzing::mount_points(&line).len(), 0, "{:?}", line.escape_ascii());
    }
    let lines = data.split(|&b| b == b'\n').count();
    let points = fuzzing::mount_points(data);
    assert!(points.len() <= lines && (points.is_empty() || data.windows(7).any(|w| w == b"cgroup2")));
    for undone in octal(data) {
        assert!(matches!(undone, [b'0'..=b'7', b'0'..=b'7', b'0'..=b'7']), "{undone:?}");
    }
    let (map, other) = (fuzzing::is_identity_map(data), [data, b"1 1 1\n"].concat());
    assert!(!map || !fuzzing::is_identity_map(&other));
    let digits: Vec<u8> = data.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    assert!(!map || digits == b"004294967295", "{:?}", data.escape_ascii());
}

/// What the kernel writes for a name in `mountinfo`.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for &byte in name {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => written.extend(format!("\\{byte:03o}").into_bytes()),
            byte => written.push(byte),
        }
    }
    written
}

/// The three bytes behind each backslash that was taken for an escape.
fn octal(field: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = field;
    while let Some(at) = rest.iter().position(|&b| b == b'\\') {
        let Some(behind) = rest.get(at + 1..at + 4) else { break };
        let undone = fuzzing::unescape(&rest[at..at + 4]).len() == 1;
        if undone {
            found.push(behind);
        }
        rest = &rest[at + 1..];
    }
    found
}

fn status(data: &[u8]) {
    // A process may call itself anything; the kernel escapes newlines and backslashes in it.
    let name: Vec<u8> = data
        .iter()
        .flat_map(|&b| match b {
            b'\n' => b"\\n".to_vec(),
            b'\\' => b"\\\\".to_vec(),
            b => vec![b],
        })
        .collect();
    let rest: &[u8] = b"\nState:\tS (sleeping)\nUid:\t1000\t1001\t1002\t1003\nNSpid:\t44\t3\n";
    let status = [b"Name:\t", &name[..], rest].concat();
    assert_eq!(fuzzing::pid_levels(&status), Some(2), "{:?}", status.escape_ascii());
    assert_eq!(fuzzing::effective_uid(&status), Some(1001), "{:?}", status.escape_ascii());
    assert!(!fuzzing::is_dead(&status), "{:?}", status.escape_ascii());

    // What stands first counts.
    let (levels, dead, uid) = (fuzzing::pid_levels(data), fuzzing::is_dead(data), fuzzing::effective_uid(data));
    assert!(levels != Some(0));
    let more = [data, rest].concat();
    if levels.is_some() {
        assert_eq!(fuzzing::pid_levels(&more), levels);
    }
    assert!(!dead || fuzzing::is_dead(&more));
    if uid.is_some() {
        assert_eq!(fuzzing::effective_uid(&more), uid);
    }
    if let Ok(pid) = fuzzing::pid_in_fdinfo(data) {
        assert_ne!(pid, 0);
        assert_eq!(fuzzing::pid_in_fdinfo(&[data, b"\nPid:\t1\n"].concat()), Ok(pid));
    }
}
