//! The one agent.

use wayland_auth::ask::{Outcome as Answered, Ticket, Use};
use wayland_auth::protocol::client::xx_client_auth_admin_v1::XxClientAuthAdminV1;
use wayland_auth::protocol::client::xx_client_auth_agent_v1::{Decision, XxClientAuthAgentV1};
use wayland_auth::{Capability, ClientAuth};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::admin::POLICY;
use super::client::{Client, Ours};
use super::stage::Stage;

fn agent(host: &mut Client) -> Result<XxClientAuthAgentV1, String> {
    let agent = host.bind::<XxClientAuthAdminV1>()?.get_agent(&host.queue.handle(), Ours);
    host.roundtrip()?;
    Ok(agent)
}

/// A use that waits for an answer.
fn waits(stage: &Stage<'_>, auth: &ClientAuth) -> Result<Ticket, String> {
    let (asker, auth) = (stage.asker.clone(), auth.detached());
    let ticket = stage.server.run(move |_| asker.authorize(&auth, Capability::SCREEN_CAPTURE))?;
    stage.dispatch()?;
    match ticket {
        Use::Pending(ticket) => Ok(ticket),
        Use::Done(outcome) => Err(format!("it does not wait: {outcome:?}")),
    }
}

fn number(said: &[String]) -> Result<u32, String> {
    let [question] = said else { return Err(format!("not one question: {said:?}")) };
    let rest = question.strip_prefix("Question { question: ").context(question)?;
    rest.split(',').next().and_then(|number| number.parse().ok()).context(question)
}

pub(crate) fn answers(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Asking")?;
    let mut host = stage.host()?;
    let agent = agent(&mut host)?;
    ensure_eq!(host.said(&agent), ["Active"]);

    let once = waits(&stage, &auth)?;
    host.roundtrip()?;
    let said = host.said(&agent);
    let start = "Question { question: 1, engine: \"org.example.Engine\", app_id: \"org.example.Asking\", \
                 instance_id: None, provenance: Value(User), capability: \"screen-capture\", \
                 description: \"Read the contents of the screen or of other windows.\", seconds: ";
    ensure!(said.len() == 1 && said[0].starts_with(start), "{said:#?}");
    // A number that is no question changes nothing.
    agent.answer(77, Decision::Always);
    host.roundtrip()?;
    stage.tick()?;
    ensure_eq!(once.outcome(), None);
    agent.answer(number(&said)?, Decision::Once);
    host.roundtrip()?;
    stage.tick()?;
    ensure_eq!(once.outcome(), Some(Answered::Allowed));
    ensure!(!auth.allows(Capability::SCREEN_CAPTURE), "once is for ever");

    let session = waits(&stage, &auth)?;
    host.roundtrip()?;
    agent.answer(number(&host.said(&agent))?, Decision::Session);
    host.roundtrip()?;
    stage.tick()?;
    ensure_eq!(session.outcome(), Some(Answered::Allowed));
    ensure!(auth.allows(Capability::SCREEN_CAPTURE), "nothing was granted");
    let grants = stage.authenticator.grants();
    stage.server.run({
        let authenticator = stage.authenticator.clone();
        move |_| drop(grants.iter().map(|grant| authenticator.revoke(grant.id, false)).collect::<Vec<_>>())
    })?;

    let denied = waits(&stage, &auth)?;
    host.roundtrip()?;
    agent.answer(number(&host.said(&agent))?, Decision::Deny);
    host.roundtrip()?;
    stage.tick()?;
    ensure_eq!(denied.outcome(), Some(Answered::Denied));
    Ok(())
}

pub(crate) fn second_is_refused(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Asking")?;
    let (mut host, mut other) = (stage.host()?, stage.host()?);
    let first = agent(&mut host)?;
    ensure_eq!(host.said(&first), ["Active"]);
    let waiting = waits(&stage, &auth)?;
    for client in [&mut host, &mut other] {
        let second = agent(client)?;
        ensure_eq!(client.said(&second), ["Finished { cause: Value(Occupied) }"]);
        // It gets no question, and its answers are none.
        client.roundtrip()?;
        ensure_eq!(client.said(&second), [""; 0]);
        second.answer(1, Decision::Always);
        client.roundtrip()?;
        stage.tick()?;
        ensure!(stage.authenticator.grants().is_empty(), "it has answered");
        second.destroy();
        client.roundtrip()?;
    }
    // That the others went ended nothing.
    host.roundtrip()?;
    ensure_eq!(number(&host.said(&first))?, 1);
    ensure_eq!(waiting.outcome(), None);
    first.destroy();
    host.roundtrip()?;
    let next = agent(&mut other)?;
    ensure_eq!(other.said(&next), ["Active"]);
    Ok(())
}

pub(crate) fn gone(world: &World) -> Outcome {
    for crash in [false, true] {
        let stage = Stage::new(world, POLICY)?;
        let (_app, auth) = stage.app("org.example.Asking")?;
        let mut host = stage.host()?;
        let agent = agent(&mut host)?;
        let waiting = waits(&stage, &auth)?;
        host.roundtrip()?;
        ensure_eq!(number(&host.said(&agent)[1..])?, 1);
        if crash {
            drop((agent, host));
            stage.wait_for_clients(1)?;
        } else {
            agent.destroy();
            host.roundtrip()?;
        }
        stage.tick()?;
        ensure_eq!(waiting.outcome(), Some(Answered::Denied), "crash: {crash}");
        ensure!(stage.authenticator.grants().is_empty(), "something holds");
        // Without an agent nothing waits at all.
        ensure!(waits(&stage, &auth).is_err(), "somebody is asked");
    }
    Ok(())
}

pub(crate) fn withdrawn(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Asking")?;
    let mut host = stage.host()?;
    let agent = agent(&mut host)?;
    let waiting = waits(&stage, &auth)?;
    host.roundtrip()?;
    ensure_eq!(number(&host.said(&agent)[1..])?, 1);
    drop(waiting);
    stage.tick()?;
    host.roundtrip()?;
    ensure_eq!(host.said(&agent), ["Withdrawn { question: 1 }"]);
    // An answer that crosses it has no effect.
    agent.answer(1, Decision::Always);
    host.roundtrip()?;
    stage.tick()?;
    ensure!(stage.authenticator.grants().is_empty(), "it was granted all the same");
    Ok(())
}

pub(crate) fn lost_capability(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Asking")?;
    let mut host = stage.host()?;
    let agent = agent(&mut host)?;
    let waiting = waits(&stage, &auth)?;
    host.roundtrip()?;
    ensure_eq!(host.said(&agent).len(), 2);
    stage.decide_by(&POLICY.replace(", \"identity-admin\"", ""))?;
    // What it answers before it knows is a no.
    agent.answer(1, Decision::Always);
    host.roundtrip()?;
    stage.tick()?;
    ensure!(stage.authenticator.grants().is_empty(), "it has answered");
    ensure_eq!(waiting.outcome(), Some(Answered::Denied));
    host.roundtrip()?;
    ensure_eq!(host.said(&agent), ["Finished { cause: Value(NotPermitted) }"]);
    Ok(())
}
