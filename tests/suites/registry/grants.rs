//! What is given to applications while they run, and taken from them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use wayland_auth::policy::{Answer, GrantId, Grantee, Lifetime, NewGrant};
use wayland_auth::{ClientAuth, Event};
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::wire::{Answer as Said, Global, REGISTRY};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::live::{CAPTURE, HOUR, Stage, Who, announcements, captures, removals};

const GAME: Option<&str> = Some("org.example.Game");

/// Screen capture for whoever `auth` is.
fn capture_for(auth: &ClientAuth, lifetime: Lifetime) -> Result<NewGrant, String> {
    let grantee = Grantee::of(auth.identity()).context("nobody who can be given something")?;
    Ok(NewGrant { grantee, capability: "screen-capture".into(), answer: Answer::Allow, lifetime, expires: None })
}

fn grant(stage: &Stage<'_>, new: NewGrant) -> Result<GrantId, String> {
    let authenticator = stage.authenticator.clone();
    stage.server.run(move |_| authenticator.grant(new).map_err(|e| e.to_string()))?
}

fn revoke(stage: &Stage<'_>, id: GrantId, disconnect: bool) -> Outcome {
    let authenticator = stage.authenticator.clone();
    let revoked = stage.server.run(move |_| authenticator.revoke(id, disconnect))?;
    ensure_eq!(revoked.map(|grant| grant.id), Some(id));
    Ok(())
}

fn silent(clients: &mut [Who], when: &str) -> Outcome {
    for who in clients {
        let bytes = who.client.unasked()?;
        ensure!(bytes.is_empty(), "{when}: {} was told {bytes:?}", who.auth.identity());
    }
    Ok(())
}

/// The host sees what an application is to be given.
fn all_captures(stage: &mut Stage<'_>, world: &World) -> Result<Vec<Global>, String> {
    let captures = captures(&stage.client(world, None)?.client);
    ensure_eq!(captures.len(), 2);
    Ok(captures)
}

/// The grants that ended, and what ended them.
fn endings(stage: &Stage<'_>) -> (Arc<Mutex<Vec<String>>>, wayland_auth::wayland::Subscription) {
    let endings = Arc::new(Mutex::new(Vec::new()));
    let subscription = stage.authenticator.subscribe({
        let endings = Arc::clone(&endings);
        move |event| {
            if let (Event::Revoked { grant, by, .. }, Ok(mut endings)) = (event, endings.lock()) {
                endings.push(format!("{} by {by:?}", grant.id));
            }
        }
    });
    (endings, subscription)
}

fn ended(endings: &Mutex<Vec<String>>) -> Vec<String> {
    endings.lock().map(|endings| endings.clone()).unwrap_or_default()
}

pub(crate) fn grant_reaches_its_application_and_nobody_else(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let captures = all_captures(&mut stage, world)?;
    let mut game = stage.client(world, GAME)?;
    let mut others = vec![stage.client(world, None)?, stage.client(world, Some("org.example.Typist"))?];
    for _ in 0..2 {
        let id = grant(&stage, capture_for(&game.auth, Lifetime::Session)?)?;
        ensure!(game.auth.allows(CAPTURE), "{}", game.auth.verdict().reason(CAPTURE));
        ensure_eq!(game.client.unasked()?, announcements(REGISTRY, &captures)?);
        ensure_eq!(game.client.bind(captures[0].name, &captures[0].interface, 1)?, Said::Done);
        silent(&mut others, "granted")?;
        // Who comes now has it from the start.
        let later = stage.auth(world, GAME)?;
        ensure!(later.allows(CAPTURE), "a later client");
        revoke(&stage, id, false)?;
        ensure!(!game.auth.allows(CAPTURE) && !later.allows(CAPTURE), "what is bound can be used");
        ensure_eq!(game.client.unasked()?, removals(REGISTRY, &captures)?);
        silent(&mut others, "revoked")?;
        ensure!(stage.authenticator.grants().is_empty(), "a grant is left");
    }
    ensure_eq!(game.client.sync()?, Said::Done);
    Ok(())
}

pub(crate) fn grant_for_a_connection_ends_with_it(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let captures = all_captures(&mut stage, world)?;
    let mut first = stage.client(world, GAME)?;
    let mut second = [stage.client(world, GAME)?];
    let (endings, _subscription) = endings(&stage);
    let id = grant(&stage, capture_for(&first.auth, Lifetime::Connection(first.auth.serial()))?)?;
    ensure_eq!(first.client.unasked()?, announcements(REGISTRY, &captures)?);
    ensure!(!second[0].auth.allows(CAPTURE), "another connection of the same application");
    silent(&mut second, "granted")?;
    let serial = first.auth.serial();
    let grant_again = capture_for(&first.auth, Lifetime::Connection(serial))?;
    drop(first);
    let until = Instant::now() + PATIENCE;
    while !stage.authenticator.grants().is_empty() {
        // The server has to see that the client is gone.
        stage.server.run(|_| ())?;
        ensure!(Instant::now() < until, "it outlives its connection");
    }
    ensure_eq!(ended(&endings), [format!("{id} by Disconnect")]);
    // Too late: it is for nobody.
    grant(&stage, grant_again)?;
    stage.tick()?;
    ensure!(stage.authenticator.grants().is_empty(), "a grant for nobody stays");
    silent(&mut second, "gone")?;
    Ok(())
}

