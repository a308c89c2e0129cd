//! A file system in memory: the tests, linked statically, and the few programs that they run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cargo, cli,
    error::{Context, Error},
    packages,
    process::capture,
    signals::Signals,
};

/// What the kernels are built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The same kernels run 32-bit programs. Rust's target for them links without any further package.
const NARROW_TARGET: &str = "i686-unknown-linux-musl";
/// The suites that run in a guest, and how they are called there.
pub(super) const SUITES: &[&str] = &["rung", "identity", "races"];
/// Those of them that also run as 32-bit programs: numbers and structures have other sizes there, races have not.
pub(super) const NARROW_SUITES: &[&str] = &["rung", "identity"];
/// The programs that the suites run.
const HELPERS: &[&str] = &["peer", "place"];
/// The machine's programs that the suites start, with their libraries.
const PROGRAMS: &[&str] = &["sh", "busybox", "unshare", "setpriv", "bwrap", "cat"];
/// What busybox does for the scripts here and in the tests. It is not their shell: its shell prefers its own programs to
/// those that lie there.
const APPLETS: &[&str] = &["mount", "mkdir", "mv", "switch_root", "chown", "reboot", "rmdir", "env", "true"];

/// The first program of a guest: moves everything into a file system that can be left by `pivot_root(2)`.
const INIT: &str = "\
#!/bin/busybox sh
/bin/busybox mkdir -p /root
/bin/busybox mount -t tmpfs -o mode=0755 root /root
/bin/busybox mv /image/* /root/
/bin/busybox mkdir /root/proc /root/sys /root/tmp /root/dev
exec /bin/busybox switch_root /root /guest
";

/// The program that does the work: each suite as root, who makes an ordinary user of himself and stays beside, and the
/// first one also as an ordinary user alone.
const GUEST: &str = "\
#!/bin/sh
export PATH=/bin HOME=/ WAYLAND_AUTH_PEER=/bin/peer WAYLAND_AUTH_TESTS_SHORTER=@SHORTER@
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo 'guest: up'
suite() {
    echo \"guest: begin $1\"
    shift
    \"$@\" --test-threads=1 --color=never 2>&1
    echo \"guest: end $?\"
}
suite rung /bin/rung
mkdir /sys/fs/cgroup/user
chown 1000 /sys/fs/cgroup/user /sys/fs/cgroup/user/cgroup.procs
mkdir /sys/fs/cgroup/user/session
chown 1000 /sys/fs/cgroup/user/session /sys/fs/cgroup/user/session/cgroup.procs
suite 'rung, user' sh -c 'echo 0 >/sys/fs/cgroup/user/session/cgroup.procs; exec \"$@\"' - \\
    setpriv --reuid 1000 --regid 1000 --clear-groups /bin/rung
@RACES@
@NARROW@
echo 'guest: done'
reboot -f
";
/// How many times fewer rounds the races have there.
const SHORTER: &str = "50";
/// The further suites; a kernel that identifies nobody has no use for them.
const RACES: &str = "\
case $(cat /proc/cmdline) in
*no-races*) ;;
*)
    suite identity /bin/identity
    suite races /bin/races
    ;;
esac
";

/// The 32-bit programs.
const NARROW: &str = "\
export WAYLAND_AUTH_PEER=/bin32/peer
suite 'rung, 32 bit' /bin32/rung
";
const NARROW_IDENTITY: &str = "\
case $(cat /proc/cmdline) in
*no-races*) ;;
*) suite 'identity, 32 bit' /bin32/identity ;;
esac
";

/// What goes into the guests.
#[derive(Debug)]
pub(super) struct Programs {
    files: BTreeMap<String, Vec<u8>>,
    /// Whether the 32-bit programs are there, or why not.
    pub(super) narrow: Result<(), String>,
}

/// Builds the suites and what they need.
///
/// # Errors
///
/// [`Error::Interrupted`], or if a build fails.
pub(super) fn build(signals: &Signals) -> Result<Programs, Error> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err(Error::failed("the kernels are those for x86-64, and this machine is another"));
    }
    let mut files = compile(signals, TARGET, SUITES, "bin")?;
    let narrow = target_is_here(signals, NARROW_TARGET)?;
    if narrow.is_ok() {
        files.extend(compile(signals, NARROW_TARGET, NARROW_SUITES, "bin32")?);
    }
    for program in PROGRAMS {
        let path = packages::path_of(program).ok_or_else(|| Error::failed(format!("`{program}` is not here")))?;
        for library in libraries(signals, &path)? {
            let name = library.display().to_string().trim_start_matches('/').to_owned();
            files.insert(name, read(&library)?);
        }
        files.insert(format!("bin/{program}"), read(&path)?);
    }
    Ok(Programs { files, narrow })
}

/// Whether Rust's standard library for this target is here; rustup fetches it. Without rustup, or without a network, it is
/// not, for this reason.
fn target_is_here(signals: &Signals, target: &str) -> Result<Result<(), String>, Error> {
    let is_there = || -> Result<bool, Error> {
        let mut command = Command::new("rustc");
        command.args(["--print", "target-libdir", "--target", target]);
        let (end, said) = capture(signals, command.stdin(Stdio::null()), Duration::from_secs(60), |_| false)?;
        Ok(end.success() && Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_dir())
    };
    if is_there()? {
        return Ok(Ok(()));
    }
    if !packages::in_path("rustup") {
        return Ok(Err(format!("this Rust has no `{target}`; install that target and try again")));
    }
    cli::progress(format!("rustup target add {target}"));
    let mut command = Command::new("rustup");
    command.args(["target", "add", target]);
    let (end, said) = capture(signals, command.stdin(Stdio::null()), Duration::from_secs(600), |_| false)?;
    let failed = || format!("`rustup target add {target}` failed ({end}): {}", said.last_error_line());
    Ok(if end.success() && is_there()? { Ok(()) } else { Err(failed()) })
}

/// Builds these suites and the helpers for a target, linked statically.
fn compile(signals: &Signals, target: &str, suites: &[&str], place: &str) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut what = vec!["-p", "wayland-auth-tests", "--target", target];
    what.extend(suites.iter().flat_map(|suite| ["--test", suite]));
    what.extend(HELPERS.iter().flat_map(|helper| ["--bin", helper]));
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let environment = [
        (flags.as_str(), "-C target-feature=+crt-static -C strip=debuginfo"),
        // An emulated processor is slow. With a single one, a look-up that takes longer than its turn never ends before
        // somebody else has changed everything.
        ("CARGO_PROFILE_DEV_OPT_LEVEL", "2"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ];
    let built = cargo::build_all(signals, &[suites, HELPERS].concat(), &what, &environment)?;
    built.into_iter().map(|(name, path)| Ok((format!("{place}/{name}"), read(&path)?))).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).or_fail(|| format!("cannot read `{}`", path.display()))
}

/// The shared libraries of a program, and what loads them.
fn libraries(signals: &Signals, program: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut command = Command::new("ldd");
    let (_, said) = capture(signals, command.arg(program).env("LC_ALL", "C"), Duration::from_secs(30), |_| false)?;
    Ok(libraries_of(&String::from_utf8_lossy(&said.stdout)))
}

/// `NAME => PATH (ADDRESS)` for a library, `PATH (ADDRESS)` for the loader; a static program has no such line.
fn libraries_of(said: &str) -> Vec<PathBuf> {
    let lines = said.lines().filter_map(|line| line.trim().rsplit_once(" (0x"));
    let paths = lines.map(|(line, _)| line.split_once(" => ").map_or(line, |(_, path)| path));
    paths.filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

/// Writes the file system, and tells where.
///
/// # Errors
///
/// If it cannot be written.
pub(super) fn write(programs: &Programs, cache: &Path, quick: bool) -> Result<PathBuf, Error> {
    let mut archive = Archive::default();
    let races = if quick { "" } else { RACES };
    let narrow = match &programs.narrow {
        Ok(()) if quick => NARROW.to_owned(),
        Ok(()) => [NARROW, NARROW_IDENTITY].concat(),
        Err(_) => String::new(),
    };
    let guest = GUEST.replace("@SHORTER@", SHORTER).replace("@RACES@\n", races).replace("@NARROW@\n", &narrow);
    for dir in ["bin", "dev"] {
        archive.directory(dir);
    }
    archive.device("dev/console", 5, 1);
    archive.file("init", INIT.as_bytes());
    archive.file("image/guest", guest.as_bytes());
    for (name, bytes) in &programs.files {
        archive.file(&format!("image/{name}"), bytes);
        if name == "bin/busybox" {
            archive.file(name, bytes);
        }
    }
    for applet in APPLETS {
        archive.link(&format!("image/bin/{applet}"), "busybox");
    }
    let path = cache.join("image.cpio");
    let bytes = archive.end();
    cli::detail(format!("{} files, {} MB for each guest", programs.files.len(), bytes.len() / 1_000_000));
    fs::write(&path, bytes).or_fail(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// A cpio archive in the form that kernels unpack (`newc`).
///
/// # References
///
/// * `Documentation/driver-api/early-userspace/buffer-format.rst` of Linux
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    next: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        self.next += 1;
        let links = 1;
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let fields = [self.next, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn directory(&mut self, name: &str) {
        if self.directories.insert(name.to_owned()) {
            self.entry(name, 0o040_755, (0, 0), &[]);
        }
    }

    /// The directories that lead to it.
    fn parents(&mut self, name: &str) {
        for (at, _) in name.match_indices('/') {
            self.directory(&name[..at]);
        }
    }

    fn file(&mut self, name: &str, data: &[u8]) {
        self.parents(name);
        self.entry(name, 0o100_755, (0, 0), data);
    }

    fn link(&mut self, name: &str, target: &str) {
        self.parents(name);
        self.entry(name, 0o120_777, (0, 0), target.as_bytes());
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.parents(name);
        self.entry(name, 0o020_600, (major, minor), &[]);
    }

    fn end(mut self) -> Vec<u8> {
        self.next = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_their_loader_are_found() {
        let said = "\tlinux-vdso.so.1 (0x00007f48)\n\tlibcap.so.2 => /lib/x86_64-linux-gnu/libcap.so.2 (0x00007f48)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f48)\n";
        let paths = ["/lib/x86_64-linux-gnu/libcap.so.2", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries_of(said), paths.map(PathBuf::from));
        assert!(libraries_of("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn an_archive_has_each_directory_once_and_before_its_files() {
        let mut archive = Archive::default();
        archive.file("a/b/one", b"12345");
        archive.file("a/b/two", b"");
        let bytes = archive.end();
        assert_eq!(bytes.len() % 512, 0);
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<&str> = text.match_indices("070701").map(|(at, _)| &text[at + 110..]).collect();
        let names: Vec<&str> = names.iter().filter_map(|rest| rest.split('\0').next()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
    }
}
