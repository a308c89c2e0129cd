use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::Capability;
use crate::identity::{
    AppId, AppIdentity, Evidence, HostIdentity, Identity, InstanceId, NestedLabel, Provenance, SandboxEngine,
};
use crate::policy::{Grant, Grants, Lifetime, NewGrant};

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
struct Written(Log, UnixStream);

impl Written {
    fn new(burst: u32) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // Nothing comes back while a test runs.
        let rate = Rate { burst, every: Duration::from_secs(1_000_000) };
        Self(Log::new(Arc::new(policy()), Sink::socket(ours), rate, HashMap::new()), theirs)
    }

    fn connect(&self, client: &ClientAuth) {
        self.0.tell(&Event::Connected(client.clone()));
    }

    fn go(&self, client: &ClientAuth) {
        self.0.tell(&Event::Gone(client.clone()));
    }

    fn use_layer_shell(&self, client: &ClientAuth) {
        self.0.tell(&Event::UseDenied { client: client.clone(), capability: Capability::LAYER_SHELL });
    }

    fn bind(&self, client: &ClientAuth, interface: &str) {
        let bind = RefusedBind { interface: interface.to_owned(), version: 3, name: 7 };
        self.0.tell(&Event::HiddenBind { client: client.clone(), bind });
    }

    /// All lines, after the log is closed.
    fn lines(self) -> Vec<Value> {
        let Self(log, mut theirs) = self;
        drop(log);
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

fn new_grant(grantee: &Grantee, lifetime: Lifetime) -> NewGrant {
    let grantee = grantee.clone();
    NewGrant { grantee, capability: "screen-capture".into(), answer: Answer::Allow, lifetime, expires: None }
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
    let written = Written::new(3);
    let auth = client(Identity::App(app("org.example.App")));
    written.connect(&auth);
    written.use_layer_shell(&auth);
    let changed = Event::Changed { client: auth.clone(), before: Arc::default(), cause: Cause::Policy };
    (0..4).for_each(|_| written.0.tell(&changed));
    for (number, interface) in ["zwlr_layer_shell_v1", "wl_shm"].into_iter().enumerate() {
        let auth = client(Identity::App(app(&format!("org.example.App{number}"))));
        written.bind(&auth, interface);
        written.go(&auth);
    }
    let client = client(Identity::App(app("org.example.Relabelled")));
    written.0.tell(&Event::Relabelled { client, identity: Identity::App(app("org.example.Other")) });
    let grantee = Grantee::of(&Identity::App(app("org.example.Granted"))).unwrap();
    let mut grants = Grants::default();
    let id = grants.insert(new_grant(&grantee, Lifetime::Always)).unwrap();
    let grant = grants.list().find(|grant| grant.id == id).cloned().unwrap();
    written.0.tell(&Event::Granted(grant.clone()));
    written.0.tell(&Event::Revoked { grant: grant.clone(), by: RevokedBy::Expiry });
    let other = Grant { grantee: Grantee::of(&Identity::App(app("org.example.Revoked"))).unwrap(), ..grant };
    written.0.tell(&Event::Revoked { grant: other.clone(), by: RevokedBy::Command });
    let (grantee, capability) = (Grantee::of(&Identity::App(app("org.example.Asks"))).unwrap(), other.capability);
    written.0.tell(&Event::Asked { question: 1, grantee: grantee.clone(), capability: capability.clone() });
    let answer = Answer::Deny;
    written.0.tell(&Event::Answered { question: 1, grantee, capability, answer, kept: "once" });
    written.0.tell(&Event::TurnedAway(one_too_many()));
    written.0.reloaded(&policy(), &Policy::built_in(), 0);
    written.0.tell(&Event::ReloadFailed { why: "it is not there".into() });
    written.0.tell(&Event::StateNotWritten { why: "no space".into() });
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
        let said = row[2].trim_end_matches(" |");
        if said != "the same" {
            // What follows a colon says what is in the member before it.
            let names = said.split("; ").filter_map(|part| part.split(':').next());
            members = names.flat_map(code).collect::<Vec<_>>();
        }
        let line = lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}: {lines:?}"));
        let got: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected: BTreeSet<&str> = members.iter().map(String::as_str).chain(["event", "time"]).collect();
        match event {
            "dropped" => _ = expected.insert("dropped"),
            "refused" => _ = expected.insert("identity"),
            "reload" | "reload-failed" | "state-not-written" | "granted" | "revoked" | "expired" | "asked"
            | "answered" => {}
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
    let auth = client(Identity::App(app("org.example.App")));
    written.connect(&auth);
    let line = &written.lines()[0];
    assert_eq!(line["client"], json!(auth.serial().get()));
    assert_eq!(line["identity"]["app-id"], json!("org.example.App"));
    let right = |name: &str| line["capabilities"][name].clone();
    let because = "the rule at policy.toml:1 allows it";
    assert_eq!(right("screen-capture"), json!({"allowed": true, "standing": "allowed", "because": because}));
    let because = "the rule at policy.toml:1 applies and does not allow it";
    assert_eq!(right("layer-shell"), json!({"allowed": false, "standing": "denied", "because": because}));
}

#[test]
fn t36_a_bind_of_a_hidden_global_is_told_apart_from_others() {
    let written = Written::new(5);
    let auth = client(Identity::App(app("org.example.App")));
    for interface in ["zwlr_layer_shell_v1", "zwlr_screencopy_manager_v1", "wl_shm"] {
        written.bind(&auth, interface);
    }
    let lines = written.lines();
    assert_eq!(events(&lines), ["bind-hidden", "bind-refused", "bind-refused"]);
    assert_eq!((&lines[0]["name"], &lines[0]["interface"]), (&json!(7), &json!("zwlr_layer_shell_v1")));
}

#[test]
fn an_end_is_told_once_with_its_reason_if_there_is_one() {
    let written = Written::new(10);
    let clients: Vec<_> = (0..3).map(|_| client(Identity::Host(HostIdentity::default()))).collect();
    let reason = DisconnectReason::ConnectionClosed;
    clients.iter().take(2).for_each(|client| written.connect(client));
    // A backend that says it twice, one that does not say it, and a client that nobody knows.
    written.0.disconnected(&clients[0], &reason);
    written.0.disconnected(&clients[0], &reason);
    written.0.disconnected(&clients[2], &reason);
    clients.iter().take(2).for_each(|client| written.go(client));
    assert!(written.0.writer().connected.is_empty());
    let lines = written.lines();
    assert_eq!(events(&lines), ["connect", "connect", "disconnect", "disconnect"]);
    let told: Vec<_> = lines[2..].iter().map(|line| (line["client"].as_u64().unwrap(), &line["reason"])).collect();
    let serial = |at: usize| clients[at].serial().get();
    assert_eq!(told, [(serial(0), &json!("connection closed")), (serial(1), &json!("not told"))]);
}

#[test]
fn t35_a_change_of_rights_says_what_changed_and_why() {
    let written = Written::new(10);
    let auth = client(Identity::App(app("org.example.App")));
    let before = Arc::new(policy().evaluate(&Identity::Host(HostIdentity::default())));
    written.0.tell(&Event::Changed { client: auth, before, cause: Cause::Policy });
    let line = &written.lines()[0];
    assert_eq!((&line["event"], &line["cause"]), (&json!("rights"), &json!("policy")));
    let because = "the rule at policy.toml:1 applies and does not allow it";
    assert_eq!(line["changes"]["layer-shell"], json!({"before": "allowed", "now": "denied", "because": because}));
    // What both have is no change.
    assert!(line["changes"].get("screen-capture").is_none());
}

#[test]
fn a_grant_says_whom_it_is_for_and_how_long_it_holds() {
    let written = Written::new(10);
    let instance_id = Some(InstanceId::new("7").unwrap());
    let grantee = Grantee { instance_id, ..Grantee::of(&Identity::App(app("org.example.App"))).unwrap() };
    let mut grants = Grants::default();
    let lifetime = Lifetime::Connection(ClientSerial::new(9));
    let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(4_000_000_000_500));
    let id = grants.insert(NewGrant { expires, ..new_grant(&grantee, lifetime) }).unwrap();
    let grant = grants.list().find(|grant| grant.id == id).cloned().unwrap();
    written.0.tell(&Event::Granted(grant.clone()));
    written.0.tell(&Event::Revoked { grant: grant.clone(), by: RevokedBy::Command });
    written.0.tell(&Event::Revoked { grant, by: RevokedBy::Expiry });
    let auth = client(Identity::App(app("org.example.App")));
    written.0.tell(&Event::Changed { client: auth, before: Arc::default(), cause: Cause::Granted(id) });
    let lines = written.lines();
    assert_eq!(events(&lines), ["granted", "revoked", "expired", "rights"]);
    assert_eq!(lines[0]["grantee"], json!({"engine": "e", "app-id": "org.example.App", "instance-id": "7"}));
    let told = |name: &str| lines[0][name].clone();
    assert_eq!((told("lifetime"), told("connection")), (json!("connection"), json!(9)));
    assert_eq!((told("answer"), told("expires")), (json!("allow"), json!(4_000_000_000.5)));
    assert_eq!((&lines[1]["by"], lines[2].get("by")), (&json!("command"), None));
    assert_eq!((&lines[3]["cause"], &lines[3]["grant"]), (&json!("grant"), &lines[0]["grant"]));
}

