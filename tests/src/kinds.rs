//! Every kind of peer, and what it may see.

use std::path::Path;

use crate::expect::{APP_ID, ENGINE};
use crate::harness::program;
use crate::{Context, TestCgroup, World};

/// The policy by which the kinds have their capabilities.
pub const POLICY: &str = r#"
[defaults]
host = ["*"]
sandboxed = ["output-info"]
namespaced = ["output-info"]
unidentified = []

[defaults.internal]
shell = ["layer-shell"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["screen-capture", "output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Typist" }
allow = ["virtual-keyboard", "output-info"]
deny = ["clipboard-manager"]
"#;

/// How a peer is run: the programs before it, its steps, and what must live as long as it does.
#[derive(Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Setup {
    /// The program that runs the peer, with its arguments.
    pub wrapper: Vec<String>,
    /// What the peer does before it connects.
    pub steps: Vec<String>,
    /// Whether the peer connects and is gone, and its child speaks.
    pub reap: bool,
    /// Its cgroups.
    pub keep: Nested,
}

/// Cgroups inside each other, outermost first; inner ones are removed first.
#[derive(Debug, Default)]
pub struct Nested(Vec<TestCgroup>);

impl Nested {
    /// None.
    pub const NONE: Self = Self(Vec::new());

    /// The one that the peer is in.
    #[must_use]
    pub fn innermost(&self) -> Option<&Path> {
        self.0.last().map(TestCgroup::path)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// A kind of peer.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// How its identity begins, when it is shown.
    pub identity: &'static str,
    /// Members of its identity, when it is recorded as JSON.
    pub recorded: &'static str,
    /// The capabilities that it has by [`POLICY`]; `*` is all that the policy can give by that.
    pub capabilities: &'static [&'static str],
    /// Whether only root can make it.
    pub needs_root: bool,
    /// How to make it.
    pub setup: fn(&World) -> Result<Setup, String>,
}

