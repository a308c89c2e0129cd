//! What a rule says, and whether it is true.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wayland_auth::Policy;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::kinds::{Setup, labelled};
use wayland_auth_tests::wire::Answer;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client;
use super::demo::{Demo, SIZE};
use super::learner::{Learner, learn, learn_until};
use super::running::{Finished, Running, finish};

const GRIM: [&str; 4] = ["grim", "-t", "ppm", "-"];
const WTYPE: [&str; 2] = ["wtype", "hello"];
/// The colour of a window of another client, and its size.
const RED: [u8; 3] = [255, 0, 0];
const WINDOW: (i32, i32) = (40, 30);
/// Everything is for the rules to give.
const STRICT: &str = "[defaults]\nsandboxed = []\n";

/// Runs a program as the application that the rules are about, in its labelled cgroup.
fn labelled_program(world: &World, demo: &Demo, words: &[&str]) -> Result<Finished, String> {
    let (_setup, mut command) = labelled_command(world, demo, words)?;
    finish(&mut command)
}

/// The command for that, and the cgroup that it is for.
fn labelled_command(world: &World, demo: &Demo, words: &[&str]) -> Result<(Setup, Command), String> {
    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Learner")]])?;
    let cgroup: &Path = setup.keep.innermost().context("no cgroup")?;
    let mut command: Command = demo.command("sh");
    command.args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""]).arg(cgroup).args(words);
    Ok((setup, command))
}

/// How many pixels of the picture have the window's colour.
fn red_pixels(ppm: &[u8]) -> Result<usize, String> {
    let header = format!("P6\n{} {}\n255\n", SIZE.0, SIZE.1);
    let pixels = ppm.strip_prefix(header.as_bytes()).context("no picture of the right size")?;
    Ok(pixels.chunks_exact(3).filter(|pixel| **pixel == RED).count())
}

fn rule_of(words: &[String]) -> String {
    format!(
        "{STRICT}[[rule]]\nmatch = {{ engine = \"org.example.Engine\", app-id = \"org.example.Learner\" }}\nallow = {words:?}\n"
    )
}

