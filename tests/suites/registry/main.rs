//! Each client sees its own globals, to the last one, and can bind no other.
//!
//! Runs on both server backends of wayland-backend: the Rust one, and with the feature
//! `server_system` libwayland's.

mod attached;
mod globals;
mod grants;
mod live;
mod nested;
mod outputs;
mod proxies;
mod relabel;
mod strict;

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};

use globals::{GLOBALS, make_globals};
use serde_json::Value;
use wayland_auth::{Authenticator, Policy, SandboxContext};
use wayland_auth_tests::kinds::{KINDS, Kind, POLICY, Setup};
use wayland_auth_tests::server::Server;
use wayland_auth_tests::wire::{Answer, Client, printed_globals as globals_of};
use wayland_auth_tests::{Context, Needs, Outcome, Peers, Test, World, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("every_kind_of_peer_sees_exactly_its_globals", Needs::Nothing, |world| each_kind(world, false)),
    ("every_kind_of_peer_that_needs_root_sees_exactly_its_globals", Needs::Root, |world| each_kind(world, true)),
    ("t36_hidden_globals_cannot_be_bound_by_number", Needs::Nothing, hidden_globals_cannot_be_bound_by_number),
    ("seen_globals_can_be_bound", Needs::Nothing, seen_globals_can_be_bound),
    ("t41_untagged_socket_pair_sees_core_only", Needs::Nothing, untagged_socket_pair_sees_core_only),
    ("internal_client_sees_what_its_tag_allows", Needs::Nothing, internal_client_sees_what_its_tag_allows),
    ("t21_client_data_of_another_type_is_denied", Needs::Nothing, client_data_of_another_type_is_denied),
    ("t35_policy_is_for_those_who_are_connected_too", Needs::Nothing, live::policy_is_for_those_who_are_connected_too),
    ("t35_only_who_is_concerned_is_told_a_byte", Needs::Nothing, live::only_who_is_concerned_is_told_a_byte),
    ("t35_same_policy_again_tells_nobody_anything", Needs::Nothing, live::same_policy_again_tells_nobody_anything),
    ("t35_bind_that_was_under_way_lives_and_gives_nothing", Needs::Nothing, live::bind_that_was_under_way_lives),
    ("t35_bind_after_the_time_of_grace_is_refused", Needs::Nothing, live::bind_after_the_time_of_grace_is_refused),
    ("t35_registry_made_in_the_time_of_grace_is_told_at_its_end", Needs::Nothing, live::registry_made_in_grace),
    ("t35_registries_are_told_once_whatever_comes_back", Needs::Nothing, live::what_comes_back_is_told_once),
    ("t35_t37_globals_that_come_and_go_meanwhile_are_told_as_they_are", Needs::Nothing, live::globals_come_and_go),
    ("filters_of_the_compositors_own_are_learnt", Needs::Nothing, attached::filters_of_the_compositors_own_are_learnt),
    ("t35_t42_security_context_follows_the_policy_and_its_maker", Needs::Nothing, live::security_context_follows),
    ("t35_client_without_a_registry_is_told_when_it_has_one", Needs::Nothing, live::client_without_a_registry),
    ("t35_policy_that_comes_while_clients_connect_misses_nobody", Needs::Nothing, live::policy_while_clients_connect),
    ("t35_disconnecting_ends_one_client_at_once", Needs::Nothing, live::disconnecting_ends_one_client_at_once),
    (
        "grant_reaches_its_application_and_nobody_else",
        Needs::Nothing,
        grants::grant_reaches_its_application_and_nobody_else,
    ),
    ("grant_for_a_connection_ends_with_it", Needs::Nothing, grants::grant_for_a_connection_ends_with_it),
    (
        "nothing_is_left_of_grants_to_clients_that_leave",
        Needs::Nothing,
        grants::nothing_is_left_of_grants_to_clients_that_leave,
    ),
    ("grant_that_expires_is_taken_back", Needs::Nothing, grants::grant_that_expires_is_taken_back),
    ("revoking_can_disconnect_who_had_it", Needs::Nothing, grants::revoking_can_disconnect_who_had_it),
    ("denying_takes_what_a_rule_gives", Needs::Nothing, grants::denying_takes_what_a_rule_gives),
    ("grant_for_good_outlives_the_compositor", Needs::Nothing, grants::grant_for_good_outlives_the_compositor),
    (
        "t08_changed_label_takes_at_once_and_gives_nothing",
        Needs::Nothing,
        relabel::changed_label_takes_at_once_and_gives_nothing,
    ),
    ("t08_label_that_comes_later_counts", Needs::Nothing, relabel::label_that_comes_later_counts),
    (
        "t08_label_that_is_broken_later_leaves_the_least",
        Needs::Nothing,
        relabel::label_that_is_broken_later_leaves_the_least,
    ),
    ("t35_filter_that_asks_twice_is_left_alone", Needs::Nothing, live::filter_that_asks_twice_is_left_alone),
    ("t42_security_context_can_only_take_away", Needs::Nothing, security_context_can_only_take_away),
    (
        "t24_strict_policy_leaves_nobody_more_than_the_host",
        Needs::Nothing,
        strict::strict_policy_leaves_nobody_more_than_the_host,
    ),
    (
        "t36_no_number_up_to_ten_thousand_binds_what_is_hidden",
        Needs::Nothing,
        strict::no_number_up_to_ten_thousand_binds_what_is_hidden,
    ),
    ("t38_xwayland_has_its_list_and_no_more", Needs::Nothing, strict::xwayland_has_its_list_and_no_more),
    (
        "t37_a_thousand_outputs_that_are_not_for_it_are_not_announced",
        Needs::Nothing,
        outputs::a_thousand_outputs_that_are_not_for_it,
    ),
    (
        "t15_three_levels_labelled_in_all_eight_ways_allow_what_all_allow",
        Needs::Nothing,
        nested::three_levels_in_all_eight_ways,
    ),
    (
        "t04_being_moved_into_anothers_scope_gives_nothing",
        Needs::Nothing,
        nested::being_moved_into_anothers_scope_gives_nothing,
    ),
    ("t04_systemd_run_gives_nothing", Needs::UserManager, nested::systemd_run_gives_nothing),
    ("t43_client_behind_a_proxy_is_the_proxy", Needs::Nothing, proxies::client_behind_a_proxy_is_the_proxy),
    ("t44_stolen_socket_counts_as_its_owners", Needs::Nothing, proxies::stolen_socket_counts_as_its_owners),
];

