//! The peers that are looked up while something fails.

use std::path::PathBuf;

use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::harness::program;
use wayland_auth_tests::kinds::{KINDS, Setup, labelled, wrapped};
use wayland_auth_tests::{Connection, Context, Outcome, Peers, World, ensure};

/// A peer that is connected.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) connection: Connection,
    /// How its identity begins, when it is shown.
    pub(crate) identity: String,
    _setup: Setup,
    _root: Option<RootsCgroup>,
}

/// A peer of each kind that an ordinary user can make.
pub(crate) fn ordinary(world: &World) -> Result<Vec<Peer>, String> {
    let mut peers = Vec::new();
    for kind in KINDS.iter().filter(|kind| !kind.needs_root) {
        peers.push(connect(world, kind.name, kind.identity, (kind.setup)(world)?)?);
    }
    let engine = (ENGINE, "org.example.Engine");
    let typist = "app org.example.Typist of org.example.Engine";
    let label: &[(&str, &str)] = &[engine, (APP_ID, "org.example.Typist")];
    peers.push(connect(world, "app that a rule denies", typist, labelled(world, &[label])?)?);
    let mut setup = labelled(world, &[label, &[], &[]])?;
    setup.steps.push("undumpable".into());
    peers.push(connect(world, "non-dumpable app that a rule denies", typist, setup)?);
    let mut setup = labelled(world, &[label])?;
    setup.wrapper = wrapped(&["unshare", "-U"]).wrapper;
    peers.push(connect(world, "app that a rule denies, with a user namespace", typist, setup)?);
    let mut setup = labelled(world, &[label])?;
    let bwrap = program("bwrap")?.into_string().ok().context("not UTF-8")?;
    setup.wrapper = wrapped(&[&bwrap, "--bind", "/", "/", "--dev", "/dev", "--unshare-user", "--unshare-pid"]).wrapper;
    peers.push(connect(world, "app that a rule denies, in bubblewrap", typist, setup)?);
    let levels: Vec<String> = (0..4).map(|level| format!("org.example.Level{level}")).collect();
    let levels: Vec<[(&str, &str); 2]> = levels.iter().map(|app_id| [engine, (APP_ID, app_id.as_str())]).collect();
    let levels: Vec<&[(&str, &str)]> = levels.iter().map(|level| &level[..]).collect();
    peers.push(connect(world, "four labels", "app org.example.Level0", labelled(world, &levels)?)?);
    let names: Vec<String> = (0..40).map(|number| format!("user.filler-{number:0>100}")).collect();
    let mut many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    many.extend(label);
    peers.push(connect(world, "app with more xattrs than are listed", typist, labelled(world, &[&many])?)?);
    let mut setup = labelled(world, &[label])?;
    setup.reap = true;
    peers.push(connect(world, "reaped app that a rule denies", "unidentified", setup)?);
    Ok(peers)
}

/// A peer of each kind that only root can make.
pub(crate) fn of_root(world: &World) -> Result<Vec<Peer>, String> {
    let mut peers = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.needs_root) {
        let setup = (kind.setup)(world)?;
        if kind.name == "other uid" {
            let connection = Peers::new(world)?.connect_as_root(&[], &[])?;
            peers.push(checked(kind.name, kind.identity, connection, setup, None)?);
        } else {
            peers.push(connect(world, kind.name, kind.identity, setup)?);
        }
    }
    for steps in [&[][..], &["undumpable"]] {
        let root = RootsCgroup::new(world)?;
        let connection = Peers::new(world)?.connect(steps)?;
        world.admin()?.join(&root.payload, connection.pid().context("no pid")?)?;
        let name = if steps.is_empty() { "app that root labelled" } else { "non-dumpable app that root labelled" };
        let identity = "app org.example.Recorder of org.example.Engine";
        peers.push(checked(name, identity, connection, Setup::default(), Some(root))?);
    }
    Ok(peers)
}

/// Runs one.
pub(crate) fn connect(world: &World, name: &str, identity: &str, setup: Setup) -> Result<Peer, String> {
    let peers = Peers::new(world)?;
    let connect = peers.connect_step();
    let wrapper: Vec<&str> = setup.wrapper.iter().map(String::as_str).collect();
    let mut steps: Vec<&str> = setup.steps.iter().map(String::as_str).collect();
    if setup.reap {
        steps.extend([connect.as_str(), "leave", "hold"]);
    }
    let mut connection = peers.connect_through(&wrapper, &steps).context(name)?;
    if setup.reap {
        connection.reap()?;
    }
    checked(name, identity, connection, setup, None)
}

/// The control: without any failure it is who it should be.
fn checked(
    name: &str,
    identity: &str,
    connection: Connection,
    setup: Setup,
    root: Option<RootsCgroup>,
) -> Result<Peer, String> {
    let found = wayland_auth_tests::expect::identify(&connection).context(name)?.to_string();
    ensure!(found.starts_with(identity), "{name}: identified as {found}");
    Ok(Peer { name: name.to_owned(), connection, identity: identity.to_owned(), _setup: setup, _root: root })
}

/// A labelled cgroup of root's, beside ours: below it would be below one that the user can write to.
pub(crate) struct RootsCgroup {
    outer: PathBuf,
    payload: PathBuf,
}

impl RootsCgroup {
    fn new(world: &World) -> Result<Self, String> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = world.cgroup().file_name().and_then(|n| n.to_str()).context("no name")?;
        let outer = world.cgroup().with_file_name(format!("{name}-faults-{number}"));
        let (admin, payload) = (world.admin()?, outer.join("payload"));
        admin.mkdir(&outer)?;
        admin.mkdir(&payload)?;
        admin.label(&outer, ENGINE, "org.example.Engine")?;
        admin.label(&outer, APP_ID, "org.example.Recorder")?;
        Ok(Self { outer, payload })
    }
}

/// Removes what root made for the peers, once they are gone.
pub(crate) fn remove(world: &World, peers: Vec<Peer>) -> Outcome {
    let outer: Vec<PathBuf> = peers.iter().filter_map(|peer| Some(peer._root.as_ref()?.outer.clone())).collect();
    drop(peers);
    for path in outer {
        let text = path.to_str().context("not UTF-8")?;
        let script = format!(
            "while [ -d '{text}' ]; do rmdir '{text}/payload' '{text}' 2>/dev/null; rmdir '{text}' 2>/dev/null; done"
        );
        world.admin()?.spawn(&["sh".into(), "-c".into(), script])?;
        while path.exists() {
            std::thread::yield_now();
        }
    }
    Ok(())
}
