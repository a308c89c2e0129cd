//! What the compositor says on the screen.

use std::fs;

use serde_json::Value;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::{Demo, events};
use super::running::finish;

const GOOD: &str = "[defaults]\nhost = [\"*\"]\n";
const BAD: &str = "[defaults]\nhost = [\"layer_shell\"]\n";

fn picture(demo: &Demo) -> Result<Vec<u8>, String> {
    let shot = finish(demo.command("grim").args(["-t", "ppm", "-"]))?;
    shot.expect(0)?;
    Ok(shot.out)
}

/// Writes a policy and waits until the audit file has one line more of this event. That line.
fn put(demo: &mut Demo, policy: &str, event: &str) -> Result<Value, String> {
    let before = events(&demo.audit()?, event).count();
    fs::write(demo.policy(), policy).context("policy")?;
    let lines = demo.wait_for_audit(event, |lines| events(lines, event).count() > before)?;
    events(&lines, event).last().cloned().context("no line")
}

pub(crate) fn policy_with_mistakes_is_told_on_the_screen(world: &World) -> Outcome {
    let mut demo = Demo::start(world, GOOD)?;
    let clean = picture(&demo)?;
    ensure_eq!(picture(&demo)?, clean, "the picture changes by itself");
    let failed = put(&mut demo, BAD, "reload-failed")?;
    let why = failed["why"].as_str().unwrap_or_default();
    ensure!(why.contains("unknown capability `layer_shell`") && why.contains("policy.toml:2:9"), "{failed}");
    let told = picture(&demo)?;
    let paper = [0x80_u8, 0x18, 0x18];
    let header = clean.len() - clean.len() / 3 * 3;
    let is_paper = |picture: &[u8]| picture[header..].chunks_exact(3).filter(|pixel| *pixel == paper).count();
    ensure!(told != clean && is_paper(&told) > 1000 && is_paper(&clean) == 0, "nothing on the screen");
    // It stays for whoever looks later, other mistakes are others, and it goes with them.
    ensure_eq!(picture(&demo)?, told);
    put(&mut demo, "[defaults", "reload-failed")?;
    ensure!(picture(&demo)? != told, "another mistake is told as the first");
    let reload = put(&mut demo, &format!("{GOOD}[limits]\nconnections-host = 1000\n"), "reload")?;
    ensure_eq!(reload["sections"], serde_json::json!(["limits"]));
    ensure_eq!(picture(&demo)?, clean, "it does not go away");
    demo.expect_alive()
}
