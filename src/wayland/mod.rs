//! The compositor's side: identity in the client's data, and globals that only some may see.
//!
//! ```no_run
//! use std::sync::Arc;
//! use wayland_auth::policy::Policy;
//! use wayland_auth::wayland::{allow_interface, Authenticator, ClientAuth};
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
//! let filter = allow_interface::<ClientState>("zwlr_screencopy_manager_v1");
//! # let _ = filter; Ok(()) }
//! ```
//!
//! * Where a constructor takes no filter, [`gate_global!`](crate::gate_global) stands in. A global without either is visible to
//!   everybody.
//! * [`allow`] goes by a capability that the compositor names itself, whatever the policy says about the interface.
//! * `source::AuthenticatedSocket` (feature `calloop`) accepts, identifies and turns away in one. Who does it by himself closes
//!   connections that are [over a limit](ClientAuth::over_limit).
//! * Xwayland and other socket pairs of the compositor's own get [`Authenticator::internal`]; clients of a security context get
//!   [`Authenticator::identify_sandboxed`].
//!
//! # What a filter may rely on
//!
//! Who a client is was decided before it exists for the protocol. What it may see can change, and what [`allow`]'s filters
//! answer changes with it: they are one atomic load and one bit test, without a lock, a system call, or a call into
//! wayland-server (the Rust backend asks them under its own lock).
//!
//! # When rights change
//!
//! [`Authenticator::set_policy`], a [grant](Authenticator::grant), a label that is written: they reach those who are
//! connected. What a client loses it cannot use from that moment, so ask [`ClientAuth::allows`] where something is *used*:
//! objects that were bound before stay bound. The globals themselves come and go for it in its own registries, and in no
//! other client's. Three lines do it:
//!
//! ```no_run
//! # use wayland_auth::Authenticator;
//! # fn f<S>(authenticator: &Authenticator, display: &wayland_server::DisplayHandle, handle: &calloop::LoopHandle<'static, S>) -> Result<(), Box<dyn std::error::Error>> {
//! // After the globals are made:
//! authenticator.attach(display)?;
//! # #[cfg(feature = "calloop")]
//! handle.insert_source(wayland_auth::source::LiveRights::new(authenticator.clone())?, |(), (), _| ()).map_err(|e| e.error)?;
//! # Ok(()) }
//! ```
//!
//! A global whose own filter asks for more than one capability is not announced or taken back: only new registries show
//! the difference.
//!
//! Who tells what happened to others, such as a panel or a log, [subscribes](Authenticator::subscribe); the module `audit` and the
//! globals of `protocol` do no more.
//!
//! # When something is to be asked for
//!
//! A rule's `ask` and `when-denied = "empty"` need the compositor's help: the client sees the globals, and each use is held. So
//! both count only for the capabilities that [`holds`](AuthenticatorBuilder::holds) names; of all others the globals are hidden.
//! How a use is held is said in the module [`ask`](crate::ask).

pub(crate) mod authenticator;
mod basis;
mod client;
mod connections;
mod context;
mod control;
mod filter;
mod live;
mod refused;
mod relabel;
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
