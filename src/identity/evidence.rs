//! What an identity rests on.

use std::fmt;

use super::Provenance;
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
        Ok(())
    }
}