/// Learns from a program, and lets it work by the rule, and in vain by all that are one word shorter.
fn expect_smallest(
    world: &World,
    program: &[&str],
    expected: &[&str],
    works: impl Fn(&Finished) -> Outcome,
) -> Outcome {
    let demo = Demo::start(world, None)?;
    let mut window = client::Client::new(demo.connect()?)?;
    window.open_window("another's secret", WINDOW, RED)?;
    let lesson = learn(world, &demo, None, program)?;
    works(&lesson.finished).context("while learning")?;
    let words = lesson.words()?;
    ensure_eq!(words.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{}", lesson.json);

    let with_rule = |policy: &str| -> Result<Finished, String> {
        let demo = Demo::with_policy(world, Some(policy))?;
        let mut window = client::Client::new(demo.connect()?)?;
        window.open_window("another's secret", WINDOW, RED)?;
        labelled_program(world, &demo, program)
    };
    works(&with_rule(&format!("{STRICT}{}", lesson.toml()?))?).context("with the rule")?;
    for at in 0..words.len() {
        let mut fewer = words.clone();
        let without = fewer.remove(at);
        let finished = with_rule(&rule_of(&fewer))?;
        ensure!(works(&finished).is_err(), "it works without {without} as well");
    }
    Ok(())
}

pub(crate) fn grim(world: &World) -> Outcome {
    expect_smallest(world, &GRIM, &["screen-capture", "output-info"], |grim| {
        grim.expect(0)?;
        ensure_eq!(red_pixels(&grim.out)?, usize::try_from(WINDOW.0 * WINDOW.1).context("size")?);
        Ok(())
    })
}

pub(crate) fn wtype(world: &World) -> Outcome {
    expect_smallest(world, &WTYPE, &["virtual-keyboard"], |wtype| wtype.expect(0))
}

/// `wl-paste --watch`, which goes on until it is ended.
pub(crate) fn wl_paste(world: &World) -> Outcome {
    const WATCH: [&str; 4] = ["wl-paste", "--watch", "cat", "-"];
    let has_it = |out: &[u8]| out.windows(8).any(|part| part == b"the text");
    let copy = |demo: &Demo| Running::start(demo.command("wl-copy").args(["--foreground", "the text"]));
    let demo = Demo::start(world, None)?;
    let _copy = copy(&demo)?;
    let json = learn_until(world, &demo, &WATCH, has_it)?;
    let allow = json["allow"].as_array().context("no rule")?;
    let used: Vec<&Value> = allow.iter().map(|entry| &entry["used"]).collect();
    ensure_eq!(used, [&serde_json::json!(["zwlr_data_control_manager_v1"])]);

    let rule = format!("{STRICT}{}", json["toml"].as_str().context("no rule")?);
    let demo = Demo::with_policy(world, Some(&rule))?;
    let _copy = copy(&demo)?;
    let (_setup, mut command) = labelled_command(world, &demo, &WATCH)?;
    let mut watch = Running::start(&mut command)?;
    watch.wait_for("clipboard", has_it)?;
    let demo = Demo::with_policy(world, Some(&rule_of(&[])))?;
    labelled_program(world, &demo, &WATCH)?.expect_refused("Watch mode requires")
}

/// The rule, judged by the policy: of all that the compositor has, exactly what was used.
pub(crate) fn nothing_else(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let lesson = learn(world, &demo, None, &GRIM)?;
    let mut window = client::Client::new(demo.connect()?)?;
    window.open_window("a window", WINDOW, RED)?;
    let policy = format!("{STRICT}{}", lesson.toml()?);
    let parsed = Policy::parse("rule", &policy).map_err(|e| e.to_string())?;
    ensure!(parsed.warnings().is_empty(), "{}", parsed.warnings()[0]);

    let strict = Demo::with_policy(world, Some(&policy))?;
    let seen = labelled_program(world, &strict, &["wayland-info"])?;
    seen.expect(0)?;
    let seen = String::from_utf8_lossy(&seen.out).into_owned();
    let sees = |interface: &str| seen.contains(&format!("interface: '{interface}',"));
    let mut used = BTreeSet::new();
    for entry in lesson.json["interfaces"].as_array().context("no interfaces")? {
        let interface = entry["interface"].as_str().context("no name")?;
        let expected = entry["capability"].is_null() || entry["used"] == true;
        ensure_eq!(sees(interface), expected, "{interface}\n{seen}");
        if entry["used"] == true {
            used.insert(interface.to_owned());
        }
    }
    ensure!(used.contains("zwlr_screencopy_manager_v1") && used.contains("wl_shm"), "{used:?}");
    Ok(())
}

/// Binds everything that is announced.
fn bind_everything(learner: &Learner) -> Outcome {
    let mut client = learner.client()?;
    let globals = client.globals().to_vec();
    ensure!(globals.len() > 10, "only {globals:?}");
    for global in globals {
        ensure_eq!(client.bind(global.name, &global.interface, 1)?, Answer::Done, "{}", global.interface);
    }
    Ok(())
}

pub(crate) fn bound_only(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    bind_everything(&learner)?;
    let lesson = learner.end(0)?;
    ensure_eq!(lesson.words()?, [""; 0]);
    for (interface, used) in [("zwlr_screencopy_manager_v1", false), ("zwlr_layer_shell_v1", false), ("wl_seat", true)]
    {
        let seen = lesson.interface(interface)?;
        ensure_eq!((&seen["bound"], &seen["used"]), (&true.into(), &used.into()), "{interface}");
    }
    Ok(())
}

/// A request without arguments.
fn request(object: u32, opcode: u32) -> Result<Vec<u8>, String> {
    wayland_auth_tests::wire::message(object, opcode, &[])
}

pub(crate) fn destroyed(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut client = learner.client()?;
    // The opcodes of their destructors.
    for (interface, destructor) in [("ext_idle_notifier_v1", 0), ("zwlr_data_control_manager_v1", 2)] {
        let name = client.globals().iter().find(|global| global.interface == interface).context(interface)?.name;
        ensure_eq!(client.bind(name, interface, 1)?, Answer::Done, "{interface}");
        ensure_eq!(client.send(&request(client.last_object(), destructor)?)?, Answer::Done, "{interface}");
    }
    ensure_eq!(learner.end(0)?.words()?, [""; 0]);
    Ok(())
}

pub(crate) fn told(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let mut window = client::Client::new(demo.connect()?)?;
    window.open_window("the window", WINDOW, RED)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut list = client::Client::new(learner.connect()?)?;
    list.list_windows()?;
    ensure_eq!(list.seen().titles, ["the window"]);
    let lesson = learner.end(0)?;
    ensure_eq!(lesson.words()?, ["toplevel-list"]);
    let seen = lesson.interface("ext_foreign_toplevel_list_v1")?;
    ensure_eq!((&seen["asked"], &seen["told"]), (&false.into(), &true.into()));
    Ok(())
}

/// What is written to a connection that is closed at once, by a program that then ends.
pub(crate) fn last_words(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let capture = |learner: &Learner| -> Outcome {
        let client = learner.client()?;
        let name = |interface: &str| {
            client.globals().iter().find(|global| global.interface == interface).map(|global| global.name)
        };
        let (output, manager) =
            (name("wl_output").context("output")?, name("zwlr_screencopy_manager_v1").context("m")?);
        client.capture_and_leave(output, manager)
    };
    let learner = Learner::start(world, &demo, None)?;
    capture(&learner)?;
    ensure_eq!(learner.end(0)?.words()?, ["screen-capture"]);
    Ok(())
}

pub(crate) fn enforced(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let allowed = learn(world, &demo, Some(&rule_of(&["screen-capture".into(), "output-info".into()])), &GRIM)?;
    allowed.finished.expect(0)?;
    ensure_eq!(allowed.words()?, ["screen-capture", "output-info"]);
    ensure_eq!(allowed.interface("zwlr_layer_shell_v1")?["hidden"], true);
    let denied = learn(world, &demo, Some(&rule_of(&["output-info".into()])), &GRIM)?;
    denied.finished.expect_refused("compositor doesn't support")?;
    let seen = denied.interface("zwlr_screencopy_manager_v1")?;
    ensure_eq!((&seen["hidden"], &seen["bound"]), (&true.into(), &false.into()));
    Ok(())
}

pub(crate) fn enforced_bind(world: &World) -> Outcome {
    let mut demo = Demo::start(world, None)?;
    let direct = demo.client()?;
    let global = |interface: &str| direct.globals().iter().find(|global| global.interface == interface).cloned();
    let hidden = global("zwlr_screencopy_manager_v1").context("screencopy")?;
    let shown = global("wl_shm").context("shm")?;
    let learner = Learner::start(world, &demo, Some(&rule_of(&[])))?;
    let mut bystander = learner.client()?;
    for interface in ["zwlr_screencopy_manager_v1", "wl_shm"] {
        let mut client = learner.client()?;
        ensure!(!client.globals().contains(&hidden), "it is announced");
        ensure_eq!(client.bind(shown.name, "wl_shm", 1)?, Answer::Done);
        let answer = client.bind(hidden.name, interface, 1)?;
        ensure_eq!(answer, Answer::Error(2, 0, format!("invalid global {}", hidden.name)), "as {interface}");
    }
    ensure_eq!(bystander.sync()?, Answer::Done);
    let lesson = learner.end(3)?;
    ensure_eq!(lesson.json["ended"], 2);
    ensure_eq!(lesson.interface("zwlr_screencopy_manager_v1")?["bound"], false);
    // The compositor has not heard of it.
    ensure_eq!(super::demo::events(&demo.audit()?, "bind-hidden").count(), 0);
    Ok(())
}

/// The document's example, with the same command.
pub(crate) fn readme(world: &World) -> Outcome {
    const README: &str = include_str!("../../../README.md");
    const PROMPT: &str = "$ wayland-auth ";
    let demo = Demo::start(world, None)?;
    let (_, shown) = README.split_once(&format!("{PROMPT}learn")).context("no example")?;
    let (line, rest) = shown.split_once('\n').context("no answer")?;
    let (answer, _) = rest.split_once("```").context("no end")?;
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    let mut command = demo.command(tool);
    command.arg("learn").args(line.split_whitespace()).current_dir(world.new_dir()?);
    let finished = finish(&mut command)?;
    finished.expect(0)?;
    ensure_eq!(finished.err, answer);
    ensure!(Policy::parse("rule", answer).is_ok(), "it is no policy");
    Ok(())
}
