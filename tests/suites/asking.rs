//! Uses that wait for an answer, of real clients with real labels.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use wayland_auth::ask::{
    Asker, Decision, DecisionProvider, Keep, Outcome as Used, Question, Reply, Service, Ticket, Use,
};
use wayland_auth::policy::{Answer, Standing};
use wayland_auth::{Authenticator, Capability, ClientAuth, Policy};
use wayland_auth_tests::connect::Connection;
use wayland_auth_tests::{Context, Needs, Outcome, Peers, Test, TestCgroup, World, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("each_answer_holds_for_as_long_as_it_says", Needs::Nothing, each_answer_holds_for_as_long_as_it_says),
    ("answer_for_good_outlives_the_compositor", Needs::Nothing, answer_for_good_outlives_the_compositor),
    ("provider_that_crashes_says_no", Needs::Nothing, provider_that_crashes_says_no),
    ("clients_of_one_app_share_a_question", Needs::Nothing, clients_of_one_app_share_a_question),
    ("client_that_is_gone_waits_for_nothing", Needs::Nothing, client_that_is_gone_waits_for_nothing),
    ("policy_that_changes_meanwhile_has_the_last_word", Needs::Nothing, policy_has_the_last_word),
    ("t18_nobody_is_asked_about_the_unidentified", Needs::Nothing, nobody_is_asked_about_the_unidentified),
    ("t21_compositor_that_holds_nothing_hides_what_is_asked_for", Needs::Nothing, compositor_that_holds_nothing),
];

fn main() -> ExitCode {
    wayland_auth_tests::harness::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

const CAPTURE: Capability = Capability::SCREEN_CAPTURE;

const POLICY: &str = r#"
[defaults]
host = ["*"]
unidentified = ["screen-capture"]

[[rule]]
match = { engine = "org.example.Engine" }
ask = ["screen-capture"]
"#;

/// Keeps what it is asked until a test answers.
#[derive(Debug, Default)]
struct Prompt {
    asked: Mutex<Vec<(Question, Reply)>>,
}

impl DecisionProvider for Prompt {
    fn ask(&self, question: Question, reply: Reply) {
        if let Ok(mut asked) = self.asked.lock() {
            asked.push((question, reply));
        }
    }
}

impl Prompt {
    fn take(&self) -> Vec<(Question, Reply)> {
        self.asked.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }

    fn answer(&self, decision: Decision) -> Outcome {
        let mut asked = self.take();
        ensure_eq!(asked.len(), 1, "questions");
        let (_, reply) = asked.pop().context("a question")?;
        reply.answer(decision);
        Ok(())
    }
}

struct Stage<'a> {
    world: &'a World,
    authenticator: Authenticator,
    asker: Asker,
    prompt: Arc<Prompt>,
    service: Option<Service>,
    peers: Peers<'a>,
    kept: Vec<(Connection, Option<TestCgroup>)>,
}

impl<'a> Stage<'a> {
    fn new(world: &'a World) -> Result<Self, String> {
        let policy = Policy::parse("test.toml", POLICY).context("policy")?;
        let authenticator = Authenticator::builder().policy(policy).holds([CAPTURE]).build().context("build")?;
        let asker = Asker::new(&authenticator);
        let prompt = Arc::new(Prompt::default());
        let service = Some(asker.serve(prompt.clone()).context("serve")?);
        let peers = Peers::new(world)?;
        Ok(Self { world, authenticator, asker, prompt, service, peers, kept: Vec::new() })
    }

    /// A process that connects from a cgroup with this label, or from nowhere in particular.
    fn client(&mut self, app_id: Option<&str>) -> Result<ClientAuth, String> {
        let cgroup = app_id.map(|_| self.world.new_cgroup()).transpose()?;
        let mut steps = Vec::new();
        if let (Some(cgroup), Some(app_id)) = (&cgroup, app_id) {
            cgroup.label_app(app_id)?;
            steps.push(cgroup.join());
        }
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let connection = self.peers.connect(&steps)?;
        let auth = self.authenticator.identify(&connection.stream);
        self.kept.push((connection, cgroup));
        Ok(auth)
    }

