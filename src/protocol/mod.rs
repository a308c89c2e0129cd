//! `xx_client_auth_v1`, the protocol by which clients learn who they are held for.
//!
//! It is described in `protocol/xx-client-auth-v1.xml`. With the feature `protocol`, `ClientAuthGlobals` is its server
//! side; with `protocol-client`, the module `client` has the bindings for clients.
//!
#![cfg_attr(feature = "protocol", doc = "```no_run")]
#![cfg_attr(not(feature = "protocol"), doc = "```ignore")]
//! # use wayland_auth::{Authenticator, ClientAuth};
//! # struct ClientState { auth: ClientAuth }
//! # impl wayland_server::backend::ClientData for ClientState {}
//! # wayland_auth::impl_client_auth!(ClientState, auth);
//! # struct State;
//! use wayland_auth::protocol::ClientAuthGlobals;
//!
//! # fn f(authenticator: Authenticator, display: wayland_server::Display<State>) {
//! let globals = ClientAuthGlobals::new::<State, ClientState>(&display.handle(), &authenticator);
//! // In the event loop, whenever something may have changed, and before clients are flushed:
//! globals.dispatch();
//! # }
//! ```
//!
//! The compositor's state needs no trait and no delegate macro: the globals are made one level below `GlobalDispatch`.
//!
//! # What is guaranteed
//!
//! * Everybody sees `xx_client_auth_manager_v1`; the other globals are hidden like any other, by the policy. What an
//!   object may do is asked again for each of its requests.
//! * No string that is sent has a control character or is longer than the protocol says.
//! * Nothing is sent while wayland-server calls the library: changes are noted, and told by
//!   `ClientAuthGlobals::dispatch`.

#[cfg(feature = "protocol")]
mod generated;
#[cfg(feature = "protocol-client")]
mod generated_client;
#[cfg(feature = "protocol")]
mod globals;
#[cfg(feature = "protocol")]
mod object;
#[cfg(feature = "protocol")]
mod own;
#[cfg(feature = "protocol")]
mod shared;
#[cfg(feature = "protocol")]
mod text;

#[cfg(feature = "protocol")]
pub use globals::ClientAuthGlobals;

/// The protocol's objects and messages, as wayland-scanner makes them for servers.
#[cfg(feature = "protocol")]
pub mod server {
    pub use super::generated::*;
}

/// The protocol's objects and messages, as wayland-scanner makes them for clients.
#[cfg(feature = "protocol-client")]
pub mod client {
    pub use super::generated_client::*;
}
