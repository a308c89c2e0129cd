//! `xx_client_auth_v1` as clients see it.
//!
//! Runs on both server backends of wayland-backend: the Rust one, and with the feature `server_system` libwayland's.

mod client;
mod monitor;
mod own;
mod stage;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("every_client_is_told_who_it_is_held_for", Needs::Nothing, own::every_client_is_told_who_it_is),
    ("monitor_sees_who_is_there_and_why", Needs::Nothing, monitor::who_is_there_and_why),
    ("monitor_is_told_who_comes_changes_and_goes", Needs::Nothing, monitor::who_comes_changes_and_goes),
    ("long_lists_are_read_in_batches_by_slow_readers", Needs::Nothing, monitor::long_lists_in_batches),
    ("monitor_that_loses_the_capability_is_finished", Needs::Nothing, monitor::lost_capability_finishes),
    ("t36_nobody_sees_the_monitor_who_may_not", Needs::Nothing, monitor::nobody_sees_it_who_may_not),
    ("client_is_told_what_changes_and_no_more", Needs::Nothing, own::told_what_changes),
    ("client_with_too_many_objects_is_ended_alone", Needs::Nothing, own::too_many_objects),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