    fn begin(&self, client: &ClientAuth) -> Result<Ticket, String> {
        match self.asker.authorize(client, CAPTURE) {
            Use::Pending(ticket) => Ok(ticket),
            Use::Done(outcome) => Err(format!("{} does not wait: {outcome:?}", client.identity())),
        }
    }

    fn answer(&self, decision: Decision) -> Outcome {
        self.prompt.answer(decision)?;
        let _ = self.asker.tick();
        Ok(())
    }
}

fn is_done(used: &Use, expected: Used) -> bool {
    matches!(used, Use::Done(outcome) if *outcome == expected)
}

fn each_answer_holds_for_as_long_as_it_says(world: &World) -> Outcome {
    use Standing::{Allowed, Ask, Denied};
    for (decision, used, this, another, grants) in [
        (Decision::DENY, Used::Denied, Ask, Ask, 0),
        (Decision::ONCE, Used::Allowed, Ask, Ask, 0),
        (Decision::CONNECTION, Used::Allowed, Allowed, Ask, 1),
        (Decision::SESSION, Used::Allowed, Allowed, Allowed, 1),
        (Decision::ALWAYS, Used::Allowed, Allowed, Allowed, 1),
        (Decision::deny(Keep::Connection), Used::Denied, Denied, Ask, 1),
        (Decision::deny(Keep::Session), Used::Denied, Denied, Denied, 1),
    ] {
        let mut stage = Stage::new(world)?;
        stage.authenticator.set_state_file(world.new_dir()?.join("grants.toml")).context("state file")?;
        let client = stage.client(Some("org.example.Recorder"))?;
        let second = stage.client(Some("org.example.Recorder"))?;
        let other = stage.client(Some("org.example.Game"))?;
        let ticket = stage.begin(&client)?;
        ensure_eq!(ticket.outcome(), None);
        stage.answer(decision)?;
        ensure_eq!(ticket.outcome(), Some(used), "{decision:?}");
        ensure_eq!(client.standing(CAPTURE), this, "{decision:?}");
        ensure_eq!(second.standing(CAPTURE), another, "{decision:?}");
        ensure_eq!(other.standing(CAPTURE), Ask, "{decision:?}");
        // Each is listed, and is a question again when it is taken back.
        let listed = stage.authenticator.grants();
        ensure_eq!(listed.len(), grants, "{decision:?}");
        for grant in listed {
            ensure_eq!(grant.grantee.to_string(), "org.example.Recorder of org.example.Engine");
            stage.authenticator.revoke(grant.id, false).context(&grant)?;
        }
        ensure_eq!(client.standing(CAPTURE), Ask, "{decision:?}");
        let outcome = ticket.outcome();
        ensure_eq!(outcome, Some(used), "the use that it was about");
    }
    Ok(())
}

fn answer_for_good_outlives_the_compositor(world: &World) -> Outcome {
    let path = world.new_dir()?.join("grants.toml");
    for answer in [Answer::Allow, Answer::Deny] {
        let mut stage = Stage::new(world)?;
        stage.authenticator.set_state_file(&path).context("state file")?;
        let client = stage.client(Some("org.example.Recorder"))?;
        let ticket = stage.begin(&client)?;
        stage.answer(Decision { answer, keep: Keep::Always })?;
        drop(ticket);
        let mut next = Stage::new(world)?;
        next.authenticator.set_state_file(&path).context("state file")?;
        let client = next.client(Some("org.example.Recorder"))?;
        let expected = if answer == Answer::Allow { Used::Allowed } else { Used::Denied };
        ensure!(is_done(&next.asker.authorize(&client, CAPTURE), expected), "{answer}");
        ensure_eq!(next.prompt.take().len(), 0);
        for grant in next.authenticator.grants() {
            next.authenticator.revoke(grant.id, false).context("revoke")?;
        }
    }
    Ok(())
}

