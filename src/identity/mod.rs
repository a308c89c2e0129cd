//! Who a peer is, and how that is known.
//!
//! [`Resolver::identify`] asks the kernel about a connected socket and gives one of the four
//! outcomes of [`Identity`], together with the [`Evidence`] it rests on. It never fails: what
//! could not be found out is [`Identity::Unidentified`], with the reason.

pub(crate) mod engine;
mod evidence;
mod ids;
pub mod label;
pub(crate) mod namespaces;
pub(crate) mod resolver;
mod unit;

use std::fmt;

pub use evidence::{
    CgroupEvidence, EngineEvidence, EngineSource, EngineStanding, Evidence, LabelEvidence, NamespaceEvidence,
    NamespaceRoute, Tier,
};
pub use ids::{AppId, InstanceId, InvalidId, MAX_LEN, SandboxEngine};
pub use namespaces::{Comparison, Namespaces, ReferenceError};
pub use resolver::{Resolver, ResolverBuilder, ResolverError, Trust};
pub use unit::UnitName;

use crate::cgroup::CgroupError;
use label::Malformed;

/// An identity and what it rests on.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Identified {
    /// Who the peer is.
    pub identity: Identity,
    /// How that is known.
    pub evidence: Evidence,
}

/// Who a peer is: one of four outcomes, of which exactly one is "not known".
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case", tag = "kind"))]
#[non_exhaustive]
pub enum Identity {
    /// A sandboxed application, labelled by its engine or seen by its namespaces.
    App(AppIdentity),
    /// A process *proven* to be outside any sandbox.
    Host(HostIdentity),
    /// The other end of a socket pair that the compositor itself made.
    Internal(InternalTag),
    /// Everything else.
    Unidentified(Unidentified),
}

/// A sandboxed application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct AppIdentity {
    /// The engine that confines it; `None` is an unknown engine, seen by its namespaces only.
    pub engine: Option<SandboxEngine>,
    /// The application's ID, if the engine states one.
    pub app_id: Option<AppId>,
    /// The running instance, if the engine states one.
    pub instance_id: Option<InstanceId>,
    /// The further xattrs that the compositor asked for: name and value.
    pub extra: Vec<(String, String)>,
    /// Who could have written the label.
    pub provenance: Provenance,
    /// Whether the user, mount and pid namespaces are the compositor's; `None` is not known.
    pub namespaces: Option<Namespaces>,
    /// The systemd unit it runs in: a claim.
    pub unit: Option<UnitName>,
    /// The user as whom it connected, by the kernel; `None` is not known.
    pub uid: Option<u32>,
    /// What else is said of it, outermost first: labels and names of cgroups deeper inside, what engines left in the process.
    /// It can only take rights away.
    pub nested: Vec<NestedLabel>,
}

impl AppIdentity {
    /// An application that only its namespaces show: no engine, no ID, and nothing that root alone could have written.
    #[must_use]
    pub fn unknown(namespaces: Namespaces) -> Self {
        Self {
            engine: None,
            app_id: None,
            instance_id: None,
            extra: Vec::new(),
            provenance: Provenance::User,
            namespaces: Some(namespaces),
            unit: None,
            uid: None,
            nested: Vec::new(),
        }
    }
}

/// A sandbox label inside another, or other evidence of a sandbox beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct NestedLabel {
    /// The engine it names.
    pub engine: SandboxEngine,
    /// The application it names.
    pub app_id: Option<AppId>,
    /// The instance it names.
    pub instance_id: Option<InstanceId>,
    /// The further xattrs that the compositor asked for: name and value.
    pub extra: Vec<(String, String)>,
    /// Who could have written it.
    pub provenance: Provenance,
}

/// A process outside any sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct HostIdentity {
    /// Which application it says it is: a claim, any process of the user can make it.
    pub claim: Option<AppId>,
    /// Where it says so.
    pub claim_source: Option<ClaimSource>,
    /// The systemd unit it runs in: a claim too.
    pub unit: Option<UnitName>,
    /// The user as whom it connected, by the kernel; `None` is not known.
    pub uid: Option<u32>,
}

/// Where a host process claims to be an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ClaimSource {
    /// In the xattr `user.app_id` of a cgroup.
    Xattr,
    /// In the name of its systemd unit, `app-LAUNCHER-ID-RANDOM.scope` or the like.
    UnitName,
}

/// The name that the maker of a socket pair gave to its other end, such as `xwayland`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct InternalTag {
    tag: std::borrow::Cow<'static, str>,
}

impl InternalTag {
    /// Names the other end of a socket pair.
    #[must_use]
    pub fn new(tag: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { tag: tag.into() }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.tag
    }
}

/// Who could have written a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Provenance {
    /// Root alone: the labelled directory and all above it are closed to everyone else, and
    /// the peer is not root itself.
    System,
    /// Possibly any unconfined program of the user.
    User,
}

/// A peer about which nothing is certain enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unidentified {
    /// Why.
    pub reason: Reason,
}

