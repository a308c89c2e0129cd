//! The system calls of the look-up, and what their errors mean.
//!
//! This is the only module with unsafe code: calls that rustix lacks go through `libc`. Every
//! call that the look-up makes stands here, so that there is one place that gives an errno its
//! [`Meaning`], and one place at which a test makes a call fail (`fault`).

#![allow(unsafe_code)]

mod cgroupfs;
mod errno;
#[cfg(feature = "fault-injection")]
pub mod fault;
#[cfg(not(feature = "fault-injection"))]
#[path = "no_fault.rs"]
mod fault;
#[cfg(feature = "cli")]
pub mod inside;
mod pidfd;
mod procfs;
mod rooted;
mod socket;
#[cfg(feature = "cli")]
pub mod spawn;
#[cfg(feature = "cli")]
pub mod users;

pub(crate) use cgroupfs::{
    CGROUP2_MAGIC, Ownership, XattrRead, duplicate, file_system_type, get_xattr, handle_id, list_xattrs, open_beneath,
    open_dir, open_parent, ownership, ownership_at,
};
pub(crate) use errno::{Call, Meaning, SysError, unless_short};
pub(crate) use pidfd::{NamespaceKind, PIDFS_MAGIC, alive, namespace, namespace_fd_id, open_pidfd, pidfd_info};
pub(crate) use procfs::{NamespaceId, Procfs, ReadLimit, pinned_namespace, read_all, read_pinned, read_single};
pub(crate) use rooted::{file_status, open_entry, open_file_beneath, open_root};
pub(crate) use socket::{own_socket_pair, peer_cred, peer_groups, peer_pidfd, peer_security};
