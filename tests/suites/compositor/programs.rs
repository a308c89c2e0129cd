//! grim, `wl-paste --watch` and wtype, as they come.

use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::harness::program;
use wayland_auth_tests::kinds::{POLICY, Setup, labelled, wrapped};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::Client;
use super::demo::{Demo, SIZE, events, expect_members};
use super::peers::Launch;
use super::running::{Running, finish};

/// [`POLICY`], and an application for each program.
const MORE: &str = r#"
[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Clipboard" }
allow = ["clipboard-manager"]
"#;

/// The colour of the window of another client.
const RED: [u8; 3] = [255, 0, 0];
const WINDOW: (i32, i32) = (40, 30);

/// What the programs say when they are not shown the protocol.
const NO_SCREENCOPY: &str = "compositor doesn't support";
const NO_WATCHING: &str = "Watch mode requires";
const NO_TYPING: &str = "does not support the virtual keyboard protocol";

/// Which programs do their work.
#[derive(Clone, Copy, Debug)]
struct Works {
    grim: bool,
    watch: bool,
    wtype: bool,
}

const NOTHING: Works = Works { grim: false, watch: false, wtype: false };
const EVERYTHING: Works = Works { grim: true, watch: true, wtype: true };

fn app(world: &World, app_id: &str) -> Result<Launch, String> {
    Ok(Launch::Kind(labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, app_id)], &[]])?))
}

/// A compositor with a window on it, which has the keyboard.
fn start(world: &World) -> Result<(Demo, Client), String> {
    let demo = Demo::with_policy(world, Some(&format!("{POLICY}{MORE}")))?;
    let mut window = Client::new(demo.connect()?)?;
    window.open_window("another's secret", WINDOW, RED)?;
    Ok((demo, window))
}

/// Runs the three, and wants each to work or to be refused; also as whom each was recorded.
fn expect_works(world: &World, launch: &Launch, works: Works, identity: &str) -> Outcome {
    for name in ["grim", "wl-paste", "wl-copy", "wtype"] {
        program(name)?;
    }
    let (mut demo, mut window) = start(world)?;
    let before = demo.audit()?.len();
    grim(&demo, launch, works.grim).context("grim")?;
    wl_paste_watch(&demo, launch, works.watch).context("wl-paste --watch")?;
    wtype(&demo, &mut window, launch, works.wtype).context("wtype")?;
    let identity = serde_json::from_str(identity).context(identity)?;
    let lines = demo.audit()?;
    let connected =
        events(&lines[before..], "connect").filter(|line| expect_members(&line["identity"], &identity).is_ok());
    // wl-paste may connect once for watching, and wl-copy is the host's.
    ensure!(connected.count() >= 3, "not three connections of {identity}:\n{}", demo.audit_text()?);
    // Whoever asks for what is there first and takes no for an answer is no attacker.
    ensure_eq!(events(&lines, "bind-hidden").count() + events(&lines, "bind-refused").count(), 0);
    Ok(())
}

