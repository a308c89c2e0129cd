//! Running out of file descriptors turns clients away; it widens nobody's rights and stops nothing.
//!
//! A limit is of a whole process: each test starts this program once more for what it does under one.

mod alone;
mod deep;
mod flood;
mod limit;
mod limits;
mod memory;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("t28_look_up_at_the_limit_uses_its_reserve", Needs::Nothing, limit::look_up_at_the_limit_uses_its_reserve),
    (
        "t28_reserve_is_filled_again_when_there_are_descriptors",
        Needs::Nothing,
        limit::reserve_is_filled_again_when_there_are_descriptors,
    ),
    (
        "t28_shared_label_is_still_ignored_at_the_limit",
        Needs::Nothing,
        limit::shared_label_is_still_ignored_at_the_limit,
    ),
    (
        "t28_t29_flood_is_turned_away_and_the_loop_goes_on",
        Needs::Nothing,
        flood::flood_is_turned_away_and_the_loop_goes_on,
    ),
    (
        "t28_no_descriptor_at_all_does_not_make_it_spin",
        Needs::Nothing,
        flood::no_descriptor_at_all_does_not_make_it_spin,
    ),
    (
        "t28_socket_that_was_shut_does_not_make_it_spin",
        Needs::Nothing,
        flood::socket_that_was_shut_does_not_make_it_spin,
    ),
    ("t29_client_that_closes_at_once_stops_nothing", Needs::Nothing, flood::client_that_closes_at_once_stops_nothing),
    (
        "t28_t29_app_at_its_limit_is_turned_away_and_others_are_served",
        Needs::Nothing,
        limits::app_at_its_limit_is_turned_away_and_others_are_served,
    ),
    (
        "t29_place_is_held_by_every_clone_and_by_nothing_else",
        Needs::Nothing,
        limits::place_is_held_by_every_clone_and_by_nothing_else,
    ),
    (
        "t29_clients_of_unknown_engines_and_unidentified_ones_have_limits",
        Needs::Nothing,
        limits::clients_of_unknown_engines_and_unidentified_ones_have_limits,
    ),
    (
        "t29_t35_reload_changes_the_limit_for_those_who_come",
        Needs::Nothing,
        limits::reload_changes_the_limit_for_those_who_come,
    ),
    (
        "t29_t42_security_context_does_not_give_an_app_more_connections",
        Needs::Nothing,
        limits::security_context_does_not_give_an_app_more_connections,
    ),
    ("t29_client_over_the_limit_has_no_rights", Needs::Nothing, limits::client_over_the_limit_has_no_rights),
    (
        "t42_engine_that_ends_its_context_ends_no_client",
        Needs::Nothing,
        limits::engine_that_ends_its_context_ends_no_client,
    ),
    ("t30_t42_engine_cannot_make_the_compositor_wait", Needs::Nothing, limits::engine_cannot_make_the_compositor_wait),
    ("t42_what_does_not_listen_is_no_context", Needs::Nothing, limits::what_does_not_listen_is_no_context),
    ("t28_client_that_cannot_be_looked_up_is_turned_away", Needs::Nothing, deep::client_that_cannot_be_looked_up),
    ("t31_a_hundred_thousand_look_ups_of_huge_labels_leave_the_memory_as_it_was", Needs::Nothing, memory::huge_labels),
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == alone::ALONE) {
        return alone::run(&args.collect::<Vec<_>>());
    }
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
