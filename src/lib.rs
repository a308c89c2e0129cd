//! Who is this Wayland client, and what may it see?
//!
//! The kernel says which process connected ([`peer`]), race-free; the process' cgroup carries the
//! name that its sandbox engine wrote there ([`identity`]); a policy says what that application
//! may do (`policy`); and the compositor shows each client its own globals (`wayland`).
//!
//! # Where to begin
//!
//! * A compositor: the module `wayland` has the few lines that it takes, and says what happens when rights change.
//! * Further, each for itself: `source` (calloop event sources), `ask` (uses that wait for somebody's answer), `protocol`
//!   (clients learn who they are held for; panels and tools list them and grant), `audit` (a log of it all).
//! * Whoever writes a policy: `policy` has all of its keys.
//! * A portal, a D-Bus service: [`Resolver`] says who connected, without Wayland. Turn the default features off.
//!
//! # Cargo features
//!
//! | feature | modules | default |
//! |---|---|---|
//! | `policy` | `policy` | yes |
//! | `wayland` | `wayland`, `ask` | yes |
//! | `calloop` | `source` | yes |
//! | `protocol` | `protocol`: its globals | |
//! | `protocol-client` | `protocol::client` | |
//! | `audit` | `audit` | |
//! | `smithay` | `SandboxContext::from_smithay` | |
//! | `serde` | `Serialize` for identities, evidence and verdicts | |
//!
//! Modules import one way: `protocol → ask, audit → wayland → policy → identity → cgroup → peer → sys`. Everything up to
//! `identity` builds without Wayland.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

#[cfg(feature = "wayland")]
pub mod ask;
#[cfg(feature = "audit")]
pub mod audit;
pub mod cgroup;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod kernel;
pub mod peer;
#[cfg(feature = "policy")]
pub mod policy;
#[cfg(any(feature = "protocol", feature = "protocol-client"))]
pub mod protocol;
#[cfg(feature = "calloop")]
pub mod source;
#[allow(unreachable_pub)]
mod sys;
#[cfg(feature = "wayland")]
pub mod wayland;

#[cfg(feature = "fault-injection")]
#[doc(hidden)]
pub use sys::fault;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use sys::{inside, spawn, users};

pub use identity::{Identified, Identity, Resolver};
#[cfg(feature = "policy")]
pub use policy::{Capability, CapabilitySet, Policy, Verdict};
#[cfg(feature = "wayland")]
pub use wayland::{
    Authenticator, ClientAuth, Event, HasClientAuth, OverLimit, RefusedBind, SandboxContext, allow, allow_interface,
    auth_of,
};

/// The README's examples, as tests.
#[cfg(all(doctest, feature = "audit", feature = "calloop", feature = "protocol"))]
#[doc = include_str!("../README.md")]
struct Readme;