#[test]
fn t32_t35_a_reload_says_which_rules_differ() {
    let written = Written::new(10);
    let other = POLICY.replace("['screen-capture']", "['layer-shell']");
    let other = format!(
        "{other}[[rule]]\nmatch = {{ engine = 'f' }}\ndeny = ['layer-shell']\n[limits]\nconnections-host = 7\n"
    );
    let now = Policy::parse("policy.toml", &other).unwrap();
    written.0.reloaded(&policy(), &now, 3);
    let many: String = (0..250).map(|n| format!("[[rule]]\nmatch = {{ engine = 'e{n}' }}\ndeny = []\n")).collect();
    written.0.reloaded(&Policy::parse("many.toml", &many).unwrap(), &Policy::built_in(), 0);
    let why = "error: x\n --> policy.toml:1:1\n\u{202e}";
    written.0.tell(&Event::ReloadFailed { why: why.into() });
    let lines = written.lines();
    assert_eq!(events(&lines), ["reload", "reload", "reload-failed"]);
    assert_eq!(lines[0]["added"], json!(["policy.toml:4"]));
    assert_eq!(lines[0]["changed"], json!([{"before": "policy.toml:1", "now": "policy.toml:1"}]));
    assert_eq!((&lines[0]["removed"], &lines[0]["sections"]), (&json!([]), &json!(["limits"])));
    assert_eq!((&lines[0]["clients"], lines[0].get("more")), (&json!(3), None));
    assert_eq!((lines[1]["removed"].as_array().unwrap().len(), &lines[1]["more"]), (100, &json!(150)));
    assert_eq!(lines[2]["why"], json!(why));
}

