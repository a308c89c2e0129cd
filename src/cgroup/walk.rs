//! Up from a cgroup's directory, one parent at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Cgroup, CgroupError, CgroupId, Cgroups, MAX_DEPTH, Miss};
use crate::sys::{self, Meaning};

/// The directories from a cgroup up, without the root of our cgroup namespace.
///
/// cgroups are never renamed or moved, so the directories above a verified one are its ancestors
/// for as long as it exists; what is open stays readable after its removal.
pub(crate) struct Walk<'a> {
    cgroups: &'a Cgroups,
    cgroup: &'a Cgroup,
    above: Option<OwnedFd>,
    level: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(cgroups: &'a Cgroups, cgroup: &'a Cgroup) -> Self {
        Self { cgroups, cgroup, above: None, level: 0 }
    }

    /// The next directory up, or `None` at the root.
    pub(crate) fn step(&mut self) -> Result<Option<BorrowedFd<'_>>, Miss> {
        if self.cgroup.depth.is_some_and(|depth| self.level >= depth) {
            return Ok(None);
        }
        if self.level > 0 {
            let here = self.above.as_ref().map_or(self.cgroup.dir.as_fd(), AsFd::as_fd);
            let parent = match sys::open_parent(here) {
                Ok(parent) => parent,
                // Above the root of our cgroup namespace there is nothing for us to see: whoever is there is outside.
                Err(e) if e.meaning() == Meaning::Gone => return Err(Miss::Outside),
                Err(e) => return Err(e.into()),
            };
            self.above = Some(parent);
        }
        let here = self.above.as_ref().map_or(self.cgroup.dir.as_fd(), AsFd::as_fd);
        // A path says how many directories there are. Without one, the root is known by its ID.
        if self.cgroup.depth.is_none() {
            if CgroupId(sys::handle_id(here)?) == self.cgroups.root_id {
                return Ok(None);
            }
            if self.level >= MAX_DEPTH {
                return Err(Miss::Cgroup(CgroupError::TooDeep));
            }
        }
        self.level += 1;
        Ok(Some(here))
    }

    /// The path of the directory that `step` gave last.
    pub(crate) fn path(&self) -> Option<&[u8]> {
        let mut path = self.cgroup.path.as_deref()?;
        for _ in 1..self.level {
            let end = path.iter().rposition(|&b| b == b'/')?;
            path = &path[..end];
        }
        Some(path)
    }
}
