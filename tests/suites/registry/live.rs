//! Rights that change while clients are connected: who is told what, byte by byte, and who is told nothing.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wayland_auth::{Authenticator, Capability, ClientAuth, Event, Policy, SandboxContext};
use wayland_auth_tests::connect::{Connection, PATIENCE};
use wayland_auth_tests::kinds::POLICY;
use wayland_auth_tests::server::{Both, Filter, Server, State};
use wayland_auth_tests::wire::{Answer, Client, Global, REGISTRY, announcement, removal};
use wayland_auth_tests::{Context, Outcome, Peers, TestCgroup, World, ensure, ensure_eq};
use wayland_protocols::ext::idle_notify::v1::server::ext_idle_notifier_v1::ExtIdleNotifierV1;
use wayland_server::protocol::wl_output::WlOutput;

use crate::globals::make_globals;
use crate::strict::client_as;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const CAPTURE: Capability = Capability::SCREEN_CAPTURE;

/// The recorder of [`POLICY`] loses what it is there for.
pub(crate) fn narrow() -> String {
    POLICY.replace("allow = [\"screen-capture\", \"output-info\"]", "allow = [\"output-info\"]")
}

/// A compositor whose clients hear of changes.
pub(crate) struct Stage<'a> {
    pub(crate) authenticator: Authenticator,
    pub(crate) server: Server,
    pub(crate) peers: Peers<'a>,
    /// Connections and cgroups that identities come from.
    pub(crate) kept: Vec<(Connection, Option<TestCgroup>)>,
}

/// A client that is somebody.
pub(crate) struct Who {
    pub(crate) auth: ClientAuth,
    pub(crate) client: Client,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(world: &'a World, grace: Duration) -> Result<Self, String> {
        let stage = Self::unattached(world, grace)?;
        stage.attach()?;
        Ok(stage)
    }

    /// One whose clients hear of nothing yet.
    pub(crate) fn unattached(world: &'a World, grace: Duration) -> Result<Self, String> {
        let policy = Policy::parse("test.toml", POLICY).context("policy")?;
        let authenticator = Authenticator::builder().policy(policy).grace_time(grace).build().context("build")?;
        let server = Server::start(authenticator.clone(), make_globals)?;
        Ok(Self { authenticator, server, peers: Peers::new(world)?, kept: Vec::new() })
    }

    pub(crate) fn attach(&self) -> Outcome {
        let authenticator = self.authenticator.clone();
        self.server.run(move |handle| authenticator.attach(handle).map_err(|e| e.to_string()))??;
        // What was asked before is answered when the next job is done.
        self.server.run(|_| ())
    }