#[test]
fn t26_what_a_flood_left_out_is_said_by_the_next_line_or_at_the_end() {
    let written = Written::new(2);
    let (app, host) = (client(Identity::App(app("org.example.App"))), client(Identity::Host(HostIdentity::default())));
    for _ in 1..=100 {
        written.connect(&app);
    }
    // Its refusal is told all the same, and the others are.
    written.use_layer_shell(&app);
    written.connect(&host);
    written.0.writer().say_untold();
    written.go(&host);
    written.go(&app);
    let lines = written.lines();
    let expected = ["connect", "connect", "use-denied", "connect", "dropped", "disconnect", "dropped"];
    assert_eq!(events(&lines), expected);
    assert_eq!(lines[4]["dropped"], json!({"connect": 98}));
    assert_eq!(lines[4]["of"], json!({"kind": "app", "engine": "e", "app-id": "org.example.App"}));
    assert_eq!(lines[6]["dropped"], json!({"disconnect": 1}));
}

#[test]
fn t26_what_there_was_no_room_for_is_counted() {
    let mut written = Written::new(u32::MAX);
    let auth = client(Identity::Host(HostIdentity::default()));
    let mut sent = 0_u64;
    while written.0.writer().lost < 10 {
        written.connect(&auth);
        sent += 1;
        assert!(sent < 1_000_000, "there is always room");
    }
    // A reader comes, and misses nothing without knowing.
    written.1.set_nonblocking(true).unwrap();
    let mut text = Vec::new();
    let _ = written.1.read_to_end(&mut text);
    written.go(&auth);
    let Written(log, mut theirs) = written;
    drop(log);
    let _ = theirs.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["lost"]), (&json!("disconnect"), &json!(10)));
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
    written.connect(&client(identity));
    let line = &written.lines()[0];
    assert_eq!((&line["event"], &line["cut"]), (&json!("connect"), &json!(true)));
    assert!(line["client"].is_u64());
    assert_eq!(line["identity"]["kind"], "app");
    assert!(line["identity"]["message"].as_str().unwrap().starts_with("app org.example.Deep of e, inside it"));
}

#[test]
fn a_log_tells_of_the_clients_of_its_authenticator_and_ends_with_its_last_clone() {
    let authenticator = crate::Authenticator::builder().policy(policy()).build().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (stream, _other) = UnixStream::pair().unwrap();
    let earlier = authenticator.identify(&stream);
    let audit = Audit::start(&authenticator, Sink::socket(ours));
    let later = authenticator.identify(&stream);
    audit.disconnected(&earlier, &DisconnectReason::ConnectionClosed);
    later.report_use_denied(Capability::LAYER_SHELL);
    later.report_hidden_bind(RefusedBind { interface: "x".to_owned(), version: 1, name: 1 });
    let serials = [later.serial().get(), earlier.serial().get()];
    drop((earlier, later));
    drop(audit);
    let _unheard = authenticator.identify(&stream);
    let mut text = String::new();
    theirs.read_to_string(&mut text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events(&lines), ["connect", "disconnect", "use-denied", "bind-hidden", "disconnect"]);
    let clients: Vec<_> = lines.iter().map(|line| line["client"].as_u64().unwrap()).collect();
    assert_eq!(clients, [serials[0], serials[1], serials[0], serials[0], serials[0]]);
    Audit::off().close();
}
