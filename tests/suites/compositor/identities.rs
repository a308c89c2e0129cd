//! Each kind of peer: whom the compositor takes it for, what it sees, and what it cannot bind.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use serde_json::{Value, json};
use wayland_auth_tests::cgroups::set_xattr;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::harness::{THIRD_UID, program};
use wayland_auth_tests::kinds::{KINDS, POLICY, Setup, labelled, wrapped};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::{Demo, events, expect_members};
use super::globals::{Global, NOT_IN_STAR, PRIVILEGED, expected, globals_of, interfaces};
use super::peers::{Heard, Launch, heard};
use super::running::Finished;

/// What is to be found out about a peer.
struct Expected<'a> {
    name: &'a str,
    recorded: Value,
    capabilities: &'a [&'a str],
}

/// All globals, as the host sees them.
fn all_globals(world: &World, demo: &mut Demo) -> Result<Vec<Global>, String> {
    let heard = Launch::Kind(Setup::default()).speak(world, demo, &["globals".into()])?;
    let globals = globals_of(heard.answers.first().context("no answer")?)?;
    ensure_eq!(interfaces(&globals), expected(&["*"]), "the host");
    ensure_eq!(globals.len(), interfaces(&globals).len(), "announced twice");
    Ok(globals)
}

/// What it sees, to the last global, and what the audit file says of it.
fn expect_seen(heard: &Heard, expect: &Expected<'_>) -> Outcome {
    let name = expect.name;
    let globals = globals_of(heard.answers.first().context("no answer")?)?;
    ensure_eq!(interfaces(&globals), expected(expect.capabilities), "{name}");
    ensure_eq!(globals.len(), interfaces(&globals).len(), "{name}: announced twice");
    let connect = heard.connect()?;
    expect_members(&connect["identity"], &expect.recorded).context(name)?;
    ensure!(heard.lines.iter().all(|line| line["identity"] == connect["identity"]), "{name}: {:?}", heard.lines);

    let capabilities = connect["capabilities"].as_object().context("no capabilities")?;
    let unexplained = capabilities.values().find(|right| right["because"].as_str().is_none_or(str::is_empty));
    ensure!(unexplained.is_none(), "{name}: no reason: {unexplained:?}");
    let allowed: BTreeSet<&str> =
        capabilities.iter().filter(|(_, right)| right["allowed"] == true).map(|(name, _)| name.as_str()).collect();
    let wanted: BTreeSet<&str> = if expect.capabilities.contains(&"*") {
        capabilities.keys().map(String::as_str).filter(|name| !NOT_IN_STAR.contains(name)).collect()
    } else {
        expect.capabilities.iter().copied().collect()
    };
    ensure_eq!(allowed, wanted, "{name}: the capabilities in the audit file");
    for (_, needed) in PRIVILEGED {
        ensure!(capabilities.contains_key(needed), "{name}: no verdict on {needed}");
    }
    Ok(())
}

/// What a bind of a global that it cannot see came to.
fn expect_refused(heard: &Heard, expect: &Expected<'_>, (number, interface, version): &Global) -> Outcome {
    let what = format!("{} binds {interface}: {heard:?}", expect.name);
    let answer = heard.answers.get(1).context("no answer")?;
    let refused = answer["answer"] == "closed" || (answer["answer"] == "error" && answer["object"] == 1);
    ensure!(refused, "the client lives: {what}");
    ensure_eq!(answer["events"], json!(0), "an object was created: {what}");
    let told: Vec<_> = events(&heard.lines, "bind-hidden").collect();
    ensure_eq!(told.len(), 1, "not one line: {what}");
    expect_members(told[0], &json!({"interface": interface, "name": number, "version": version}))?;
    expect_members(&told[0]["identity"], &expect.recorded).context(what)?;
    ensure_eq!(events(&heard.lines, "disconnect").count(), 1);
    Ok(())
}

/// Everything that holds for a peer; the number of globals that it could not bind.
fn expect_peer(
    world: &World,
    demo: &mut Demo,
    all: &[Global],
    launch: &Launch,
    expect: &Expected<'_>,
) -> Result<usize, String> {
    let heard = launch.speak(world, demo, &["globals".into()]).context(expect.name)?;
    expect_seen(&heard, expect)?;
    let seen = expected(expect.capabilities);
    let hidden: Vec<&Global> = all.iter().filter(|(_, interface, _)| !seen.contains(interface)).collect();
    for global in &hidden {
        let bind = format!("bind {} {} {}", global.0, global.1, global.2);
        let heard = launch.speak(world, demo, &["globals".into(), bind]).context(expect.name)?;
        expect_refused(&heard, expect, global)?;
    }
    if !seen.contains("zwlr_screencopy_manager_v1") {
        let heard = launch.speak(world, demo, &[capture(all)?]).context(expect.name)?;
        let answer = heard.answers.first().context("no answer")?;
        ensure!(answer["answer"] != "done" && answer["events"] == 0, "{} was sent a frame: {answer}", expect.name);
    }
    Ok(hidden.len())
}

