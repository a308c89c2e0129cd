//! The audit file, whatever the clients call themselves.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use wayland_auth_tests::expect::{APP_ID, ENGINE, INSTANCE_ID};
use wayland_auth_tests::kinds::{POLICY, Setup, labelled};
use wayland_auth_tests::wire::Answer;
use wayland_auth_tests::{Context, Outcome, TestCgroup, World, ensure, ensure_eq};

use super::demo::{Demo, Line, events, expect_members};
use super::peers::Launch;

/// What a terminal, an editor or a careless reader of lines takes for more than text.
const HOSTILE: [&str; 9] = [
    "\u{1b}[31mred",
    "two\nlines",
    "two\r\nlines",
    "\n{\"event\": \"connect\", \"client\": 1, \"identity\": {\"kind\": \"host\"}}",
    "\u{202e}drawkcab",
    "\u{9b}31mred",
    "two\u{2028}lines\u{85}or three",
    "\u{7f}\u{200b}\u{feff}",
    "\"}, \\",
];

/// All lines, none of which does anything to a reader.
fn harmless_lines(text: &str) -> Result<Vec<Line>, String> {
    ensure!(text.ends_with('\n'), "the last line has no end");
    let harmful = text.chars().find(|&c| c != '\n' && !(' '..='~').contains(&c));
    ensure!(harmful.is_none(), "{harmful:?} in the audit file");
    let lines: Vec<Line> = text.lines().map(|l| serde_json::from_str(l).context(l)).collect::<Result<_, _>>()?;
    for line in &lines {
        let object = line.as_object().context(format!("not an object: {line}"))?;
        let known = ["connect", "disconnect", "bind-hidden", "bind-refused", "dropped"];
        ensure!(known.iter().any(|event| object["event"] == *event), "{line}");
        ensure!(line["time"].as_f64() > Some(1e9), "{line}");
        let (of_client, of_somebody) = (line["client"].is_u64(), line["of"]["kind"].is_string());
        ensure!(
            (of_client && line["identity"]["kind"].is_string()) || (line["event"] == "dropped" && of_somebody),
            "{line}"
        );
    }
    Ok(lines)
}

pub(crate) fn each_connection_has_one_line(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let mut held = Vec::new();
    for number in 0..20 {
        // Some say nothing, some ask for the registry, some stay.
        let connection = demo.connect()?;
        if number % 2 == 0 {
            held.push(connection);
        }
        held.push(demo.client()?.into_stream());
        demo.client()?;
    }
    let seen = |lines: &[Line]| events(lines, "connect").count() > 60;
    let lines = demo.wait_for_audit("connections", seen)?;
    drop(held);
    let numbers = |lines: &[Line], event| -> Vec<u64> {
        events(lines, event).filter_map(|line| line["client"].as_u64()).collect()
    };
    let first: Vec<_> = numbers(&lines, "connect").into_iter().take(60).collect();
    demo.wait_for_audit("ends", |lines| {
        let gone = numbers(lines, "disconnect");
        first.iter().all(|number| gone.contains(number))
    })?;
    ensure_eq!(demo.end(Signal::TERM)?.code(), Some(0));
    let all = harmless_lines(&demo.audit_text()?)?;
    ensure_eq!(all[..lines.len()], lines[..]);
    for event in ["connect", "disconnect"] {
        let numbers = numbers(&all, event);
        let different: BTreeSet<_> = numbers.iter().collect();
        ensure_eq!(different.len(), numbers.len(), "{event}: more than one line for a client");
    }
    let numbers = numbers(&all, "connect");
    ensure!(numbers.first() > Some(&0) && numbers.is_sorted(), "{numbers:?}");
    ensure_eq!(numbers.len(), events(&all, "disconnect").count());
    Ok(())
}

/// What one application does a hundred times is written a few times, and the rest is counted.
pub(crate) fn flood_is_counted(world: &World) -> Outcome {
    const BURST: &str = "7";
    const TIMES: usize = 100;
    let mut demo = Demo::with_arguments(world, "WAYLAND_AUTH_DEMO", Some(POLICY), &["--audit-burst", BURST])?;
    let app = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Game")]])?;
    let mut command = demo.command(world.peer());
    command.args(&app.steps).args(vec![format!("connect={}", demo.socket().display()); TIMES]).arg("say=sync");
    super::running::finish(&mut command)?.expect(0)?;
    ensure_eq!(demo.end(Signal::TERM)?.code(), Some(0));
    let lines = harmless_lines(&demo.audit_text()?)?;
    let of_app =
        |line: &&Line| line["identity"]["app-id"] == "org.example.Game" || line["of"]["app-id"] == "org.example.Game";
    let of_app: Vec<_> = lines.iter().filter(of_app).collect();
    let mut told = 0;
    for event in ["connect", "disconnect"] {
        let written = of_app.iter().filter(|line| line["event"] == event).count();
        let dropped: u64 = of_app.iter().filter_map(|line| line["dropped"][event].as_u64()).sum();
        ensure_eq!(written as u64 + dropped, TIMES as u64, "{event}");
        told += written;
    }
    ensure!((7..2 * TIMES).contains(&told), "{told} lines were written");
    Ok(())
}

