//! Sandboxes as engines make them, by bubblewrap itself.

use std::path::{Path, PathBuf};

use wayland_auth::identity::{EngineEvidence, Identified, Identity, Resolver, Trust};
use wayland_auth::policy::{Capability, Policy, Verdict};
use wayland_auth_tests::harness::program;
use wayland_auth_tests::{Connection, Context, Peers, World, ensure, ensure_eq};

pub(crate) const FLATPAK: &str = "org.flatpak";
pub(crate) const RECORDER: &str = "org.example.Recorder";
pub(crate) const DENIED: &str = "org.example.Denied";

/// The rule for the recorder gives what the host has not; that for the other takes what others in sandboxes have.
pub(crate) const POLICY: &str = r#"
[defaults]
host = ["output-info", "screen-capture", "layer-shell", "idle-notify"]
sandboxed = ["output-info", "layer-shell", "idle-notify"]
namespaced = ["output-info", "layer-shell", "idle-notify"]

[[rule]]
match = { engine = "org.flatpak", app-id = "org.example.Recorder" }
allow = ["output-info", "screen-capture", "virtual-keyboard"]

[[rule]]
match = { engine = "org.flatpak", app-id = "org.example.Denied" }
deny = ["output-info"]
"#;

pub(crate) fn policy() -> Result<Policy, String> {
    Policy::parse("policy.toml", POLICY).map_err(|e| e.to_string())
}

pub(crate) fn verdict(identity: &Identity) -> Result<Verdict, String> {
    Ok(policy()?.evaluate(identity))
}

pub(crate) fn allows(identity: &Identity, name: &str) -> Result<bool, String> {
    let capability = Capability::built_in(name).context(name)?;
    Ok(verdict(identity)?.allows(capability))
}

/// A resolver for a user with this runtime directory, on both tiers, which must agree.
pub(crate) fn look_in(connection: &Connection, runtime_dir: &Path) -> Result<Identified, String> {
    look_at(&connection.stream, runtime_dir)
}

pub(crate) fn look_at(stream: &std::os::unix::net::UnixStream, runtime_dir: &Path) -> Result<Identified, String> {
    let builder = || Resolver::builder().runtime_dir(runtime_dir);
    let new = builder().build().context("resolver")?.identify(stream, &Trust::default());
    let old = builder().without_pidfd_info().build().context("resolver")?.identify(stream, &Trust::default());
    ensure_eq!(old.identity, new.identity, "the tiers disagree");
    ensure_eq!(old.evidence.engines, new.evidence.engines, "the tiers disagree");
    Ok(new)
}

/// The only evidence of an engine.
pub(crate) fn only_evidence(identified: &Identified) -> Result<&EngineEvidence, String> {
    match &identified.evidence.engines[..] {
        [evidence] => Ok(evidence),
        other => Err(format!("expected evidence of one engine, got {other:?}")),
    }
}

/// The labels that are nested: engine and application.
pub(crate) fn nested(identity: &Identity) -> Result<Vec<(String, Option<String>)>, String> {
    let Identity::App(app) = identity else { return Err(format!("expected an app, got {identity:?}")) };
    let name = |id: &wayland_auth::identity::AppId| id.as_str().to_owned();
    Ok(app.nested.iter().map(|n| (n.engine.as_str().to_owned(), n.app_id.as_ref().map(name))).collect())
}

/// The arguments of a bubblewrap sandbox with a root directory of its own and everything that a peer needs, before its
/// own: a user namespace in which there may be more, and a pid namespace.
pub(crate) fn bwrap(world: &World, more: &[&str]) -> Result<Vec<String>, String> {
    let bwrap = program("bwrap")?.into_string().ok().context("not UTF-8")?;
    let mut args = vec![bwrap, "--unshare-user".into(), "--unshare-pid".into(), "--die-with-parent".into()];
    let mut top = vec![PathBuf::from("/usr"), "/bin".into(), "/sbin".into(), "/lib".into(), "/lib64".into()];
    let needed = [world.peer().to_owned(), world.new_dir()?];
    top.extend(needed.iter().filter_map(|path| path.iter().nth(1)).map(|first| Path::new("/").join(first)));
    top.sort();
    top.dedup();
    for dir in top {
        let path = dir.to_str().context("not UTF-8")?.to_owned();
        match std::fs::read_link(&dir) {
            Ok(target) => {
                args.extend(["--symlink".into(), target.to_str().context("not UTF-8")?.to_owned(), path]);
            }
            Err(_) if dir.is_dir() => args.extend(["--bind".into(), path.clone(), path]),
            Err(_) => {}
        }
    }
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    Ok(args)
}

