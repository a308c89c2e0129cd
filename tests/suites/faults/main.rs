//! Downgrade by failure: whatever fails during a look-up, nobody gains by it.
//!
//! Every system call of the look-up fails in turn, at every position, with every errno that it is documented to have;
//! alone, and from there on. No failure may give a client more than it has without.

mod hidepid;
mod machine;
mod matrix;
mod peers;
mod policies;
mod table;
mod traced;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("t18_t20_t28_no_failed_call_gives_anybody_more", Needs::Nothing, matrix::no_failed_call_gives_anybody_more),
    (
        "t18_t20_t28_no_failed_call_gives_more_to_peers_that_need_root",
        Needs::Root,
        matrix::no_failed_call_gives_more_to_peers_that_need_root,
    ),
    ("t18_own_place_that_cannot_be_read_gives_no_more", Needs::Nothing, matrix::own_place_that_cannot_be_read),
    ("t18_denied_capability_stays_denied_whatever_fails", Needs::Nothing, matrix::denied_stays_denied),
    ("t18_listed_name_that_has_no_value_is_no_missing_label", Needs::Nothing, matrix::listed_name_without_a_value),
    ("t18_end_of_the_look_up_must_be_proven", Needs::Nothing, matrix::end_of_the_look_up),
    ("proc_that_hides_processes_is_told", Needs::Nothing, hidepid::proc_that_hides_processes_is_told),
    ("t18_t19_failure_for_one_client_is_not_the_machines", Needs::Nothing, machine::failure_for_one_client),
    ("t19_t28_shortage_at_the_start_is_no_inability", Needs::Nothing, machine::shortage_at_the_start),
    ("t19_no_failure_at_the_start_claims_more_than_there_is", Needs::Nothing, machine::failure_at_the_start),
    (
        "t18_no_failed_call_of_the_tool_gives_a_label_more",
        Needs::Program("strace"),
        traced::no_failed_call_of_the_tool_gives_a_label_more,
    ),
    ("every_documented_errno_has_its_place_in_the_table", Needs::Nothing, |_| table::is_complete()),
];

fn main() -> ExitCode {
    wayland_auth_tests::harness::main_in_turn(env!("CARGO_BIN_EXE_peer"), TESTS)
}