pub(crate) fn connection_is_recorded_with_its_evidence(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")], &[]])?;
    let inner = setup.keep.innermost().context("no cgroup")?.to_owned();
    let heard = Launch::Kind(setup).speak(world, &mut demo, &["sync".into()])?;
    let connect = heard.connect()?;
    let evidence = &connect["evidence"];
    ensure_eq!(evidence["credentials"]["uid"], json!(world.uid()));
    let path = |value: &Value| value["path"].as_str().map(PathBuf::from).context(format!("no path: {value}"));
    let ends = |at: &PathBuf, dir: &std::path::Path| dir.ends_with(at.strip_prefix("/").unwrap_or(at));
    ensure!(ends(&path(&evidence["cgroup"])?, &inner), "{evidence}");
    let label = evidence["labels"].as_array().and_then(|all| all.iter().rfind(|l| l["shared"] == false));
    let label = label.context(format!("no label: {evidence}"))?;
    ensure!(ends(&path(label)?, inner.parent().context("no parent")?), "{label}");
    expect_members(label, &json!({"owner": world.uid(), "provenance": "user"}))?;
    let xattrs: BTreeSet<(String, String)> = serde_json::from_value(label["xattrs"].clone()).context("xattrs")?;
    let expected = [(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")];
    ensure_eq!(xattrs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    // Each verdict says where it stands in the policy.
    let line = |text: &str| POLICY.lines().position(|l| l == text).map(|at| format!("policy.toml:{}", at + 1));
    let rule = line("[[rule]]").context("no rule")?;
    for (capability, allowed) in [("screen-capture", true), ("clipboard-manager", false)] {
        let right = &connect["capabilities"][capability];
        ensure_eq!(right["allowed"], json!(allowed), "{capability}");
        let because = right["because"].as_str().unwrap_or_default();
        ensure!(because.contains(&rule), "{capability}: no {rule} in {because}");
    }
    Ok(())
}

pub(crate) fn hostile_labels_do_not_break_lines(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    for text in HOSTILE {
        for xattrs in [
            [(ENGINE, "org.example.Engine"), (APP_ID, text)],
            [(ENGINE, text), (APP_ID, "org.example.Recorder")],
            [(ENGINE, "org.example.Engine"), (INSTANCE_ID, text)],
        ] {
            let launch = Launch::Kind(labelled(world, &[&xattrs])?);
            let heard = launch.speak(world, &mut demo, &["sync".into()])?;
            let malformed = json!({"kind": "unidentified", "reason": "malformed-label"});
            expect_members(&heard.connect()?["identity"], &malformed).context(format!("{text:?}"))?;
        }
    }
    harmless_lines(&demo.audit_text()?).map(drop)
}

pub(crate) fn hostile_cgroup_names_do_not_break_lines(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    // The kernel takes anything but a newline and a slash.
    for text in HOSTILE.iter().filter(|text| !text.contains(['\n', '/'])) {
        for suffix in ["", ".service"] {
            let cgroup = TestCgroup::exactly(world.cgroup().join(format!("{text}{suffix}")))?;
            let steps = vec![cgroup.join()];
            let launch = Launch::Kind(Setup { steps, ..Setup::default() });
            launch.speak(world, &mut demo, &["sync".into()])?;
            cgroup.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "")])?;
            launch.speak(world, &mut demo, &["sync".into()])?;
        }
    }
    harmless_lines(&demo.audit_text()?).map(drop)
}

/// Sees the core, and nothing else.
const NOTHING_FOR_HOST: &str = "[defaults]\nhost = []\n";

pub(crate) fn hostile_interface_names_do_not_break_lines(world: &World) -> Outcome {
    let mut demo = Demo::start(world, NOTHING_FOR_HOST)?;
    let seen: BTreeSet<u32> = demo.client()?.globals().iter().map(|global| global.name).collect();
    let hidden = (1..).find(|name| !seen.contains(name)).context("nothing is hidden")?;
    let long = "x".repeat(3000);
    for interface in HOSTILE.iter().copied().chain(["", &long]) {
        let before = demo.audit()?.len();
        let answer = demo.client()?.bind(hidden, interface, 1)?;
        ensure!(answer != Answer::Done, "{interface:?} was bound");
        let told = |lines: &[Line]| lines[before..].iter().any(|line| line["name"] == json!(hidden));
        demo.wait_for_audit("line about the bind", told).context(format!("{interface:?}"))?;
    }
    harmless_lines(&demo.audit_text()?).map(drop)
}

/// A hidden global is not hidden any less under another's name.
pub(crate) fn bind_under_another_name_is_recorded(world: &World) -> Outcome {
    let mut demo = Demo::start(world, NOTHING_FOR_HOST)?;
    let client = demo.client()?;
    let seen: BTreeSet<u32> = client.globals().iter().map(|global| global.name).collect();
    let last = seen.iter().max().copied().context("nothing is seen")?;
    let mut tried = 0;
    for hidden in (1..last).filter(|name| !seen.contains(name)) {
        for (interface, version) in [("wl_shm", 1), ("wl_compositor", 4)] {
            let before = demo.audit()?.len();
            let answer = demo.client()?.bind(hidden, interface, version)?;
            ensure!(answer != Answer::Done, "{hidden} was bound as {interface}");
            let told = |lines: &[Line]| {
                let refused =
                    lines[before..].iter().filter(|l| l["event"] == "bind-hidden" || l["event"] == "bind-refused");
                refused.into_iter().any(|l| l["name"] == json!(hidden) && l["interface"] == interface)
            };
            demo.wait_for_audit("line about the bind", told)?;
            tried += 1;
        }
    }
    ensure!(tried >= 14, "only {tried} binds were tried");
    Ok(())
}