/// The pixels of a picture in the format PPM.
fn pixels(ppm: &[u8]) -> Result<Vec<[u8; 3]>, String> {
    let header = format!("P6\n{} {}\n255\n", SIZE.0, SIZE.1);
    let pixels = ppm.strip_prefix(header.as_bytes()).context("no picture of the right size")?;
    ensure_eq!(pixels.len(), SIZE.0 * SIZE.1 * 3);
    Ok(pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
}

fn grim(demo: &Demo, launch: &Launch, works: bool) -> Outcome {
    let png = finish(&mut launch.command(demo, &["grim", "-"])?)?;
    if !works {
        return png.expect_refused(NO_SCREENCOPY);
    }
    png.expect(0)?;
    ensure!(png.out.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "no PNG");
    ensure!(png.out.ends_with(b"\0\0\0\0IEND\xaeB`\x82"), "not a whole PNG");
    let size = [SIZE.0, SIZE.1].map(|side| u32::try_from(side).unwrap_or(0).to_be_bytes()).concat();
    ensure_eq!(png.out[16..24], size[..]);

    let ppm = finish(&mut launch.command(demo, &["grim", "-t", "ppm", "-"])?)?;
    ppm.expect(0)?;
    let pixels = pixels(&ppm.out)?;
    let red = pixels.iter().filter(|pixel| **pixel == RED).count();
    ensure_eq!(red, usize::try_from(WINDOW.0 * WINDOW.1).context("size")?, "pixels of the window");
    let others = pixels.iter().filter(|pixel| **pixel != RED).collect::<std::collections::BTreeSet<_>>();
    ensure!(others.len() > 1, "only {others:?} around the window");
    Ok(())
}

fn wl_paste_watch(demo: &Demo, launch: &Launch, works: bool) -> Outcome {
    let host = Launch::Kind(Setup::default());
    let copy = |text: &str| Running::start(&mut host.command(demo, &["wl-copy", "--foreground", text])?);
    let has = |text: &'static str| move |out: &[u8]| out.windows(text.len()).any(|part| part == text.as_bytes());
    let mut first = copy("the first")?;
    let mut command = launch.command(demo, &["wl-paste", "--watch", "cat"])?;
    if !works {
        return finish(&mut command)?.expect_refused(NO_WATCHING);
    }
    let mut watch = Running::start(&mut command)?;
    // Once it has told the first, it watches.
    watch.wait_for("clipboard", has("the first"))?;
    let _second = copy("the second")?;
    watch.wait_for("change of the clipboard", has("the second"))?;
    ensure!(watch.is_alive(), "it no longer watches");
    // Its contents were replaced.
    ensure_eq!(first.reap()?.code(), Some(0));
    Ok(())
}

fn wtype(demo: &Demo, window: &mut Client, launch: &Launch, works: bool) -> Outcome {
    window.roundtrip()?;
    ensure!(window.seen().focused, "the window has lost the keyboard");
    let before = window.seen().keys;
    let typed = finish(&mut launch.command(demo, &["wtype", "hello"])?)?;
    if works {
        typed.expect(0)?;
        window.wait_for("keys", |seen| seen.keys >= before + 5)?;
    } else {
        typed.expect_refused(NO_TYPING)?;
    }
    window.roundtrip()?;
    ensure_eq!(window.seen().keys - before, if works { 5 } else { 0 }, "keys");
    Ok(())
}

pub(crate) fn host(world: &World) -> Outcome {
    expect_works(world, &Launch::Kind(Setup::default()), EVERYTHING, r#"{"kind": "host", "claim": null}"#)
}

pub(crate) fn host_claim(world: &World) -> Outcome {
    let launch = Launch::Kind(labelled(world, &[&[(APP_ID, "org.example.Game")]])?);
    expect_works(world, &launch, EVERYTHING, r#"{"kind": "host", "claim": "org.example.Game"}"#)
}

pub(crate) fn allowed_apps(world: &World) -> Outcome {
    for (app_id, works) in [
        ("org.example.Recorder", Works { grim: true, ..NOTHING }),
        ("org.example.Clipboard", Works { watch: true, ..NOTHING }),
        ("org.example.Typist", Works { wtype: true, ..NOTHING }),
    ] {
        let identity = format!(r#"{{"kind": "app", "engine": "org.example.Engine", "app-id": "{app_id}"}}"#);
        expect_works(world, &app(world, app_id)?, works, &identity).context(app_id)?;
    }
    Ok(())
}

pub(crate) fn denied_app(world: &World) -> Outcome {
    let identity = r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Game"}"#;
    expect_works(world, &app(world, "org.example.Game")?, NOTHING, identity)
}

pub(crate) fn unknown_engine(world: &World) -> Outcome {
    for namespaces in [&["unshare", "-U"][..], &["unshare", "-Urm"]] {
        expect_works(world, &Launch::Kind(wrapped(namespaces)), NOTHING, r#"{"kind": "app", "engine": null}"#)?;
    }
    Ok(())
}

pub(crate) fn unidentified(world: &World) -> Outcome {
    let launch = Launch::Kind(labelled(world, &[&[("user.xdg.instance-id", "1")]])?);
    expect_works(world, &launch, NOTHING, r#"{"kind": "unidentified", "reason": "malformed-label"}"#)
}

pub(crate) fn confined_apps(world: &World) -> Outcome {
    program("bwrap")?;
    let recorder = r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Recorder"}"#;
    let works = Works { grim: true, ..NOTHING };
    expect_works(world, &Launch::confined(world, Some("org.example.Recorder"))?, works, recorder)?;
    let game = r#"{"kind": "app", "engine": "org.example.Engine", "app-id": "org.example.Game"}"#;
    expect_works(world, &Launch::confined(world, Some("org.example.Game"))?, NOTHING, game)?;
    expect_works(world, &Launch::confined(world, None)?, NOTHING, r#"{"kind": "app", "engine": null}"#)
}

/// The policy that is built in says so itself.
pub(crate) fn built_in_policy_lets_its_recorder_capture(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let mut window = Client::new(demo.connect()?)?;
    window.open_window("window", WINDOW, RED)?;
    let label = |app_id| [(ENGINE, "org.wayland-auth.demo"), (APP_ID, app_id)];
    let recorder = Launch::Kind(labelled(world, &[&label("org.example.Recorder")])?);
    grim(&demo, &recorder, true)?;
    wl_paste_watch(&demo, &recorder, false)?;
    wtype(&demo, &mut window, &recorder, false)?;
    grim(&demo, &Launch::Kind(labelled(world, &[&label("org.example.Game")])?), false)?;
    grim(&demo, &Launch::Kind(Setup::default()), true)
}

/// What is held at use here, and what is not.
const HELD: &str = r#"
[defaults]
host = ["*"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Empty" }
allow = ["output-info"]
deny = ["screen-capture", "virtual-keyboard", "clipboard-manager"]
when-denied = "empty"

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Asked" }
allow = ["output-info"]
ask = ["screen-capture", "virtual-keyboard", "clipboard-manager"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.AskedEmpty" }
allow = ["output-info"]
ask = ["screen-capture", "virtual-keyboard"]
when-denied = "empty"
"#;

fn start_held(world: &World) -> Result<(Demo, Client), String> {
    let demo = Demo::with_policy(world, Some(HELD))?;
    let mut window = Client::new(demo.connect()?)?;
    window.open_window("another's secret", WINDOW, RED)?;
    Ok((demo, window))
}

/// They see the protocols, and nothing else. Without anybody who answers, being asked for is the same.
pub(crate) fn denied_at_use_gets_black_and_types_nothing(world: &World) -> Outcome {
    for name in ["grim", "wl-paste", "wl-copy", "wtype"] {
        program(name)?;
    }
    let (demo, mut window) = start_held(world)?;
    grim(&demo, &Launch::Kind(Setup::default()), true)?;
    for app_id in ["org.example.Empty", "org.example.AskedEmpty"] {
        let launch = app(world, app_id)?;
        let ppm = finish(&mut launch.command(&demo, &["grim", "-t", "ppm", "-"])?)?;
        ppm.expect(0).context(app_id)?;
        ensure!(pixels(&ppm.out)?.iter().all(|pixel| *pixel == [0, 0, 0]), "{app_id} is shown something");
        let before = window.seen().keys;
        finish(&mut launch.command(&demo, &["wtype", "hello"])?)?.expect(0).context(app_id)?;
        window.roundtrip()?;
        ensure_eq!(window.seen().keys, before, "keys of {app_id}");
    }
    // The compositor cannot hold this one: it is hidden.
    wl_paste_watch(&demo, &app(world, "org.example.Empty")?, false)
}

pub(crate) fn asking_nobody_is_a_no(world: &World) -> Outcome {
    for name in ["grim", "wl-paste", "wl-copy", "wtype"] {
        program(name)?;
    }
    let (mut demo, mut window) = start_held(world)?;
    let launch = app(world, "org.example.Asked")?;
    let refused = finish(&mut launch.command(&demo, &["grim", "-t", "ppm", "-"])?)?;
    refused.expect_refused("failed to copy output")?;
    ensure!(refused.out.is_empty(), "grim wrote a picture");
    let before = window.seen().keys;
    finish(&mut launch.command(&demo, &["wtype", "hello"])?)?.expect(0)?;
    window.roundtrip()?;
    ensure_eq!(window.seen().keys, before, "keys");
    wl_paste_watch(&demo, &launch, false)?;
    let denied: Vec<_> = events(&demo.audit()?, "use-denied").map(|line| line["capability"].clone()).collect();
    for capability in ["screen-capture", "virtual-keyboard"] {
        ensure!(denied.iter().any(|denied| denied == capability), "{capability} is not in {denied:?}");
    }
    Ok(())
}
