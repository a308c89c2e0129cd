//! Security contexts: whoever comes through one has no more than the context, his cgroup and its maker allow.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use serde_json::{Value, json};
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{KINDS, POLICY, Setup, labelled, wrapped};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::Client;
use super::demo::{Demo, expect_members};
use super::globals::{expected, globals_of, interfaces};
use super::peers::Launch;

const OF_ENGINE: &str = "org.example.Engine";

/// An open context. It ends with its socket pair.
struct Open {
    path: PathBuf,
    _alive: UnixStream,
}

/// Opens one as the host, who then leaves.
fn open(demo: &Demo, engine: &str, app_id: &str) -> Result<Open, String> {
    let path = demo.dir().join("context");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).context(path.display())?;
    let mut maker = Client::new(demo.connect()?)?;
    let alive = maker.open_context(&listener, engine, app_id)?;
    Ok(Open { path, _alive: alive })
}

/// A peer sees exactly this through a context, and is recorded as this.
fn expect_through(
    world: &World,
    demo: &mut Demo,
    context: &Open,
    launch: &Launch,
    (capabilities, identity): (&[&str], Value),
) -> Outcome {
    let heard = launch.speak_through(world, demo, &context.path, &["globals".into()])?;
    let seen = interfaces(&globals_of(heard.answers.first().context("no answer")?)?);
    ensure_eq!(seen, expected(capabilities));
    ensure!(!seen.contains("wp_security_context_manager_v1"), "a context inside a context");
    expect_members(&heard.connect()?["identity"], &identity)
}

fn app(world: &World, app_id: &str) -> Result<Launch, String> {
    Ok(Launch::Kind(labelled(world, &[&[(ENGINE, OF_ENGINE), (APP_ID, app_id)]])?))
}

pub(crate) fn context_gives_the_rights_of_its_app(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    for (app_id, capabilities) in [
        ("org.example.Recorder", &["screen-capture", "output-info"][..]),
        ("org.example.Typist", &["virtual-keyboard", "output-info"]),
        ("org.example.Game", &["output-info"]),
    ] {
        let context = open(&demo, OF_ENGINE, app_id)?;
        let identity = json!({"kind": "app", "engine": OF_ENGINE, "app-id": app_id, "provenance": "user"});
        let host = Launch::Kind(Setup::default());
        expect_through(world, &mut demo, &context, &host, (capabilities, identity.clone()))?;
        // A sandbox that only its namespaces show is the one that the context names.
        let namespaced = Launch::Kind(wrapped(&["unshare", "-U"]));
        expect_through(world, &mut demo, &context, &namespaced, (capabilities, identity))?;
    }
    Ok(())
}

pub(crate) fn cgroup_and_context_must_both_allow(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let labels = ["org.example.Recorder", "org.example.Typist", "org.example.Game"];
    for by_context in labels {
        let context = open(&demo, OF_ENGINE, by_context)?;
        for by_cgroup in labels {
            let mut capabilities = vec!["output-info"];
            match (by_context, by_cgroup) {
                ("org.example.Recorder", "org.example.Recorder") => capabilities.push("screen-capture"),
                ("org.example.Typist", "org.example.Typist") => capabilities.push("virtual-keyboard"),
                _ => {}
            }
            // What the kernel says is the identity.
            let identity = json!({"kind": "app", "app-id": by_cgroup});
            expect_through(world, &mut demo, &context, &app(world, by_cgroup)?, (&capabilities, identity))
                .context(format!("{by_cgroup} through {by_context}"))?;
        }
        let malformed = Launch::Kind(labelled(world, &[&[(ENGINE, OF_ENGINE), (APP_ID, "a b")]])?);
        let identity = json!({"kind": "unidentified", "reason": "malformed-label"});
        expect_through(world, &mut demo, &context, &malformed, (&[], identity))?;
    }
    Ok(())
}

/// The host may open contexts and capture, and nothing else; an application may more than the host.
const WEAK_HOST: &str = r#"
[defaults]
host = ["security-context", "screen-capture"]

[trust]
user-evidence = "as-written"

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Everything" }
allow = ["*"]
"#;

pub(crate) fn maker_gives_no_more_than_he_has(world: &World) -> Outcome {
    let mut demo = Demo::start(world, WEAK_HOST)?;
    let context = open(&demo, OF_ENGINE, "org.example.Everything")?;
    let identity = json!({"kind": "app", "app-id": "org.example.Everything"});
    for launch in [Launch::Kind(Setup::default()), app(world, "org.example.Everything")?] {
        expect_through(world, &mut demo, &context, &launch, (&["screen-capture"], identity.clone()))?;
    }
    // The control: by itself, the application may more.
    let heard = app(world, "org.example.Everything")?.speak(world, &mut demo, &["globals".into()])?;
    let mut seen = interfaces(&globals_of(heard.answers.first().context("no answer")?)?);
    ensure!(seen.insert("wp_security_context_manager_v1".to_owned()), "an app may open contexts");
    ensure_eq!(seen, expected(&["*"]));
    Ok(())
}

pub(crate) fn malformed_context_gives_nothing(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let unidentified = json!({"kind": "unidentified", "reason": "malformed-context"});
    for (engine, app_id) in
        [("", "org.example.Recorder"), (OF_ENGINE, "a b"), (OF_ENGINE, "\u{1b}[31m"), ("x\ny", "org.example.Recorder")]
    {
        let context = open(&demo, engine, app_id)?;
        let launch = Launch::Kind(Setup::default());
        expect_through(world, &mut demo, &context, &launch, (&[], unidentified.clone()))
            .context(format!("{engine:?} {app_id:?}"))?;
    }
    Ok(())
}

/// Whatever the policy says, only the host opens contexts.
const GIVEN_AWAY: &str = r#"
[defaults]
host = ["*"]
sandboxed = ["*", "security-context"]
namespaced = ["*", "security-context"]
unidentified = ["*", "security-context"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["*", "security-context"]
"#;

pub(crate) fn nobody_but_the_host_opens_contexts(world: &World) -> Outcome {
    let mut demo = Demo::start(world, GIVEN_AWAY)?;
    let mut others = 0;
    for kind in KINDS.iter().filter(|kind| !kind.needs_root) {
        let heard = Launch::Kind((kind.setup)(world)?).speak(world, &mut demo, &["globals".into()])?;
        let seen = interfaces(&globals_of(heard.answers.first().context("no answer")?)?);
        let is_host = heard.connect()?["identity"]["kind"] == "host";
        ensure_eq!(seen.contains("wp_security_context_manager_v1"), is_host, "{}", kind.name);
        // The control: the policy does give the rest.
        others += usize::from(!is_host && seen.contains("zwlr_screencopy_manager_v1"));
    }
    ensure!(others > 5, "the policy gives nothing to {others}");
    Ok(())
}
