//! The clock is a number here: nothing waits.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::identity::{AppId, AppIdentity, Evidence, HostIdentity, Namespaces, Reason, SandboxEngine};
use crate::policy::{Capability, GrantId, Lifetime, Policy};
use crate::wayland::{Authenticator, ClientAuth, Event};

const CAPTURE: Capability = Capability::SCREEN_CAPTURE;
const POLICY: &str = "[defaults]\nunidentified = ['screen-capture']\nnamespaced = ['screen-capture']\n\
    [[rule]]\nmatch = { engine = '*' }\nask = ['screen-capture', 'layer-shell', 'toplevel-list']\n\
    [[rule]]\nmatch = { engine = 'e', app-id = 'empty' }\nask = ['clipboard-manager']\nwhen-denied = 'empty'";

/// Keeps what it is asked.
#[derive(Default)]
struct Prompt {
    asked: Mutex<VecDeque<(Question, Reply)>>,
    withdrawn: Mutex<Vec<u64>>,
}

impl DecisionProvider for Prompt {
    fn ask(&self, question: Question, reply: Reply) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push_back((question, reply));
    }

    fn withdraw(&self, question: QuestionId) {
        self.withdrawn.lock().unwrap().push(question.get());
    }
}

impl Prompt {
    fn next(&self) -> Option<(Question, Reply)> {
        self.asked.lock().unwrap().pop_front()
    }

    fn answer(&self, decision: Decision) {
        self.next().expect("a question").1.answer(decision);
    }
}

struct Bench {
    policy: Policy,
    authenticator: Authenticator,
    asker: Asker,
    prompt: Arc<Prompt>,
    service: Option<Service>,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let policy = Policy::parse("p.toml", POLICY).unwrap_or_else(|errors| panic!("{errors}"));
        let authenticator = Authenticator::builder().policy(policy.clone()).build().unwrap();
        let asker = Asker::with_limits(&authenticator, limits);
        let prompt = Arc::new(Prompt::default());
        let service = Some(asker.serve(prompt.clone()).unwrap());
        Self { policy, authenticator, asker, prompt, service, start: Instant::now() }
    }

    fn of(&self, identity: Identity) -> ClientAuth {
        let verdict = self.policy.evaluate(&identity);
        ClientAuth::new(identity, Evidence::default(), verdict)
    }

    fn client(&self, app_id: &str) -> ClientAuth {
        self.of(Identity::App(app("e", Some(app_id))))
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn ask_at(&self, client: &ClientAuth, seconds: u64) -> Use {
        self.asker.authorize_at(client, CAPTURE, self.at(seconds))
    }

    fn ticket(&self, client: &ClientAuth, seconds: u64) -> Ticket {
        match self.ask_at(client, seconds) {
            Use::Pending(ticket) => ticket,
            Use::Done(outcome) => panic!("{outcome:?}"),
        }
    }

    fn refused(&self, client: &ClientAuth, seconds: u64) -> Outcome {
        match self.ask_at(client, seconds) {
            Use::Done(outcome) => outcome,
            Use::Pending(_) => panic!("it is asked about"),
        }
    }

    fn tick(&self, seconds: u64) -> Option<Instant> {
        self.asker.tick_at(self.at(seconds))
    }
}

fn app(engine: &str, app_id: Option<&str>) -> AppIdentity {
    AppIdentity {
        engine: Some(SandboxEngine::new(engine).unwrap()),
        app_id: app_id.map(|id| AppId::new(id).unwrap()),
        ..AppIdentity::unknown(Namespaces::SHARED)
    }
}

#[test]
fn a_use_waits_until_somebody_answers() {
    let bench = Bench::new();
    let ticket = bench.ticket(&bench.client("a"), 0);
    assert_eq!(bench.tick(1), Some(bench.at(60)));
    assert_eq!(ticket.outcome(), None);
    let (question, reply) = bench.prompt.next().unwrap();
    assert_eq!((&*question.capability, question.grantee.to_string()), ("screen-capture", "a of e".to_owned()));
    assert_eq!(question.deadline, bench.at(60));
    reply.answer(Decision::ONCE);
    assert_eq!(ticket.outcome(), None, "not before the tick");
    assert_eq!(bench.tick(2), None);
    assert_eq!(ticket.outcome(), Some(Outcome::Allowed));
    assert!(bench.authenticator.grants().is_empty());
    // Once is once.
    let next = bench.ticket(&bench.client("a"), 3);
    assert_eq!(next.outcome(), None);
    assert_eq!(bench.asker.counts().asked, 2);
}

