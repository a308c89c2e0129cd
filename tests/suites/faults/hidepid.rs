//! A `/proc` that hides processes: the tool in a mount namespace of its own that has one.

use std::process::Command;

use serde_json::Value;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

/// Mounts such a `/proc`, and looks at it.
const SCRIPT: &str = r#"mount -t proc -o "hidepid=$1" proc /proc || exit 3; exec "$2" doctor --json"#;

pub(crate) fn proc_that_hides_processes_is_told(_: &World) -> Outcome {
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    for (hide, told) in [("0", None), ("1", Some("hidepid=noaccess")), ("2", Some("hidepid=invisible"))] {
        let mut command = Command::new("unshare");
        let output = command.args(["-Urpmf", "sh", "-c", SCRIPT, "sh", hide]).arg(&tool).output().context("unshare")?;
        let doctor: Value = serde_json::from_slice(&output.stdout)
            .context(format!("hidepid={hide}: {}", String::from_utf8_lossy(&output.stderr)))?;
        ensure_eq!(doctor["support"]["hidden-processes"].as_str(), told, "hidepid={hide}");
        let checks = doctor["checks"].as_array().context("no checks")?;
        let check = checks.iter().find(|check| check["name"] == "processes of others").context("no check")?;
        ensure_eq!(check["state"].as_str(), Some(if told.is_some() { "limited" } else { "ok" }), "hidepid={hide}");
        ensure!(check["remedy"].is_string() == told.is_some(), "{check}");
    }
    Ok(())
}
