//! `wayland-auth lint` on real sandboxes, each of which then tries to get rid of its label.
//!
//! The cases have the numbers of the table in the threat model. What `lint` says of a sandbox is compared with what
//! the application in it really manages.

mod app;
#[path = "../launcher/case.rs"]
#[allow(dead_code, reason = "shared with the launcher's tests, which use all of it")]
mod case;
mod cases;
mod containers;
mod findings;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const BWRAP: Needs = Needs::Program("bwrap");

const TESTS: &[Test] = &[
    ("t11_case_1_a_label_on_the_apps_own_cgroup_is_unsafe_where_it_makes_user_namespaces", BWRAP, cases::case_1),
    ("t11_case_2_a_label_above_the_app_is_safe_where_cgroupfs_is_hidden", BWRAP, cases::case_2_hidden),
    ("t11_case_2_a_label_above_the_app_is_unsafe_where_cgroupfs_is_in_sight", BWRAP, cases::case_2_in_sight),
    ("t11_case_2_a_label_above_the_app_is_safe_where_cgroupfs_is_read_only", BWRAP, cases::case_2_read_only),
    ("t11_case_3_a_label_without_a_sandbox_is_unsafe", Needs::Nothing, cases::case_3),
    ("t11_case_4_a_label_on_the_apps_own_cgroup_is_safe_without_user_namespaces", BWRAP, cases::case_4),
    ("t11_case_5_a_label_that_root_owns_is_safe_with_user_namespaces", Needs::Root, cases::case_5),
    ("t11_case_5_a_label_that_root_owns_in_roots_tree_is_safe_in_sight", Needs::Root, cases::case_5_in_sight),
    ("t11_case_5_a_label_that_root_owns_in_a_users_tree_can_be_left_in_sight", Needs::Root, cases::case_5_left),
    ("t11_case_6_an_inherited_directory_of_cgroupfs_is_unsafe", BWRAP, cases::case_6),
    ("t11_case_6_without_the_descriptor_is_safe", BWRAP, cases::case_6_without),
    ("t11_an_inherited_cgroup_procs_is_unsafe", BWRAP, cases::inherited_procs),
    ("t11_an_inherited_directory_of_the_host_is_unsafe", BWRAP, cases::inherited_root),
    ("t11_case_7_processes_of_the_host_are_no_way_out_of_a_user_namespace", BWRAP, cases::case_7),
    ("t11_run_confine_is_safe", BWRAP, cases::run_confine),
    ("t11_run_alone_is_unsafe", Needs::Nothing, cases::run_alone),
    ("t13_a_container_that_mounts_cgroupfs_below_its_label_is_safe", BWRAP, containers::below),
    ("t13_a_container_that_mounts_cgroupfs_at_its_label_is_unsafe", BWRAP, containers::at),
    ("t13_a_container_that_can_uncover_cgroupfs_is_not_called_safe", BWRAP, containers::uncovered),
    ("what_a_seccomp_filter_forbids_is_not_known", BWRAP, findings::seccomp),
    ("a_service_manager_in_reach_is_unsafe", BWRAP, findings::user_manager),
    ("a_bus_that_does_not_lead_to_systemd_is_a_note", BWRAP, findings::quiet_bus),
    ("t11_a_bus_that_leads_to_systemd_is_unsafe", BWRAP, findings::talking_bus),
    ("who_only_pretends_to_be_a_bus_is_not_waited_for", BWRAP, findings::silent_bus),
    ("t38_x11_in_reach_is_a_finding", BWRAP, findings::x11),
    ("an_app_without_a_label_is_unsafe", BWRAP, findings::no_label),
    ("a_malformed_label_is_unsafe", BWRAP, findings::malformed),
    ("what_may_not_be_looked_at_is_never_safe", Needs::Root, findings::not_permitted),
    ("root_sees_what_the_user_sees", Needs::Root, findings::as_root),
    ("a_process_that_is_not_there_is_an_error", Needs::Nothing, findings::nobody),
    ("every_finding_has_a_remedy_and_text_is_escaped", BWRAP, findings::text),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
