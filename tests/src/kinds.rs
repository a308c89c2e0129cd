//! Every kind of peer, and what it may see.

use wayland_auth_tests::harness::program;
use wayland_auth_tests::{Context, TestCgroup, World};

/// How a peer is run: the programs before it, its steps, and what must live as long as it does.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    pub wrapper: Vec<String>,
    pub steps: Vec<String>,
    pub reap: bool,
    pub keep: Nested,
}

/// Cgroups inside each other, outermost first; inner ones are removed first.
#[derive(Debug, Default)]
pub(crate) struct Nested(Vec<TestCgroup>);

impl Drop for Nested {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// A kind of peer.
pub(crate) struct Kind {
    pub name: &'static str,
    /// How its identity begins, when it is shown.
    pub identity: &'static str,
    /// The capabilities that it has; `*` is all.
    pub capabilities: &'static [&'static str],
    pub needs_root: bool,
    pub setup: fn(&World) -> Result<Setup, String>,
}

const ENGINE: &str = "user.xdg.sandbox-engine";
const APP_ID: &str = "user.app_id";

pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "host", identity: "host", capabilities: &["*"], needs_root: false, setup: |_| Ok(Setup::default()) },
    Kind {
        name: "host claim",
        identity: "host (claims to be org.example.Recorder)",
        capabilities: &["*"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(APP_ID, "org.example.Recorder")]]),
    },
    Kind {
        name: "app without a rule",
        identity: "app org.example.Game of org.example.Engine",
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]]),
    },
    Kind {
        name: "app with a rule",
        identity: "app org.example.Recorder of org.example.Engine",
        capabilities: &["screen-capture", "output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")], &[]]),
    },
    Kind {
        name: "the same app ID of another engine",
        identity: "app org.example.Recorder of org.other.Engine",
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.other.Engine"), (APP_ID, "org.example.Recorder")]]),
    },
    Kind {
        name: "nested forged child",
        identity: "app org.example.Game of org.example.Engine, inside it org.example.Recorder of org.example.Engine",
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
        capabilities: &["output-info"],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine")]]),
    },
    Kind {
        name: "malformed label",
        identity: "unidentified",
        capabilities: &[],
        needs_root: false,
        setup: |world| labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "a b")]]),
    },
    Kind {
        name: "own user namespace",
        identity: "app in a sandbox of an unknown engine",
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-U"])),
    },
    Kind {
        name: "own mount namespace",
        identity: "app in a sandbox of an unknown engine",
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-Urm"])),
    },
    Kind {
        name: "own pid namespace",
        identity: "app in a sandbox of an unknown engine",
        capabilities: &["output-info"],
        needs_root: false,
        setup: |_| Ok(wrapped(&["unshare", "-Urpf"])),
    },
    Kind {
        name: "non-dumpable host",
        identity: "host",
        capabilities: &["*"],
        needs_root: false,
        setup: |_| Ok(Setup { steps: vec!["undumpable".into()], ..Setup::default() }),
    },
    Kind {
        name: "non-dumpable peer in bubblewrap",
        identity: "app in a sandbox of an unknown engine",
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
        capabilities: &[],
        needs_root: false,
        setup: |_| Ok(Setup { reap: true, ..Setup::default() }),
    },
    Kind {
        name: "other uid",
        identity: "unidentified",
        capabilities: &[],
        needs_root: true,
        setup: |_| Ok(Setup::default()),
    },
    Kind {
        name: "directory of a third uid",
        identity: "unidentified",
        capabilities: &[],
        needs_root: true,
        setup: |world| {
            let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")], &[]])?;
            let third = wayland_auth_tests::harness::THIRD_UID;
            world.admin()?.own(setup.keep.0[0].path(), third, third, 0o755)?;
            Ok(setup)
        },
    },
];

/// Cgroups inside each other, outermost first, and a peer in the innermost.
fn labelled(world: &World, labels: &[&[(&str, &str)]]) -> Result<Setup, String> {
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

fn wrapped(wrapper: &[&str]) -> Setup {
    Setup { wrapper: wrapper.iter().map(|&s| s.to_owned()).collect(), ..Setup::default() }
}
