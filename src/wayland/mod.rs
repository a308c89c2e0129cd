//! The compositor's side: identity in the client's data, and globals that only some may see.
//!
//! ```no_run
//! use std::sync::Arc;
//! use wayland_auth::policy::{Capability, Policy};
//! use wayland_auth::wayland::{allow, Authenticator, ClientAuth};
//! use wayland_server::backend::ClientData;
//!
//! #[derive(Default)]
//! struct ClientState {
//!     auth: ClientAuth,
//! }
//! impl ClientData for ClientState {}
//! wayland_auth::impl_client_auth!(ClientState, auth);
//!
//! # fn f(policy: Policy, mut dh: wayland_server::DisplayHandle, stream: std::os::unix::net::UnixStream) -> Result<(), Box<dyn std::error::Error>> {
//! let authenticator = Authenticator::builder().policy(policy).build()?;
//! // For each connection, before the client exists:
//! let auth = authenticator.identify(&stream);
//! dh.insert_client(stream, Arc::new(ClientState { auth }))?;
//! // For each privileged global, the filter that its constructor takes:
//! let filter = allow::<ClientState>(Capability::SCREEN_CAPTURE);
//! # let _ = filter; Ok(()) }
//! ```
//!
//! # What a filter may rely on
//!
//! Everything about a client is decided before it exists for the protocol. The filters that
//! [`allow`] makes are pure: one bit test, no lock, no system call, no call into
//! wayland-server (the Rust backend asks them under its own lock).

pub(crate) mod authenticator;
mod basis;
mod client;
mod connections;
mod context;
mod control;
mod filter;
mod live;
mod refused;
mod throttle;

pub use authenticator::{Authenticator, AuthenticatorBuilder, BuildError, CapabilitiesChanged};
pub use client::{ClientAuth, HasClientAuth};
pub use connections::OverLimit;
pub use context::SandboxContext;
#[cfg(feature = "protocol")]
pub(crate) use filter::data_may_see;
pub use filter::{allow, allow_interface, auth_of};
pub use live::{Cause, Event, RevokedBy, Subscription};
pub use refused::RefusedBind;

#[doc(hidden)]
pub mod __private {
    pub use super::filter::{may_see, may_see_interface};
    pub use wayland_server::{Client, DataInit, DisplayHandle, GlobalDispatch, New, Resource};
}
