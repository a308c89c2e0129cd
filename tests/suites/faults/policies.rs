//! Policies under which a failure could pay.

use wayland_auth::Policy;
use wayland_auth_tests::Context;
use wayland_auth_tests::kinds::POLICY;

/// Nobody loses anything by not being known, but for what rules deny.
const GENEROUS: &str = r#"
[defaults]
host = ["*"]
sandboxed = ["*"]
namespaced = ["*"]
unidentified = ["*"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Typist" }
deny = ["clipboard-manager", "screen-capture"]

[[rule]]
match = { engine = "unknown" }
deny = ["virtual-keyboard"]

[[rule]]
match = { engine = "*", namespaces = "shared" }
deny = ["virtual-pointer"]
"#;

/// Labels give more than the host has, whoever wrote them: who is taken for another gains.
const AS_WRITTEN: &str = r#"
[defaults]
host = ["output-info", "output-power"]
sandboxed = ["output-info"]
namespaced = []
unidentified = []

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["screen-capture", "output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Typist" }
allow = ["virtual-keyboard"]
deny = ["output-power"]

[[rule]]
match = { engine = "org.example.Engine", provenance = "user" }
deny = ["virtual-pointer"]

[[rule]]
match = { engine = "org.example.Engine", namespaces = "own" }
deny = ["layer-shell"]

[trust]
user-evidence = "as-written"
"#;

/// Only root's labels give more than the host has.
const NARROW_HOST: &str = r#"
[defaults]
host = ["output-info"]
sandboxed = ["*"]
namespaced = ["*"]
unidentified = ["output-info"]

[[rule]]
match = { engine = "org.example.Engine", provenance = "system" }
allow = ["screen-capture", "output-power"]
"#;

/// What is taken instead of an identity where the machine can prove none.
const AS_BEFORE: &str = "[machine]\nwithout-kernel-identity = \"as-before\"\n";

/// All of them.
pub(crate) fn all() -> Result<Vec<(&'static str, Policy)>, String> {
    let texts = [
        ("kinds", POLICY),
        ("generous", GENEROUS),
        ("as-written", AS_WRITTEN),
        ("narrow-host", NARROW_HOST),
        ("built-in", ""),
    ];
    texts.into_iter().map(|(name, text)| Ok((name, Policy::parse(name, text).context(name)?))).collect()
}

/// The policy under which an inability of the machine would give everything.
pub(crate) fn as_before() -> Result<Policy, String> {
    Policy::parse("as-before", &format!("{POLICY}{AS_BEFORE}")).context("as-before")
}

/// The policy that gives everything to everybody but for what it denies.
pub(crate) fn generous() -> Result<Policy, String> {
    Policy::parse("generous", GENEROUS).context("generous")
}