/// Binds the output and screencopy and asks for a frame in one breath.
fn capture(all: &[Global]) -> Result<String, String> {
    let number = |name: &str| all.iter().find(|(_, interface, _)| interface == name).map(|(number, ..)| *number);
    let output = number("wl_output").context("no output")?;
    Ok(format!("capture {output} {}", number("zwlr_screencopy_manager_v1").context("no screencopy")?))
}

pub(crate) fn every_kind_of_peer(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let all = all_globals(world, &mut demo)?;
    let mut refused = 0;
    for kind in KINDS.iter().filter(|kind| !kind.needs_root) {
        let recorded = serde_json::from_str(kind.recorded).context(kind.recorded)?;
        let expect = Expected { name: kind.name, recorded, capabilities: kind.capabilities };
        let launch = Launch::Kind((kind.setup)(world)?);
        refused += expect_peer(world, &mut demo, &all, &launch, &expect)?;
    }
    ensure!(refused > 80, "only {refused} binds were tried");
    println!("{refused} hidden globals were bound by number, each killed its client");
    Ok(())
}

/// The control: what the host sees it can bind, and a frame is a frame.
pub(crate) fn seen_globals_can_be_bound(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let all = all_globals(world, &mut demo)?;
    let mut says: Vec<String> = all.iter().map(|(name, interface, v)| format!("bind {name} {interface} {v}")).collect();
    says.push(capture(&all)?);
    let heard = Launch::Kind(Setup::default()).speak(world, &mut demo, &says)?;
    for (answer, what) in heard.answers.iter().zip(&says) {
        ensure_eq!(answer["answer"].as_str(), Some("done"), "{what}");
    }
    let frame = heard.answers.last().context("no answer")?;
    ensure!(frame["events"].as_u64() > Some(0), "no events for a frame: {frame}");
    ensure_eq!(heard.lines.len(), 2, "more than a connection and its end");
    Ok(())
}

pub(crate) fn bubblewrap_is_an_unknown_engine(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let all = all_globals(world, &mut demo)?;
    let bwrap = program("bwrap")?.into_string().ok().context("not UTF-8")?;
    for namespace in ["--unshare-user", "--unshare-pid"] {
        let launch = Launch::Kind(wrapped(&[&bwrap, "--bind", "/", "/", "--dev", "/dev", namespace]));
        let recorded = json!({"kind": "app", "engine": null, "app-id": null});
        let expect = Expected { name: namespace, recorded, capabilities: &["output-info"] };
        expect_peer(world, &mut demo, &all, &launch, &expect)?;
    }
    Ok(())
}

pub(crate) fn confined_by_the_tool(world: &World) -> Outcome {
    program("bwrap")?;
    let mut demo = Demo::start(world, POLICY)?;
    let all = all_globals(world, &mut demo)?;
    let engine = "org.example.Engine";
    let cases: [(_, _, &[&str]); 3] = [
        (Some("org.example.Recorder"), json!(engine), &["screen-capture", "output-info"]),
        (Some("org.example.Game"), json!(engine), &["output-info"]),
        (None, Value::Null, &["output-info"]),
    ];
    for (app_id, engine, capabilities) in cases {
        let launch = Launch::confined(world, app_id)?;
        let namespaces = if app_id.is_some() { json!({"user": "different", "mount": "different"}) } else { json!({}) };
        let recorded = json!({"kind": "app", "engine": engine, "app-id": app_id, "namespaces": namespaces});
        let expect = Expected { name: app_id.unwrap_or("unlabelled"), recorded, capabilities };
        expect_peer(world, &mut demo, &all, &launch, &expect)?;
    }
    Ok(())
}

pub(crate) fn label_on_what_the_compositor_shares_is_ignored(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    set_xattr(&world.cgroup().join("server"), ENGINE, b"org.example.Everybody")?;
    let heard = Launch::Kind(Setup::default()).speak(world, &mut demo, &["globals".into()])?;
    expect_seen(&heard, &Expected { name: "host", recorded: json!({"kind": "host"}), capabilities: &["*"] })?;
    let labels = &heard.connect()?["evidence"]["labels"];
    expect_members(labels, &json!([{"shared": true, "xattrs": [[ENGINE, "org.example.Everybody"]]}]))
}