    /// Who a process is that connects from a cgroup with this app ID, or from nowhere in particular.
    pub(crate) fn auth(&mut self, world: &World, app_id: Option<&str>) -> Result<ClientAuth, String> {
        let cgroup = app_id.map(|_| world.new_cgroup()).transpose()?;
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

    pub(crate) fn client(&mut self, world: &World, app_id: Option<&str>) -> Result<Who, String> {
        let auth = self.auth(world, app_id)?;
        let client = client_as(&self.server, &auth)?;
        Ok(Who { auth, client })
    }

    /// What it sends is sent when this returns.
    pub(crate) fn set(&self, policy: &str) -> Outcome {
        let policy = Policy::parse("next.toml", policy).context("policy")?;
        let authenticator = self.authenticator.clone();
        self.server.run(move |_| authenticator.set_policy(policy).map_err(|e| e.to_string()))?
    }

    pub(crate) fn tick(&self) -> Result<Option<Instant>, String> {
        let authenticator = self.authenticator.clone();
        self.server.run(move |_| authenticator.tick())
    }

    /// Ticks until nothing is left to do.
    pub(crate) fn settle(&self) -> Outcome {
        let until = Instant::now() + PATIENCE;
        while let Some(next) = self.tick()? {
            ensure!(next < until, "there is something to do for ever");
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// The globals that a client sees, of the interfaces of screen capture.
pub(crate) fn captures(client: &Client) -> Vec<Global> {
    let is = |interface: &str| interface.contains("screencopy") || interface.contains("image_copy");
    client.globals().iter().filter(|g| is(&g.interface)).cloned().collect()
}

pub(crate) fn announcements(registry: u32, globals: &[Global]) -> Result<Vec<u8>, String> {
    Ok(globals.iter().map(|global| announcement(registry, global)).collect::<Result<Vec<_>, _>>()?.concat())
}

pub(crate) fn removals(registry: u32, globals: &[Global]) -> Result<Vec<u8>, String> {
    Ok(globals.iter().map(|global| removal(registry, global.name)).collect::<Result<Vec<_>, _>>()?.concat())
}

pub(crate) fn policy_is_for_those_who_are_connected_too(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let events = Arc::new(Mutex::new(Vec::new()));
    let _subscription = stage.authenticator.subscribe({
        let events = Arc::clone(&events);
        move |event| {
            if let Ok(mut events) = events.lock() {
                events.push(event.clone());
            }
        }
    });
    let host = stage.auth(world, None)?;
    let recorder = stage.auth(world, Some("org.example.Recorder"))?;
    ensure!(host.allows(CAPTURE) && recorder.allows(CAPTURE), "before");
    ensure_eq!(stage.authenticator.clients().len(), 2);
    stage.set(&narrow())?;
    ensure!(host.allows(CAPTURE), "the host");
    ensure!(!recorder.allows(CAPTURE) && !recorder.verdict().allows(CAPTURE), "{:?}", recorder.allowed());
    ensure!(recorder.allows(Capability::OUTPUT_INFO), "what it keeps");
    let other = Policy::parse("other.toml", "[capabilities]\nmine = [\"zwlr_layer_shell_v1\"]").context("policy")?;
    ensure!(stage.authenticator.set_policy(other).is_err(), "a global's capability changed under its filter");
    ensure!(host.allows(CAPTURE), "a policy that was refused decides");
    let (host_number, recorder_number) = (host.serial(), recorder.serial());
    drop((host, recorder));
    ensure!(stage.authenticator.clients().is_empty(), "they are gone");
    let told: Vec<String> = events.lock().map_err(|e| e.to_string())?.iter().map(show).collect();
    let expected = [
        format!("connected {host_number}"),
        format!("connected {recorder_number}"),
        format!("changed {recorder_number} from true to false"),
        "reloaded, 1 changed".to_owned(),
        format!("gone {host_number}"),
        format!("gone {recorder_number}"),
    ];
    ensure_eq!(told, expected);
    Ok(())
}

fn show(event: &Event) -> String {
    match event {
        Event::Connected(client) => format!("connected {}", client.serial()),
        Event::Gone(client) => format!("gone {}", client.serial()),
        Event::Changed { client, before, .. } => {
            format!("changed {} from {} to {}", client.serial(), before.allows(CAPTURE), client.allows(CAPTURE))
        }
        Event::Reloaded { changed, .. } => format!("reloaded, {changed} changed"),
        other => format!("{other:?}"),
    }
}

/// One loses something and gets it back. Everybody else reads not one byte, and they neither: only what is theirs.
pub(crate) fn only_who_is_concerned_is_told_a_byte(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let mut bystanders = Vec::new();
    for app_id in [None, Some("org.example.Game"), Some("org.example.Typist")] {
        bystanders.push(stage.client(world, app_id)?);
    }
    // Two registries of one client are both told.
    let (second, shown) = recorder.client.further_registry()?;
    let captures = captures(&recorder.client);
    ensure_eq!(captures.len(), 2);
    ensure!(captures.iter().all(|global| shown.contains(global)), "the second registry");
    // And one that is bound already is refused at use at once.
    let (name, interface) = (captures[0].name, &captures[0].interface);
    ensure_eq!(recorder.client.bind(name, interface, 1)?, Answer::Done);
    let silent = |bystanders: &mut Vec<Who>, when: &str| -> Outcome {
        for bystander in bystanders {
            let bytes = bystander.client.unasked()?;
            ensure!(bytes.is_empty(), "{when}: {} was told {bytes:?}", bystander.auth.identity());
        }
        Ok(())
    };
    for round in 0..3 {
        stage.set(&narrow())?;
        ensure!(!recorder.auth.allows(CAPTURE), "a bound object can be used");
        let told = recorder.client.unasked()?;
        ensure_eq!(told, [removals(REGISTRY, &captures)?, removals(second, &captures)?].concat(), "round {round}");
        silent(&mut bystanders, "when it lost something")?;
        stage.set(POLICY)?;
        ensure!(recorder.auth.allows(CAPTURE), "it got nothing back");
        let told = recorder.client.unasked()?;
        let expected = [announcements(REGISTRY, &captures)?, announcements(second, &captures)?].concat();
        ensure_eq!(told, expected, "round {round}");
        silent(&mut bystanders, "when it got something")?;
    }
    // The control: what is announced can be bound, and the bystanders can hear.
    for global in &captures {
        ensure_eq!(recorder.client.bind(global.name, &global.interface, 1)?, Answer::Done);
    }
    stage.set("[defaults]\nhost = []\nsandboxed = []")?;
    for bystander in &mut bystanders {
        ensure!(!bystander.client.unasked()?.is_empty(), "{} heard nothing", bystander.auth.identity());
        ensure_eq!(bystander.client.sync()?, Answer::Done);
    }
    Ok(())
}

pub(crate) fn same_policy_again_tells_nobody_anything(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let mut clients = vec![stage.client(world, None)?, stage.client(world, Some("org.example.Recorder"))?];
    let changes = Arc::new(Mutex::new(0));
    let _subscription = stage.authenticator.subscribe({
        let changes = Arc::clone(&changes);
        move |event| {
            if let (Event::Changed { .. }, Ok(mut changes)) = (event, changes.lock()) {
                *changes += 1;
            }
        }
    });
    // The same rights from other lines.
    for policy in [POLICY.to_owned(), format!("\n\n# Said otherwise.\n{POLICY}")] {
        stage.set(&policy)?;
        for who in &mut clients {
            ensure_eq!(who.client.unasked()?, [0_u8; 0], "{}", who.auth.identity());
        }
    }
    ensure_eq!(stage.tick()?, None, "something is left to do");
    ensure_eq!(changes.lock().map(|changes| *changes).unwrap_or(1), 0);
    Ok(())
}

pub(crate) fn bind_that_was_under_way_lives(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let captures = captures(&recorder.client);
    stage.set(&narrow())?;
    // It has not read yet that it lost them.
    for global in &captures {
        ensure_eq!(recorder.client.bind(global.name, &global.interface, 1)?, Answer::Done);
        ensure!(!recorder.auth.allows(CAPTURE), "what it bound can be used");
    }
    let removed: Vec<u32> = captures.iter().map(|global| global.name).collect();
    ensure_eq!(recorder.client.removed(), removed);
    Ok(())
}

pub(crate) fn bind_after_the_time_of_grace_is_refused(world: &World) -> Outcome {
    // With a tick, and without: nobody has to drive the clock for it to end.
    for ticks in [true, false] {
        let mut stage = Stage::new(world, Duration::from_millis(1))?;
        let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
        let mut bystander = stage.client(world, None)?;
        let captures = captures(&recorder.client);
        stage.set(&narrow())?;
        if ticks {
            stage.settle()?;
        } else {
            let until = Instant::now() + PATIENCE;
            while recorder.auth.sees(CAPTURE) {
                ensure!(Instant::now() < until, "it does not end by itself");
                std::thread::yield_now();
            }
        }
        ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &captures)?, "ticks: {ticks}");
        ensure_eq!(bystander.client.unasked()?, [0_u8; 0], "ticks: {ticks}");
        let answer = recorder.client.bind(captures[0].name, &captures[0].interface, 1)?;
        ensure!(answer != Answer::Done, "ticks: {ticks}: {answer:?}");
        ensure_eq!(bystander.client.sync()?, Answer::Done);
    }
    Ok(())
}

/// A registry that is made while filters still say yes shows what is on its way out.
pub(crate) fn registry_made_in_grace(world: &World) -> Outcome {
    let mut grace = Duration::from_millis(200);
    loop {
        let mut stage = Stage::new(world, grace)?;
        let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
        let captures = captures(&recorder.client);
        stage.set(&narrow())?;
        ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &captures)?);
        let (second, shown) = recorder.client.further_registry()?;
        if !captures.iter().all(|global| shown.contains(global)) {
            // This machine was too slow for it.
            grace *= 2;
            ensure!(grace < PATIENCE, "a new registry does not show what can still be bound");
            continue;
        }
        ensure_eq!(recorder.client.unasked()?, [0_u8; 0]);
        stage.settle()?;
        ensure_eq!(recorder.client.unasked()?, removals(second, &captures)?, "at the end");
        let (_, shown) = recorder.client.further_registry()?;
        ensure!(!captures.iter().any(|global| shown.contains(global)), "a third registry");
        return Ok(());
    }
}

