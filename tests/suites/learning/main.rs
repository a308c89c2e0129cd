//! `wayland-auth learn`: what it lets through, what it sees, and the rule that it draws from that.
//!
//! `WAYLAND_AUTH_DEMO` names the compositor and `WAYLAND_AUTH_TOOL` the tool `wayland-auth`.

#[path = "../compositor/client.rs"]
#[allow(dead_code, reason = "shared with the suite of the demo compositor")]
mod client;
#[path = "../compositor/demo.rs"]
#[allow(dead_code, reason = "shared with the suite of the demo compositor")]
mod demo;
mod learner;
mod proxy;
mod rules;
#[path = "../compositor/running.rs"]
#[allow(dead_code, reason = "shared with the suite of the demo compositor")]
mod running;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("rule_learned_from_grim_lets_it_work_and_no_lesser_does", Needs::Program("grim"), rules::grim),
    ("rule_learned_from_wtype_lets_it_work_and_no_lesser_does", Needs::Program("wtype"), rules::wtype),
    ("rule_learned_from_wl_paste_lets_it_watch_and_no_lesser_does", Needs::Program("wl-paste"), rules::wl_paste),
    ("rule_gives_what_was_used_and_nothing_else", Needs::Program("grim"), rules::nothing_else),
    ("globals_that_were_bound_and_not_used_are_not_in_the_rule", Needs::Nothing, rules::bound_only),
    ("globals_that_were_made_and_destroyed_are_not_in_the_rule", Needs::Nothing, rules::destroyed),
    ("globals_that_told_something_are_in_the_rule", Needs::Nothing, rules::told),
    ("what_a_program_said_last_is_seen", Needs::Nothing, rules::last_words),
    ("window_with_shared_memory_comes_through", Needs::Program("grim"), proxy::window),
    ("flood_of_requests_comes_through_as_a_whole", Needs::Nothing, proxy::flood_of_requests),
    ("flood_of_events_comes_through_as_a_whole", Needs::Nothing, proxy::flood_of_events),
    ("client_that_never_reads_holds_up_nobody", Needs::Nothing, proxy::never_reads),
    ("client_that_sends_no_wayland_is_ended_alone", Needs::Nothing, proxy::malformed),
    ("protocol_errors_of_the_compositor_come_through", Needs::Nothing, proxy::protocol_error),
    ("exit_status_is_the_commands", Needs::Nothing, proxy::exit_status),
    ("signals_reach_the_command_and_the_rule_is_written", Needs::Nothing, proxy::signals),
    ("its_directory_is_closed_to_others_and_goes_with_it", Needs::Nothing, proxy::directory),
    ("command_gets_no_other_way_to_the_compositor", Needs::Nothing, proxy::environment),
    ("readme_shows_what_is_printed", Needs::Program("grim"), rules::readme),
    ("policy_that_is_enforced_hides_what_it_does_not_give", Needs::Program("grim"), rules::enforced),
    ("hidden_global_cannot_be_bound_by_its_number", Needs::Nothing, rules::enforced_bind),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