/// Runs a peer that root starts, and waits for what it says. It says it into a FIFO, since root's own output is not ours.
fn speak_as_root(
    world: &World,
    demo: &mut Demo,
    shell: &str,
    wrapper: &[&str],
    says: &[String],
) -> Result<Heard, String> {
    let before = demo.audit()?.len();
    let fifo = world.new_dir()?.join("out");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).context("FIFO")?;
    let out = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).context("FIFO")?;
    let script = format!("exec >'{}' && {shell} exec \"$@\"", fifo.display());
    let mut line: Vec<String> = ["sh", "-c", &script, "sh"].iter().chain(wrapper).map(|&w| w.to_owned()).collect();
    line.extend([world.peer().display().to_string(), format!("connect={}", demo.socket().display())]);
    line.extend(says.iter().map(|what| format!("say={what}")));
    world.admin()?.spawn(&line)?;
    let out = read_to_end(out.into())?;
    let status = std::os::unix::process::ExitStatusExt::from_raw(0);
    heard(demo, before, &Finished { status, out, err: String::new() })
}

/// Reads a FIFO that somebody will open and close.
fn read_to_end(mut fifo: fs::File) -> Result<Vec<u8>, String> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut all = Vec::new();
    loop {
        // Before the first one opens it there is nothing to see, not even its end.
        let ready = poll(&mut [PollFd::new(&fifo, PollFlags::IN)], Some(&patience)).context("poll")?;
        ensure!(ready > 0, "root's peer says nothing more after {:?}", String::from_utf8_lossy(&all));
        let mut chunk = [0; 4096];
        match fifo.read(&mut chunk) {
            Ok(0) => return Ok(all),
            Ok(len) => all.extend(&chunk[..len]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(format!("FIFO: {e}")),
        }
    }
}

fn become_uid(uid: u32) -> [String; 6] {
    let uid = uid.to_string();
    ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"].map(str::to_owned)
}

/// The same for peers that only root can start: what they see, and each hidden global.
fn expect_peer_of_root(
    world: &World,
    demo: &mut Demo,
    (shell, wrapper): (&str, &[&str]),
    expect: &Expected<'_>,
) -> Outcome {
    let all = all_globals(world, demo)?;
    let heard = speak_as_root(world, demo, shell, wrapper, &["globals".into()]).context(expect.name)?;
    expect_seen(&heard, expect)?;
    let seen = expected(expect.capabilities);
    for global in all.iter().filter(|(_, interface, _)| !seen.contains(interface)) {
        let bind = format!("bind {} {} {}", global.0, global.1, global.2);
        let heard = speak_as_root(world, demo, shell, wrapper, &["globals".into(), bind]).context(expect.name)?;
        expect_refused(&heard, expect, global)?;
    }
    Ok(())
}

/// Opens the socket up, as it never should be.
fn open_to_all(demo: &Demo) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    for path in [demo.socket(), demo.dir().to_owned(), demo.dir().parent().context("no parent")?.to_owned()] {
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).context(path.display())?;
    }
    Ok(())
}

/// Of two users whose programs both count as the host, a rule takes from one.
pub(crate) fn trusted_uid(world: &World) -> Outcome {
    let policy = format!(
        "[trust]\nuids = [{THIRD_UID}]\n\
         [[rule]]\nmatch = {{ uid = [{THIRD_UID}] }}\ndeny = ['*']\n"
    );
    let mut demo = Demo::with_policy(world, Some(&policy))?;
    open_to_all(&demo)?;
    for (uid, capabilities) in [(world.uid(), &["*"][..]), (THIRD_UID, &[])] {
        let wrapper = become_uid(uid);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let expect = Expected { name: "trusted uid", recorded: json!({"kind": "host", "uid": uid}), capabilities };
        expect_peer_of_root(world, &mut demo, ("", &wrapper), &expect)?;
    }
    Ok(())
}

pub(crate) fn other_uids(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    open_to_all(&demo)?;
    let expect = || Expected {
        name: "other uid",
        recorded: json!({"kind": "unidentified", "reason": "foreign-uid"}),
        capabilities: &[],
    };
    expect_peer_of_root(world, &mut demo, ("", &[]), &expect())?;
    let third = become_uid(THIRD_UID);
    let third: Vec<&str> = third.iter().map(String::as_str).collect();
    expect_peer_of_root(world, &mut demo, ("", &third), &expect())?;
    // A label that allows it to others does not change that.
    let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.Recorder")]])?;
    let join = format!("echo 0 >'{}/cgroup.procs' &&", setup.keep.innermost().context("no cgroup")?.display());
    expect_peer_of_root(world, &mut demo, (&join, &third), &expect())
}

