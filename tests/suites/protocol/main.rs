//! `xx_client_auth_v1` as clients see it.
//!
//! Runs on both server backends of wayland-backend: the Rust one, and with the feature `server_system` libwayland's.

mod admin;
mod agent;
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
    ("grants_are_made_listed_and_revoked", Needs::Nothing, admin::made_listed_and_revoked),
    ("admin_that_loses_the_capability_can_do_nothing_more", Needs::Nothing, admin::lost_capability),
    ("value_that_no_enum_has_ends_the_client", Needs::Nothing, admin::invalid_values),
    ("agent_answers_and_its_answers_hold", Needs::Nothing, agent::answers),
    ("second_agent_is_refused", Needs::Nothing, agent::second_is_refused),
    ("agent_that_is_gone_has_denied_everything", Needs::Nothing, agent::gone),
    ("question_that_nobody_waits_for_is_withdrawn", Needs::Nothing, agent::withdrawn),
    ("agent_that_loses_the_capability_is_finished", Needs::Nothing, agent::lost_capability),
    ("client_is_told_what_changes_and_no_more", Needs::Nothing, own::told_what_changes),
    ("client_with_too_many_objects_is_ended_alone", Needs::Nothing, own::too_many_objects),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