impl Kind {
    /// Whether the peer is gone when it is looked at.
    #[must_use]
    pub fn reaps(&self) -> bool {
        self.identity == "unidentified" && self.recorded.contains("peer-gone")
    }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "host",
        identity: "host",
        recorded: r#"{"kind": "host", "claim": null}"#,
        capabilities: &["*"],
        needs_root: false,
        setup: |_| Ok(Setup::default()),
    },
    Kind {
        name: "host claim",
        identity: "host (claims to be org.example.Recorder)",
        recorded: r#"{"kind": "host", "claim": "org.example.Recorder"}"#,
        capabilities: &["*"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(APP_ID, "org.example.Recorder")]]),
    },
    Kind {
        name: "app without a rule",
        identity: "app org.example.Game of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Game", "provenance": "user", "nested": []}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]]),
    },
    Kind {
        name: "app with a rule",
        identity: "app org.example.Recorder of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Recorder", "provenance": "user", "nested": []}"#,
        capabilities: &["screen-capture", "output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")], &[]]),
    },
    Kind {
        name: "the same app ID of another engine",
        identity: "app org.example.Recorder of org.other.Engine",
        recorded: r#"{"kind": "app", "engine": "org.other.Engine", "app-id": "org.example.Recorder", "provenance": "user", "nested": []}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.other.Engine"), (APP_ID, "org.example.Recorder")]]),
    },
    Kind {
        name: "nested forged child",
        identity: "app org.example.Game of org.example.Engine, inside it org.example.Recorder of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Game", "nested": [{"engine": "org.example.Engine", "app-id": "org.example.Recorder"}]}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| {
            labelled(
                world,
                &[
                    &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")],
                    &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")],
                ],
            )
        },
    },
    Kind {
        name: "nested labels with different rights",
        identity: "app org.example.Recorder of org.example.Engine, inside it org.example.Typist of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Recorder", "nested": [{"engine": "org.example.Engine", "app-id": "org.example.Typist"}]}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| {
            labelled(
                world,
                &[
                    &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")],
                    &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Typist")],
                ],
            )
        },
    },
    Kind {
        name: "host claim outside, sandbox inside",
        identity: "app org.example.Game of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Game", "nested": []}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| {
            labelled(
                world,
                &[&[(APP_ID, "org.example.Host")], &[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]],
            )
        },
    },
    Kind {
        name: "engine without app ID",
        identity: "app without an ID of org.example.Engine",
        recorded: r#"{"kind": "app", "engine": "org.example.Engine", "app-id": null, "nested": []}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine")]]),
    },
    Kind {
        name: "malformed label",
        identity: "unidentified",
        recorded: r#"{"kind": "unidentified", "reason": "malformed-label"}"#,
        capabilities: &[],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "a b")]]),
    },
    Kind {
        name: "own user namespace",
        identity: "app in a sandbox of an unknown engine",
        recorded: r#"{"kind": "app", "engine": null, "app-id": null}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-U"])),
    },
    Kind {
        name: "own mount namespace",
        identity: "app in a sandbox of an unknown engine",
        recorded: r#"{"kind": "app", "engine": null, "app-id": null}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-Urm"])),
    },
    Kind {
        name: "own pid namespace",
        identity: "app in a sandbox of an unknown engine",
        recorded: r#"{"kind": "app", "engine": null, "app-id": null}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-Urpf"])),
    },
    Kind {
        name: "non-dumpable host",
        identity: "host",
        recorded: r#"{"kind": "host", "claim": null}"#,
        capabilities: &["*"],
        needs_root: false,
        setup: |_| Ok(Setup { steps: vec!["undumpable".into()], ..Setup::default() }),
    },
    Kind {
        name: "non-dumpable peer in bubblewrap",
        identity: "app in a sandbox of an unknown engine",
        recorded: r#"{"kind": "app", "engine": null, "app-id": null}"#,
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| {
            let bwrap = program("bwrap")?.into_string().ok().context("not UTF-8")?;
            let mut setup = wrapped(&[&bwrap, "--bind", "/", "/", "--dev", "/dev", "--unshare-user", "--unshare-pid"]);
            setup.steps.push("undumpable".into());
            Ok(setup)
        },
    },
    Kind {
        name: "reaped peer whose child speaks",
        identity: "unidentified",
        recorded: r#"{"kind": "unidentified", "reason": "peer-gone"}"#,
        capabilities: &[],
        needs_root: false,
        setup: |_| Ok(Setup { reap: true, ..Setup::default() }),
    },
    Kind {
        name: "other uid",
        identity: "unidentified",
        recorded: r#"{"kind": "unidentified", "reason": "foreign-uid"}"#,
        capabilities: &[],
        needs_root: true,
        setup: |_| Ok(Setup::default()),
    },
    Kind {
        name: "directory of a third uid",
        identity: "unidentified",
        recorded: r#"{"kind": "unidentified", "reason": "foreign-label-owner"}"#,
        capabilities: &[],
        needs_root: true,
        setup: |world| {
            let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")], &[]])?;
            let third = crate::harness::THIRD_UID;
            world.admin()?.own(setup.keep.0[0].path(), third, third, 0o755)?;
            Ok(setup)
        },
    },
];

/// Cgroups inside each other, outermost first, with these labels, and a peer in the innermost.
///
/// # Errors
///
/// If one cannot be made or labelled.
pub fn labelled(world: &World, labels: &[&[(&str, &str)]]) -> Result<Setup, String> {
    let mut keep: Vec<TestCgroup> = Vec::new();
    for label in labels {
        let cgroup = match keep.last() {
            Some(outer) => outer.child("inner")?,
            None => world.new_cgroup()?,
        };
        cgroup.label(label)?;
        keep.push(cgroup);
    }
    let steps = keep.last().map(TestCgroup::join).into_iter().collect();
    Ok(Setup { steps, keep: Nested(keep), ..Setup::default() })
}

/// A peer that this program runs.
#[must_use]
pub fn wrapped(wrapper: &[&str]) -> Setup {
    Setup { wrapper: wrapper.iter().map(|&s| s.to_owned()).collect(), ..Setup::default() }
}
