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
//! # fn f(authenticator: Authenticator, display: wayland_server::Display<State>) -> std::io::Result<()> {
//! let globals = ClientAuthGlobals::new::<State, ClientState>(&display.handle(), &authenticator)?;
//! // In the event loop, when `globals` is readable, and before clients are flushed:
//! globals.dispatch();
//! # Ok(()) }
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

#[cfg(feature = "protocol-client")]
pub mod client;
#[cfg(feature = "protocol")]
mod globals;
#[cfg(feature = "protocol")]
pub mod server;

#[cfg(feature = "protocol")]
pub use globals::{ClientAuthGlobals, ClientAuthGlobalsBuilder};
