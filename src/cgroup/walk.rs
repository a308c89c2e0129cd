//! Up from a cgroup's directory, one parent at a time.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::{Cgroup, Miss};
use crate::sys;

/// The directories from a cgroup up, without the root of our cgroup namespace.
///
/// cgroups are never renamed or moved, so the directories above a verified one are its ancestors
/// for as long as it exists; what is open stays readable after its removal. Its path says how many they are: the root
/// need not be recognised.
pub(crate) struct Walk<'a> {
    cgroup: &'a Cgroup,
    above: Option<Rc<OwnedFd>>,
    level: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(cgroup: &'a Cgroup) -> Self {
        Self { cgroup, above: None, level: 0 }
    }

    /// The next directory up, or `None` at the root.
    pub(crate) fn step(&mut self) -> Result<Option<BorrowedFd<'_>>, Miss> {
        if self.level >= self.cgroup.depth {
            return Ok(None);
        }
        if self.level > 0 {
            self.above = Some(Rc::new(sys::open_parent(self.cgroup.dir_at(self.above.as_ref()))?));
        }
        self.level += 1;
        Ok(Some(self.dir()))
    }

    /// The directory that `step` gave last.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.cgroup.dir_at(self.above.as_ref())
    }

    /// Keeps the directory that `step` gave last open; `None` is that of the cgroup itself. See [`Cgroup::dir_at`].
    pub(crate) fn keep(&self) -> Option<Rc<OwnedFd>> {
        self.above.clone()
    }

    /// The path of the directory that `step` gave last.
    pub(crate) fn path(&self) -> &[u8] {
        let mut path = &*self.cgroup.path;
        for _ in 1..self.level {
            let end = path.iter().rposition(|&b| b == b'/').unwrap_or_default();
            path = &path[..end];
        }
        path
    }
}
