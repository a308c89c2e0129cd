//! The parts of a policy that are no rules.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

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

/// `[limits]`: how many connections may be open at a time; `None` is no limit.
///
/// Clients that share a row are counted together. A connection beyond the limit is closed when it is accepted; those
/// that are open keep working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// One labelled application: one engine and app ID, whatever its instances.
    pub per_app: Option<NonZeroU32>,
    /// All clients in sandboxes of an unknown engine.
    pub namespaced: Option<NonZeroU32>,
    /// All clients that could not be identified.
    pub unidentified: Option<NonZeroU32>,
    /// All clients on the host.
    pub host: Option<NonZeroU32>,
}

impl Default for Limits {
    /// The usual limit of file descriptors is 1024, and a client takes one at least: a few kinds at their limits leave
    /// room for others. The most that one application is known to need are a few for a browser with its helpers, and one
    /// for each program that runs in a sandboxed terminal.
    fn default() -> Self {
        Self {
            per_app: NonZeroU32::new(128),
            namespaced: NonZeroU32::new(256),
            unidentified: NonZeroU32::new(64),
            host: None,
        }
    }
}
