//! The directories that hold the compositor itself: what they say, they say of everybody.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use crate::cgroup::{CgroupId, Cgroups, Miss};
use crate::identity::evidence::Tier;
use crate::sys::{self, Procfs};

/// Our own cgroup and those above it, as they were when last looked at.
#[derive(Debug)]
pub(super) struct Own {
    /// Ourselves; `None` where a pidfd does not tell its cgroup.
    pidfd: Option<OwnedFd>,
    known: Mutex<Known>,
}

/// The answer, and for which cgroup it holds: what is above a cgroup never changes.
#[derive(Debug, Default)]
struct Known {
    cgroup: Option<CgroupId>,
    /// Without the root, which holds everybody.
    ids: Arc<[CgroupId]>,
}

impl Own {
    pub(super) fn new(tier: Tier) -> Self {
        let pidfd = match tier {
            Tier::CgroupId => sys::open_pidfd(std::process::id()).ok(),
            Tier::ProcPath => None,
        };
        Self { pidfd, known: Mutex::default() }
    }

    /// Our own cgroup and those above it, now; only what changed is read again.
    pub(super) fn ids(&self, cgroups: &Cgroups, procfs: &Procfs) -> Result<Arc<[CgroupId]>, Miss> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = self.id_now();
        if now.is_some() && now == known.cgroup {
            return Ok(Arc::clone(&known.ids));
        }
        let cgroup = cgroups.open_own(procfs)?;
        if known.cgroup != Some(cgroup.id) {
            let mut ids = Vec::new();
            let mut walk = cgroup.walk();
            while let Some(dir) = walk.step()? {
                ids.push(CgroupId(sys::handle_id(dir.as_fd())?));
            }
            *known = Known { cgroup: Some(cgroup.id), ids: ids.into() };
        }
        Ok(Arc::clone(&known.ids))
    }

    /// The ID of our cgroup, in two calls; `None` if it must be found through `/proc`.
    fn id_now(&self) -> Option<CgroupId> {
        let info = sys::pidfd_info(self.pidfd.as_ref()?.as_fd()).ok()?;
        // After a fork the pidfd is not of this process any more.
        if info.pid == Some(std::process::id()) { info.cgroup.map(CgroupId) } else { None }
    }
}
