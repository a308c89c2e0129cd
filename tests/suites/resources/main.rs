//! Running out of file descriptors turns clients away; it widens nobody's rights and stops nothing.
//!
//! A limit is of a whole process: each test starts this program once more for what it does under one.

mod alone;
mod flood;
mod limit;

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
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == alone::ALONE) {
        return alone::run(&args.collect::<Vec<_>>());
    }
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
