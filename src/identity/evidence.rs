//! What an identity rests on.

use std::fmt;

use super::Provenance;
use super::ids::{AppId, InstanceId, SandboxEngine};
use super::namespaces::Namespaces;
use crate::cgroup::CgroupId;
use crate::peer::Credentials;

/// What was found out about a peer, step by step, as far as the look-up came.
///
/// Texts that came from outside are escaped already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct Evidence {
    /// What the kernel recorded when the peer connected.
    pub credentials: Credentials,
    /// How the peer's cgroup was found.
    pub tier: Option<Tier>,
    /// How often the look-up had to start again because the peer moved.
    pub retries: u32,
    /// The peer's cgroup.
    pub cgroup: Option<CgroupEvidence>,
    /// Every directory on the way up that says anything, outermost first.
    pub labels: Vec<LabelEvidence>,
    /// How the peer's namespaces compare with the compositor's.
    pub namespaces: Option<NamespaceEvidence>,
    /// What sandbox engines left in the process itself.
    pub engines: Vec<EngineEvidence>,
}

/// What a sandbox engine left, beside labels and names of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct EngineEvidence {
    /// Whose it is, or would be.
    pub engine: SandboxEngine,
    /// Where it was found.
    pub source: EngineSource,
    /// The application that it names.
    pub app_id: Option<AppId>,
    /// The instance that it names.
    pub instance_id: Option<InstanceId>,
    /// How far it holds.
    pub standing: EngineStanding,
}

/// Where evidence of a sandbox engine can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum EngineSource {
    /// The label in the security module (`SO_PEERSEC`).
    SecurityLabel,
    /// `/.flatpak-info` in the sandbox.
    FlatpakInfo,
    /// `/.linyaps` in the sandbox.
    LinyapsInfo,
    /// `/run/firejail`.
    FirejailRun,
}

/// How far evidence of a sandbox engine holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum EngineStanding {
    /// It is the engine's.
    Match,
    /// It is the engine's, and what is outside the sandbox confirms it.
    CrossChecked,
    /// Anybody can have made it, for this reason: it names nobody by itself.
    Claim(String),
    /// It could not be read, for this reason.
    Error(String),
    /// The compositor has the same: it was ignored.
    Shared,
}

/// How a cgroup is tied to a pidfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Tier {
    /// By the ID that `PIDFD_GET_INFO` gives, equal before and after (Linux 6.13).
    CgroupId,
    /// By the path in `/proc`, equal before and after while the pidfd was alive (Linux 6.5).
    ProcPath,
}

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct CgroupEvidence {
    /// Its ID.
    pub id: CgroupId,
    /// Its path from the root of our cgroup namespace.
    pub path: String,
    /// The same as the kernel has it.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) raw_path: Box<[u8]>,
}

/// What one directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct LabelEvidence {
    /// Its path.
    pub path: String,
    /// Its owner.
    pub owner: u32,
    /// Who could have written there.
    pub provenance: Provenance,
    /// The xattrs: name and value.
    pub xattrs: Vec<(String, String)>,
    /// What the directory's own name says, if that is a sandbox engine's.
    pub named: Option<String>,
    /// Whether the compositor is inside that directory too, and its label was therefore ignored.
    pub shared: bool,
}

/// How namespaces were compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct NamespaceEvidence {
    /// The result.
    pub compared: Namespaces,
    /// The way to it.
    pub route: NamespaceRoute,
}

/// How the namespaces of a process can be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum NamespaceRoute {
    /// From the pidfd (`PIDFD_GET_*_NAMESPACE`).
    Pidfd,
    /// From `/proc/PID/ns`.
    ProcNs,
    /// From what `/proc/PID` tells everybody: the user map, the nested pids and the mounts. For processes that we may not ptrace.
    ProcPublic,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |id: Option<u32>| id.map_or_else(|| "not known".to_owned(), |id| id.to_string());
        let c = &self.credentials;
        write!(f, "connected as: uid {}, gid {}, pid {}", or_unknown(c.uid), or_unknown(c.gid), or_unknown(c.pid))?;
        if let Some(label) = &c.security_label {
            write!(f, ", security label {label}")?;
        }
        if let Some(cgroup) = &self.cgroup {
            write!(f, "\ncgroup: {}, ID {}", cgroup.path, cgroup.id.as_u64())?;
        }
        match self.tier {
            Some(Tier::CgroupId) => f.write_str(", tied to the pidfd by PIDFD_GET_INFO")?,
            Some(Tier::ProcPath) => f.write_str(", tied to the pidfd by its path in /proc, bracketed")?,
            None => {}
        }
        if self.retries > 0 {
            write!(f, " (after {} retries)", self.retries)?;
        }
        for label in &self.labels {
            write!(f, "\nlabel on {}, owner uid {}:", label.path, label.owner)?;
            for (name, value) in &label.xattrs {
                write!(f, " {name}={value}")?;
            }
            if let Some(named) = &label.named {
                write!(f, " its name says {named}")?;
            }
            match (label.shared, label.provenance) {
                (true, _) => f.write_str(" (ignored: the compositor is inside it too)")?,
                (false, Provenance::System) => f.write_str(" (only root could write it)")?,
                (false, Provenance::User) => f.write_str(" (the user could write it)")?,
            }
        }
        if let Some(namespaces) = &self.namespaces {
            let route = match namespaces.route {
                NamespaceRoute::Pidfd => "by pidfd",
                NamespaceRoute::ProcNs => "by /proc/PID/ns",
                NamespaceRoute::ProcPublic => "by what /proc/PID tells everybody",
            };
            write!(f, "\nnamespaces: {} ({route})", namespaces.compared)?;
        }
        for engine in &self.engines {
            write!(f, "\n{engine}")?;
        }
        Ok(())
    }
}

impl fmt::Display for EngineEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            EngineSource::SecurityLabel => "security label: ",
            EngineSource::FlatpakInfo => "/.flatpak-info: ",
            EngineSource::LinyapsInfo => "/.linyaps: ",
            EngineSource::FirejailRun => "/run/firejail: ",
        })?;
        match &self.app_id {
            Some(app_id) => write!(f, "{app_id} of {}", self.engine)?,
            None => write!(f, "{}", self.engine)?,
        }
        if let Some(instance_id) = &self.instance_id {
            write!(f, ", instance {instance_id}")?;
        }
        match &self.standing {
            EngineStanding::Match => Ok(()),
            EngineStanding::CrossChecked => f.write_str(" (confirmed outside the sandbox)"),
            EngineStanding::Claim(why) => write!(f, " (only a claim: {})", why.escape_debug()),
            EngineStanding::Error(why) => write!(f, " (could not be read: {})", why.escape_debug()),
            EngineStanding::Shared => f.write_str(" (ignored: the compositor has it too)"),
        }
    }
}
