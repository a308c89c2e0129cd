//! `xx_client_auth_v1` as clients see it.
//!
//! Runs on both server backends of wayland-backend: the Rust one, and with the feature `server_system` libwayland's.

mod client;
mod own;
mod stage;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("every_client_is_told_who_it_is_held_for", Needs::Nothing, own::every_client_is_told_who_it_is),
    ("client_with_too_many_objects_is_ended_alone", Needs::Nothing, own::too_many_objects),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
