//! Everything that can change while somebody is looked up: processes, their cgroups, the cgroups' labels.

mod exits;
mod hop;
mod label;
mod pass;
mod recycle;
mod tally;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("t03_hopping_process_is_one_app_or_the_other", Needs::Nothing, hop::hopping_process_is_one_app_or_the_other),
    (
        "t14_cgroups_made_again_under_their_path_are_told_apart",
        Needs::Nothing,
        hop::cgroups_made_again_under_their_path_are_told_apart,
    ),
    (
        "t03_label_of_a_cgroup_that_was_left_is_not_read",
        Needs::Nothing,
        hop::label_of_a_cgroup_that_was_left_is_not_read,
    ),
    (
        "t03_process_moved_while_it_connects_is_where_it_is",
        Needs::Nothing,
        hop::process_moved_while_it_connects_is_where_it_is,
    ),
    ("t14_churn_of_other_cgroups_disturbs_nobody", Needs::Nothing, hop::churn_of_other_cgroups_disturbs_nobody),
    (
        "t08_label_being_rewritten_is_read_whole_or_not_at_all",
        Needs::Nothing,
        label::label_being_rewritten_is_read_whole_or_not_at_all,
    ),
    ("t08_label_going_back_and_forth_is_never_mixed", Needs::Nothing, label::label_going_back_and_forth_is_never_mixed),
    ("t05_labelled_peer_that_dies_is_never_the_host", Needs::Nothing, exits::labelled_peer_that_dies_is_never_the_host),
    (
        "t01_pid_used_again_is_not_taken_for_its_new_process",
        Needs::Nothing,
        recycle::pid_used_again_is_not_taken_for_its_new_process,
    ),
    ("t06_passed_socket_stays_its_connectors", Needs::Nothing, pass::passed_socket_stays_its_connectors),
    (
        "t02_setuid_program_does_not_change_who_connected",
        Needs::Root,
        pass::setuid_program_does_not_change_who_connected,
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == recycle::INSIDE) {
        return recycle::inside(&args.map(Into::into).collect::<Vec<_>>());
    }
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
