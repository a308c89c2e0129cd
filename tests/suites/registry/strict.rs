//! Strict policies, other policies, and numbers that were not announced.

use std::os::unix::net::UnixStream;

use wayland_auth::{Authenticator, ClientAuth, Policy};
use wayland_auth_tests::kinds::{KINDS, labelled};
use wayland_auth_tests::server::Server;
use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

use crate::globals::{GLOBALS, make_globals};
use crate::{expected, interfaces, speak, speak_here, start};
use wayland_auth_tests::wire::printed_globals as globals_of;

pub(crate) fn start_with(policy: &str) -> Result<(Authenticator, Server), String> {
    let policy = Policy::parse("test.toml", policy).context("policy")?;
    let authenticator = Authenticator::builder().policy(policy).build().context("authenticator")?;
    let server = Server::start(authenticator.clone(), make_globals)?;
    Ok((authenticator, server))
}

/// Who is allowed what is written out; nobody else has anything.
const STRICT: &str = r#"
[defaults]
host = []
sandboxed = ["*"]
namespaced = ["*"]
unidentified = ["*"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["*"]
"#;

/// Where the host has nothing, nothing that the user can make has anything.
pub(crate) fn strict_policy_leaves_nobody_more_than_the_host(world: &World) -> Outcome {
    let (_, server) = start_with(STRICT)?;
    let mut kinds = 0;
    for kind in KINDS.iter().filter(|kind| !kind.needs_root) {
        let setup = (kind.setup)(world)?;
        let speaker = speak(world, &server, &setup, &["globals".into()])?;
        let answers = speaker.answers()?;
        let globals = globals_of(answers.first().context("no answer")?)?;
        ensure_eq!(interfaces(&globals), expected(&[]), "{}", kind.name);
        kinds += 1;
    }
    ensure!(kinds > 10, "only {kinds} kinds of peers");
    // The control: the same policy, with a host that may something.
    let (_, server) = start_with(&STRICT.replace("host = []", "host = [\"layer-shell\"]"))?;
    let recorder = labelled(
        world,
        &[&[("user.xdg.sandbox-engine", "org.example.Engine"), ("user.app_id", "org.example.Recorder")]],
    )?;
    let answers = speak(world, &server, &recorder, &["globals".into()])?.answers()?;
    let globals = globals_of(answers.first().context("no answer")?)?;
    ensure_eq!(interfaces(&globals), expected(&["layer-shell"]));
    Ok(())
}

/// A client of ours with the rights of somebody who connected.
pub(crate) fn client_as(server: &Server, auth: &ClientAuth) -> Result<Client, String> {
    let (ours, theirs) = UnixStream::pair().context("pair")?;
    server.insert_as(ours, auth.clone())?;
    Client::new(theirs)
}

/// Whatever number is bound as whatever, only what is seen can be.
pub(crate) fn no_number_up_to_ten_thousand_binds_what_is_hidden(world: &World) -> Outcome {
    let (authenticator, server) = start()?;
    let peers = Peers::new(world)?;
    let app = world.new_cgroup()?;
    app.label_app("org.example.Game")?;
    let malformed = world.new_cgroup()?;
    malformed.label(&[("user.app_id", "a b")])?;
    for (who, cgroup, capabilities) in [("app", &app, &["output-info"][..]), ("unidentified", &malformed, &[])] {
        let connection = peers.connect(&[&cgroup.join()])?;
        let auth = authenticator.identify(&connection.stream);
        let seen = expected(capabilities);
        let mut client = client_as(&server, &auth)?;
        let shown: Vec<(u32, String)> =
            client.globals().iter().map(|global| (global.name, global.interface.clone())).collect();
        let (mut bound, mut refused) = (0, 0);
        for name in 1..=10_000_u32 {
            // A number that exists is tried as everything, the others as one thing after the other.
            let all = 0..GLOBALS.len();
            let tried = if (name as usize) <= GLOBALS.len() + 8 {
                all
            } else {
                name as usize % all.len()..name as usize % all.len() + 1
            };
            for (interface, _) in &GLOBALS[tried] {
                let may = shown.contains(&(name, (*interface).to_owned()));
                let answer = client.bind(name, interface, 1)?;
                ensure_eq!(answer == Answer::Done, may, "{who}: number {name} as {interface}: {answer:?}");
                if may {
                    bound += 1;
                } else {
                    refused += 1;
                    client = client_as(&server, &auth)?;
                }
            }
        }
        println!("{who}: {bound} binds served, {refused} refused");
        ensure_eq!(bound, seen.len(), "{who}");
    }
    Ok(())
}

/// Xwayland is named by the compositor, and has what is listed for it: no more, and nothing without a list.
pub(crate) fn xwayland_has_its_list_and_no_more(_: &World) -> Outcome {
    let with_list = "[defaults]\nhost = [\"*\"]\n[defaults.internal]\nxwayland = [\"output-info\", \"xwayland\"]\n";
    for (policy, capabilities) in [(with_list, &["output-info", "xwayland"][..]), ("[defaults]\nhost = [\"*\"]\n", &[])]
    {
        let (authenticator, server) = start_with(policy)?;
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        server.insert_as(ours, authenticator.internal("xwayland"))?;
        let seen = speak_here(theirs)?.1;
        ensure_eq!(seen, expected(capabilities).into_iter().map(str::to_owned).collect());
        // Not said who it is, the same pair is nobody: never the host.
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        let auth = server.insert(ours)?;
        ensure!(!auth.identity().is_identified(), "{}", auth.identity());
        ensure_eq!(speak_here(theirs)?.1, expected(&[]).into_iter().map(str::to_owned).collect());
    }
    Ok(())
}
