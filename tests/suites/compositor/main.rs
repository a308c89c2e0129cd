//! The demo compositor as a black box: real programs as its clients, and what its audit file says of them.
//!
//! `WAYLAND_AUTH_DEMO` names the compositor and `WAYLAND_AUTH_TOOL` the tool `wayland-auth`.

mod around;
mod audit_file;
mod client;
mod contexts;
mod demo;
mod features;
mod flatpak;
mod globals;
mod grants;
mod identities;
mod kept;
mod limits;
mod live;
mod notice;
mod peers;
mod programs;
mod robustness;
mod running;
mod terminal;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("t36_every_kind_of_peer_sees_and_binds_exactly_its_globals", Needs::Nothing, identities::every_kind_of_peer),
    ("seen_globals_can_be_bound", Needs::Nothing, identities::seen_globals_can_be_bound),
    ("peer_in_bubblewrap_is_an_app_of_an_unknown_engine", NEEDS_BWRAP, identities::bubblewrap_is_an_unknown_engine),
    ("t11_app_that_the_tool_confines_is_the_app", NEEDS_BWRAP, identities::confined_by_the_tool),
    (
        "label_on_what_the_compositor_shares_is_ignored",
        Needs::Nothing,
        identities::label_on_what_the_compositor_shares_is_ignored,
    ),
    ("t46_other_uids_see_the_core_only", Needs::Root, identities::other_uids),
    ("t46_trusted_uid_has_what_rules_about_it_leave", Needs::Root, identities::trusted_uid),
    ("t20_peers_with_an_ambient_capability_are_what_they_are", Needs::Root, identities::ambient_capabilities),
    ("t10_directory_of_a_third_uid_is_nobodys", Needs::Root, identities::directory_of_a_third_uid),
    ("label_of_the_system_allows_more_than_the_host_has", Needs::Root, identities::label_of_the_system_allows_more),
    ("grim_wl_paste_and_wtype_work_for_the_host", Needs::Program("grim"), programs::host),
    ("grim_wl_paste_and_wtype_work_for_the_host_whatever_it_claims", Needs::Program("grim"), programs::host_claim),
    ("each_allowed_app_does_what_it_may_and_no_more", Needs::Program("grim"), programs::allowed_apps),
    ("grim_wl_paste_and_wtype_are_refused_to_a_denied_app", Needs::Program("grim"), programs::denied_app),
    ("grim_wl_paste_and_wtype_are_refused_to_an_unknown_engine", Needs::Program("grim"), programs::unknown_engine),
    ("grim_wl_paste_and_wtype_are_refused_to_the_unidentified", Needs::Program("grim"), programs::unidentified),
    ("grim_wl_paste_and_wtype_in_the_tools_sandbox", NEEDS_BWRAP, programs::confined_apps),
    (
        "denied_at_use_gets_black_and_types_nothing",
        Needs::Program("grim"),
        programs::denied_at_use_gets_black_and_types_nothing,
    ),
    ("asking_nobody_is_a_no", Needs::Program("grim"), programs::asking_nobody_is_a_no),
    (
        "policy_that_is_built_in_lets_its_recorder_capture",
        Needs::Program("grim"),
        programs::built_in_policy_lets_its_recorder_capture,
    ),
    ("t23_flatpak_without_systemd_is_what_it_is", Needs::NoUserManager, flatpak::without_systemd),
    ("flatpak_with_systemd_is_what_it_is", Needs::UserManager, flatpak::with_systemd),
    ("each_connection_has_one_line", Needs::Nothing, audit_file::each_connection_has_one_line),
    ("t26_t29_flood_of_one_app_is_written_a_few_times_and_counted", Needs::Nothing, audit_file::flood_is_counted),
    ("connection_is_recorded_with_its_evidence", Needs::Nothing, audit_file::connection_is_recorded_with_its_evidence),
    ("t26_hostile_labels_do_not_break_lines", Needs::Nothing, audit_file::hostile_labels_do_not_break_lines),
    (
        "t26_hostile_cgroup_names_do_not_break_lines",
        Needs::Nothing,
        audit_file::hostile_cgroup_names_do_not_break_lines,
    ),
    (
        "t26_hostile_interface_names_do_not_break_lines",
        Needs::Nothing,
        audit_file::hostile_interface_names_do_not_break_lines,
    ),
    ("bind_under_another_name_is_recorded", Needs::Nothing, audit_file::bind_under_another_name_is_recorded),
    ("t28_t29_flood_of_connections_ends_nobody", Needs::Nothing, robustness::flood_of_connections_ends_nobody),
    ("client_that_sends_garbage_dies_alone", Needs::Nothing, robustness::client_that_sends_garbage_dies_alone),
    ("sigterm_with_clients_ends_well", Needs::Nothing, robustness::sigterm_with_clients_ends_well),
    ("t33_policy_with_mistakes_is_refused", Needs::Nothing, robustness::policy_with_mistakes_is_refused),
    ("security_context_gives_the_rights_of_its_app", Needs::Nothing, contexts::context_gives_the_rights_of_its_app),
    ("t42_cgroup_and_security_context_must_both_allow", Needs::Nothing, contexts::cgroup_and_context_must_both_allow),
    (
        "t42_maker_of_a_security_context_gives_no_more_than_he_has",
        Needs::Nothing,
        contexts::maker_gives_no_more_than_he_has,
    ),
    ("t42_malformed_security_context_gives_nothing", Needs::Nothing, contexts::malformed_context_gives_nothing),
    ("t22_nobody_but_the_host_opens_security_contexts", Needs::Nothing, contexts::nobody_but_the_host_opens_contexts),
    (
        "t28_t29_app_at_its_limit_is_turned_away_and_recorded",
        Needs::Nothing,
        limits::app_at_its_limit_is_turned_away_and_recorded,
    ),
    (
        "t28_t42_flood_through_a_context_at_the_limit_of_descriptors_ends_nobody",
        Needs::Nothing,
        limits::flood_through_a_context_at_the_limit_of_descriptors_ends_nobody,
    ),
    (
        "t42_broken_requests_for_a_context_are_protocol_errors",
        Needs::Nothing,
        limits::broken_requests_for_a_context_are_protocol_errors,
    ),
    (
        "t39_t40_every_socket_that_it_listens_on_is_looked_after",
        Needs::Nothing,
        around::every_socket_that_it_listens_on_is_looked_after,
    ),
    (
        "t45_compositor_inside_a_label_has_its_rights",
        Needs::Program("weston"),
        around::compositor_inside_a_label_has_its_rights,
    ),
    (
        "t29_bystander_is_answered_while_a_crowd_connects",
        Needs::Nothing,
        around::bystander_is_answered_while_a_crowd_connects,
    ),
    (
        "t35_policy_file_that_is_written_reaches_clients",
        Needs::Nothing,
        live::policy_file_that_is_written_reaches_clients,
    ),
    (
        "t35_included_file_that_is_written_reaches_clients",
        Needs::Nothing,
        live::included_file_that_is_written_reaches_clients,
    ),
    ("one_interface_is_taken_alone", Needs::Nothing, live::one_interface_is_taken_alone),
    ("t33_policy_file_with_mistakes_changes_nothing", Needs::Nothing, live::policy_file_with_mistakes_changes_nothing),
    (
        "t35_grant_reaches_a_connected_client_and_nobody_else",
        Needs::Nothing,
        grants::grant_reaches_a_connected_client_and_nobody_else,
    ),
    ("agent_answers_for_the_user_and_is_a_no_when_it_is_gone", Needs::Nothing, grants::agent_answers_for_the_user),
    (
        "t35_answer_for_good_outlives_the_compositor_and_can_be_revoked",
        Needs::Nothing,
        kept::answer_for_good_outlives_the_compositor,
    ),
    ("answers_for_good_are_in_the_users_own_place", Needs::Nothing, kept::answers_are_in_the_users_own_place),
    (
        "t33_broken_file_of_answers_is_refused_and_left_as_it_is",
        Needs::Nothing,
        kept::broken_file_is_refused_and_left_as_it_is,
    ),
    ("nothing_is_for_good_where_there_is_no_place_for_it", Needs::Nothing, kept::nothing_is_for_good_without_a_place),
    ("grant_for_a_time_ends_by_itself", Needs::Nothing, kept::grant_for_a_time_ends_by_itself),
    ("t35_rule_ends_at_its_time_for_a_connected_client", Needs::Nothing, kept::rule_ends_at_its_time),
    ("agent_asks_in_the_terminal", Needs::Nothing, terminal::agent_asks_in_the_terminal),
    ("agent_that_ends_while_it_asks_is_a_no", Needs::Nothing, terminal::agent_that_ends_while_it_asks_is_a_no),
    ("what_is_typed_ahead_answers_nothing", Needs::Nothing, terminal::what_is_typed_ahead_answers_nothing),
    ("clients_that_come_and_go_are_shown", Needs::Nothing, terminal::clients_that_come_and_go_are_shown),
    ("revoke_can_disconnect", Needs::Nothing, grants::revoke_can_disconnect),
    (
        "t27_grants_that_cannot_be_are_refused_with_a_reason",
        Needs::Nothing,
        grants::grants_that_cannot_be_are_refused_with_a_reason,
    ),
    ("t36_applications_administrate_nothing", Needs::Nothing, grants::applications_administrate_nothing),
    ("tool_says_what_is_missing", Needs::Nothing, grants::the_tool_says_what_is_missing),
    (
        "t32_policy_with_mistakes_is_told_on_the_screen",
        Needs::Program("grim"),
        notice::policy_with_mistakes_is_told_on_the_screen,
    ),
    ("idleness_is_told", Needs::Nothing, features::idleness_is_told),
    ("windows_are_listed", Needs::Nothing, features::windows_are_listed),
    ("client_behind_a_window_is_told", Needs::Nothing, features::client_behind_a_window_is_told),
];

const NEEDS_BWRAP: Needs = Needs::Program("bwrap");

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
