use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};
use wayland_backend::protocol::ProtocolError;

use super::*;
use crate::identity::{AppId, AppIdentity, Evidence, HostIdentity, Identity, NestedLabel, Provenance, SandboxEngine};

const POLICY: &str = "[[rule]]\nmatch = { engine = 'e', app-id = 'org.example.*' }\nallow = ['screen-capture']\n";

fn policy() -> Policy {
    Policy::parse("policy.toml", POLICY).unwrap()
}

fn app(name: &str) -> AppIdentity {
    AppIdentity {
        engine: Some(SandboxEngine::new("e").unwrap()),
        app_id: Some(AppId::new(name).unwrap()),
        ..AppIdentity::unknown(crate::identity::Namespaces::SHARED)
    }
}

fn client(identity: Identity) -> ClientAuth {
    let verdict = policy().evaluate(&identity);
    ClientAuth::new(identity, Evidence::default(), verdict)
}

/// A log and what it writes to.
struct Written(Audit, UnixStream);

impl Written {
    fn new(burst: u32) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // Nothing comes back while a test runs.
        let rate = Rate { burst, every: Duration::from_secs(1_000_000) };
        Self(Audit::with_rate(Sink::socket(ours), rate), theirs)
    }

    /// All lines, after the log is closed.
    fn lines(self) -> Vec<Value> {
        let Self(audit, mut theirs) = self;
        drop(audit);
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

fn invalid_bind(interface: &str) -> DisconnectReason {
    DisconnectReason::ProtocolError(ProtocolError {
        code: 0,
        object_id: 1,
        object_interface: "wl_display".to_owned(),
        message: format!("Invalid binding of {interface} version 3 for global 7."),
    })
}

/// A connection beyond the limit.
fn one_too_many() -> ClientAuth {
    let policy = Policy::parse("p", "[limits]\nconnections-unidentified = 1").unwrap();
    let authenticator = crate::Authenticator::builder().policy(policy).build().unwrap();
    // Both ends are our own, and nobody named them.
    let (stream, _other) = UnixStream::pair().unwrap();
    let _first = authenticator.identify(&stream);
    let second = authenticator.identify(&stream);
    assert_eq!(second.over_limit().map(|over| over.limit.get()), Some(1));
    second
}

/// One line of each event.
fn one_of_each() -> Vec<Value> {
    let written = Written::new(1);
    let (audit, policy) = (&written.0, policy());
    let auth = client(Identity::App(app("org.example.App")));
    audit.connected(1, &auth, &policy);
    audit.use_denied(1, &auth, Capability::LAYER_SHELL, &policy);
    audit.disconnected(1, &auth, &DisconnectReason::ConnectionClosed, &policy);
    for (number, interface) in [(2, "zwlr_layer_shell_v1"), (3, "wl_shm")] {
        let auth = client(Identity::App(app(&format!("org.example.App{number}"))));
        audit.disconnected(number, &auth, &invalid_bind(interface), &policy);
    }
    audit.turned_away(&one_too_many());
    written.lines()
}

#[test]
fn each_line_has_the_members_that_the_documentation_says() {
    let table: Vec<Vec<&str>> = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .map(|row| row.split(" | ").collect())
        .collect();
    let code = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let lines = one_of_each();
    let mut members = Vec::new();
    for row in &table {
        let event = row[0].trim_end_matches('`');
        // `connect` says in the same place what each of its capabilities has.
        let said = row[2].split_once(": by name").map_or(row[2], |(before, _)| before);
        if !said.contains("the same") {
            members = code(said.trim_end_matches(" |"));
        }
        let line = lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}: {lines:?}"));
        let got: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected: BTreeSet<&str> = members.iter().map(String::as_str).chain(["event", "time"]).collect();
        match event {
            "dropped" => _ = expected.insert("dropped"),
            "refused" => _ = expected.insert("identity"),
            _ => expected.extend(["client", "identity"]),
        }
        assert_eq!(got, expected, "{event}");
        assert!(line["time"].as_f64() > Some(1e9));
    }
    let documented: BTreeSet<&str> = table.iter().map(|row| row[0].trim_end_matches('`')).collect();
    assert_eq!(events(&lines).into_iter().collect::<BTreeSet<_>>(), documented);
}