/// What is granted to a connection that closes at that moment ends with it, whichever comes first.
pub(crate) fn nothing_is_left_of_grants_to_clients_that_leave(world: &World) -> Outcome {
    const ROUNDS: usize = 200;
    let mut stage = Stage::new(world, HOUR)?;
    let kept = stage.auth(world, GAME)?;
    let connection = &stage.kept.first().context("no connection")?.0;
    for round in 0..ROUNDS {
        let client = stage.authenticator.identify(&connection.stream);
        let new = capture_for(&client, Lifetime::Connection(client.serial()))?;
        std::thread::scope(|scope| -> Outcome {
            let leaving = scope.spawn(move || drop(client));
            while round % 2 == 0 && !leaving.is_finished() {
                std::thread::yield_now();
            }
            stage.authenticator.grant(new).map_err(|e| e.to_string())?;
            leaving.join().map_err(|_| "a thread panicked".to_owned())
        })?;
        let _ = stage.authenticator.tick();
        ensure!(stage.authenticator.grants().is_empty(), "round {round}: a grant to nobody is left");
    }
    ensure!(!kept.allows(CAPTURE), "another connection of the same application");
    // The control: one that stays keeps its own.
    grant(&stage, capture_for(&kept, Lifetime::Connection(kept.serial()))?)?;
    let _ = stage.authenticator.tick();
    ensure_eq!((stage.authenticator.grants().len(), kept.allows(CAPTURE)), (1, true));
    Ok(())
}

pub(crate) fn grant_that_expires_is_taken_back(world: &World) -> Outcome {
    let mut stage = Stage::new(world, Duration::ZERO)?;
    let captures = all_captures(&mut stage, world)?;
    let mut game = stage.client(world, GAME)?;
    let (endings, _subscription) = endings(&stage);
    let mut new = capture_for(&game.auth, Lifetime::Session)?;
    new.expires = Some(SystemTime::now() + Duration::from_secs(1));
    let id = grant(&stage, new)?;
    stage.settle()?;
    ensure!(!game.auth.allows(CAPTURE), "it has not expired");
    let told = [announcements(REGISTRY, &captures)?, removals(REGISTRY, &captures)?].concat();
    ensure_eq!(game.client.unasked()?, told);
    ensure_eq!(ended(&endings), [format!("{id} by Expiry")]);
    Ok(())
}

pub(crate) fn revoking_can_disconnect_who_had_it(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let game = stage.client(world, GAME)?;
    // It has the same by a rule, and keeps it.
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let id = grant(&stage, capture_for(&game.auth, Lifetime::Session)?)?;
    let Who { auth, client } = game;
    drop(auth);
    revoke(&stage, id, true)?;
    stage.settle()?;
    stage.server.run(|_| ())?;
    ensure!(client.is_closed(), "its connection is open");
    ensure!(recorder.auth.allows(CAPTURE), "somebody else lost it");
    ensure_eq!(recorder.client.unasked()?, [0_u8; 0]);
    ensure_eq!(recorder.client.sync()?, Said::Done);
    Ok(())
}

/// A no counts at once, and takes from who has it.
pub(crate) fn denying_takes_what_a_rule_gives(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let shown: Vec<Global> = captures(&recorder.client);
    let (endings, _subscription) = endings(&stage);
    let mut new = capture_for(&recorder.auth, Lifetime::Session)?;
    new.answer = Answer::Deny;
    let no = grant(&stage, new)?;
    ensure!(!recorder.auth.allows(CAPTURE), "{}", recorder.auth.verdict().reason(CAPTURE));
    ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &shown)?);
    // A yes takes its place.
    let yes = grant(&stage, capture_for(&recorder.auth, Lifetime::Session)?)?;
    ensure_eq!(recorder.client.unasked()?, announcements(REGISTRY, &shown)?);
    ensure_eq!(ended(&endings), [format!("{no} by Another({yes:?})")]);
    Ok(())
}

/// Who is granted something for good has it after the compositor was started again, until it is revoked.
pub(crate) fn grant_for_good_outlives_the_compositor(world: &World) -> Outcome {
    let directory = tempfile::tempdir().context("directory")?;
    let path = directory.path().join("state/grants.toml");
    let new = |stage: &mut Stage<'_>| capture_for(&stage.auth(world, GAME)?, Lifetime::Always);
    let mut first = Stage::new(world, HOUR)?;
    let wish = new(&mut first)?;
    ensure!(grant(&first, wish.clone()).is_err(), "there is nowhere to keep it");
    ensure!(first.authenticator.grants().is_empty(), "it holds all the same");
    first.authenticator.set_state_file(&path).context("no file yet")?;
    grant(&first, wish)?;
    drop(first);
    let mut second = Stage::new(world, HOUR)?;
    let mut game = second.client(world, GAME)?;
    ensure!(!game.auth.allows(CAPTURE), "without the file");
    let file = path.clone();
    let authenticator = second.authenticator.clone();
    second.server.run(move |_| authenticator.set_state_file(file).map_err(|e| e.to_string()))??;
    ensure!(game.auth.allows(CAPTURE), "with the file");
    ensure!(!game.client.unasked()?.is_empty(), "it was not told");
    let id = second.authenticator.grants().first().context("no grant")?.id;
    revoke(&second, id, false)?;
    drop(second);
    let mut third = Stage::new(world, HOUR)?;
    third.authenticator.set_state_file(&path).context("the file")?;
    ensure!(!third.auth(world, GAME)?.allows(CAPTURE), "it was revoked");
    // One that is not in order is refused, and so is what would be kept in it.
    std::fs::write(&path, "[[grant]]\nengine = 3\n").context("write")?;
    let fourth = Stage::new(world, HOUR)?;
    ensure!(fourth.authenticator.set_state_file(&path).is_err(), "a broken file");
    ensure!(fourth.authenticator.grants().is_empty(), "something of it holds");
    Ok(())
}
