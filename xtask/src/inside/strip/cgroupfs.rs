//! The part of the cgroup tree that a sandboxed process can see.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use crate::{cgroup, error::Error};

/// The most directories that are looked at.
const MAX: usize = 512;

/// What can be seen.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The mount points of cgroup2.
    pub(super) mount_points: Vec<PathBuf>,
    /// Every directory below them.
    directories: Vec<PathBuf>,
    /// The directory of our own cgroup, then those above it. Where it cannot be told, the mount points.
    pub(super) own: Vec<PathBuf>,
}

impl View {
    /// Looks.
    pub(super) fn new() -> Result<Self, Error> {
        let mount_points: Vec<_> = cgroup::mounts()?.into_iter().map(|mount| mount.mount_point).collect();
        let mut view = Self { mount_points, ..Self::default() };
        for mount_point in view.mount_points.clone() {
            view.look(&mount_point);
            let own = view.directories.iter().find(|path| path.starts_with(&mount_point) && is_ours(path));
            let own = own.unwrap_or(&mount_point);
            let upwards = own.ancestors().take_while(|path| path.starts_with(&mount_point)).map(Path::to_owned);
            view.own.extend(upwards);
        }
        Ok(view)
    }

    /// The directories above our own: whoever reaches one of them has left the label behind.
    pub(super) fn outside(&self) -> &[PathBuf] {
        self.own.get(1..).unwrap_or_default()
    }

    fn look(&mut self, directory: &Path) {
        if self.directories.len() >= MAX {
            return;
        }
        self.directories.push(directory.to_owned());
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.look(&entry.path());
            }
        }
    }
}

/// Whether we are in that cgroup. The kernel translates the numbers for the reader's pid namespace.
fn is_ours(directory: &Path) -> bool {
    let own = process::id().to_string();
    fs::read_to_string(directory.join("cgroup.procs")).is_ok_and(|text| text.lines().any(|pid| pid == own))
}
