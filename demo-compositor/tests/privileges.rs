//! Who sees which globals, and what happens to those who do not keep to that.

mod support;

use std::os::unix::net::{UnixListener, UnixStream};

use support::{Demo, NOTHING_FOR_HOST, client::Client};
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

/// The globals that need a capability.
const PRIVILEGED: [&str; 9] = [
    "zwlr_screencopy_manager_v1",
    "zwlr_layer_shell_v1",
    "zwlr_data_control_manager_v1",
    "ext_data_control_manager_v1",
    "zwp_virtual_keyboard_manager_v1",
    "ext_foreign_toplevel_list_v1",
    "ext_idle_notifier_v1",
    "wp_security_context_manager_v1",
    "zxdg_output_manager_v1",
];

/// Lets the application of a security context capture, and nothing else.
const ONE_APP: &str = "
[[rule]]
match = { engine = \"org.example.engine\", app-id = \"org.example.Recorder\" }
allow = [\"screen-capture\"]
";

fn privileged(client: &Client) -> Vec<&'static str> {
    PRIVILEGED.into_iter().filter(|interface| client.sees(interface)).collect()
}

#[test]
fn the_host_sees_everything_by_default() {
    let demo = Demo::start(&[]);
    assert_eq!(privileged(&Client::new(demo.connect())), PRIVILEGED);
}

#[test]
fn each_capability_shows_its_own_globals() {
    for (capability, interfaces) in [
        ("screen-capture", &PRIVILEGED[0..1]),
        ("layer-shell", &PRIVILEGED[1..2]),
        ("clipboard-manager", &PRIVILEGED[2..4]),
        ("virtual-keyboard", &PRIVILEGED[4..5]),
        ("toplevel-list", &PRIVILEGED[5..6]),
        ("idle-notify", &PRIVILEGED[6..7]),
        ("security-context", &PRIVILEGED[7..8]),
        ("output-info", &PRIVILEGED[8..9]),
    ] {
        let demo = Demo::with_policy(&format!("[defaults]\nhost = [\"{capability}\"]\n"));
        assert_eq!(privileged(&Client::new(demo.connect())), interfaces, "{capability}");
    }
}

#[test]
fn t36_a_hidden_global_that_is_bound_by_number_kills_the_client_and_is_logged() {
    let demo = Demo::with_policy(NOTHING_FOR_HOST);
    let seen: Vec<u32> = Client::new(demo.connect()).interfaces().into_iter().map(|(name, _)| name).collect();
    let last = seen.iter().max().copied().unwrap();
    let hidden: Vec<u32> = (1..=last).filter(|name| !seen.contains(name)).collect();
    assert_eq!(hidden.len(), PRIVILEGED.len());
    for name in &hidden {
        let mut client = Client::new(demo.connect());
        let _: ZwlrScreencopyManagerV1 = client.bind_number(*name, 3);
        assert_eq!(client.expect_error().0, "wl_display");
    }
    // Whoever comes next is served as before, and the log is complete by then.
    assert!(Client::new(demo.connect()).roundtrip().is_ok());

    let log = demo.audit();
    let binds: Vec<_> = log.iter().filter(|line| line["event"] == "bind-hidden").collect();
    let names: Vec<_> = binds.iter().filter_map(|line| line["name"].as_u64()).collect();
    assert_eq!(names, hidden.iter().map(|name| u64::from(*name)).collect::<Vec<_>>());
    assert!(binds.iter().all(|line| line["interface"] == "zwlr_screencopy_manager_v1"));
    assert!(binds.iter().all(|line| line["identity"]["kind"] == "host"));
}

#[test]
fn a_nonsense_bind_is_no_hidden_one() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let _: ZwlrScreencopyManagerV1 = client.bind_number(9999, 3);
    client.expect_error();
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}

#[test]
fn the_audit_log_tells_who_came_why_he_may_what_and_that_he_left() {
    let demo = Demo::with_policy(NOTHING_FOR_HOST);
    drop(Client::new(demo.connect()));
    // The second is here to be sure that the first one's end was noticed.
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
    let path = demo.file("audit.jsonl");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let log = demo.audit();
    let connect = &log[0];
    assert_eq!(connect["event"], "connect");
    assert!(connect["client"].is_u64(), "{connect}");
    assert_eq!(connect["identity"]["kind"], "host");
    assert!(connect["time"].as_f64().is_some_and(|time| time > 1e9));
    assert!(connect["evidence"]["tier"].is_string(), "{connect}");
    let right = &connect["capabilities"]["screen-capture"];
    assert_eq!(right["allowed"], false);
    assert!(right["because"].as_str().is_some_and(|text| text.contains("policy.toml:2")), "{right}");
    let left = log.iter().find(|line| line["event"] == "disconnect" && line["client"] == connect["client"]);
    assert_eq!(left.map(|line| &line["reason"]), Some(&"connection closed".into()), "{log:?}");
}

/// A client that comes through the socket of a security context.
fn sandboxed(demo: &Demo, app_id: &str) -> (Client, UnixStream) {
    let path = demo.file(app_id);
    let listener = UnixListener::bind(&path).unwrap();
    let mut engine = Client::new(demo.connect());
    let alive = engine.open_security_context(&listener, "org.example.engine", app_id);
    // The context outlives whoever made it.
    drop(engine);
    (Client::new(UnixStream::connect(path).unwrap()), alive)
}

#[test]
fn a_client_of_a_security_context_has_the_rights_of_its_application() {
    let demo = Demo::with_policy(ONE_APP);
    let (client, _alive) = sandboxed(&demo, "org.example.Recorder");
    assert_eq!(privileged(&client), ["zwlr_screencopy_manager_v1"]);
    let (client, _alive) = sandboxed(&demo, "org.example.Other");
    assert_eq!(privileged(&client), [""; 0]);
}

#[test]
fn t42_a_client_of_a_security_context_has_no_more_rights_than_its_creator() {
    let demo = Demo::with_policy(&format!("[defaults]\nhost = [\"security-context\"]\n{ONE_APP}"));
    let (client, _alive) = sandboxed(&demo, "org.example.Recorder");
    assert_eq!(privileged(&client), [""; 0]);
}

#[test]
fn a_security_context_ends_with_its_close_fd() {
    let demo = Demo::with_policy(ONE_APP);
    let path = demo.file("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut engine = Client::new(demo.connect());
    let alive = engine.open_security_context(&listener, "org.example.engine", "org.example.Recorder");
    drop((listener, alive));
    engine.roundtrip().unwrap();
    // The compositor's was the last listener, so that nobody answers any more.
    assert!(UnixStream::connect(path).is_err());
}

#[test]
fn t42_a_security_context_on_something_else_than_a_listener_is_refused_and_harms_nobody() {
    let demo = Demo::start(&[]);
    let mut engine = Client::new(demo.connect());
    let (no_listener, _other) = UnixStream::pair().unwrap();
    let no_listener = UnixListener::from(std::os::fd::OwnedFd::from(no_listener));
    assert!(engine.try_open_security_context(&no_listener, "org.example.engine", "org.example.Recorder").is_err());
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}
