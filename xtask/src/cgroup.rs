//! Our place in the cgroup tree, and directories in it that do not outlive us.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::unix::{ffi::OsStringExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    fs::{Access, XattrFlags, access, setxattr, statfs},
};

use crate::{
    cli,
    error::{Context, Error},
    process::wait_until,
};

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const MAGIC: u64 = 0x6367_7270;

/// This program, even if its file was replaced or removed.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long killed processes may take to be gone.
const GRACE: Duration = Duration::from_secs(10);

/// The directory of the cgroup that this process is in.
///
/// # Errors
///
/// If cgroup2 is not mounted as a whole, or we are outside of what is mounted.
pub(crate) fn own() -> Result<PathBuf, Error> {
    let mounted = mounts()?.into_iter().find(|mount| mount.root == Path::new("/")).ok_or_else(|| {
        Error::failed("cgroup2 is not mounted").remedy(
            "mount it, as root: `mount -t cgroup2 none /sys/fs/cgroup` (systemd does this itself; a container needs \
             its own cgroup namespace)",
        )
    })?;
    let text = fs::read_to_string("/proc/self/cgroup").or_fail(|| "cannot read /proc/self/cgroup".into())?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    if Path::new(path).starts_with("..") {
        return Err(Error::failed("this process is outside the cgroup namespace that is mounted here"));
    }
    Ok(if path.is_empty() { mounted.mount_point } else { mounted.mount_point.join(path) })
}

/// A mount of cgroup2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Which directory of the hierarchy is mounted.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) mount_point: PathBuf,
}

/// All mounts of cgroup2 that can be seen and are not hidden under others.
///
/// # Errors
///
/// If `/proc` is not mounted.
pub(crate) fn mounts() -> Result<Vec<Mount>, Error> {
    let mountinfo = fs::read("/proc/self/mountinfo").or_fail(|| "cannot read /proc/self/mountinfo".into())?;
    let is_on_top = |mount: &Mount| statfs(&mount.mount_point).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(MAGIC));
    Ok(parse(&mountinfo).filter(is_on_top).collect())
}

fn parse(mountinfo: &[u8]) -> impl Iterator<Item = Mount> {
    mountinfo.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let root = unescape(fields.nth(3)?);
        let mount_point = unescape(fields.next()?);
        let file_system = fields.skip_while(|field| *field != b"-").nth(1)?;
        (file_system == b"cgroup2").then_some(Mount { root, mount_point })
    })
}

/// Undoes the kernel's octal escapes.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| after.split_at_checked(3))
            .flatten()
            .and_then(|(digits, after)| Some((u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()?, after)));
        let (byte, after) = octal.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

/// Whether sub-cgroups can be created in `directory` and processes moved between them.
#[must_use]
pub(crate) fn is_writable(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && access(directory.join("cgroup.procs"), Access::WRITE_OK).is_ok()
}

/// A cgroup of our own. Dropping it kills what runs in it and below it, and removes it.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
}

impl Stage {
    /// Creates it in our own cgroup.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let path = own()?.join(format!("{name}-{}", process::id()));
        create(&path)?;
        Ok(Self { path })
    }

    /// Its directory.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a cgroup in it.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(crate) fn child(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        create(&path)?;
        Ok(path)
    }

    /// Kills everything, waits until it is gone, and removes all directories.
    fn clear(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")?;
        let deadline = Instant::now() + GRACE;
        let events = fs::File::open(self.path.join("cgroup.events"))?;
        loop {
            // A change after this reading wakes the poll below.
            let text = fs::read_to_string(self.path.join("cgroup.events"))?;
            if text.lines().any(|line| line == "populated 0") {
                break;
            }
            if !wait_until(&mut [PollFd::new(&events, PollFlags::PRI)], Some(deadline))? {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not end"));
            }
            io::Read::read(&mut &events, &mut [0; 256])?;
        }
        drop(events);
        remove_tree(&self.path)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            cli::detail(format!("cannot remove the cgroup `{}`: {error}", self.path.display()));
        }
    }
}

/// Creates a cgroup that others may not write to, whatever the umask.
fn create(path: &Path) -> Result<(), Error> {
    DirBuilder::new().mode(0o755).create(path).or_fail(|| format!("cannot create the cgroup `{}`", path.display()))
}

/// This program, which moves into `cgroup` and becomes the command that is to be added.
///
/// A file that was replaced meanwhile by a newer build is still the one that runs.
#[must_use]
pub(crate) fn enter(cgroup: &Path) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg("__enter").arg(cgroup).arg("--");
    command
}

/// Removes a cgroup and those below it. Their files go with them, and cannot be removed one by one.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Writes an xattr on a cgroup.
///
/// # Errors
///
/// If the kernel refuses it (before Linux 5.7 cgroups have no `user.*` xattrs).
pub(crate) fn label(cgroup: &Path, name: &str, value: &str) -> Result<(), Error> {
    setxattr(cgroup, name, value.as_bytes(), XattrFlags::empty())
        .or_fail(|| format!("cannot write the xattr {name} of the cgroup `{}`", cgroup.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_among_the_mounts() {
        let text = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime shared:10 master:1 - cgroup2 cgroup2 rw
42 31 0:38 /part /mnt rw - cgroup2 none rw
garbage
";
        let found: Vec<_> = parse(text).collect();
        let mount = |root: &str, at: &str| Mount { root: root.into(), mount_point: at.into() };
        assert_eq!(found, [mount("/", "/sys/fs/cgroup/uni fied"), mount("/part", "/mnt")]);
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(unescape(b"a\\04"), PathBuf::from("a\\04"));
        assert_eq!(unescape(b"\\134x\\999"), PathBuf::from("\\x\\999"));
    }
}
