//! Root directories that the other side made of whatever it likes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wayland_auth::identity::EngineStanding;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

use super::sandbox::{RECORDER, bwrap, connect, expect_unknown, file, info_text, look_at, look_in, only_evidence};

/// The type of the mount decides: an overlay and a file of `/proc` answer here, and are not asked all the same.
pub(crate) fn other_file_systems_are_not_asked(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let runtime_dir = world.new_dir()?;
    // A file that is mounted from another kind.
    let wrapper = bwrap(world, &["--proc", "/proc", "--ro-bind", "/proc/version", "/.flatpak-info"])?;
    let found = look_in(&connect(&peers, &wrapper, &[])?, &runtime_dir)?;
    expect_unknown(&found.identity)?;
    let EngineStanding::Error(why) = &only_evidence(&found)?.standing else { return Err("it was read".into()) };
    ensure!(why.contains("not on a local file system"), "{why}");

    // The root directory itself. The same file says something where the root is a tmpfs.
    let forged = file(world, info_text(RECORDER, "77").as_bytes())?;
    let on_tmpfs = bwrap(world, &["--ro-bind", &forged, "/.flatpak-info"])?;
    let found = look_in(&connect(&peers, &on_tmpfs, &[])?, &runtime_dir)?;
    ensure!(matches!(only_evidence(&found)?.standing, EngineStanding::Claim(_)), "{:?}", found.evidence.engines);
    let (lower, upper) = (world.new_dir()?, world.new_dir()?);
    let (lower, upper) = (lower.to_str().context("not UTF-8")?, upper.to_str().context("not UTF-8")?);
    let top = world.peer().iter().nth(1).and_then(|t| t.to_str()).context("no top")?;
    let temp = peers.socket().iter().nth(1).and_then(|t| t.to_str()).context("no top")?;
    // `$1` lower, `$2` upper and work, `$3` the file; the rest is run inside.
    let script = format!(
        "l=$1 u=$2 f=$3; shift 3; cp \"$f\" \"$l/.flatpak-info\"; mkdir -p \"$u/u\" \"$u/w\" \"$u/m\"
         mount -t overlay overlay -o \"lowerdir=$l,upperdir=$u/u,workdir=$u/w\" \"$u/m\" || exit 8
         for d in usr bin lib lib64 '{top}' '{temp}'; do
             [ -e \"/$d\" ] || continue; mkdir -p \"$u/m/$d\"; mount --rbind \"/$d\" \"$u/m/$d\" || exit 9
         done; exec chroot \"$u/m\" \"$@\""
    );
    let wrapper = ["unshare", "-Urm", "sh", "-c", &script, "sh", lower, upper, &forged].map(str::to_owned);
    let found = look_in(&connect(&peers, &wrapper, &[])?, &runtime_dir)?;
    // The kernel closes the directory in which it works. It is ours, and has to go with the others.
    let work = Path::new(upper).join("w/work");
    fs::set_permissions(&work, Permissions::from_mode(0o700)).context(work.display())?;
    expect_unknown(&found.identity)?;
    ensure_eq!(found.evidence.engines, [], "a file on an overlay was looked at");
    Ok(())
}

/// A file system in user space need never answer, not even to somebody who waits for nobody.
pub(crate) fn root_that_never_answers(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let runtime_dir = world.new_dir()?;
    let mount_point = world.new_dir()?;
    let peer = world.peer().to_str().context("not UTF-8")?;
    let step = format!("fuse-root={},{},{}", world.uid(), mount_point.display(), peers.socket().display());
    let pid = world.admin()?.spawn(&["unshare", "-m", peer, &step, "hold"].map(str::to_owned))?;
    let stream = peers.accept(None)?;
    // The control: whoever just opens it waits.
    let path = format!("/proc/{pid}/root/.flatpak-info");
    let mut waiting = Command::new("head").args(["-c", "1", &path]).stderr(Stdio::null()).spawn().context("head")?;
    let started = Instant::now();
    let found = look_at(&stream, &runtime_dir)?;
    let took = started.elapsed();
    std::thread::sleep(Duration::from_millis(200));
    let waited = waiting.try_wait().context("wait")?.is_none();
    // Its end is the end of the file system, and of all who wait for it.
    drop(stream);
    waiting.wait().context("wait")?;
    ensure!(waited, "the control: opening it does not wait");
    ensure!(took < PATIENCE, "it took {took:?}");
    expect_unknown(&found.identity)
}