#[test]
fn a_connection_is_written_with_its_rights_and_their_reasons() {
    let written = Written::new(1);
    written.0.connected(7, &client(Identity::App(app("org.example.App"))), &policy());
    let line = &written.lines()[0];
    assert_eq!((&line["client"], &line["identity"]["app-id"]), (&json!(7), &json!("org.example.App")));
    let right = |name: &str| line["capabilities"][name].clone();
    let because = "the rule at policy.toml:1 allows it";
    assert_eq!(right("screen-capture"), json!({"allowed": true, "standing": "allowed", "because": because}));
    let because = "the rule at policy.toml:1 applies and does not allow it";
    assert_eq!(right("layer-shell"), json!({"allowed": false, "standing": "denied", "because": because}));
}

#[test]
fn t36_a_bind_of_a_hidden_global_is_told_before_the_end_of_its_client() {
    let written = Written::new(5);
    let auth = client(Identity::App(app("org.example.App")));
    for interface in ["zwlr_layer_shell_v1", "zwlr_screencopy_manager_v1", "wl_shm"] {
        written.0.disconnected(1, &auth, &invalid_bind(interface), &policy());
    }
    let lines = written.lines();
    assert_eq!(
        events(&lines),
        ["bind-hidden", "disconnect", "bind-refused", "disconnect", "bind-refused", "disconnect"]
    );
    assert_eq!((&lines[0]["name"], &lines[0]["interface"]), (&json!(7), &json!("zwlr_layer_shell_v1")));
}

#[test]
fn t26_what_a_flood_left_out_is_said_by_the_next_line_or_at_the_end() {
    let written = Written::new(2);
    let (audit, policy) = (&written.0, policy());
    let (app, host) = (client(Identity::App(app("org.example.App"))), client(Identity::Host(HostIdentity::default())));
    for number in 1..=100 {
        audit.connected(number, &app, &policy);
    }
    // Its refusal is told all the same, and the others are.
    audit.use_denied(1, &app, Capability::LAYER_SHELL, &policy);
    audit.connected(101, &host, &policy);
    audit.close();
    audit.disconnected(101, &host, &DisconnectReason::ConnectionClosed, &policy);
    audit.disconnected(1, &app, &DisconnectReason::ConnectionClosed, &policy);
    let lines = written.lines();
    let expected = ["connect", "connect", "use-denied", "connect", "dropped", "disconnect", "dropped"];
    assert_eq!(events(&lines), expected);
    assert_eq!(lines[4]["dropped"], json!({"connect": 98}));
    assert_eq!(lines[4]["of"], json!({"kind": "app", "engine": "e", "app-id": "org.example.App"}));
    assert_eq!(lines[6]["dropped"], json!({"disconnect": 1}));
}

#[test]
fn t26_what_there_was_no_room_for_is_counted() {
    let Written(audit, mut theirs) = Written::new(u32::MAX);
    let (auth, policy) = (client(Identity::Host(HostIdentity::default())), policy());
    let mut sent = 0_u64;
    let lost = |audit: &Audit| audit.log.as_ref().unwrap().lock().unwrap().lost;
    while lost(&audit) < 10 {
        audit.connected(sent, &auth, &policy);
        sent += 1;
        assert!(sent < 1_000_000, "there is always room");
    }
    // A reader comes, and misses nothing without knowing.
    theirs.set_nonblocking(true).unwrap();
    let mut text = Vec::new();
    let _ = theirs.read_to_end(&mut text);
    audit.connected(sent, &auth, &policy);
    drop(audit);
    let _ = theirs.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["client"], &last["lost"]), (&json!(sent), &json!(10)));
    assert_eq!(lines.len() as u64, sent + 1 - 10);
}

#[test]
fn t26_a_client_of_which_there_is_too_much_to_say_still_has_a_line() {
    let written = Written::new(5);
    let nested = |number| NestedLabel {
        engine: SandboxEngine::new("e".repeat(200)).unwrap(),
        app_id: Some(AppId::new(format!("inner{number}")).unwrap()),
        instance_id: None,
        extra: Vec::new(),
        provenance: Provenance::User,
    };
    let identity = Identity::App(AppIdentity { nested: (0..1000).map(nested).collect(), ..app("org.example.Deep") });
    written.0.connected(1, &client(identity), &policy());
    let line = &written.lines()[0];
    assert_eq!((&line["event"], &line["client"], &line["cut"]), (&json!("connect"), &json!(1), &json!(true)));
    assert_eq!(line["identity"]["kind"], "app");
    assert!(line["identity"]["message"].as_str().unwrap().starts_with("app org.example.Deep of e, inside it"));
}

#[test]
fn a_log_that_is_off_asks_for_nothing() {
    Audit::off().record(|| unreachable!());
    Audit::off().close();
}
