//! The parts of a policy that are no rules.

use std::collections::BTreeMap;

use super::capability::CapabilitySet;
use super::verdict::Location;

/// A list of capabilities as the file has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// All that are listed, with what `*` stands for.
    pub(super) set: CapabilitySet,
    /// Whether `*` was written.
    pub(super) star: bool,
    /// Where; `None` if the file leaves it out.
    pub(super) at: Option<Location>,
}

/// `[defaults]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) host: Listed,
    pub(super) sandboxed: Listed,
    pub(super) namespaced: Listed,
    pub(super) unidentified: Listed,
    pub(super) internal: BTreeMap<Box<str>, Listed>,
}

/// `[machine]`: what holds where the machine cannot identify anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// What clients are if the kernel or its mounts can prove nothing at all.
    pub without_kernel_identity: WithoutKernelIdentity,
}

/// What clients are if the machine as a whole can identify nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WithoutKernelIdentity {
    /// Unidentified.
    #[default]
    Deny,
    /// The ordinary socket's clients are the host, and those of a security context what it
    /// says: as it was before kernels could tell.
    AsBefore,
}

/// `[trust]`: whose word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustSettings {
    /// How far evidence reaches that any process of the user can produce.
    pub user_evidence: UserEvidence,
    /// Further users whose labels and clients are identified, not only the compositor's own.
    pub uids: Vec<u32>,
}

/// How far evidence reaches that any unconfined process of the user can produce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserEvidence {
    /// It gives nothing that `[defaults] host` does not have.
    #[default]
    Capped,
    /// It gives what the rules say. **Any** unconfined program of the user can then claim it.
    AsWritten,
}
