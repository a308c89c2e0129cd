//! Labels that change while their clients are connected.

use std::sync::{Arc, Mutex};

use wayland_auth::{Capability, ClientAuth, Event};
use wayland_auth_tests::wire::REGISTRY;
use wayland_auth_tests::{Context, Outcome, TestCgroup, World, ensure, ensure_eq};

use crate::live::{CAPTURE, HOUR, Stage, Who, captures, removals};
use crate::strict::client_as;

/// A client below `cgroup`, whose labels are watched.
fn client(stage: &mut Stage<'_>, cgroup: &TestCgroup) -> Result<Who, String> {
    let auth = identify(stage, cgroup)?;
    stage.tick()?;
    let client = client_as(&stage.server, &auth)?;
    Ok(Who { auth, client })
}

fn identify(stage: &mut Stage<'_>, cgroup: &TestCgroup) -> Result<ClientAuth, String> {
    let connection = stage.peers.connect(&[&cgroup.join()])?;
    let auth = stage.authenticator.identify(&connection.stream);
    stage.kept.push((connection, None));
    Ok(auth)
}

fn stage(world: &World) -> Result<Stage<'_>, String> {
    let stage = Stage::new(world, HOUR)?;
    stage.authenticator.watch_labels().context("watch")?;
    Ok(stage)
}

pub(crate) fn changed_label_takes_at_once_and_gives_nothing(world: &World) -> Outcome {
    let mut stage = stage(world)?;
    let (recorders, games) = (world.new_cgroup()?, world.new_cgroup()?);
    recorders.label_app("org.example.Recorder")?;
    games.label_app("org.example.Game")?;
    let mut recorder = client(&mut stage, &recorders)?;
    let mut game = client(&mut stage, &games)?;
    let mut host = stage.client(world, None)?;
    let shown = captures(&recorder.client);
    ensure_eq!(shown.len(), 2);
    let events = Arc::new(Mutex::new(0));
    let _subscription = stage.authenticator.subscribe({
        let events = Arc::clone(&events);
        move |event| {
            if let (Event::Relabelled { .. }, Ok(mut events)) = (event, events.lock()) {
                *events += 1;
            }
        }
    });
    // Nothing changed: the same written again is no change.
    recorders.label_app("org.example.Recorder")?;
    stage.tick()?;
    ensure!(recorder.auth.allows(CAPTURE), "it changed nothing");
    // They change roles.
    recorders.label_app("org.example.Game")?;
    games.label_app("org.example.Recorder")?;
    stage.tick()?;
    ensure!(!recorder.auth.allows(CAPTURE) && recorder.auth.allows(Capability::OUTPUT_INFO), "too little, or too much");
    ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &shown)?);
    ensure!(!game.auth.allows(CAPTURE), "a label gave something: {}", game.auth.verdict().reason(CAPTURE));
    // And back.
    recorders.label_app("org.example.Recorder")?;
    stage.tick()?;
    ensure!(!recorder.auth.allows(CAPTURE), "writing the old label back gave it back");
    // Nor does a policy that is read again.
    stage.set(wayland_auth_tests::kinds::POLICY)?;
    ensure!(!recorder.auth.allows(CAPTURE) && !game.auth.allows(CAPTURE), "a policy forgot it");
    for who in [&mut recorder, &mut game, &mut host] {
        ensure_eq!(who.client.unasked()?, [0_u8; 0], "{}", who.auth.identity());
    }
    ensure_eq!(events.lock().map(|events| *events).unwrap_or(0), 2);
    Ok(())
}

pub(crate) fn label_that_comes_later_counts(world: &World) -> Outcome {
    let mut stage = stage(world)?;
    // Between the look-up and the watch, and later; on its own directory, and on one above.
    for (watched, above) in [(false, false), (true, false), (true, true)] {
        let outer = world.new_cgroup()?;
        let inner = outer.child("inner")?;
        let auth = identify(&mut stage, &inner)?;
        ensure!(auth.allows(CAPTURE), "the control: {}", auth.identity());
        if watched {
            stage.tick()?;
        }
        let labelled = if above { &outer } else { &inner };
        labelled.label_app("org.example.Game")?;
        stage.tick()?;
        ensure!(!auth.allows(CAPTURE), "watched: {watched}, above: {above}");
        ensure!(auth.allows(Capability::OUTPUT_INFO), "it may what both may");
        stage.kept.clear();
    }
    Ok(())
}

pub(crate) fn label_that_is_broken_later_leaves_the_least(world: &World) -> Outcome {
    let mut stage = stage(world)?;
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.Recorder")?;
    let recorder = client(&mut stage, &cgroup)?;
    cgroup.label(&[("user.app_id", "a b")])?;
    stage.tick()?;
    ensure!(recorder.auth.allowed().is_empty(), "{:?}", recorder.auth.allowed());
    Ok(())
}
