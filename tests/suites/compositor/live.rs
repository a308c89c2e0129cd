//! A policy that changes while the compositor runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use rustix::process::Signal;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::Demo;

const WIDE: &str = "[defaults]\nhost = [\"*\"]\n";
const NARROW: &str = "[defaults]\nhost = [\"layer-shell\"]\n";
/// `zwlr_screencopy_frame_v1.failed`.
const FAILED: u16 = 3;

/// How a policy comes to be another.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It is written over.
    Written,
    /// Another file takes its place, as editors do it.
    Renamed,
    /// Nobody can see that it was written, and the signal tells.
    Signal,
}

fn put(demo: &Demo, policy: &str, way: Way) -> Outcome {
    let path = demo.policy();
    match way {
        Way::Written => fs::write(&path, policy).context("write"),
        Way::Renamed => {
            let other = path.with_extension("new");
            fs::write(&other, policy).context("write")?;
            fs::set_permissions(&other, PermissionsExt::from_mode(0o600)).context("mode")?;
            fs::rename(&other, &path).context("rename")
        }
        Way::Signal => {
            // By another name, in a directory that nobody watches.
            let elsewhere = demo.dir().join("elsewhere");
            fs::create_dir(&elsewhere).context("directory")?;
            let other = elsewhere.join("policy");
            fs::hard_link(&path, &other).context("link")?;
            fs::write(&other, policy).context("write")?;
            fs::remove_dir_all(&elsewhere).context("remove")?;
            demo.signal(Signal::HUP)
        }
    }
}

fn number(client: &Client, interface: &str) -> Option<u32> {
    client.globals().iter().find(|global| global.interface == interface).map(|global| global.name)
}

/// Waits until the client is told whether it sees screencopy.
fn wait(client: &mut Client, seen: bool) -> Outcome {
    let until = Instant::now() + PATIENCE;
    while number(client, "zwlr_screencopy_manager_v1").is_some() != seen {
        ensure_eq!(client.sync()?, Answer::Done);
        ensure!(Instant::now() < until, "it is not told: seen is {}", !seen);
    }
    Ok(())
}

pub(crate) fn policy_file_that_is_written_reaches_clients(world: &World) -> Outcome {
    let mut demo = Demo::start(world, WIDE)?;
    let mut client = demo.client()?;
    let [output, screencopy] = ["wl_output", "zwlr_screencopy_manager_v1"].map(|i| number(&client, i));
    let (output, screencopy) = (output.context("output")?, screencopy.context("screencopy")?);
    ensure_eq!(client.capture(output, screencopy)?, Answer::Done);
    ensure!(!client.opcodes().is_empty() && !client.opcodes().contains(&FAILED), "the control");
    for way in [Way::Written, Way::Renamed, Way::Signal] {
        put(&demo, NARROW, way)?;
        wait(&mut client, false).context(format!("{way:?}"))?;
        // A bind that was under way lives, and there is no picture for it.
        ensure_eq!(client.capture(output, screencopy)?, Answer::Done, "{way:?}");
        ensure_eq!(client.opcodes(), [FAILED], "{way:?}");
        put(&demo, WIDE, way)?;
        wait(&mut client, true).context(format!("{way:?}"))?;
        ensure_eq!(client.capture(output, screencopy)?, Answer::Done, "{way:?}");
        ensure!(!client.opcodes().is_empty() && !client.opcodes().contains(&FAILED), "{way:?}: {:?}", client.opcodes());
    }
    demo.expect_alive()
}

pub(crate) fn policy_file_with_mistakes_changes_nothing(world: &World) -> Outcome {
    let mut demo = Demo::start(world, NARROW)?;
    let mut client = demo.client()?;
    let other_capabilities = format!("{WIDE}[capabilities]\nmine = [\"zwlr_layer_shell_v1\"]\n");
    for bad in ["[defaults]\nhost = [\"*\"]\nhosts = []\n", "[defaults", &other_capabilities] {
        let before = demo.errors_so_far().matches("the old one stays").count();
        put(&demo, bad, Way::Written)?;
        let until = Instant::now() + PATIENCE;
        while demo.errors_so_far().matches("the old one stays").count() == before {
            ensure!(Instant::now() < until, "it is not said: {}", demo.errors_so_far());
            ensure_eq!(client.sync()?, Answer::Done);
        }
        ensure!(number(&client, "zwlr_screencopy_manager_v1").is_none(), "a broken policy gave something");
        ensure!(number(&demo.client()?, "zwlr_screencopy_manager_v1").is_none(), "to a new client");
        ensure!(number(&client, "zwlr_layer_shell_v1").is_some(), "a broken policy took something");
    }
    // Once it is in order it counts.
    put(&demo, WIDE, Way::Written)?;
    wait(&mut client, true)?;
    demo.expect_alive()
}

/// Files that a policy includes are a part of it: those that come, those that are written, those that go.
pub(crate) fn included_file_that_is_written_reaches_clients(world: &World) -> Outcome {
    let mut demo = Demo::start(world, WIDE)?;
    let mut client = demo.client()?;
    let further = demo.policy().with_file_name("policy.d");
    fs::create_dir(&further).context("directory")?;
    put(&demo, &format!("include = [\"policy.d/*.toml\"]\n{WIDE}"), Way::Renamed)?;
    let file = further.join("10-capture.toml");
    let denied = "[[rule]]\nmatch = { namespaces = \"shared\" }\ndeny = [\"screen-capture\"]\n";
    // When it was read again, the directory is watched too.
    let until = Instant::now() + PATIENCE;
    while !demo.audit_text()?.contains("\"reload\"") {
        demo.expect_alive()?;
        ensure!(Instant::now() < until, "the policy is not read again");
    }
    fs::write(&file, denied).context("write")?;
    wait(&mut client, false).context("a file came")?;
    fs::write(&file, denied.replace("screen-capture", "layer-shell")).context("write")?;
    wait(&mut client, true).context("it was written")?;
    fs::write(&file, denied).context("write")?;
    wait(&mut client, false).context("it was written again")?;
    fs::remove_file(&file).context("remove")?;
    wait(&mut client, true).context("it went")
}

/// Each global of the demo goes by the policy's table, so that one interface can be taken alone.
pub(crate) fn one_interface_is_taken_alone(world: &World) -> Outcome {
    let all = [
        "zwlr_screencopy_manager_v1",
        "zwlr_layer_shell_v1",
        "zwp_virtual_keyboard_manager_v1",
        "zwlr_data_control_manager_v1",
        "ext_data_control_manager_v1",
        "ext_foreign_toplevel_list_v1",
        "ext_idle_notifier_v1",
        "zxdg_output_manager_v1",
    ];
    for one in all {
        let rule = format!("[[rule]]\nmatch = {{ namespaces = \"shared\" }}\ndeny = [\"interface:{one}\"]\n");
        let demo = Demo::with_policy(world, Some(&format!("{WIDE}{rule}")))?;
        let client = demo.client()?;
        for interface in all {
            ensure_eq!(number(&client, interface).is_some(), interface != one, "{interface} without {one}");
        }
    }
    Ok(())
}
