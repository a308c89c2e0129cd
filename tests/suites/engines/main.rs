//! What sandbox engines leave that write no label: believed where it is confirmed, and never for more than it takes.

mod cgroups;
mod flatpak;
mod hung;
mod others;
mod sandbox;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const BWRAP: Needs = Needs::Program("bwrap");

const TESTS: &[Test] = &[
    ("names_of_cgroups_are_engines", Needs::Nothing, cgroups::names_of_cgroups_are_engines),
    ("t15_outermost_of_names_and_labels_is_the_identity", Needs::Nothing, cgroups::outermost_is_the_identity),
    (
        "t12_name_that_contradicts_the_label_of_its_directory_is_nested",
        Needs::Nothing,
        cgroups::contradiction_is_nested,
    ),
    ("name_of_a_directory_that_the_compositor_shares_is_ignored", Needs::Nothing, cgroups::shared_name_is_ignored),
    ("t10_name_of_a_directory_of_a_third_user_is_unidentified", Needs::Root, cgroups::foreign_name_is_unidentified),
    ("roots_name_is_of_the_system", Needs::Root, cgroups::roots_name_is_of_the_system),
    ("name_of_an_application_unit_is_a_host_claim", Needs::Root, cgroups::unit_is_a_host_claim),
    ("confirmed_flatpak_is_the_app", BWRAP, flatpak::confirmed_is_the_app),
    ("t11_flatpak_info_that_nothing_confirms_names_nobody", BWRAP, flatpak::unconfirmed_names_nobody),
    ("t11_t18_nested_sandbox_with_another_apps_flatpak_info_gains_nothing", BWRAP, flatpak::forged_copy_gains_nothing),
    ("t25_flatpak_info_that_is_no_such_file_names_nobody", BWRAP, flatpak::odd_files_name_nobody),
    ("undumpable_flatpak_is_still_the_app", BWRAP, flatpak::undumpable_is_still_the_app),
    ("t18_t20_flatpak_info_that_is_hidden_takes", Needs::Root, flatpak::hidden_file_takes),
    ("t15_label_and_flatpak_must_both_allow", BWRAP, flatpak::label_and_flatpak_must_both_allow),
    ("t42_context_and_flatpak_must_both_allow", BWRAP, flatpak::context_and_flatpak_must_both_allow),
    ("t18_file_system_that_is_not_local_is_not_asked", BWRAP, hung::other_file_systems_are_not_asked),
    ("t18_t30_root_that_never_answers_holds_nobody_up", Needs::Root, hung::root_that_never_answers),
    ("linyaps_is_only_a_claim", BWRAP, others::linyaps_is_only_a_claim),
    ("firejail_is_known_by_roots_files_and_its_starter", Needs::Root, others::firejail_is_known),
    ("t18_no_evidence_gives_more_than_the_host_has", BWRAP, others::no_evidence_gives_more),
    ("t17_sandbox_that_the_compositor_shares_is_ignored", BWRAP, others::shared_sandbox_is_ignored),
    ("no_file_descriptor_leaks_from_engines", BWRAP, others::no_descriptor_leaks),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