/// Registries that were told different things are each told what they lack.
pub(crate) fn what_comes_back_is_told_once(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let captures = captures(&recorder.client);
    stage.set(&narrow())?;
    ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &captures)?);
    let (second, shown) = recorder.client.further_registry()?;
    ensure!(captures.iter().all(|global| shown.contains(global)), "the second registry");
    stage.set(POLICY)?;
    ensure_eq!(recorder.client.unasked()?, announcements(REGISTRY, &captures)?, "the second has it already");
    stage.set(&narrow())?;
    let both = [removals(REGISTRY, &captures)?, removals(second, &captures)?].concat();
    ensure_eq!(recorder.client.unasked()?, both);
    Ok(())
}

/// Globals with a filter come and go while a client does not see them; its registries are told those that are there.
pub(crate) fn globals_come_and_go(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    // Before any client: libwayland's backend knows the filter of a global only after it announced it.
    let filter = stage.server.filter("zwlr_screencopy_manager_v1");
    let make = move |handle: &wayland_server::DisplayHandle, count: usize| {
        (0..count).map(|_| handle.create_global::<State, WlOutput, Filter>(4, filter)).collect::<Vec<_>>()
    };
    let mut ids = stage.server.run(move |handle| make(handle, 3))?;
    stage.attach()?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    let mut bystander = stage.client(world, Some("org.example.Game"))?;
    let of = |client: &Client, version| -> Vec<Global> {
        client.globals().iter().filter(|g| g.interface == "wl_output" && g.version == version).cloned().collect()
    };
    let outputs = of(&recorder.client, 4);
    let mut captures = captures(&recorder.client);
    ensure_eq!(captures.len(), 2);
    stage.set(&narrow())?;
    let mut told = captures.clone();
    let hidden: Vec<Global> = outputs.iter().filter(|g| !of(&bystander.client, 4).contains(g)).cloned().collect();
    ensure_eq!(hidden.len(), 3, "outputs with a filter");
    told.extend(hidden.iter().cloned());
    ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &told)?);
    ensure_eq!(bystander.client.unasked()?, [0_u8; 0]);
    // One goes, and with it its number, which the Rust backend tells everybody, and gives away again.
    let id = ids.remove(1);
    stage.server.run(move |handle| handle.remove_global::<State>(id))?;
    recorder.client.unasked()?;
    bystander.client.unasked()?;
    // An output for all comes meanwhile: all are told by the backend.
    let core = stage.server.filter("wl_output");
    stage.server.run(move |handle| handle.create_global::<State, WlOutput, Filter>(3, core))?;
    for who in [&mut recorder, &mut bystander] {
        let bytes = who.client.unasked()?;
        ensure_eq!(bytes, announcements(REGISTRY, &of(&who.client, 3))?, "{}", who.auth.identity());
        ensure_eq!(of(&who.client, 3).len(), 1);
    }
    stage.set(POLICY)?;
    captures.extend([hidden[0].clone(), hidden[2].clone()]);
    ensure_eq!(recorder.client.unasked()?, announcements(REGISTRY, &captures)?, "what is there");
    ensure_eq!(bystander.client.unasked()?, [0_u8; 0]);
    for global in &captures {
        ensure_eq!(recorder.client.bind(global.name, &global.interface, 1)?, Answer::Done, "{global:?}");
    }
    Ok(())
}