pub(crate) fn ambient_capabilities(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let ours = become_uid(world.uid());
    let ambient = ["--inh-caps=+wake_alarm", "--ambient-caps=+wake_alarm"];
    let host: Vec<&str> = ours.iter().map(String::as_str).chain(ambient).collect();
    let expect = Expected { name: "ambient", recorded: json!({"kind": "host"}), capabilities: &["*"] };
    expect_peer_of_root(world, &mut demo, ("", &host), &expect)?;
    let sandboxed = [&["unshare", "-m"], &host[..]].concat();
    let recorded = json!({"kind": "app", "engine": null});
    let expect = Expected { name: "ambient, own mount namespace", recorded, capabilities: &["output-info"] };
    expect_peer_of_root(world, &mut demo, ("", &sandboxed), &expect)?;
    // bubblewrap refuses to start with an ambient capability; one that is given inside shows no less.
    let bwrap = program("bwrap")?.into_string().ok().context("not UTF-8")?;
    let words = ["--bind", "/", "/", "--dev", "/dev", "--unshare-user", "--cap-add", "CAP_WAKE_ALARM", "setpriv"];
    let launch = Launch::Kind(wrapped(&[&[bwrap.as_str()], &words[..], &ambient].concat()));
    let all = all_globals(world, &mut demo)?;
    let recorded = json!({"kind": "app", "engine": null});
    let expect = Expected { name: "ambient, in bubblewrap", recorded, capabilities: &["output-info"] };
    expect_peer(world, &mut demo, &all, &launch, &expect).map(drop)
}

pub(crate) fn directory_of_a_third_uid(world: &World) -> Outcome {
    let mut demo = Demo::start(world, POLICY)?;
    let all = all_globals(world, &mut demo)?;
    for kind in KINDS.iter().filter(|kind| kind.needs_root && kind.name != "other uid") {
        let recorded = serde_json::from_str(kind.recorded).context(kind.recorded)?;
        let expect = Expected { name: kind.name, recorded, capabilities: kind.capabilities };
        expect_peer(world, &mut demo, &all, &Launch::Kind((kind.setup)(world)?), &expect)?;
    }
    Ok(())
}

/// The host may do nothing here, so that what the user could write gives nothing either.
const SYSTEM_ONLY: &str = r#"
[defaults]
host = ["output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder", provenance = "system" }
allow = ["screen-capture", "output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Anybody" }
allow = ["screen-capture", "output-info"]
"#;

pub(crate) fn label_of_the_system_allows_more(world: &World) -> Outcome {
    let mut demo = Demo::start(world, SYSTEM_ONLY)?;
    let parent = world.cgroup().parent().context("no parent")?;
    let name = world.cgroup().file_name().and_then(|name| name.to_str()).context("no name")?;
    let ours = become_uid(world.uid());
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let host = ["globals".to_owned()];
    let host = speak_as_root(world, &mut demo, "", &ours, &host)?;
    expect_seen(&host, &Expected { name: "host", recorded: json!({"kind": "host"}), capabilities: &["output-info"] })?;
    for (app_id, provenance, capabilities) in [
        ("org.example.Recorder", "system", &["screen-capture", "output-info"][..]),
        ("org.example.Anybody", "system", &["screen-capture", "output-info"]),
        ("org.example.Recorder", "user", &[]),
        ("org.example.Anybody", "user", &["output-info"]),
    ] {
        // A directory of root's must not lie below one that the user can write to.
        let _users;
        let dir: PathBuf = if provenance == "system" {
            let dir = parent.join(format!("{name}-{app_id}"));
            world.admin()?.mkdir(&dir)?;
            world.admin()?.label(&dir, ENGINE, "org.example.Engine")?;
            world.admin()?.label(&dir, APP_ID, app_id)?;
            dir
        } else {
            let setup = labelled(world, &[&[(ENGINE, "org.example.Engine"), (APP_ID, app_id)]])?;
            let dir = setup.keep.innermost().context("no cgroup")?.to_owned();
            _users = setup;
            dir
        };
        let join = format!("echo 0 >'{}/cgroup.procs' &&", dir.display());
        let recorded = json!({"kind": "app", "app-id": app_id, "provenance": provenance});
        let name = format!("{app_id} by the {provenance}");
        // It speaks as the user, and has nothing to do with root any more.
        let expect = Expected { name: &name, recorded, capabilities };
        let all_of_it = speak_as_root(world, &mut demo, &join, &ours, &["globals".into()])
            .and_then(|heard| expect_seen(&heard, &expect));
        if provenance == "system" {
            // Its last process may be on its way out still.
            let script = format!("while [ -d '{0}' ]; do rmdir '{0}' 2>/dev/null; done", dir.display());
            world.admin()?.spawn(&["sh".into(), "-c".into(), script])?;
            let deadline = Instant::now() + PATIENCE;
            while dir.exists() {
                ensure!(Instant::now() < deadline, "{} is left", dir.display());
                std::thread::yield_now();
            }
        }
        all_of_it?;
    }
    Ok(())
}
