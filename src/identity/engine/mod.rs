//! What sandbox engines leave behind without writing a label, one file per engine.
//!
//! There are two kinds of such evidence:
//!
//! * **Names on the path**: an engine gives the cgroup of its sandbox a name of its own. Such a name counts like a label
//!   of that directory: the outermost is the identity, its owner must have a say, and one on a directory that the
//!   compositor shares says nothing of its clients.
//! * **What is read per process**: the label in the security module, files in the root directory, the process that
//!   started the sandbox. It comes after all that the path says. Files are looked for only where the peer's mount
//!   namespace is not ours, and name an application only when something outside the sandbox confirms it.
//!
//! Each engine answers [match, not mine, or error](Answer). None of this gives more than the user himself could have
//! claimed, and an error takes rights: it counts as the engine with any application.

mod container;
mod firejail;
pub(crate) mod flatpak;
mod keyfile;
pub(crate) mod linyaps;
mod root;
mod snap;

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::evidence::{EngineEvidence, EngineSource, EngineStanding};
use super::ids::{AppId, InstanceId, SandboxEngine};
use super::label::Label;
use super::namespaces::Unknown;
use crate::sys::{NamespaceId, Procfs};
use root::Root;

/// What the name of a cgroup directory says.
type OfDirectory = fn(&str) -> Answer<Ids>;
/// What a label in the security module says.
type OfSecurityLabel = fn(&[u8]) -> Answer<Ids>;
/// What can be found out about a process that is in namespaces of its own.
type OfProcess = fn(&Process<'_>) -> Answer<Finding>;

/// An engine and its evidence.
struct Engine {
    /// Its reverse-DNS name.
    name: &'static str,
    /// Short forms that mean it.
    aliases: &'static [&'static str],
    directory: Option<OfDirectory>,
    security: Option<OfSecurityLabel>,
    process: Option<(EngineSource, OfProcess)>,
}

impl Engine {
    const fn new(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self { name, aliases, directory: None, security: None, process: None }
    }

    const fn in_directory_names(mut self, directory: OfDirectory) -> Self {
        self.directory = Some(directory);
        self
    }

    const fn in_security_labels(mut self, security: OfSecurityLabel) -> Self {
        self.security = Some(security);
        self
    }

    const fn in_processes(mut self, source: EngineSource, look: OfProcess) -> Self {
        self.process = Some((source, look));
        self
    }
}

/// All engines. What is said first counts first: labels and names on the path from the outside in, then what is read per
/// process in the order of this table. What comes later and says something else is nested, and can only take rights.
const ENGINES: &[Engine] = &[
    Engine::new("io.snapcraft", &["snap"]).in_directory_names(snap::directory).in_security_labels(snap::security),
    Engine::new("org.flatpak", &["flatpak"]).in_processes(EngineSource::FlatpakInfo, flatpak::look),
    Engine::new("cn.org.linyaps", &["linyaps", "linglong"]).in_processes(EngineSource::LinyapsInfo, linyaps::look),
    Engine::new("io.github.netblue30.firejail", &["firejail"]).in_processes(EngineSource::FirejailRun, firejail::look),
    Engine::new("org.podman", &["podman"]).in_directory_names(container::podman),
    Engine::new("com.docker", &["docker"]).in_directory_names(container::docker),
    Engine::new("org.linuxcontainers", &["lxc"]).in_directory_names(container::lxc),
    Engine::new("io.systemd.machine", &["nspawn", "systemd-nspawn"]).in_directory_names(container::machine),
];

/// What an engine says to a piece of evidence.
#[derive(Debug, PartialEq, Eq)]
enum Answer<T> {
    /// It is mine, and says this.
    Match(T),
    /// It is not mine, or not there.
    NotMine,
    /// It may be mine, but cannot be read.
    Error(Unknown),
}

/// What evidence names beside the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ids {
    app_id: Option<AppId>,
    instance_id: Option<InstanceId>,
}

/// What evidence in a process says, and how far it holds.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    ids: Ids,
    standing: EngineStanding,
}

/// A process in namespaces of its own, as engines look at it.
struct Process<'a> {
    procfs: &'a Procfs,
    /// Its directory in `/proc`, pinned.
    dir: BorrowedFd<'a>,
    /// Its user, mount and pid namespaces, if they could be had.
    namespaces: Option<[NamespaceId; 3]>,
    surroundings: &'a Surroundings,
    root: OnceCell<Root<'a>>,
    view: View,
}

/// What the compositor knows of its own place, once.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The user that the compositor runs as.
    pub(super) uid: u32,
    /// His `XDG_RUNTIME_DIR`, where flatpak keeps what it knows of its sandboxes.
    pub(super) runtime_dir: Option<std::path::PathBuf>,
    /// The compositor's own mount namespace.
    pub(super) own_mounts: NamespaceId,
    /// The compositor's own label in the security module; `None` where there is none that tells them.
    pub(super) security: Option<Vec<u8>>,
}

