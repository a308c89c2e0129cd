//! Builds.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    cli,
    error::Error,
    process::{End, Process},
    signals::Signals,
};

/// The root of the workspace.
#[must_use]
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A cargo that runs in the workspace and knows nothing of the one that started us. `prefix` is a command that runs
/// what is added to it.
#[must_use]
pub(crate) fn command(mut prefix: Command, arguments: &[&str]) -> Command {
    prefix.arg(program()).args(arguments);
    prepared(prefix)
}

fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn prepared(mut command: Command) -> Command {
    command.current_dir(workspace()).stdin(Stdio::null());
    // `cargo run` tells us about xtask; build scripts that look at these would be run again for nothing.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The command as a user would type it.
#[must_use]
pub(crate) fn typed(arguments: &[&str]) -> String {
    format!("cargo {}", arguments.join(" "))
}

/// What the tests and the demo run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// `wayland-auth`.
    pub(crate) tool: PathBuf,
    /// `demo-compositor`.
    pub(crate) compositor: PathBuf,
    /// The compositor of `examples/designer`, and its client.
    pub(crate) designer: [PathBuf; 2],
}

impl Programs {
    /// The variables by which the tests know them.
    pub(crate) fn variables(&self) -> [(&'static str, &Path); 4] {
        let [designer, designer_client] = &self.designer;
        [
            ("WAYLAND_AUTH_TOOL", &self.tool),
            ("WAYLAND_AUTH_DEMO", &self.compositor),
            ("WAYLAND_AUTH_DESIGNER", designer),
            ("WAYLAND_AUTH_DESIGNER_CLIENT", designer_client),
        ]
    }
}

/// Builds them.
///
/// # Errors
///
/// [`Error::Interrupted`], or if a build fails.
pub(crate) fn build_programs(signals: &Signals) -> Result<Programs, Error> {
    let compositor = build(signals, "demo-compositor", &["-p", "demo-compositor", "--bin", "demo-compositor"])?;
    let tool = build(signals, "wayland-auth", &["-p", "wayland-auth", "--features", "cli", "--bin", "wayland-auth"])?;
    let example = |name| build(signals, name, &["-p", "demo-compositor", "--example", name]);
    let designer = [example("designer-compositor")?, example("designer-client")?];
    Ok(Programs { tool, compositor, designer })
}

/// Builds one program or example and tells where it is.
///
/// # Errors
///
/// [`Error::Interrupted`], or if the build fails.
pub(crate) fn build(signals: &Signals, name: &str, what: &[&str]) -> Result<PathBuf, Error> {
    let built = build_all(signals, &[name], what, &[])?;
    built.into_iter().next().map(|(_, path)| path).ok_or_else(|| Error::failed(format!("`{name}` was not built")))
}

/// Builds several, with these in the environment, and tells where each is.
///
/// # Errors
///
/// [`Error::Interrupted`], or if the build fails.
pub(crate) fn build_all<'a>(
    signals: &Signals,
    names: &[&'a str],
    what: &[&str],
    environment: &[(&str, &str)],
) -> Result<Vec<(&'a str, PathBuf)>, Error> {
    let arguments = [&["build", "--locked"], what].concat();
    cli::progress(typed(&arguments));
    let mut command = Command::new(program());
    command.args(&arguments).envs(environment.iter().copied());
    let mut command = prepared(command);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let (end, said) = Process::spawn(&mut command)?.wait_for_end(signals)?;
    if !end.success() {
        return Err(build_failed(&arguments, end));
    }
    let messages = String::from_utf8_lossy(&said.stdout);
    let place = |&name: &&'a str| {
        let path = executable(&messages, name).ok_or_else(|| {
            Error::failed(format!("`{}` did not say where the program `{name}` is", typed(&arguments)))
                .remedy("update the Rust toolchain")
        })?;
        Ok((name, path))
    };
    names.iter().map(place).collect()
}

fn build_failed(arguments: &[&str], end: End) -> Error {
    Error::failed(format!("`{}` failed ({end})", typed(arguments)))
        .remedy("its messages are above; if crates could not be fetched, check the network and try again")
}

/// The program among cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str()).flatten().map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_the_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
{"reason":"compiler-artifact","target":{"name":"wanted"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"wanted"},"executable":"/t/wanted"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages, "wanted"), Some(PathBuf::from("/t/wanted")));
        assert_eq!(executable(messages, "absent"), None);
    }

    #[test]
    fn the_workspace_is_where_its_members_are() {
        assert!(workspace().join("xtask/Cargo.toml").is_file());
    }
}
