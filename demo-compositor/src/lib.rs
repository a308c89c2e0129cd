//! A small Wayland compositor that shows each application its own globals.
//!
//! It is what `wayland-auth` is shown with: each connection is identified before it becomes a client, each privileged
//! global is behind a capability, and a policy says who has which. Else it is as small as a compositor can be that real
//! programs run on: windows, popups, layers, a seat, the clipboard, captures; drawn headless with pixman, or nested in
//! a window.
//!
//! The parts that another compositor would copy are few:
//!
//! * `run`, where the socket yields streams that are identified already;
//! * `client`, where the identity is a field of the client's data;
//! * `globals`, where a filter stands before each privileged global;
//! * `client_auth`, where changes reach the clients, and clients learn who they are held for;
//! * `handlers::idle`, where the state of a global takes no filter;
//! * `security_context`, where clients come through a sandbox engine's socket.
//!
//! Who tries out a protocol adds its globals from outside: see [`main_with`].

#![deny(unsafe_code)]

mod asking;
mod cli;
mod client;
mod client_auth;
mod command;
mod error;
mod frames;
mod globals;
mod handlers;
#[cfg(feature = "winit")]
mod input;
mod policy;
mod program;
mod reload;
mod render;
mod run;
mod runtime_dir;
mod screencopy;
mod security_context;
mod shell;
mod signals;
mod state;
mod state_file;

pub use self::{
    cli::{BackendChoice, InvalidSize, Options, OutputSize},
    client::ClientState,
    error::StartError,
    policy::BUILT_IN as BUILT_IN_POLICY,
    program::main_with,
    run::{run, run_with},
    runtime_dir::SocketError,
    state::State,
};