/// How much of a process' root directory may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// What is in it.
    Files,
    /// Only what is mounted: whose namespace it is could not be told.
    MountsOnly,
}

/// The full name of an engine that has this short one.
pub(super) fn full_name(short: &str) -> Option<&'static str> {
    ENGINES.iter().find(|engine| engine.aliases.contains(&short)).map(|engine| engine.name)
}

/// What the last name in the path of a cgroup says.
///
/// A name that is an engine's without a doubt, but cannot be read, is its engine's with any application.
pub(crate) fn of_directory(path: &[u8]) -> Option<Label> {
    let name = path.rsplit(|&b| b == b'/').next().and_then(|name| std::str::from_utf8(name).ok())?;
    ENGINES.iter().find_map(|engine| match engine.directory?(name) {
        Answer::Match(ids) => label(engine.name, ids),
        Answer::NotMine => None,
        Answer::Error(_) => label(engine.name, Ids::default()),
    })
}

/// What a peer's label in the security module says.
pub(crate) fn of_security_label(raw: &[u8], ours: &[u8]) -> Vec<EngineEvidence> {
    let source = EngineSource::SecurityLabel;
    let said = ENGINES.iter().filter_map(|engine| {
        let (ids, standing) = match engine.security?(raw) {
            Answer::NotMine => return None,
            // What the compositor is labelled with itself does not distinguish its clients.
            _ if raw == ours => (Ids::default(), EngineStanding::Shared),
            Answer::Match(ids) => (ids, EngineStanding::Match),
            Answer::Error(why) => (Ids::default(), EngineStanding::Error(why.into_text())),
        };
        Some(evidence(engine.name, source, ids, standing))
    });
    said.collect()
}

/// A peer's label in the security module could not be read, where others' can be.
pub(super) fn unread_security_label(why: &str) -> Vec<EngineEvidence> {
    let engines = ENGINES.iter().filter(|engine| engine.security.is_some());
    let standing = EngineStanding::Error(why.to_owned());
    engines.map(|e| evidence(e.name, EngineSource::SecurityLabel, Ids::default(), standing.clone())).collect()
}

/// What a process in a mount namespace of its own shows; `mounts_only` if that is not certain.
///
/// The answer holds only if the caller sees afterwards that the process was not reaped meanwhile.
///
/// # Errors
///
/// If the process is gone, or file descriptors or memory are. Everything else is an answer.
pub(super) fn of_process(
    procfs: &Procfs,
    pid: u32,
    namespaces: Option<[NamespaceId; 3]>,
    mounts_only: bool,
    surroundings: &Surroundings,
) -> Result<Vec<EngineEvidence>, Unknown> {
    let pinned: OwnedFd = procfs.pin(pid)?;
    let view = if mounts_only { View::MountsOnly } else { View::Files };
    let process = Process { procfs, dir: pinned.as_fd(), namespaces, surroundings, root: OnceCell::new(), view };
    let mut found = Vec::new();
    for engine in ENGINES {
        let Some((source, look)) = engine.process else { continue };
        let (ids, standing) = match look(&process) {
            Answer::NotMine => continue,
            Answer::Match(Finding { ids, standing }) => (ids, standing),
            Answer::Error(Unknown::Unreadable(why) | Unknown::Withheld(why)) => {
                (Ids::default(), EngineStanding::Error(why))
            }
            Answer::Error(stop @ (Unknown::Gone | Unknown::Resources)) => return Err(stop),
        };
        found.push(evidence(engine.name, source, ids, standing));
    }
    Ok(found)
}

/// The namespaces could not be compared at all, for want of an answer from the kernel: nothing is known of any engine.
pub(super) fn unread_process(why: &str) -> Vec<EngineEvidence> {
    let standing = EngineStanding::Error(why.to_owned());
    let sources = ENGINES.iter().filter_map(|engine| Some((engine.name, engine.process?.0)));
    sources.map(|(name, source)| evidence(name, source, Ids::default(), standing.clone())).collect()
}

impl<'a> Process<'a> {
    fn root(&self) -> &Root<'a> {
        self.root.get_or_init(|| Root::new(self.procfs, self.dir, self.view))
    }

    fn runtime_dir(&self) -> Option<&Path> {
        self.surroundings.runtime_dir.as_deref()
    }
}

impl EngineEvidence {
    /// What it says, if it holds by itself.
    pub(super) fn statement(&self) -> Option<Label> {
        matches!(self.standing, EngineStanding::Match | EngineStanding::CrossChecked).then(|| self.label())
    }

    /// What it may say beside others that do hold: a claim that names nobody says nothing.
    pub(super) fn doubt(&self) -> Option<Label> {
        match self.standing {
            EngineStanding::Error(_) => Some(Label { app_id: None, instance_id: None, ..self.label() }),
            EngineStanding::Claim(_) if self.app_id.is_some() => Some(self.label()),
            _ => None,
        }
    }