#[test]
fn each_answer_becomes_the_grant_that_it_says() {
    for (decision, expected) in [
        (Decision::DENY, vec![]),
        (Decision::ONCE, vec![]),
        (Decision::CONNECTION, vec!["allow connection"]),
        (Decision::SESSION, vec!["allow session"]),
        (Decision::ALWAYS, vec!["allow always"]),
        (Decision::deny(Keep::Session), vec!["deny session"]),
        (Decision::deny(Keep::Always), vec!["deny always"]),
    ] {
        let bench = Bench::new();
        let client = bench.client("a");
        let tickets = [bench.ticket(&client, 0), bench.ticket(&client, 0)];
        bench.prompt.answer(decision);
        let _ = bench.tick(1);
        let outcome = if decision.answer == Answer::Allow { Outcome::Allowed } else { Outcome::Denied };
        assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(outcome)), "{decision:?}");
        let told: Vec<_> = bench.authenticator.grants();
        let words: Vec<_> = told.iter().map(|grant| format!("{} {}", grant.answer, grant.lifetime)).collect();
        // Without a state file nothing holds for good.
        let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        assert!(words == expected || words == [expected.concat().replace("always", "session")], "{words:?}");
        for grant in told {
            assert_eq!((grant.grantee.to_string(), &*grant.capability), ("a of e".into(), "screen-capture"));
            assert!(!matches!(grant.lifetime, Lifetime::Connection(serial) if serial != client.serial()));
            assert!(grant.id >= GrantId::new(1));
        }
    }
}

#[test]
fn clients_of_one_application_share_a_question_and_those_of_another_do_not() {
    let bench = Bench::new();
    let (first, second, other) = (bench.client("a"), bench.client("a"), bench.client("b"));
    let tickets = [bench.ticket(&first, 0), bench.ticket(&second, 1)];
    let of_other = bench.ticket(&other, 2);
    assert_eq!(bench.prompt.asked.lock().unwrap().len(), 2);
    bench.prompt.answer(Decision::CONNECTION);
    let _ = bench.tick(3);
    assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(Outcome::Allowed)));
    assert_eq!(of_other.outcome(), None);
    let serials: Vec<_> = bench.authenticator.grants().iter().map(|grant| grant.lifetime).collect();
    assert_eq!(serials, [first, second].map(|client| Lifetime::Connection(client.serial())));
    // Another capability is another question.
    let capability = Capability::LAYER_SHELL;
    assert!(matches!(bench.asker.authorize_at(&other, capability, bench.at(3)), Use::Pending(_)));
    assert_eq!(bench.asker.counts().joined, 1);
}

#[test]
fn a_prompt_that_is_closed_or_crashes_or_sleeps_or_is_not_there_is_a_no() {
    let bench = Bench::new();
    let ticket = bench.ticket(&bench.client("closed"), 0);
    drop(bench.prompt.next());
    let _ = bench.tick(0);
    assert_eq!(ticket.outcome(), Some(Outcome::Denied));

    let ticket = bench.ticket(&bench.client("late"), 0);
    assert_eq!(bench.tick(59), Some(bench.at(60)));
    assert_eq!(ticket.outcome(), None);
    assert_eq!(bench.tick(60), None);
    assert_eq!(ticket.outcome(), Some(Outcome::Denied));
    assert_eq!(*bench.prompt.withdrawn.lock().unwrap(), [1, 2]);
    // A yes that comes too late is none.
    bench.prompt.answer(Decision::ALWAYS);
    let _ = bench.tick(61);
    assert_eq!(ticket.outcome(), Some(Outcome::Denied));
    assert!(bench.authenticator.grants().is_empty());

    let mut bench = Bench::new();
    let ticket = bench.ticket(&bench.client("crash"), 0);
    bench.service = None;
    let _ = bench.tick(0);
    assert_eq!(ticket.outcome(), Some(Outcome::Denied));
    assert_eq!(bench.refused(&bench.client("nobody"), 0), Outcome::Denied);
    let counts = bench.asker.counts();
    assert_eq!((counts.dismissed, counts.without_provider), (1, 1));
}

