//! Privileged globals that do what they are for.

use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use wayland_auth_tests::{Context, Outcome, World, ensure_eq};

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

/// Whatever a window calls itself: who it belongs to is told.
pub(crate) fn client_behind_a_window_is_told(world: &World) -> Outcome {
    // Its own policy lets the host watch.
    let demo = Demo::start(world, None)?;
    let mut watcher = Client::new(demo.connect()?)?;
    let path = world.new_dir()?.join("context");
    let listener = UnixListener::bind(&path).context(path.display())?;
    let _context = watcher.open_context(&listener, "org.example.Engine", "org.example.Game")?;
    let mut of_game = Client::new(UnixStream::connect(&path).context(path.display())?)?;
    of_game.open_window("org.example.Bank", (20, 20), [255, 0, 0])?;
    let mut of_host = Client::new(demo.connect()?)?;
    of_host.open_window("another", (20, 20), [0, 0, 255])?;
    watcher.list_windows()?;
    watcher.wait_for("titles", |seen| seen.titles.len() > 1)?;
    ensure_eq!(watcher.seen().titles.iter().filter(|title| *title == "org.example.Bank").count(), 1);
    watcher.ask_who_is_behind()?;
    let expected: Vec<_> = watcher
        .seen()
        .titles
        .iter()
        .map(|title| (title == "org.example.Bank").then(|| "org.example.Game".to_owned()))
        .collect();
    ensure_eq!(watcher.seen().behind, expected);
    Ok(())
}
