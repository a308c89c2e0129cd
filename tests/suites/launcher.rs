//! `wayland-auth run`, with and without `--confine`, from outside: real cgroups, signals and sandboxes.
//!
//! The tests work as any user whose own cgroup is delegated to him, and as root.

#[path = "launcher/case.rs"]
mod case;
#[path = "launcher/confined.rs"]
mod confined;
#[path = "launcher/labelled.rs"]
mod labelled;

use wayland_auth_tests::Outcome;

/// A test: its name is a sentence.
pub(crate) type LauncherTest = (&'static str, fn() -> Outcome);

/// All tests.
pub(crate) const TESTS: &[LauncherTest] = &[
    ("exit_status_is_passed_through", labelled::exit_status_is_passed_through),
    ("missing_command_is_told_from_an_unusable_one", labelled::missing_command_is_told_from_an_unusable_one),
    ("signals_are_passed_on", labelled::signals_are_passed_on),
    ("killed_command_leaves_nothing", labelled::killed_command_leaves_nothing),
    ("children_keep_the_cgroup_until_they_end", labelled::children_keep_the_cgroup_until_they_end),
    ("t08_label_is_complete_before_the_command_runs", labelled::label_is_complete_before_the_command_runs),
    ("no_descriptors_are_inherited", labelled::no_descriptors_are_inherited),
    ("bad_values_are_refused_and_nothing_is_made", labelled::bad_values_are_refused_and_nothing_is_made),
    ("cgroups_of_killed_launchers_are_swept", labelled::cgroups_of_killed_launchers_are_swept),
    ("only_abandoned_cgroups_are_swept", labelled::only_abandoned_cgroups_are_swept),
    ("closed_cgroup_is_left_for_a_scope_or_refused", labelled::closed_cgroup_is_left_for_a_scope_or_refused),
    ("t11_label_alone_does_not_confine", labelled::label_alone_does_not_confine),
    ("t11_confined_app_cannot_touch_its_label", confined::confined_app_cannot_touch_its_label),
    ("t39_confined_runtime_dir_holds_only_the_socket", confined::confined_runtime_dir_holds_only_the_socket),
    ("t11_confined_app_gets_no_descriptors", confined::confined_app_gets_no_descriptors),
    ("confined_app_gets_no_stream_that_leads_out", confined::confined_app_gets_no_stream_that_leads_out),
    ("confined_status_and_signals_are_passed_through", confined::confined_status_and_signals_are_passed_through),
    ("confined_children_end_with_the_command", confined::confined_children_end_with_the_command),
    ("confined_app_may_be_unlabelled", confined::confined_app_may_be_unlabelled),
    ("unusable_bubblewrap_is_refused", confined::unusable_bubblewrap_is_refused),
];
