//! Grants on a running compositor, made with the tool.

use std::process::{Command, Stdio};

use serde_json::Value;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{Setup, labelled};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::Demo;
use super::peers::Launch;
use super::running::{Finished, Running, finish};

/// The host may administrate, and nobody else anything.
pub(crate) const POLICY: &str = r#"
[defaults]
host = ["*", "identity-monitor", "identity-admin"]
sandboxed = ["output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Asking" }
ask = ["screen-capture"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Denied" }
deny = ["screen-capture"]
"#;

pub(crate) fn app(world: &World, app_id: &str) -> Result<Launch, String> {
    Ok(Launch::Kind(labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, app_id)], &[]])?))
}

pub(crate) fn host() -> Launch {
    Launch::Kind(Setup::default())
}

/// The tool as this peer, with these words.
pub(crate) fn tool(demo: &Demo, launch: &Launch, words: &[&str]) -> Result<Command, String> {
    let tool = std::env::var("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    launch.command(demo, &[&[tool.as_str()], words].concat())
}

/// What the tool says on the host, which must succeed.
pub(crate) fn told(demo: &Demo, words: &[&str]) -> Result<String, String> {
    let finished: Finished = finish(&mut tool(demo, &host(), words)?)?;
    finished.expect(0)?;
    String::from_utf8(finished.out).context("UTF-8")
}

/// The test client for captures, as this peer; it is connected when this returns.
pub(crate) fn capturer(demo: &Demo, launch: &Launch, words: &[&str]) -> Result<Running, String> {
    let command = [&[env!("CARGO_BIN_EXE_capturer")], words].concat();
    let mut running = Running::start(launch.command(demo, &command)?.stdin(Stdio::piped()))?;
    wait_for_lines(&mut running, 1)?;
    Ok(running)
}

fn wait_for_lines(running: &mut Running, count: usize) -> Outcome {
    let lines = move |out: &[u8]| out.iter().filter(|byte| **byte == b'\n').count() >= count;
    running.wait_for(&format!("line {count}"), lines)
}

/// Waits for so many lines; the last of them.
pub(crate) fn line(running: &mut Running, count: usize) -> Result<String, String> {
    wait_for_lines(running, count)?;
    let out = String::from_utf8_lossy(running.out()).into_owned();
    out.lines().nth(count - 1).map(str::to_owned).context("no line")
}

/// The serial of the one client whose app ID this is.
pub(crate) fn serial(demo: &Demo, app_id: &str) -> Result<u64, String> {
    let clients: Value = serde_json::from_str(&told(demo, &["clients", "--json"])?).context("JSON")?;
    let of: Vec<_> = clients.as_array().context("no list")?.iter().filter(|c| c["app-id"] == app_id).collect();
    ensure_eq!(of.len(), 1, "{clients}");
    of[0]["client"].as_u64().context("no number")
}

/// The whole way: a client that is connected gets a picture by a grant, is refused once that is revoked, and nobody else
/// receives a byte.
pub(crate) fn grant_reaches_a_connected_client_and_nobody_else(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let mut recorder = capturer(&demo, &app(world, "org.example.Recorder")?, &[])?;
    let mut game = capturer(&demo, &app(world, "org.example.Game")?, &["bystander"])?;
    let mut neighbour = capturer(&demo, &host(), &["bystander"])?;
    ensure_eq!(line(&mut recorder, 1)?, "ready");

    let serial = serial(&demo, "org.example.Recorder")?.to_string();
    let explained = finish(&mut tool(
        &demo,
        &host(),
        &["explain", "--client", &serial, "--global", "zwlr_screencopy_manager_v1"],
    )?)?;
    explained.expect(1)?;
    let said = told(&demo, &["grant", "--client", &serial, "screen-capture"])?;
    ensure_eq!(said, "grant 1: allowed screen-capture\n");
    ensure_eq!((line(&mut recorder, 2)?, line(&mut recorder, 3)?), ("announced".into(), "picture".into()));
    let explained = told(&demo, &["explain", "--client", &serial, "--global", "zwlr_screencopy_manager_v1"])?;
    ensure!(explained.contains("screen-capture): allowed: "), "{explained}");
    ensure!(
        told(&demo, &["grants"])?.contains("1  allow screen-capture to org.example.Recorder of org.example.Engine"),
        "not listed"
    );

    ensure_eq!(told(&demo, &["revoke", "1"])?, "grant 1: revoked\n");
    ensure_eq!(line(&mut recorder, 4)?, "removed");
    // What it bound while it could is there still, and gives nothing any more.
    recorder.say("capture")?;
    ensure_eq!(line(&mut recorder, 5)?, "refused");
    ensure_eq!(told(&demo, &["grants", "--json"])?, "[]\n");

    for bystander in [&mut game, &mut neighbour] {
        bystander.say("how many?")?;
        ensure_eq!(line(bystander, 2)?, "0 bytes");
    }
    demo.expect_alive()
}

/// A program that asks answers for the user; and when it is gone, everything is a no.
pub(crate) fn agent_answers_for_the_user(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    // What it is told it is told as one argument and in its environment: it writes both to its standard error.
    let script = "printf '%s|%s\\n' \"$1\" \"$WAYLAND_AUTH_APP_ID\" >&2; echo \"$0\"";
    let command = |answer: &'static str| ["agent", "--command", "sh", "-c", script, answer, "--text={text}"];
    let agent = |answer: &'static str| Running::start(&mut tool(&demo, &host(), &command(answer))?);
    let asking = app(world, "org.example.Asking")?;
    let mut once = agent("once")?;
    once.wait_for_error("answering for this session")?;
    let second = finish(&mut tool(&demo, &host(), &command("always"))?)?;
    second.expect_refused("this cannot be the agent: there is another agent")?;
    // Each use of an answer that holds once is asked about.
    let mut client = capturer(&demo, &asking, &[])?;
    ensure_eq!((line(&mut client, 1)?, line(&mut client, 2)?), ("announced".into(), "ready".into()));
    ensure_eq!(line(&mut client, 3)?, "picture");
    client.say("again")?;
    ensure_eq!(line(&mut client, 4)?, "picture");
    ensure_eq!(told(&demo, &["grants", "--json"])?, "[]\n");
    let told_program = once.errors();
    let question = "--text=The application org.example.Asking of org.example.Engine (any program of yours could have \
                    named it so) wants to use `screen-capture`: Read the contents";
    ensure!(told_program.contains(question) && told_program.contains("|org.example.Asking"), "{told_program}");
    drop(once);

    // Nobody answers: it is killed while it asks.
    // What it runs ends by itself once nobody reads what it says.
    let asks_for_ever = "echo asked >&2; while echo; do sleep 0.1; done";
    let mut hangs = Running::start(&mut tool(&demo, &host(), &["agent", "--command", "sh", "-c", asks_for_ever])?)?;
    hangs.wait_for_error("answering for this session")?;
    client.say("again")?;
    hangs.wait_for_error("asked")?;
    drop(hangs);
    ensure_eq!(line(&mut client, 5)?, "refused");
    Ok(())
}

pub(crate) fn revoke_can_disconnect(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    let mut recorder = capturer(&demo, &app(world, "org.example.Recorder")?, &[])?;
    let mut other = capturer(&demo, &app(world, "org.example.Game")?, &[])?;
    told(&demo, &["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Recorder", "screen-capture"])?;
    ensure_eq!(line(&mut recorder, 3)?, "picture");
    told(&demo, &["revoke", "--disconnect", "1"])?;
    ensure!(!recorder.reap()?.success(), "it was not disconnected");
    other.say("capture")?;
    ensure_eq!(line(&mut other, 2)?, "nothing to ask");
    Ok(())
}

pub(crate) fn grants_that_cannot_be_are_refused_with_a_reason(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    let app_words = ["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Game"];
    let injected = "org.example.\u{1b}[31mGame<b>\u{202e}";
    let cases: [(&[&str], &str); 7] = [
        (&["grant", "--client", "4242", "screen-capture"], "there is no client 4242"),
        (&[&app_words[..], &["layer_shell"]].concat(), "there is no capability `layer_shell`"),
        (&[&app_words[..], &["identity-admin"]].concat(), "`identity-admin` is never an application's"),
        (&[&app_words[..], &["security-context"]].concat(), "`security-context` is never an application's"),
        (&["grant", "--engine", "org.example.Engine", "--app-id", injected, "screen-capture"], "the app ID has a byte"),
        (&["grant", "--engine", "\u{9b}31m", "--app-id", "a", "screen-capture"], "the engine has a byte"),
        (&["revoke", "77"], "there is no grant 77"),
    ];
    for (words, why) in cases {
        let refused = finish(&mut tool(&demo, &host(), words)?)?;
        refused.expect_refused(why)?;
        ensure!(!refused.err.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{:?}", refused.err);
    }
    ensure_eq!(told(&demo, &["grants", "--json"])?, "[]\n");
    // The host cannot be given anything: its own client is no application.
    let clients: Value = serde_json::from_str(&told(&demo, &["clients", "--json"])?).context("JSON")?;
    ensure!(clients.as_array().is_some_and(|list| list.iter().all(|c| c["kind"] == "host")), "{clients}");
    // What the policy denies by name stays denied.
    let mut denied = capturer(&demo, &app(world, "org.example.Denied")?, &[])?;
    told(&demo, &["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Denied", "screen-capture"])?;
    denied.say("capture")?;
    ensure_eq!(line(&mut denied, 2)?, "nothing to ask");
    Ok(())
}

pub(crate) fn applications_administrate_nothing(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    let game = app(world, "org.example.Game")?;
    let words: [&[&str]; 5] = [
        &["clients"],
        &["grants"],
        &["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Game", "screen-capture"],
        &["revoke", "1"],
        &["explain", "--client", "1"],
    ];
    for words in words {
        let refused = finish(&mut tool(&demo, &game, words)?)?;
        ensure!(matches!(refused.status.code(), Some(1 | 2)), "{words:?}: {:?}", refused.status);
        ensure!(refused.err.contains("holds for app org.example.Game of org.example.Engine"), "{}", refused.err);
        ensure!(refused.out.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&refused.out));
        // The control: the host is answered, if only that there is nothing to revoke.
        let answered = finish(&mut tool(&demo, &host(), words)?)?;
        ensure!(!answered.err.contains("holds for"), "{words:?}: {}", answered.err);
    }
    Ok(())
}

pub(crate) fn the_tool_says_what_is_missing(world: &World) -> Outcome {
    let demo = Demo::start(world, "[defaults]\nhost = [\"*\"]\n")?;
    finish(&mut tool(&demo, &host(), &["clients"])?)?
        .expect_refused("does not give `identity-monitor` to this program, which it holds for host")?;
    finish(&mut tool(&demo, &host(), &["grants"])?)?.expect_refused("does not give `identity-admin`")?;
    let mut nowhere = tool(&demo, &host(), &["clients"])?;
    finish(nowhere.env_remove("WAYLAND_DISPLAY"))?.expect_refused("cannot connect to a compositor")
}
