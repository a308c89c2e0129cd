//! The look-up: from a connected socket to an identity.

pub(crate) mod attempt;
mod own;
pub(crate) mod process;
mod reserve;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::engine::{self, Surroundings};
use super::evidence::{EngineEvidence, Evidence, Tier};
use super::label::{InvalidXattrName, XattrNames};
use super::namespaces::{Reference, ReferenceError};
use super::{Identified, Identity, Reason};
use crate::cgroup::{self, CgroupMountError, Cgroups, Miss};
use crate::kernel::Support;
use crate::peer::{Credentials, Peer, PeerPidfdError};
use crate::sys::{self, Meaning, NamespaceKind, Procfs, SysError};
use own::Own;
use reserve::Reserve;

/// Whose word counts beside root's and the compositor's own user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trust {
    /// Users whose processes are treated like the compositor's user's own.
    pub uids: Vec<u32>,
}

impl Trust {
    /// Trusts these users.
    #[must_use]
    pub fn uids(uids: impl Into<Vec<u32>>) -> Self {
        Self { uids: uids.into() }
    }
}

/// Looks peers up.
///
/// One for a whole program: it holds what does not change (the root of cgroup2, `/proc`, the
/// namespaces to compare with, a few spare file descriptors), and can be used from several threads.
#[derive(Debug)]
pub struct Resolver {
    names: XattrNames,
    /// The names once more, as the calls want them, in the order of [`XattrNames::get`].
    c_names: Vec<std::ffi::CString>,
    support: Support,
    tier: Tier,
    details: bool,
    uid: u32,
    parts: Option<Parts>,
    reserve: Reserve,
}

/// What is there on a machine that can identify anybody.
#[derive(Debug)]
struct Parts {
    procfs: Procfs,
    cgroups: Cgroups,
    reference: Reference,
    own: Own,
    /// The path of our own cgroup at start; names of units are compared with it, and nothing that counts.
    own_path: Option<Vec<u8>>,
    surroundings: Surroundings,
}

/// Makes a [`Resolver`].
#[derive(Debug, Default)]
#[must_use]
pub struct ResolverBuilder {
    names: XattrNames,
    host_reference: Option<OwnedFd>,
    details: bool,
    without_pidfd_info: bool,
    runtime_dir: Option<PathBuf>,
}

impl ResolverBuilder {
    /// Reads labels under other names than the usual ones, or further ones.
    pub fn xattr_names(mut self, names: XattrNames) -> Self {
        self.names = names;
        self
    }

    /// Takes the namespaces of this process, not the compositor's own, for those of the host.
    ///
    /// For a compositor that is itself confined more narrowly than the session it serves. The
    /// process must be one that the compositor may ptrace, and must live, with the root directory that it has
    /// now, for as long as the resolver does.
    pub fn host_reference(mut self, pidfd: OwnedFd) -> Self {
        self.host_reference = Some(pidfd);
        self
    }

    /// Reads each peer's supplementary groups and security label too: two more calls.
    pub fn credential_details(mut self, yes: bool) -> Self {
        self.details = yes;
        self
    }

    /// Looks up as on a kernel without `PIDFD_GET_INFO` (before Linux 6.13). For tests.
    pub fn without_pidfd_info(mut self) -> Self {
        self.without_pidfd_info = true;
        self
    }