pub(crate) fn security_context_follows(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let creator = stage.auth(world, None)?;
    let context = SandboxContext::new(creator)
        .engine(Some("org.example.Engine".into()))
        .app_id(Some("org.example.Recorder".into()));
    let connection = stage.peers.connect(&[])?;
    let auth = stage.authenticator.identify_sandboxed(&connection.stream, &context);
    let mut client = client_as(&stage.server, &auth)?;
    let mut host = stage.client(world, None)?;
    let captures = captures(&client);
    ensure_eq!(captures.len(), 2);
    // By its own rule.
    stage.set(&narrow())?;
    ensure_eq!(client.unasked()?, removals(REGISTRY, &captures)?);
    ensure_eq!(host.client.unasked()?, [0_u8; 0]);
    stage.set(POLICY)?;
    ensure_eq!(client.unasked()?, announcements(REGISTRY, &captures)?);
    // By what its maker has no more. That one is long gone; the host is what it was.
    stage.kept.clear();
    stage.set(&POLICY.replace("host = [\"*\"]", "host = [\"output-info\"]"))?;
    ensure!(!auth.allows(CAPTURE) && auth.allows(Capability::OUTPUT_INFO), "{:?}", auth.allowed());
    ensure_eq!(client.unasked()?, removals(REGISTRY, &captures)?);
    ensure!(!host.client.unasked()?.is_empty(), "the host heard nothing");
    Ok(())
}

pub(crate) fn client_without_a_registry(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let auth = stage.auth(world, Some("org.example.Recorder"))?;
    let (ours, theirs) = UnixStream::pair().context("pair")?;
    stage.server.insert_as(ours, auth.clone())?;
    for policy in [narrow(), POLICY.to_owned(), narrow(), POLICY.to_owned()] {
        stage.set(&policy)?;
    }
    // It speaks up only now, and is told what holds now.
    let mut client = Client::new(theirs)?;
    let captures = captures(&client);
    ensure_eq!(captures.len(), 2);
    ensure!(client.removed().is_empty(), "{:?}", client.removed());
    stage.set(&narrow())?;
    ensure_eq!(client.unasked()?, removals(REGISTRY, &captures)?);
    Ok(())
}

