//! Privileged globals that do what they are for.

use std::time::Duration;

use wayland_auth_tests::{Outcome, World, ensure_eq};

use super::client::Client;
use super::demo::Demo;

pub(crate) fn idleness_is_told(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let mut client = Client::new(demo.connect()?)?;
    client.watch_idleness(Duration::from_millis(20))?;
    client.wait_for("idleness", |seen| seen.idled == 1)
}

pub(crate) fn windows_are_listed(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let mut window = Client::new(demo.connect()?)?;
    let mut watcher = Client::new(demo.connect()?)?;
    window.open_window("before", (20, 20), [255, 0, 0])?;
    watcher.list_windows()?;
    watcher.wait_for("title", |seen| !seen.titles.is_empty())?;
    // And those that come later.
    let mut other = Client::new(demo.connect()?)?;
    other.open_window("\u{202e}later", (20, 20), [0, 0, 255])?;
    watcher.wait_for("title", |seen| seen.titles.len() > 1)?;
    ensure_eq!(watcher.seen().titles, ["before", "\u{202e}later"]);
    Ok(())
}
