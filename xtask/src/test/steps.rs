//! What `cargo xtask test` runs, in this order.

/// One command.
#[derive(Debug)]
pub(super) struct Step {
    /// What it is about.
    pub(super) name: &'static str,
    /// What cargo is told.
    pub(super) arguments: &'static [&'static str],
    /// Variables that it is given.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Whether it has results to count.
    pub(super) kind: Kind,
    /// Whether it is part of the quick run.
    pub(super) quick: bool,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It passes or fails as a whole.
    Check,
    /// It runs tests, each of which passes, fails or is skipped.
    Tests,
}

impl Step {
    /// The step as a user would type it.
    pub(super) fn typed(&self) -> String {
        let variables: String = self.environment.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        variables + &crate::cargo::typed(self.arguments)
    }
}

/// Everything. Packages are tested one at a time: cargo unites the features of packages that it builds together, and
/// `server_system` would then replace the server backend of all of them.
pub(super) const STEPS: &[Step] = &[
    check("format", &["fmt", "--all", "--check"]),
    check(
        "lints, all features",
        &["clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    ),
    check(
        "lints, library without Wayland",
        &["clippy", "--locked", "-p", "wayland-auth", "--no-default-features", "--lib", "--", "-D", "warnings"],
    ),
    check(
        "lints, compositor without winit",
        &["clippy", "--locked", "-p", "demo-compositor", "--no-default-features", "--", "-D", "warnings"],
    ),
    Step {
        name: "documentation",
        arguments: &["doc", "--locked", "--no-deps", "--workspace"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        kind: Kind::Check,
        quick: false,
    },
    tests(
        "tests of the library",
        &["test", "--locked", "--no-fail-fast", "-p", "wayland-auth", "--all-features"],
        true,
    ),
    tests("tests of the compositor", &["test", "--locked", "--no-fail-fast", "-p", "demo-compositor"], true),
    tests("tests of xtask", &["test", "--locked", "--no-fail-fast", "-p", "xtask"], true),
    tests(
        "fuzz targets over their seeds",
        &["test", "--locked", "--no-fail-fast", "-p", "wayland-auth-fuzz-targets"],
        true,
    ),
    tests("whole path, Rust server backend", &["test", "--locked", "--no-fail-fast", "-p", "wayland-auth-tests"], true),
    tests(
        "registries and protocol, libwayland's server backend",
        &[
            "test",
            "--locked",
            "-p",
            "wayland-auth-tests",
            "--features",
            "server_system",
            "--test",
            "registry",
            "--test",
            "protocol",
        ],
        false,
    ),
];

const fn check(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { name, arguments, environment: &[], kind: Kind::Check, quick: false }
}

const fn tests(name: &'static str, arguments: &'static [&'static str], quick: bool) -> Step {
    Step { name, arguments, environment: &[], kind: Kind::Tests, quick }
}
