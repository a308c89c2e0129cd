//! Threats that no other suite is about: threads, containers, mounts, policy files that change, other sockets.

mod containers;
mod mounts;
mod shown;
mod sockets;
mod swapped;

use std::process::ExitCode;

use wayland_auth_tests::{Needs, Test};

const TESTS: &[Test] = &[
    ("t07_thread_in_a_cgroup_of_its_own_is_its_process", Needs::Nothing, containers::thread_in_a_cgroup_of_its_own),
    ("t12_t13_container_that_writes_to_cgroupfs_keeps_its_label", Needs::Nothing, containers::container_that_writes),
    ("t16_cgroup2_that_is_covered_identifies_nobody", Needs::Nothing, mounts::covered),
    ("t16_cgroup2_that_is_mounted_elsewhere_is_found", Needs::Nothing, mounts::elsewhere),
    ("t27_claims_are_shown_as_claims", Needs::Nothing, shown::claims_are_shown_as_claims),
    ("t32_policy_swapped_while_it_is_read_is_one_or_none", Needs::Nothing, swapped::swapped_while_it_is_read),
    ("t40_abstract_socket_is_looked_up_too", Needs::Nothing, sockets::abstract_socket),
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == mounts::INSIDE) {
        return mounts::inside(&args.map(Into::into).collect::<Vec<_>>());
    }
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}
