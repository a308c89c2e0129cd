//! The directories that hold the compositor itself: what they say, they say of everybody.

use std::sync::{Arc, Mutex};

use crate::cgroup::{CgroupId, Cgroups, Miss};
use crate::sys::{self, Procfs};
use std::os::fd::AsFd;

/// Our own cgroup and those above it, as they were when last looked at.
#[derive(Debug, Default)]
pub(super) struct Own {
    ids: Mutex<Arc<[CgroupId]>>,
}

impl Own {
    /// Our own cgroup and those above it, now; only what changed is read again.
    pub(super) fn ids(&self, cgroups: &Cgroups, procfs: &Procfs) -> Result<Arc<[CgroupId]>, Miss> {
        let cgroup = cgroups.open_own(procfs)?;
        let mut known = self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.first() != Some(&cgroup.id) {
            let mut ids = Vec::new();
            let mut walk = cgroup.walk();
            while let Some(dir) = walk.step()? {
                ids.push(CgroupId(sys::handle_id(dir.as_fd())?));
            }
            *known = ids.into();
        }
        Ok(Arc::clone(&known))
    }
}