#[test]
fn nobody_takes_the_place_of_who_answers() {
    let mut bench = Bench::new();
    let second = Arc::new(Prompt::default());
    assert_eq!(bench.asker.serve(second.clone()).err(), Some(Occupied));
    bench.service = None;
    let _service = bench.asker.serve(second.clone()).unwrap();
    let _ticket = bench.ticket(&bench.client("a"), 0);
    assert!(bench.prompt.next().is_none() && second.next().is_some());
}

#[test]
fn t18_the_host_and_who_has_no_name_are_never_asked_about() {
    let bench = Bench::new();
    let others = [
        Identity::Host(HostIdentity { claim: Some(AppId::new("a").unwrap()), ..HostIdentity::default() }),
        Identity::unidentified(Reason::Moved),
        Identity::App(AppIdentity::unknown(Namespaces::SHARED)),
        Identity::App(app("e", None)),
    ];
    for identity in others {
        let client = bench.of(identity);
        assert!(matches!(bench.ask_at(&client, 0), Use::Done(_)), "{}", client.identity());
    }
    assert!(bench.prompt.next().is_none());
    let unidentified = bench.of(Identity::unidentified(Reason::Moved));
    assert_eq!(bench.refused(&unidentified, 0), Outcome::Denied);
}

#[test]
fn a_no_can_look_like_nothing_to_be_seen() {
    let mut bench = Bench::new();
    let client = bench.client("empty");
    let ask = |seconds| bench.asker.authorize_at(&client, Capability::CLIPBOARD_MANAGER, bench.at(seconds));
    let Use::Pending(ticket) = ask(0) else { panic!("nobody is asked") };
    bench.prompt.answer(Decision::DENY);
    let _ = bench.tick(1);
    assert_eq!(ticket.outcome(), Some(Outcome::Empty));
    bench.service = None;
    let again = bench.asker.authorize_at(&client, Capability::CLIPBOARD_MANAGER, bench.at(100));
    assert!(matches!(again, Use::Done(Outcome::Empty)), "{again:?}");
}

#[test]
fn after_a_no_nothing_is_asked_for_a_while_and_longer_each_time() {
    let bench = Bench::new();
    let client = bench.client("a");
    let mut now = 0;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        let ticket = bench.ticket(&client, now);
        bench.prompt.answer(Decision::DENY);
        let _ = bench.tick(now);
        assert_eq!(ticket.outcome(), Some(Outcome::Denied));
        assert_eq!(bench.refused(&client, now + pause - 1), Outcome::Denied, "{pause}");
        now += pause;
    }
    assert_eq!(bench.asker.counts().paused, 8);
    // A yes makes good for it.
    let ticket = bench.ticket(&client, now);
    bench.prompt.answer(Decision::ONCE);
    let _ = bench.tick(now);
    assert_eq!(ticket.outcome(), Some(Outcome::Allowed));
    let _ticket = bench.ticket(&client, now);
    drop(bench.prompt.next());
    let _ = bench.tick(now);
    assert_eq!(bench.refused(&client, now + 4), Outcome::Denied);
    let _ticket = bench.ticket(&client, now + 5);
}

#[test]
fn who_leaves_waits_no_more_and_cannot_make_prompts_flicker() {
    let bench = Bench::new();
    let client = bench.client("a");
    let (first, second) = (bench.ticket(&client, 0), bench.ticket(&client, 0));
    drop(first);
    let _ = bench.tick(0);
    assert!(bench.prompt.withdrawn.lock().unwrap().is_empty(), "one still waits");
    drop(second);
    assert_eq!(bench.tick(0), None);
    assert_eq!(*bench.prompt.withdrawn.lock().unwrap(), [1]);
    assert_eq!(bench.refused(&client, 1), Outcome::Denied);
    // The answer of a prompt that has not heard of it is nobody's.
    bench.prompt.answer(Decision::ALWAYS);
    let _ = bench.tick(1);
    assert!(bench.authenticator.grants().is_empty());
}