fn main() -> ExitCode {
    let backend = if cfg!(feature = "server_system") { "libwayland" } else { "Rust" };
    println!("server backend: {backend}; {} kinds of peers, {} globals", KINDS.len(), GLOBALS.len());
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn start() -> Result<(Authenticator, Server), String> {
    let policy = Policy::parse("test.toml", POLICY).context("policy")?;
    let authenticator = Authenticator::builder().policy(policy).build().context("authenticator")?;
    let server = Server::start(authenticator.clone(), make_globals)?;
    Ok((authenticator, server))
}

/// The interfaces that a client with these capabilities sees.
fn expected(capabilities: &[&str]) -> BTreeSet<&'static str> {
    let all = capabilities.contains(&"*");
    let seen = |needed: &str| needed == "core" || all || capabilities.contains(&needed);
    GLOBALS.iter().filter(|(_, needed)| seen(needed)).map(|(interface, _)| *interface).collect()
}

/// A peer that speaks, and how it was identified.
struct Speaker {
    child: Child,
    identity: String,
}

/// Runs a peer of a kind that says these things; takes the connection as a compositor does.
fn speak(world: &World, server: &Server, setup: &Setup, says: &[String]) -> Result<Speaker, String> {
    let peers = Peers::new(world)?;
    let mut steps = setup.steps.clone();
    steps.push(peers.connect_step());
    steps.extend(setup.reap.then(|| "leave".to_owned()));
    steps.extend(says.iter().map(|what| format!("say={what}")));
    let mut line = setup.wrapper.clone();
    line.push(world.peer().display().to_string());
    line.extend(steps);
    let mut child = Command::new(&line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context(&line[0])?;
    let stream = peers.accept(if setup.reap { None } else { Some(&mut child) })?;
    if setup.reap {
        // The process that connected is gone before anybody looks; the one that speaks is its child.
        child.wait().context("wait")?;
    }
    let auth = server.insert(stream)?;
    Ok(Speaker { child, identity: auth.identity().to_string() })
}

impl Speaker {
    /// What it printed, line by line.
    fn answers(mut self) -> Result<Vec<Value>, String> {
        let out = std::io::read_to_string(self.child.stdout.take().context("no output")?).context("read")?;
        let _ = self.child.wait();
        out.lines().map(|line| serde_json::from_str(line).context(line)).collect()
    }
}

fn interfaces(globals: &[(u64, String, u64)]) -> BTreeSet<&str> {
    globals.iter().map(|(_, interface, _)| interface.as_str()).collect()
}

/// All globals, with their numbers, as the host sees them.
fn all_globals(world: &World, server: &Server) -> Result<Vec<(u64, String, u64)>, String> {
    let answers = speak(world, server, &Setup::default(), &["globals".into()])?.answers()?;
    globals_of(answers.first().context("no answer")?)
}

fn each_kind(world: &World, needs_root: bool) -> Outcome {
    let (_, server) = start()?;
    for kind in KINDS.iter().filter(|kind| kind.needs_root == needs_root) {
        if kind.name == "other uid" {
            other_uid(world, &server, kind)?;
            continue;
        }
        let setup = (kind.setup)(world)?;
        let speaker = speak(world, &server, &setup, &["globals".into()])?;
        ensure!(speaker.identity.starts_with(kind.identity), "{}: identified as {}", kind.name, speaker.identity);
        let answers = speaker.answers()?;
        let globals = globals_of(answers.first().context("no answer")?)?;
        ensure_eq!(interfaces(&globals), expected(kind.capabilities), "{}", kind.name);
        ensure_eq!(globals.len(), interfaces(&globals).len(), "{}: announced twice", kind.name);
    }
    Ok(())
}

fn other_uid(world: &World, server: &Server, kind: &Kind) -> Outcome {
    // Root speaks for himself; what he prints goes where the tests cannot read, so he is asked what he is.
    let peers = Peers::new(world)?;
    let connection = peers.connect_as_root(&[], &[])?;
    let stream = connection.stream.try_clone().context("clone")?;
    let auth = server.insert(stream)?;
    ensure!(auth.identity().to_string().starts_with(kind.identity), "identified as {}", auth.identity());
    ensure!(auth.allowed().is_empty(), "allowed {:?}", auth.allowed());
    Ok(())
}

fn hidden_globals_cannot_be_bound_by_number(world: &World) -> Outcome {
    let (_, server) = start()?;
    let all = all_globals(world, &server)?;
    ensure_eq!(interfaces(&all), expected(&["*"]), "the host");
    let mut refused = 0;
    for kind in KINDS.iter().filter(|kind| !kind.needs_root) {
        let seen = expected(kind.capabilities);
        for (name, interface, version) in all.iter().filter(|(_, interface, _)| !seen.contains(interface.as_str())) {
            let setup = (kind.setup)(world)?;
            let before = server.seen().binds().len();
            let bind = format!("bind {name} {interface} {version}");
            let answers = speak(world, &server, &setup, &["globals".into(), bind])?.answers()?;
            let what = format!("{} binds {interface}: {answers:?}", kind.name);
            let answer = answers.get(1).and_then(|a| a["answer"].as_str());
            ensure!(matches!(answer, Some("error" | "closed")), "the client lives: {what}");
            ensure_eq!(server.seen().binds().len(), before, "an object was created: {what}");
            refused += 1;
        }
    }
    ensure!(refused > 100, "only {refused} binds were tried");
    if !cfg!(feature = "server_system") {
        // libwayland does not tell a protocol error from a closed connection.
        let told = server.seen().refused_binds();
        ensure!(told.len() > 100, "only {} refused binds were told of", told.len());
        ensure!(told.iter().any(|i| i == "zwlr_screencopy_manager_v1"), "{told:?}");
    }
    println!("{refused} hidden globals were bound by number, each killed its client");
    Ok(())
}

/// The control: the same requests are served where the global is seen.
fn seen_globals_can_be_bound(world: &World) -> Outcome {
    let (_, server) = start()?;
    let all = all_globals(world, &server)?;
    let mut says = vec!["globals".to_owned()];
    says.extend(all.iter().map(|(name, interface, version)| format!("bind {name} {interface} {version}")));
    let answers = speak(world, &server, &Setup::default(), &says)?.answers()?;
    for (answer, what) in answers.iter().zip(&says).skip(1) {
        ensure_eq!(answer["answer"].as_str(), Some("done"), "{what}");
    }
    ensure_eq!(server.seen().binds().len(), GLOBALS.len());
    Ok(())
}

/// Both ends are ours: as with `WAYLAND_SOCKET`, and with a library's own connection.
fn speak_here(stream: UnixStream) -> Result<(Client, BTreeSet<String>), String> {
    let client = Client::new(stream)?;
    let interfaces = client.globals().iter().map(|g| g.interface.clone()).collect();
    Ok((client, interfaces))
}

fn owned(interfaces: &BTreeSet<&str>) -> BTreeSet<String> {
    interfaces.iter().map(|&i| i.to_owned()).collect()
}

fn untagged_socket_pair_sees_core_only(_: &World) -> Outcome {
    let (_, server) = start()?;
    let (ours, theirs) = UnixStream::pair().context("pair")?;
    let auth = server.insert(ours)?;
    ensure!(!auth.identity().is_identified(), "{}", auth.identity());
    let (mut client, seen) = speak_here(theirs)?;
    ensure_eq!(seen, owned(&expected(&[])));
    let number = client.globals().len() as u32 + 1;
    let answer = client.bind(number, "zwlr_screencopy_manager_v1", 3)?;
    ensure!(answer != Answer::Done, "{answer:?}");
    Ok(())
}

fn internal_client_sees_what_its_tag_allows(_: &World) -> Outcome {
    let (authenticator, server) = start()?;
    for (tag, capabilities) in [("shell", &["layer-shell"][..]), ("nobody", &[])] {
        let (ours, theirs) = UnixStream::pair().context("pair")?;
        server.insert_as(ours, authenticator.internal(tag))?;
        ensure_eq!(speak_here(theirs)?.1, owned(&expected(capabilities)), "{tag}");
    }
    Ok(())
}

fn client_data_of_another_type_is_denied(_: &World) -> Outcome {
    let (_, server) = start()?;
    let (ours, theirs) = UnixStream::pair().context("pair")?;
    server.insert_foreign(ours)?;
    ensure_eq!(speak_here(theirs)?.1, owned(&expected(&[])));
    Ok(())
}

fn security_context_can_only_take_away(world: &World) -> Outcome {
    let (authenticator, _server) = start()?;
    let peers = Peers::new(world)?;
    let host = peers.connect(&[])?;
    let creator = authenticator.identify(&host.stream);
    let context = |creator: &wayland_auth::ClientAuth, app_id: &str| {
        SandboxContext::new(creator.clone()).engine(Some("org.example.Engine".into())).app_id(Some(app_id.into()))
    };
    let names = |auth: &wayland_auth::ClientAuth| -> BTreeSet<String> {
        let described = auth.verdict().describe(&authenticator.policy());
        described.into_iter().filter(|(_, allowed, _)| *allowed).map(|(name, ..)| name).collect()
    };
    let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
    // What the context says, for a peer of whom the kernel knows nothing else.
    let auth = authenticator.identify_sandboxed(&host.stream, &context(&creator, "org.example.Recorder"));
    ensure_eq!(names(&auth), set(&["screen-capture", "output-info"]), "{}", auth.identity());
    ensure!(
        auth.identity().to_string().starts_with("app org.example.Recorder of org.example.Engine"),
        "{}",
        auth.identity()
    );
    // A sandbox that only its namespaces show is the one that the context names.
    let namespaced = peers.connect_through(&["unshare", "-U"], &[])?;
    let auth = authenticator.identify_sandboxed(&namespaced.stream, &context(&creator, "org.example.Recorder"));
    ensure_eq!(names(&auth), set(&["screen-capture", "output-info"]), "namespaced");
    // The cgroup's own label stands, and both must allow.
    let cgroup = world.new_cgroup()?;
    cgroup.label_app("org.example.Game")?;
    let labelled = peers.connect(&[&cgroup.join()])?;
    let auth = authenticator.identify_sandboxed(&labelled.stream, &context(&creator, "org.example.Recorder"));
    ensure_eq!(names(&auth), set(&["output-info"]), "labelled");
    ensure!(auth.identity().to_string().starts_with("app org.example.Game"), "{}", auth.identity());
    // Nobody gives what he does not have.
    let weak = authenticator.identify(&labelled.stream);
    let auth = authenticator.identify_sandboxed(&host.stream, &context(&weak, "org.example.Recorder"));
    ensure_eq!(names(&auth), set(&["output-info"]), "a weak creator");
    let nobody = wayland_auth::ClientAuth::default();
    let auth = authenticator.identify_sandboxed(&host.stream, &context(&nobody, "org.example.Recorder"));
    ensure_eq!(names(&auth), set(&[]), "an unknown creator");
    // An app ID without its engine is nobody's.
    let no_engine = SandboxContext::new(creator.clone()).app_id(Some("org.example.Recorder".into()));
    let auth = authenticator.identify_sandboxed(&host.stream, &no_engine);
    ensure_eq!(names(&auth), set(&[]), "an app ID without an engine");
    // Names are held to the grammar.
    let auth = authenticator.identify_sandboxed(&host.stream, &context(&creator, "org.example/Recorder"));
    ensure_eq!(names(&auth), set(&[]), "a malformed app ID");
    Ok(())
}