/// Why a peer is unidentified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody asked: the client's data never got an identity.
    #[error("its identity was never looked up")]
    NotAsked,
    /// The kernel has no `SO_PEERPIDFD` (before Linux 6.5).
    #[error("this kernel cannot name the peer of a socket (SO_PEERPIDFD needs Linux 6.5)")]
    KernelUnsupported,
    /// The socket is not a connected `AF_UNIX` stream.
    #[error("its socket is not a connected unix socket")]
    NotConnected,
    /// The peer is gone, or its first thread is.
    #[error("the process that connected is gone")]
    PeerGone,
    /// The peer is this very process: a socket pair that nobody tagged.
    #[error("its socket pair was made by the compositor itself, and never given a name")]
    OwnSocket,
    /// The peer lives in a pid namespace that is not below ours.
    #[error("it lives in a pid namespace that the compositor cannot see into")]
    ForeignPidNamespace,
    /// The peer's cgroup is outside our cgroup namespace.
    #[error("its cgroup is outside the compositor's cgroup namespace")]
    OutsideCgroupNamespace,
    /// The peer did not stay in one cgroup long enough to be looked up.
    #[error("it kept moving between cgroups during the look-up")]
    Moved,
    /// The peer's cgroup, or one above it, could not be read.
    #[error("its cgroup could not be read: {0}")]
    Cgroup(CgroupError),
    /// A label does not keep to its format.
    #[error("the label of cgroup {path}: {why}", path = .0.escape_debug(), why = .1)]
    MalformedLabel(String, Malformed),
    /// The security context that the peer came through has a name that does not keep to its format: which, and why.
    #[error("the {0} of its security context {1}")]
    MalformedContext(&'static str, InvalidId),
    /// A label belongs to somebody who has no say over this peer.
    #[error("the label of cgroup {path} belongs to uid {owner}, who has no say over it", path = .path.escape_debug())]
    ForeignLabelOwner {
        /// The labelled directory.
        path: String,
        /// Its owner.
        owner: u32,
    },
    /// The peer belongs to another user.
    #[error("it belongs to {}", .0.map_or_else(|| "a user who is not known".to_owned(), |uid| format!("uid {uid}")))]
    ForeignUid(Option<u32>),
    /// What an engine would have left could not be read, and nothing else says whether the peer is in a sandbox.
    #[error("whether it is in a sandbox of {0} could not be told: {why}", why = .1.escape_debug())]
    EngineEvidence(SandboxEngine, String),
    /// The peer's namespaces could not be compared with ours.
    #[error("its namespaces could not be compared with the compositor's ({0})")]
    NamespacesUnknown(String),
    /// This process is out of file descriptors or memory.
    #[error("the compositor is out of file descriptors or memory")]
    Resources,
    /// A call failed in a way that has no meaning of its own.
    #[error("{call} failed: {message}")]
    Fault {
        /// The system call.
        call: &'static str,
        /// What the kernel said.
        message: String,
    },
}

impl Reason {
    /// A short fixed word for the reason, for logs and for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::KernelUnsupported => "kernel-unsupported",
            Self::NotConnected => "not-connected",
            Self::PeerGone => "peer-gone",
            Self::OwnSocket => "own-socket",
            Self::ForeignPidNamespace => "foreign-pid-namespace",
            Self::OutsideCgroupNamespace => "outside-cgroup-namespace",
            Self::Moved => "moved",
            Self::Cgroup(_) => "cgroup",
            Self::MalformedLabel(..) => "malformed-label",
            Self::MalformedContext(..) => "malformed-context",
            Self::ForeignLabelOwner { .. } => "foreign-label-owner",
            Self::ForeignUid(_) => "foreign-uid",
            Self::EngineEvidence(..) => "engine-evidence",
            Self::NamespacesUnknown(_) => "namespaces-unknown",
            Self::Resources => "resources",
            Self::Fault { .. } => "fault",
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Unidentified {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut s = serializer.serialize_struct("Unidentified", 2)?;
        s.serialize_field("reason", self.reason.code())?;
        s.serialize_field("message", &self.reason.to_string())?;
        s.end()
    }
}

impl Identity {
    /// The peer is unidentified, for this reason.
    #[must_use]
    pub fn unidentified(reason: Reason) -> Self {
        Self::Unidentified(Unidentified { reason })
    }

    /// Whether a shortage alone stood in the way: the caller should close this one connection.
    pub(crate) fn is_short_of_resources(&self) -> bool {
        matches!(self, Self::Unidentified(u) if u.reason == Reason::Resources)
    }

    /// Whether the peer was identified at all.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        !matches!(self, Self::Unidentified(_))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app) => app.fmt(f),
            Self::Host(host) => match (&host.claim, &host.unit) {
                (Some(claim), _) => write!(f, "host (claims to be {claim}){}", OfAnother(host.uid)),
                (None, Some(unit)) => write!(f, "host (unit {unit}){}", OfAnother(host.uid)),
                (None, None) => write!(f, "host{}", OfAnother(host.uid)),
            },
            Self::Internal(tag) => write!(f, "internal {}", tag.as_str().escape_debug()),
            Self::Unidentified(u) => write!(f, "unidentified: {}", u.reason),
        }
    }
}

/// Says whose a client is, unless it is this process's user.
struct OfAnother(Option<u32>);

impl fmt::Display for OfAnother {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.filter(|uid| *uid != rustix::process::geteuid().as_raw()) {
            Some(uid) => write!(f, ", of uid {uid}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AppIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(engine) = &self.engine else {
            return write!(f, "app in a sandbox of an unknown engine{}", OfAnother(self.uid));
        };
        match &self.app_id {
            Some(app_id) => write!(f, "app {app_id}")?,
            None => f.write_str("app without an ID")?,
        }
        write!(f, " of {engine}")?;
        if let Some(instance) = &self.instance_id {
            write!(f, ", instance {instance}")?;
        }
        OfAnother(self.uid).fmt(f)?;
        for inner in &self.nested {
            match &inner.app_id {
                Some(app_id) => write!(f, ", inside it {app_id} of {}", inner.engine)?,
                None => write!(f, ", inside it {}", inner.engine)?,
            }
        }
        Ok(())
    }
}