    /// Whose it would be and why it could not be read, if it could not.
    pub(super) fn error(&self) -> Option<(&SandboxEngine, &str)> {
        match &self.standing {
            EngineStanding::Error(why) => Some((&self.engine, why)),
            _ => None,
        }
    }

    fn label(&self) -> Label {
        Label {
            engine: self.engine.clone(),
            app_id: self.app_id.clone(),
            instance_id: self.instance_id.clone(),
            extra: Vec::new(),
        }
    }
}

impl Label {
    /// Whether it adds nothing to `other`: the same engine, and no other application or instance.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.engine == other.engine
            && (self.app_id.is_none() || self.app_id == other.app_id)
            && (self.instance_id.is_none() || other.instance_id.is_none() || self.instance_id == other.instance_id)
    }
}

/// `None` is impossible: all names in the table are identifiers, as a test shows.
fn label(engine: &str, ids: Ids) -> Option<Label> {
    let Ids { app_id, instance_id } = ids;
    Some(Label { engine: SandboxEngine::new(engine).ok()?, app_id, instance_id, extra: Vec::new() })
}

fn evidence(engine: &'static str, source: EngineSource, ids: Ids, standing: EngineStanding) -> EngineEvidence {
    let Ids { app_id, instance_id } = ids;
    EngineEvidence { engine: SandboxEngine::of_table(engine), source, app_id, instance_id, standing }
}

/// Undoes systemd's escapes (`\x2d`); `None` if one is broken.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = after.strip_prefix(b"x").and_then(|hex| hex.get(..2))?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &after[3..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_a_valid_name_and_its_aliases_mean_it_alone() {
        let mut seen = std::collections::BTreeSet::new();
        for engine in ENGINES {
            assert_eq!(SandboxEngine::new(engine.name).unwrap().as_str(), engine.name);
            assert!(seen.insert(engine.name), "{} is there twice", engine.name);
            for alias in engine.aliases {
                assert!(seen.insert(alias), "{alias} is there twice");
                assert_eq!(SandboxEngine::new(alias).unwrap().as_str(), engine.name);
            }
        }
        assert_eq!(full_name("org.flatpak"), None);
    }

    #[test]
    fn names_of_directories_are_read_from_the_last_part_of_the_path() {
        let hex = "0123456789abcdef".repeat(4);
        let path = format!("/user.slice/libpod-{hex}.scope");
        let label = of_directory(path.as_bytes()).unwrap();
        assert_eq!((label.engine.as_str(), label.app_id), ("org.podman", None));
        assert_eq!(label.instance_id.unwrap().as_str(), hex);
        for other in [format!("{path}/container"), "/".into(), String::new(), "/a.slice/b.scope".into()] {
            assert_eq!(of_directory(other.as_bytes()), None, "{other}");
        }
        assert_eq!(of_directory(b"/\xff"), None);
        // An engine's name that cannot be read is the engine's, with any application.
        let label = of_directory(b"/snap.Bad Name.scope").unwrap();
        assert_eq!((label.engine.as_str(), label.app_id, label.instance_id), ("io.snapcraft", None, None));
    }

    #[test]
    fn escapes_of_units_are_undone() {
        assert_eq!(unescape("a\\x2db").as_deref(), Some("a-b"));
        assert_eq!(unescape("plain").as_deref(), Some("plain"));
        for broken in ["\\", "\\x", "\\x2", "\\y2d", "\\x+1", "\\xff"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
    }

    #[test]
    fn what_the_compositor_is_labelled_with_does_not_distinguish_its_clients() {
        let label = b"snap.kiosk.kiosk (enforce)";
        let evidence = of_security_label(label, label);
        assert_eq!(evidence[0].standing, EngineStanding::Shared);
        assert_eq!((evidence[0].statement(), evidence[0].doubt()), (None, None));
        let other = of_security_label(label, b"unconfined");
        assert_eq!(other[0].statement().unwrap().app_id.unwrap().as_str(), "kiosk");
        assert_eq!(of_security_label(b"unconfined", b"unconfined"), []);
    }

    #[test]
    fn t15_a_label_repeats_another_only_if_it_names_nobody_else() {
        let label = |engine: &str, app: Option<&str>, instance: Option<&str>| Label {
            engine: SandboxEngine::new(engine).unwrap(),
            app_id: app.map(|a| AppId::new(a).unwrap()),
            instance_id: instance.map(|i| InstanceId::new(i).unwrap()),
            extra: Vec::new(),
        };
        let full = label("e", Some("a"), Some("1"));
        assert!(full.repeats(&full));
        assert!(label("e", None, None).repeats(&full) && label("e", Some("a"), None).repeats(&full));
        assert!(full.repeats(&label("e", Some("a"), None)));
        // Whoever names an application says more than an engine alone.
        assert!(!full.repeats(&label("e", None, None)));
        for other in [label("f", Some("a"), Some("1")), label("e", Some("b"), None), label("e", Some("a"), Some("2"))] {
            assert!(!full.repeats(&other), "{other:?}");
        }
    }
}
