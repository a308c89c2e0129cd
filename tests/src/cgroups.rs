//! Cgroups of the tests' own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::XattrFlags;

use crate::Context;

/// Where cgroup2 is mounted, by `/proc/self/mountinfo`.
///
/// # Errors
///
/// If it is not mounted.
pub fn mount_point() -> Result<PathBuf, String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let mount = mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        (file_system.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(at))
    });
    mount.context("cgroup2 is not mounted: mount it with `mount -t cgroup2 cgroup2 /sys/fs/cgroup`")
}

/// The directory of our own cgroup.
///
/// # Errors
///
/// If `/proc` does not tell.
pub fn own() -> Result<PathBuf, String> {
    let text = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).context("no line `0::` in /proc/self/cgroup")?;
    Ok(mount_point()?.join(path))
}

/// A cgroup that a test made. Processes in it must be gone when it is dropped.
#[derive(Debug)]
pub struct TestCgroup {
    path: PathBuf,
}

impl TestCgroup {
    /// Makes a cgroup with a name of its own in `parent`.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn new(parent: &Path, name: &str) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = parent.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self::exactly(path)
    }

    /// Makes the cgroup with this path.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn exactly(path: PathBuf) -> Result<Self, String> {
        fs::create_dir(&path).context(path.display())?;
        Ok(Self { path })
    }

    /// Makes a cgroup inside.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn child(&self, name: &str) -> Result<Self, String> {
        Self::exactly(self.path.join(name))
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The step that moves a peer in here.
    #[must_use]
    pub fn join(&self) -> String {
        format!("join={}", self.path.display())
    }

    /// Sets xattrs.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn label(&self, xattrs: &[(&str, &str)]) -> Result<(), String> {
        xattrs.iter().try_for_each(|(name, value)| set_xattr(&self.path, name, value.as_bytes()))
    }

    /// Labels it as a sandbox of `org.example.Engine`, with this application.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn label_app(&self, app_id: &str) -> Result<(), String> {
        self.label(&[("user.xdg.sandbox-engine", "org.example.Engine"), ("user.app_id", app_id)])
    }

    /// Leaves it to somebody else to remove it.
    #[must_use]
    pub fn leak(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        // What cannot be removed now (a process is still on its way out) is removed with the whole world.
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Sets one xattr.
///
/// # Errors
///
/// If that fails.
pub fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result<(), String> {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).context(format!("{name} on {}", path.display()))
}

/// Removes a directory of cgroups, waiting for the processes that are just leaving it.
///
/// # Errors
///
/// If a process stays.
pub fn remove_tree(path: &Path) -> Result<(), String> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match try_remove_tree(path) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) if std::time::Instant::now() > deadline => return Err(format!("{}: {e}", path.display())),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn try_remove_tree(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            try_remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