fn provider_that_crashes_says_no(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let client = stage.client(Some("org.example.Recorder"))?;
    let other = stage.client(Some("org.example.Game"))?;
    let ticket = stage.begin(&client)?;
    // All that it had is gone: the questions, and its place.
    drop(stage.prompt.take());
    let _ = stage.asker.tick();
    ensure_eq!(ticket.outcome(), Some(Used::Denied));
    let ticket = stage.begin(&other)?;
    stage.service = None;
    let _ = stage.asker.tick();
    ensure_eq!(ticket.outcome(), Some(Used::Denied));
    stage.answer(Decision::ALWAYS)?;
    ensure_eq!(ticket.outcome(), Some(Used::Denied), "an answer from the grave");
    ensure!(stage.authenticator.grants().is_empty(), "{:?}", stage.authenticator.grants());
    ensure!(is_done(&stage.asker.authorize(&client, CAPTURE), Used::Denied), "nobody is there to be asked");
    Ok(())
}

fn clients_of_one_app_share_a_question(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let (first, second) = (stage.client(Some("org.example.Recorder"))?, stage.client(Some("org.example.Recorder"))?);
    let other = stage.client(Some("org.example.Game"))?;
    let tickets = [stage.begin(&first)?, stage.begin(&second)?];
    ensure_eq!(stage.prompt.asked.lock().map(|asked| asked.len()).unwrap_or_default(), 1);
    stage.answer(Decision::CONNECTION)?;
    ensure!(tickets.iter().all(|ticket| ticket.outcome() == Some(Used::Allowed)), "{tickets:?}");
    ensure!(first.allows(CAPTURE) && second.allows(CAPTURE), "both connections waited for it");
    let _ticket = stage.begin(&other)?;
    let asked = stage.prompt.take();
    ensure_eq!(asked.len(), 1);
    ensure_eq!(asked[0].0.grantee.to_string(), "org.example.Game of org.example.Engine");
    Ok(())
}

fn client_that_is_gone_waits_for_nothing(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let client = stage.client(Some("org.example.Recorder"))?;
    let ticket = stage.begin(&client)?;
    // The last one that has the connection.
    drop(client);
    let _ = stage.asker.tick();
    ensure_eq!(ticket.outcome(), Some(Used::Denied));
    ensure_eq!(stage.asker.counts().withdrawn, 1);
    stage.answer(Decision::ALWAYS)?;
    ensure!(stage.authenticator.grants().is_empty(), "an answer that nobody waited for");
    Ok(())
}

fn policy_has_the_last_word(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let client = stage.client(Some("org.example.Recorder"))?;
    let ticket = stage.begin(&client)?;
    let denying = Policy::parse("next.toml", &POLICY.replace("ask", "deny")).context("policy")?;
    stage.authenticator.set_policy(denying).context("set")?;
    ensure_eq!(ticket.outcome(), Some(Used::Denied));
    stage.answer(Decision::ALWAYS)?;
    ensure_eq!(ticket.outcome(), Some(Used::Denied), "a yes over a denial");
    ensure!(!client.allows(CAPTURE), "a yes over a denial");
    Ok(())
}

fn nobody_is_asked_about_the_unidentified(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let host = stage.client(None)?;
    ensure!(is_done(&stage.asker.authorize(&host, CAPTURE), Used::Allowed), "{}", host.identity());
    let nobody = ClientAuth::default();
    ensure!(is_done(&stage.asker.authorize(&nobody, CAPTURE), Used::Denied), "{}", nobody.identity());
    ensure_eq!(stage.prompt.take().len(), 0);
    Ok(())
}

fn compositor_that_holds_nothing(world: &World) -> Outcome {
    let mut stage = Stage::new(world)?;
    let policy = Policy::parse("test.toml", POLICY).context("policy")?;
    stage.authenticator = Authenticator::builder().policy(policy).build().context("build")?;
    let client = stage.client(Some("org.example.Recorder"))?;
    ensure_eq!(client.standing(CAPTURE), Standing::Denied);
    ensure!(!client.sees(CAPTURE), "{}", client.verdict().reason(CAPTURE));
    Ok(())
}