    /// Takes this directory for the user's `XDG_RUNTIME_DIR`, where flatpak keeps what it knows of its sandboxes, instead of
    /// what that variable says now.
    pub fn runtime_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.runtime_dir = Some(path.into());
        self
    }

    /// Asks the kernel what it can do, and makes the resolver.
    ///
    /// A machine on which nobody can be identified is no error: every peer is then
    /// [`Identity::Unidentified`], and [`Resolver::support`] says why.
    ///
    /// # Errors
    ///
    /// [`ResolverError`] says why. A shortage of file descriptors is one: it must not be taken for a machine that
    /// cannot identify anybody.
    pub fn build(self) -> Result<Resolver, ResolverError> {
        let c_names = self.names.to_c()?;
        let procfs = sys::unless_short(Procfs::open()).map_err(ResolverError::resources)?;
        let cgroups = match procfs.as_ref().map_or(Err(CgroupMountError::NoProc), Cgroups::open) {
            Err(CgroupMountError::Resources { source }) => return Err(ResolverError::Resources { source }),
            cgroups => cgroups,
        };
        let mut support = Support::probe_with(procfs.as_ref(), &cgroups).map_err(ResolverError::resources)?;
        if self.without_pidfd_info {
            support.pidfd_info = false;
        }
        let tier = if support.pidfd_info { Tier::CgroupId } else { Tier::ProcPath };
        let uid = rustix::process::geteuid().as_raw();
        let from_env = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime_dir = self.runtime_dir.or_else(from_env).filter(|dir| dir.is_absolute());
        let security = own_security_label().map_err(ResolverError::resources)?;
        let parts = match (procfs, cgroups) {
            (Some(procfs), Ok(cgroups)) => {
                let reference = match &self.host_reference {
                    Some(pidfd) => {
                        let pid = process::pid_of(&procfs, pidfd.as_fd(), tier).map_err(ResolverError::reference)?;
                        // Where we are ourselves does not matter then.
                        support.apart = Some(Vec::new());
                        Reference::of(&procfs, pidfd.as_fd(), pid)
                    }
                    None => Reference::ours(&procfs),
                };
                let reference = reference.map_err(ResolverError::reference)?;
                let own_mounts = procfs.own_namespace(NamespaceKind::Mount.file());
                let (_, own_mounts) = own_mounts.map_err(ResolverError::reference)?;
                let own_path = own_path(&procfs).map_err(ResolverError::resources)?;
                let surroundings = Surroundings { uid, runtime_dir, own_mounts, security };
                Some(Parts { procfs, cgroups, reference, own: Own::new(tier), own_path, surroundings })
            }
            _ => None,
        };
        Ok(Resolver {
            names: self.names,
            c_names,
            support,
            tier,
            details: self.details,
            uid,
            parts,
            reserve: Reserve::new(),
        })
    }
}

