//! cgroup2 covered by something else, or mounted where nobody expects it.
//!
//! In a user and mount namespace of its own, so that this can be done; this program is started once more inside.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::mount::{MountFlags, mount};
use wayland_auth::identity::{Identity, Provenance, Trust};
use wayland_auth::{Authenticator, Policy};
use wayland_auth_tests::cgroups::{own, set_xattr};
use wayland_auth_tests::expect::{APP_ID, ENGINE, expect_app, resolvers};
use wayland_auth_tests::{Context, Outcome, World, ensure};

/// Tells this program that it is the one inside.
pub(crate) const INSIDE: &str = "--inside-mount-namespace";

pub(crate) fn covered(world: &World) -> Outcome {
    start(world, "-Urm", "covered")
}

pub(crate) fn elsewhere(world: &World) -> Outcome {
    start(world, "-UrmC", "elsewhere")
}

fn start(world: &World, namespaces: &str, part: &str) -> Outcome {
    let output = Command::new("unshare")
        .arg(namespaces)
        .arg(std::env::current_exe().context("this program")?)
        .args([INSIDE, part])
        .args([world.peer(), &world.new_dir()?])
        .stdin(Stdio::null())
        .output()
        .context("unshare")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What the program does inside.
pub(crate) fn inside(args: &[PathBuf]) -> ExitCode {
    let result = match args {
        [part, peer, dir] if part == Path::new("covered") => inside_covered(peer, dir),
        [part, peer, dir] if part == Path::new("elsewhere") => inside_elsewhere(peer, dir),
        _ => Err(format!("{INSIDE} PART PEER DIR")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// A connection of a peer that takes this step before.
fn connected(peer: &Path, dir: &Path, step: Option<String>) -> Result<std::os::unix::net::UnixStream, String> {
    let socket = dir.join("socket");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).context("bind")?;
    let steps = step.into_iter().chain([format!("connect={}", socket.display()), "hold".to_owned()]);
    // It ends with its connection, and this program soon after.
    Command::new(peer).args(steps).stdin(Stdio::null()).spawn().context("peer")?;
    listener.accept().map(|(stream, _)| stream).context("accept")
}

const GENEROUS: &str =
    "[defaults]\nhost = [\"*\"]\nsandboxed = [\"*\"]\nnamespaced = [\"*\"]\nunidentified = [\"*\"]\n";

fn authenticator() -> Result<Authenticator, String> {
    let policy = Policy::parse("test.toml", GENEROUS).context("policy")?;
    Authenticator::builder().policy(policy).build().context("authenticator")
}

/// The mount is still in the list, but what is seen at its place is not cgroup2.
fn inside_covered(peer: &Path, dir: &Path) -> Outcome {
    let stream = connected(peer, dir, None)?;
    // The control: so far the peer is the host.
    let before = authenticator()?;
    ensure!(before.support().can_identify(), "{}", before.support());
    ensure!(
        matches!(before.identify(&stream).identity(), Identity::Host(_)),
        "{}",
        before.identify(&stream).identity()
    );
    let at = before.support().cgroup2.clone().map_err(|e| format!("no cgroup2: {e}"))?;
    let here = own()?;
    mount("none", &*at, "tmpfs", MountFlags::empty(), None).context("cover it")?;
    // The same directory, forged. (Labels on tmpfs: Linux 6.6.)
    std::fs::create_dir_all(&here).context("forge")?;
    let _ = set_xattr(&here, ENGINE, b"org.example.Forged");
    let after = authenticator()?;
    ensure!(!after.support().can_identify(), "tmpfs is taken for cgroup2: {}", after.support());
    let auth = after.identify(&stream);
    ensure!(!auth.identity().is_identified(), "{}", auth.identity());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("mountinfo")?;
    ensure!(mounts.contains(" - cgroup2 "), "the mount is gone, so nothing is shown");
    // Whoever had it open before goes on as before.
    ensure!(matches!(before.identify(&stream).identity(), Identity::Host(_)), "the open mount is lost");
    Ok(())
}

/// Only part of the old mount is ours; a whole one is where no fixed path would look.
fn inside_elsewhere(peer: &Path, dir: &Path) -> Outcome {
    let part = authenticator()?;
    ensure!(!part.support().can_identify(), "a part is taken for the whole: {}", part.support());
    let at = dir.join("an odd place\u{e9}");
    std::fs::create_dir(&at).context("mkdir")?;
    mount("none", &at, "cgroup2", MountFlags::empty(), None).context("mount")?;
    let app = at.join("app");
    std::fs::create_dir(&app).context("mkdir")?;
    set_xattr(&app, ENGINE, b"org.example.Engine")?;
    set_xattr(&app, APP_ID, b"org.example.App")?;
    let stream = connected(peer, dir, Some(format!("join={}", app.display())))?;
    for (tier, resolver) in resolvers()? {
        let identity = resolver.identify(&stream, &Trust::default()).identity;
        let expected = (Some("org.example.Engine"), Some("org.example.App"), Provenance::User);
        expect_app(&identity, expected).context(format!("{tier:?}"))?;
    }
    let plain = connected(peer, dir, None)?;
    let identity = authenticator()?.identify(&plain).identity().to_string();
    ensure!(identity.starts_with("host"), "{identity}");
    drop((stream, plain));
    // The peer is on its way out of it.
    wayland_auth_tests::cgroups::remove_tree(&app)
}
