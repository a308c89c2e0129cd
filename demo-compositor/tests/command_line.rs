//! What the program does with its arguments, its environment, its command and signals.

mod support;

use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
};

use rustix::process::Signal;
use support::{Demo, compositor, run, runtime_dir, stderr};

#[test]
fn it_prints_exactly_one_line() {
    let mut demo = Demo::start(&["--socket", "my socket"]);
    assert_eq!(demo.name(), "my socket");
    demo.signal(Signal::TERM);
    let (status, rest) = demo.wait();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn each_signal_that_asks_for_the_end_gives_status_0_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut demo = Demo::start(&[]);
        let socket = demo.socket();
        let lock = socket.with_extension("lock");
        assert!(socket.exists() && lock.exists());
        demo.signal(signal);
        assert_eq!(demo.wait().0.code(), Some(0), "{signal:?}");
        assert!(!socket.exists() && !lock.exists(), "{signal:?}");
    }
}

#[test]
fn the_status_of_the_command_is_passed_on() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)] {
        let output = run(&["--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(status), "{script}");
    }
}

#[test]
fn a_command_that_cannot_be_run_gives_the_status_of_a_shell() {
    assert_eq!(run(&["--", "/nonexistent"]).status.code(), Some(127));
    assert_eq!(run(&["--", "/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn the_command_is_told_where_to_connect_and_nothing_else() {
    let directory = runtime_dir();
    let script = "echo $WAYLAND_DISPLAY; test -z \"$WAYLAND_SOCKET$DISPLAY\" && test -S $XDG_RUNTIME_DIR/wayland-1";
    let output = compositor(directory.path())
        .envs([("WAYLAND_SOCKET", "1234"), ("DISPLAY", ":1234")])
        .args(["--backend=headless", "--", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "WAYLAND_DISPLAY=wayland-1\nwayland-1\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_signal_ends_the_command_too() {
    let mut demo = Demo::start(&["--", "sh", "-c", "echo $$; exec cat"]);
    let command = demo.read_line();
    demo.signal(Signal::INT);
    let (status, rest) = demo.wait();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    assert!(!Path::new("/proc").join(command.trim_end()).exists(), "{command}");
}

#[test]
fn a_second_signal_ends_a_command_that_does_not_want_to() {
    let mut demo = Demo::start(&["--", "sh", "-c", "trap '' TERM; echo begun; exec cat"]);
    demo.read_line();
    demo.signal(Signal::TERM);
    demo.signal(Signal::INT);
    assert_eq!(demo.wait().0.code(), Some(0));
}

#[test]
fn a_bad_policy_gives_status_2_and_its_place() {
    let directory = runtime_dir();
    let policy = directory.path().join("bad.toml");
    support::write_policy(&policy, "[defaults]\nhost = [\"layer_shell\"]\n");
    let output = run(&["--policy", policy.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("bad.toml:2:9"), "{}", stderr(&output));
}

#[test]
fn a_policy_that_is_not_there_gives_status_2() {
    let output = run(&["--policy", "/nonexistent/policy.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nonexistent/policy.toml"), "{}", stderr(&output));
}

/// Root may run with the HOME of somebody else: nothing is taken from there, or put there.
#[test]
fn answers_of_a_home_hold_for_its_user_and_not_for_root() {
    let directory = runtime_dir();
    let state = directory.path().join("state/wayland-auth");
    std::fs::create_dir_all(&state).unwrap();
    support::write_policy(&state.join("grants.toml"), "broken");
    let start = |arguments: &[&str]| {
        let mut command = compositor(directory.path());
        command.arg("--backend=headless").args(arguments).args(["--", "true"]).output().unwrap()
    };
    let by_default = start(&[]);
    let status = if rustix::process::geteuid().is_root() { 0 } else { 2 };
    assert_eq!(by_default.status.code(), Some(status), "{}", stderr(&by_default));
    // What is asked for by name counts for everybody.
    let named = start(&["--state", state.join("grants.toml").to_str().unwrap()]);
    assert_eq!(named.status.code(), Some(2), "{}", stderr(&named));
    assert_eq!(start(&["--without-state"]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(state.join("grants.toml")).unwrap(), "broken");
}

#[test]
fn bad_arguments_give_status_2() {
    for arguments in [&["--size", "0x5"][..], &["--size", "big"], &["--backend", "x"], &["--nonsense"], &["stray"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_socket_name_that_is_none_is_refused() {
    for name in ["", "a/b", "/tmp/x", "..", "x.lock"] {
        let output = run(&["--socket", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains("cannot be the name of a socket"), "{}", stderr(&output));
    }
}

#[test]
fn a_socket_that_is_in_use_is_left_alone() {
    let directory = runtime_dir();
    let path = directory.path().join("taken");
    let _listener = UnixListener::bind(&path).unwrap();
    let output = compositor(directory.path()).args(["--backend=headless", "--socket=taken"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("already in use"), "{}", stderr(&output));
    assert!(path.exists());
}

#[test]
fn two_compositors_in_one_directory_have_different_sockets() {
    let script = format!("{} --backend=headless -- true", env!("CARGO_BIN_EXE_demo-compositor"));
    let output = run(&["--", "sh", "-c", &script]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "WAYLAND_DISPLAY=wayland-1\nWAYLAND_DISPLAY=wayland-2\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_or_open_runtime_directory_is_refused_with_a_remedy() {
    let directory = runtime_dir();
    let missing = compositor(directory.path()).env_remove("XDG_RUNTIME_DIR").arg("--backend=headless").output();
    let text = stderr(&missing.unwrap());
    assert!(text.contains("XDG_RUNTIME_DIR is not set") && text.contains("export"), "{text}");

    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let open = compositor(directory.path()).arg("--backend=headless").output().unwrap();
    assert!(stderr(&open).contains("chmod 0700"), "{}", stderr(&open));
    assert_eq!(open.status.code(), Some(1));

    let gone = compositor(&directory.path().join("gone")).arg("--backend=headless").output().unwrap();
    assert!(stderr(&gone).contains("mkdir -m 0700"), "{}", stderr(&gone));
}

#[test]
fn a_display_that_is_not_there_means_headless() {
    let directory = runtime_dir();
    let output = compositor(directory.path()).env("WAYLAND_DISPLAY", "nowhere").args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("drawing headless instead"), "{}", stderr(&output));
}

#[test]
fn a_backend_that_cannot_be_had_is_not_replaced_where_it_was_asked_for() {
    let output = run(&["--backend", "winit", "--", "true"]);
    assert_eq!(output.status.code(), Some(if cfg!(feature = "winit") { 1 } else { 2 }));
    assert!(stderr(&output).contains("winit backend"), "{}", stderr(&output));
}

#[test]
fn t19_without_identification_nobody_sees_more_than_everybody_does() {
    let mut demo = Demo::start(&["--without-identification"]);
    let client = support::client::Client::new(demo.connect());
    assert!(client.sees("wl_compositor"));
    assert!(!client.sees("zwlr_screencopy_manager_v1"));
    demo.signal(Signal::TERM);
    demo.wait();
}