/// Why a [`Resolver`] could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolverError {
    /// The namespaces that tell the host from a sandbox could not be read.
    #[error("the host's namespaces could not be read")]
    Reference(#[from] ReferenceError),
    /// A name of an xattr is none, or is there twice.
    #[error(transparent)]
    XattrName(#[from] InvalidXattrName),
    /// This process or the system is out of file descriptors or memory.
    #[error("out of file descriptors or memory")]
    #[non_exhaustive]
    Resources {
        /// The kernel's error.
        source: std::io::Error,
    },
}

impl ResolverError {
    fn resources(error: SysError) -> Self {
        Self::Resources { source: error.errno.into() }
    }

    fn reference(error: SysError) -> Self {
        match error.meaning() {
            Meaning::Resources => Self::resources(error),
            _ => Self::Reference(error.into()),
        }
    }
}

impl Resolver {
    /// Starts making one.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::default()
    }

    /// What this machine can prove.
    #[must_use]
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Finds out who connected `socket`.
    ///
    /// Bounded, and blocks on nothing that a peer controls. Never fails: what could not be found
    /// out is [`Identity::Unidentified`]. If file descriptors run out, spare ones are used; if that does
    /// not help the reason is [`Reason::Resources`], and the caller should close this one connection.
    #[must_use]
    pub fn identify(&self, socket: impl AsFd, trust: &Trust) -> Identified {
        let socket = socket.as_fd();
        let identified = self.identify_once(socket, trust);
        if !identified.identity.is_short_of_resources() {
            self.reserve.fill();
            return identified;
        }
        self.reserve.lend(|| self.identify_once(socket, trust))
    }

    /// Finds out who the process with this pid is, as if it had just connected.
    ///
    /// For looking at processes by hand: a pid may be used again at any time.
    ///
    /// # Errors
    ///
    /// [`PeerPidfdError::Reaped`] if there is no such process; the others as they say.
    pub fn identify_process(&self, pid: u32, trust: &Trust) -> Result<Identified, PeerPidfdError> {
        let peer = Peer::of_pid(pid)?;
        let mut evidence = Evidence::default();
        let uid = self.parts.as_ref().and_then(|parts| process::uid_of(&parts.procfs, pid));
        evidence.credentials.uid = uid;
        evidence.credentials.pid = Some(pid);
        let identity = self.look_up(peer.pidfd(), &mut evidence, trust, true);
        Ok(Identified { identity, evidence })
    }

    fn identify_once(&self, socket: BorrowedFd<'_>, trust: &Trust) -> Identified {
        let mut credentials = Credentials::of(socket);
        if self.details {
            credentials = credentials.with_details(socket);
        }
        let mut evidence = Evidence { credentials, ..Evidence::default() };
        let identity = match Peer::of(socket) {
            Ok(peer) => match self.security_of(socket) {
                Ok(engines) => {
                    evidence.engines = engines;
                    self.look_up(peer.pidfd(), &mut evidence, trust, false)
                }
                Err(_) => Identity::unidentified(Reason::Resources),
            },
            Err(e) => Identity::unidentified(match e {
                PeerPidfdError::Unsupported => Reason::KernelUnsupported,
                PeerPidfdError::Unavailable => Reason::NotConnected,
                PeerPidfdError::Reaped => Reason::PeerGone,
                PeerPidfdError::Resources { .. } => Reason::Resources,
                PeerPidfdError::Fault { source } => {
                    Reason::Fault { call: sys::Call::PeerPidfd.name(), message: source.to_string() }
                }
            }),
        };
        Identified { identity, evidence }
    }

    /// What the peer's label in the security module says, where there is such a module: one call.
    ///
    /// # Errors
    ///
    /// Only for want of resources: any other error is evidence that could not be read.
    fn security_of(&self, socket: BorrowedFd<'_>) -> Result<Vec<EngineEvidence>, SysError> {
        let Some(ours) = self.parts.as_ref().and_then(|parts| parts.surroundings.security.as_ref()) else {
            return Ok(Vec::new());
        };
        match sys::peer_security(socket) {
            Ok(label) => Ok(engine::of_security_label(&label, ours)),
            // This peer has none, which whoever is confined by the module has.
            Err(e) if e.meaning() == Meaning::Unsupported => Ok(Vec::new()),
            Err(e) if e.meaning() == Meaning::Resources => Err(e),
            Err(e) => Ok(engine::unread_security_label(&format!("{}: {}", e.call.name(), e.message()))),
        }
    }
}

/// Where we are in the hierarchy; `None` where that cannot be told.
///
/// # Errors
///
/// Only for want of resources.
fn own_path(procfs: &Procfs) -> Result<Option<Vec<u8>>, SysError> {
    let Some(file) = sys::unless_short(procfs.open_file("self/cgroup"))? else { return Ok(None) };
    match cgroup::read_path(&file) {
        Err(Miss::Sys(e)) if e.meaning() == Meaning::Resources => Err(e),
        path => Ok(path.ok()),
    }
}

/// Our own label in the security module, from a socket pair of our own; `None` where no module tells any. If ours cannot be
/// had otherwise, peers are asked all the same, and it is nobody's.
///
/// # Errors
///
/// Only for want of resources.
fn own_security_label() -> Result<Option<Vec<u8>>, SysError> {
    match sys::own_socket_pair().and_then(|(a, _b)| sys::peer_security(a.as_fd())) {
        Ok(label) => Ok(Some(label)),
        Err(e) => match e.meaning() {
            Meaning::Resources => Err(e),
            Meaning::Unsupported | Meaning::Unavailable => Ok(None),
            _ => Ok(Some(Vec::new())),
        },
    }
}