/// What flatpak does: a file in the sandbox, and bubblewrap's record of it outside.
pub(crate) struct Flatpak {
    pub(crate) info: PathBuf,
    pub(crate) record: PathBuf,
    pub(crate) runtime_dir: PathBuf,
}

impl Flatpak {
    /// An instance of an application, in a runtime directory of its own.
    pub(crate) fn new(world: &World, app_id: &str, instance: &str) -> Result<Self, String> {
        Self::in_dir(world, world.new_dir()?, app_id, instance)
    }

    /// An instance beside others.
    pub(crate) fn in_dir(world: &World, runtime_dir: PathBuf, app_id: &str, instance: &str) -> Result<Self, String> {
        let dir = runtime_dir.join(".flatpak").join(instance);
        std::fs::create_dir_all(&dir).context(dir.display())?;
        let info = world.new_dir()?.join("info");
        std::fs::write(&info, info_text(app_id, instance)).context(info.display())?;
        Ok(Self { info, record: dir.join("bwrapinfo.json"), runtime_dir })
    }

    /// What runs a program in the sandbox; in this cgroup, if there is one.
    pub(crate) fn wrapper(&self, world: &World, cgroup: Option<&Path>, more: &[&str]) -> Result<Vec<String>, String> {
        let mut all = vec!["--ro-bind-data", "8", "/.flatpak-info", "--info-fd", "9"];
        all.extend(more);
        let text = |path: &Path| path.to_str().map(str::to_owned).context("not UTF-8");
        let script = r#"i=$1 r=$2 c=$3; shift 3; [ -z "$c" ] || echo 0 > "$c/cgroup.procs" || exit 9
                        exec "$@" 8<"$i" 9>"$r""#;
        let mut line: Vec<String> = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        line.extend([text(&self.info)?, text(&self.record)?, cgroup.map_or(Ok(String::new()), text)?]);
        line.extend(bwrap(world, &all)?);
        Ok(line)
    }

    /// A peer in the sandbox.
    pub(crate) fn connect(&self, world: &World, peers: &Peers<'_>, steps: &[&str]) -> Result<Connection, String> {
        connect(peers, &self.wrapper(world, None, &[])?, steps)
    }
}

pub(crate) fn connect(peers: &Peers<'_>, wrapper: &[String], steps: &[&str]) -> Result<Connection, String> {
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    peers.connect_through(&wrapper, steps)
}

pub(crate) fn info_text(app_id: &str, instance: &str) -> String {
    format!("[Application]\nname={app_id}\nruntime=runtime/org.example.P/x/1\n\n[Instance]\ninstance-id={instance}\n")
}

/// A file with these bytes, and its path.
pub(crate) fn file(world: &World, bytes: &[u8]) -> Result<String, String> {
    let path = world.new_dir()?.join("file");
    std::fs::write(&path, bytes).context(path.display())?;
    path.into_os_string().into_string().ok().context("not UTF-8")
}

/// Wants an app that only its namespaces show, and that may do no more than any of them.
pub(crate) fn expect_unknown(identity: &Identity) -> Result<(), String> {
    wayland_auth_tests::expect::expect_app(identity, wayland_auth_tests::expect::UNKNOWN)?;
    ensure_eq!(nested(identity)?, []);
    for taken in ["screen-capture", "virtual-keyboard", "layer-shell", "idle-notify", "output-info"] {
        ensure!(!allows(identity, taken)?, "an unknown sandbox may do what a rule takes: {taken}");
    }
    Ok(())
}
