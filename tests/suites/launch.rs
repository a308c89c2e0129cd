//! `wayland-auth run` from outside.

mod launcher;

use std::process::ExitCode;

fn main() -> ExitCode {
    wayland_auth_tests::harness::main_of_plain(env!("CARGO_BIN_EXE_peer"), launcher::TESTS)
}
