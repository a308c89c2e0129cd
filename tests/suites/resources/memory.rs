//! Labels as large as the kernel takes them.

use wayland_auth::identity::{Resolver, Trust};
use wayland_auth_tests::cgroups::set_xattr;
use wayland_auth_tests::expect::{APP_ID, ENGINE};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::alone::{Scene, alone, word};

const ROUNDS: u32 = 100_000;

pub(crate) fn huge_labels(world: &World) -> Outcome {
    alone(world, "memory")
}

/// Memory in use, in kibibytes.
fn resident() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").context("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS")
}

/// 128 KiB are all that the kernel keeps for one cgroup.
pub(crate) fn memory(scene: &Scene) -> Outcome {
    let listener = scene.listen()?;
    let huge = scene.child("huge")?;
    let long = vec![b'x'; 65_000];
    set_xattr(huge.path(), ENGINE, &long)?;
    set_xattr(huge.path(), "user.other", &long[..60_000])?;
    let named = scene.child("named")?;
    named.label(&[(ENGINE, "org.example.Engine"), (APP_ID, "org.example.App")])?;
    let mut filled = 0;
    while set_xattr(named.path(), &format!("user.{filled}"), &vec![b'x'; 16_000]).is_ok() {
        filled += 1;
    }
    ensure!(filled >= 4, "the kernel took only {filled} values of 16,000 bytes");
    let resolver = Resolver::builder().build().context("resolver")?;
    let streams = [
        (scene.connected(&listener, &huge)?, "unidentified:malformed-label"),
        (scene.connected(&listener, &named)?, "org.example.App"),
    ];
    let look_up = |rounds: u32| -> Outcome {
        for _ in 0..rounds / 2 {
            for (stream, expected) in &streams {
                ensure_eq!(word(&resolver.identify(stream, &Trust::default()).identity), *expected);
            }
        }
        Ok(())
    };
    look_up(2_000)?;
    let before = resident()?;
    look_up(ROUNDS)?;
    let after = resident()?;
    println!("{ROUNDS} look-ups of labels of 125 kB: {before} kB before, {after} kB after");
    ensure!(after < before + 1024, "{before} kB before, {after} kB after");
    Ok(())
}
