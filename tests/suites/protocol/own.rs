//! What clients are told about themselves.

use wayland_auth_tests::{Outcome, World, ensure, ensure_eq};

use super::client::{Client, Ours};
use super::stage::Stage;

const POLICY: &str = r#"
[defaults]
sandboxed = ["output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["screen-capture"]
"#;

/// What a client says it was told about itself.
fn told(client: &mut Client) -> Result<Vec<String>, String> {
    let own = client.manager()?.get_self(&client.queue.handle(), Ours);
    client.roundtrip()?;
    Ok(client.said(&own))
}

pub(crate) fn every_client_is_told_who_it_is(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let recorder = told(&mut stage.app("org.example.Recorder")?.0)?;
    ensure_eq!(
        recorder[0],
        "Identity { kind: Value(App), engine: Some(\"org.example.Engine\"), \
         app_id: Some(\"org.example.Recorder\"), instance_id: None, provenance: Value(User) }"
    );
    let standing = |name: &str, standing: &str| format!("Capability {{ name: {name:?}, standing: Value({standing}) }}");
    for expected in [standing("screen-capture", "Allowed"), standing("layer-shell", "Denied")] {
        ensure!(recorder.contains(&expected), "{expected}: {recorder:#?}");
    }
    ensure_eq!(recorder.iter().filter(|event| event.starts_with("Capability")).count(), 30);
    ensure_eq!(recorder.last().map(String::as_str), Some("Done"));

    let host = told(&mut stage.host()?)?;
    ensure_eq!(
        host[0],
        "Identity { kind: Value(Host), engine: None, app_id: None, instance_id: None, provenance: Value(None) }"
    );
    ensure!(host.contains(&standing("layer-shell", "Allowed")), "{host:#?}");
    ensure!(host.contains(&standing("identity-admin", "Denied")), "{host:#?}");

    let cgroup = world.new_cgroup()?;
    cgroup.label(&[("user.app_id", "a b")])?;
    let nobody = told(&mut stage.client(&[&cgroup.join()])?.0)?;
    ensure!(nobody[0].starts_with("Identity { kind: Value(Unidentified), engine: None, app_id: None"), "{nobody:#?}");
    ensure!(!nobody.iter().any(|event| event.contains("Allowed")), "{nobody:#?}");

    let mut shell = stage.client_as(stage.authenticator.internal("shell"))?;
    let shell = told(&mut shell)?;
    ensure!(shell[0].starts_with("Identity { kind: Value(Internal), engine: None, app_id: None"), "{shell:#?}");
    Ok(())
}

pub(crate) fn told_what_changes(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (mut recorder, _) = stage.app("org.example.Recorder")?;
    let (mut game, _) = stage.app("org.example.Game")?;
    let own = |client: &mut Client| -> Result<_, String> {
        let own = client.manager()?.get_self(&client.queue.handle(), Ours);
        client.roundtrip()?;
        ensure!(client.said(&own).len() > 2, "nothing was told");
        Ok(own)
    };
    let (of_recorder, of_game) = (own(&mut recorder)?, own(&mut game)?);
    stage.set_policy(&POLICY.replace("\"screen-capture\"", "\"layer-shell\""))?;
    recorder.roundtrip()?;
    ensure_eq!(
        recorder.said(&of_recorder),
        [
            "Capability { name: \"screen-capture\", standing: Value(Denied) }",
            "Capability { name: \"layer-shell\", standing: Value(Allowed) }",
            "Done"
        ]
    );
    // Whom it does not concern hears nothing.
    game.roundtrip()?;
    ensure_eq!(game.said(&of_game), [""; 0]);
    Ok(())
}

pub(crate) fn too_many_objects(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (mut app, _) = stage.app("org.example.Game")?;
    let manager = app.manager()?;
    let handle = app.queue.handle();
    let own: Vec<_> = (0..16).map(|_| manager.get_self(&handle, Ours)).collect();
    app.roundtrip()?;
    // One that is destroyed makes room for another.
    own[0].destroy();
    manager.get_self(&handle, Ours);
    app.roundtrip()?;
    manager.get_self(&handle, Ours);
    ensure!(app.roundtrip().is_err(), "a seventeenth object was made");
    // The others do not notice.
    let (mut other, _) = stage.app("org.example.Game")?;
    ensure_eq!(told(&mut other)?.last().map(String::as_str), Some("Done"));
    stage.dispatch()
}