/// Who connects while policies change is held to the last of them.
pub(crate) fn policy_while_clients_connect(world: &World) -> Outcome {
    const ROUNDS: usize = 200;
    let mut stage = Stage::new(world, HOUR)?;
    let _held = stage.auth(world, Some("org.example.Recorder"))?;
    let connection = &stage.kept.first().context("no connection")?.0;
    // All of them are kept to the end of their round.
    let unlimited = "[limits]\nconnections-per-app = \"unlimited\"\n";
    let [wide, narrow] = [POLICY, &narrow()].map(|text| Policy::parse("p", &format!("{text}{unlimited}")));
    let policies = [wide.context("wide")?, narrow.context("narrow")?];
    let mut changed_meanwhile = 0;
    for round in 0..ROUNDS {
        let go_on = AtomicBool::new(true);
        let clients = std::thread::scope(|scope| -> Result<Vec<ClientAuth>, String> {
            let connecting = scope.spawn(|| {
                let mut clients = Vec::new();
                while go_on.load(Ordering::Relaxed) {
                    clients.push(stage.authenticator.identify(&connection.stream));
                }
                clients
            });
            for which in [round, round + 1] {
                let policy = policies[which % 2].clone();
                stage.authenticator.set_policy(policy).context("set_policy")?;
                std::thread::yield_now();
            }
            go_on.store(false, Ordering::Relaxed);
            connecting.join().map_err(|_| "a thread panicked".to_owned())
        })?;
        let wide = (round + 1) % 2 == 0;
        changed_meanwhile += clients.len();
        let wrong = clients.iter().filter(|client| client.allows(CAPTURE) != wide).count();
        ensure_eq!(wrong, 0, "round {round}: of {} clients, with capture: {wide}", clients.len());
    }
    ensure!(changed_meanwhile > ROUNDS / 10, "only {changed_meanwhile} clients connected meanwhile");
    println!("{changed_meanwhile} clients connected while policies changed");
    Ok(())
}

pub(crate) fn disconnecting_ends_one_client_at_once(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let recorder = stage.client(world, Some("org.example.Recorder"))?;
    let mut bystander = stage.client(world, None)?;
    let serial = recorder.auth.serial();
    recorder.auth.disconnect();
    ensure!(recorder.auth.allowed().is_empty() && !recorder.auth.sees(CAPTURE), "it may do something");
    // Another policy gives nothing back to it.
    stage.set(POLICY)?;
    ensure!(recorder.auth.allowed().is_empty(), "a policy gave something back");
    let detached = recorder.auth.detached();
    drop(recorder.auth);
    // Nobody says anything meanwhile: what ends it is not another client's traffic.
    stage.settle()?;
    let until = Instant::now() + PATIENCE;
    while !recorder.client.is_closed() {
        stage.server.run(|_| ())?;
        ensure!(Instant::now() < until, "its socket is open");
    }
    let there: Vec<_> = stage.authenticator.clients().iter().map(ClientAuth::serial).collect();
    ensure_eq!(there, [bystander.auth.serial()]);
    ensure_eq!(bystander.client.unasked()?, [0_u8; 0]);
    // Once more is once too often, and harms nobody.
    detached.disconnect();
    stage.settle()?;
    ensure_eq!(bystander.client.sync()?, Answer::Done);
    ensure!(serial != bystander.auth.serial(), "two clients with one number");
    Ok(())
}

/// Nothing is said of a global whose filter asks for two capabilities: neither alone shows it.
pub(crate) fn filter_that_asks_twice_is_left_alone(world: &World) -> Outcome {
    let mut stage = Stage::new(world, HOUR)?;
    let both = Both(CAPTURE, Capability::OUTPUT_INFO);
    stage.server.run(move |handle| handle.create_global::<State, ExtIdleNotifierV1, Both>(1, both))?;
    stage.attach()?;
    let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
    ensure!(recorder.client.globals().iter().any(|g| g.interface == "ext_idle_notifier_v1"), "the control");
    let captures = captures(&recorder.client);
    stage.set(&narrow())?;
    ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &captures)?);
    stage.set(POLICY)?;
    ensure_eq!(recorder.client.unasked()?, announcements(REGISTRY, &captures)?);
    Ok(())
}