#[test]
fn what_waits_is_bounded_for_each_application_and_in_all() {
    let limits = Limits { questions_per_app: 2, questions: 3, waiting_per_app: 4, waiting: 6, ..Limits::default() };
    let bench = Bench::with_limits(limits);
    let (a, b, c) = (bench.client("a"), bench.client("b"), bench.client("c"));
    let ask = |client: &ClientAuth, capability| bench.asker.authorize_at(client, capability, bench.at(0));
    let is_refused = |used: &Use| matches!(used, Use::Done(Outcome::Denied));
    let mut kept = vec![ask(&a, CAPTURE), ask(&a, Capability::LAYER_SHELL)];
    assert!(is_refused(&ask(&a, Capability::TOPLEVEL_LIST)), "a third question about one application");
    kept.push(ask(&a, CAPTURE));
    kept.push(ask(&a, CAPTURE));
    assert!(is_refused(&ask(&a, CAPTURE)), "a fifth use of one application");
    kept.push(ask(&b, CAPTURE));
    assert!(is_refused(&ask(&c, CAPTURE)), "a fourth question");
    kept.push(ask(&b, CAPTURE));
    assert!(is_refused(&ask(&b, CAPTURE)), "a seventh use");
    assert!(kept.iter().all(|used| matches!(used, Use::Pending(_))));
    assert_eq!(bench.asker.counts().too_many, 4);
    kept.clear();
    let _ = bench.tick(0);
    assert!(matches!(ask(&c, CAPTURE), Use::Pending(_)), "there is room again");
}

#[test]
fn many_names_cannot_make_a_storm_of_questions_either() {
    let bench = Bench::new();
    let mut asked = 0;
    for number in 0..1000 {
        let used = bench.ask_at(&bench.client(&format!("app{number}")), 0);
        asked += usize::from(matches!(used, Use::Pending(_)));
        drop(used);
        let _ = bench.tick(0);
        bench.prompt.asked.lock().unwrap().clear();
    }
    assert_eq!(asked, 256);
}

#[test]
fn a_connection_that_is_closed_waits_no_more() {
    let bench = Bench::new();
    let (client, other) = (bench.client("a"), bench.client("a"));
    let (ticket, stays) = (bench.ticket(&client, 0), bench.ticket(&other, 0));
    bench.asker.left(client.serial());
    let _ = bench.tick(0);
    assert_eq!((ticket.outcome(), stays.outcome()), (Some(Outcome::Denied), None));
    bench.prompt.answer(Decision::CONNECTION);
    let _ = bench.tick(0);
    let granted: Vec<_> = bench.authenticator.grants().iter().map(|grant| grant.lifetime).collect();
    assert_eq!(granted, [Lifetime::Connection(other.serial())]);
}

#[test]
fn a_provider_may_answer_at_once() {
    struct Yes;
    impl DecisionProvider for Yes {
        fn ask(&self, _: Question, reply: Reply) {
            reply.answer(Decision::ONCE);
        }
    }
    let mut bench = Bench::new();
    bench.service = None;
    let _service = bench.asker.serve(Arc::new(Yes)).unwrap();
    let ticket = bench.ticket(&bench.client("a"), 0);
    let _ = bench.tick(0);
    assert_eq!(ticket.outcome(), Some(Outcome::Allowed));
}

#[test]
fn t27_each_question_is_told_with_its_answer_or_the_lack_of_one() {
    let bench = Bench::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let _subscription = bench.authenticator.subscribe(move |event| {
        let line = match event {
            Event::Asked { question, grantee, capability } => format!("{question} {} {capability}", grantee.app_id),
            Event::Answered { question, answer, kept, .. } => format!("{question} {answer} {kept}"),
            _ => return,
        };
        listener.lock().unwrap().push(line);
    });
    let clients = ["one", "two"].map(|app_id| bench.client(app_id));
    let first = bench.ticket(&clients[0], 0);
    bench.prompt.answer(Decision::SESSION);
    bench.tick(0);
    let second = bench.ticket(&clients[1], 0);
    drop(bench.prompt.next());
    bench.tick(0);
    drop((first, second));
    let told = told.lock().unwrap().join("; ");
    assert_eq!(told, "1 one screen-capture; 1 allow session; 2 two screen-capture; 2 deny not answered");
}
