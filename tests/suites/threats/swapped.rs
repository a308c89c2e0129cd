//! A policy file that somebody replaces all the time.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use wayland_auth::policy::PolicyError;
use wayland_auth::{Authenticator, Capability, Policy};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure};

const RELOADS: u32 = 10_000;
/// Rights that only a policy gives that nobody may use.
const EVIL: &str = "[defaults]\nhost = [\"*\"]\nsandboxed = [\"*\"]\nnamespaced = [\"*\"]\nunidentified = [\"*\"]\n";

fn write(path: &Path, text: &str, mode: u32) -> Outcome {
    std::fs::write(path, text).context(path.display())?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).context(path.display())
}

/// The path is, in turn: one good policy, another, one that others may write, a link to that, a file with mistakes, a
/// directory, and nothing. What is read is one of the good ones, whole, or an error; never a mixture, and never evil.
pub(crate) fn swapped_while_it_is_read(world: &World) -> Outcome {
    let dir = world.new_dir()?;
    let path = dir.join("policy.toml");
    let padding = "# so that it is read in several pieces\n".repeat(400);
    let one = format!("[defaults]\nhost = [\"layer-shell\"]\n{padding}[capabilities]\n");
    let two = format!("[defaults]\nhost = [\"idle-notify\"]\n{padding}[capabilities]\n");
    write(&dir.join("evil"), EVIL, 0o666)?;
    write(&path, &one, 0o600)?;
    let authenticator = Authenticator::builder().policy(Policy::parse("one", &one).context("policy")?).build();
    let authenticator = authenticator.context("authenticator")?;
    let peers = Peers::new(world)?;
    let host = peers.connect(&[])?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let next = dir.join("next");
            while !done.load(Ordering::SeqCst) {
                for (text, mode) in
                    [(one.as_str(), 0o600), (EVIL, 0o602), (two.as_str(), 0o644), ("[defaults\n", 0o600)]
                {
                    write(&next, text, mode)?;
                    std::fs::rename(&next, &path).context("rename")?;
                }
                symlink(dir.join("evil"), &next).context("symlink")?;
                std::fs::rename(&next, &path).context("rename")?;
                std::fs::remove_file(&path).context("remove")?;
                std::fs::create_dir(&path).context("mkdir")?;
                std::fs::remove_dir(&path).context("rmdir")?;
            }
            Ok::<_, String>(())
        });
        let result = (|| {
            let (mut good, mut writable, mut other) = (0, 0, 0);
            for _ in 0..RELOADS {
                match Policy::from_path(&path) {
                    Ok(policy) => {
                        authenticator.set_policy(policy).context("set_policy")?;
                        good += 1;
                    }
                    Err(PolicyError::Writable { .. }) => writable += 1,
                    Err(_) => other += 1,
                }
                let auth = authenticator.identify(&host.stream);
                let (a, b) = (auth.allows(Capability::LAYER_SHELL), auth.allows(Capability::IDLE_NOTIFY));
                ensure!(a != b && !auth.allows(Capability::SCREEN_CAPTURE), "a mixture: {:?}", auth.allowed());
            }
            println!("{RELOADS} reloads: {good} good, {writable} that others could write, {other} otherwise refused");
            ensure!(good > 0 && writable > 0 && other > 0, "not all was met, so nothing is shown");
            Ok(())
        })();
        done.store(true, Ordering::SeqCst);
        swapper.join().map_err(|_| "the swapper panicked".to_owned())?.and(result)
    })
}
