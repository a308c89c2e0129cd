//! Who is this Wayland client, and what may it see?
//!
//! The kernel says which process connected ([`peer`]), race-free; the process' cgroup carries the
//! name that its sandbox engine wrote there ([`identity`]); a policy says what that application
//! may do (`policy`); and the compositor shows each client its own globals (`wayland`).
//!
//! Modules import one way: `wayland → policy → identity → cgroup → peer → sys`. Everything up to
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
    Authenticator, ClientAuth, Event, HasClientAuth, OverLimit, RefusedBind, SandboxContext, allow, auth_of,
};
