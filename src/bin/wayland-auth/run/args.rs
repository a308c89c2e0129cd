//! The command line of `run`.

use std::ffi::OsString;

use clap::Args;
use wayland_auth::identity::{AppId, InstanceId, InvalidId, SandboxEngine};

/// Run a command under a label: it labels, it does not confine
///
/// The command starts in a cgroup of its own, whose parent carries the label as xattrs; a compositor
/// that uses wayland-auth reads it there. A LABEL ALONE IS NO SANDBOX: the command keeps all rights of
/// its user, and can take the label off. A sandbox engine must keep its application away from cgroupfs;
/// with --confine, bubblewrap does.
///
/// Signals sent to this process are passed on to the command. The exit status is the command's, or 128+N
/// if signal N ended it; 125 if it could not be run, 126 if it cannot be executed, 127 if it was not
/// found. Its cgroups are removed when it and all its children have ended.
///
/// The directory in which this process is must be writable (delegated). If it is not, and a systemd user
/// manager runs, this process first moves into a delegated scope by itself.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Confine the command too, with bubblewrap
    ///
    /// It gets user, pid, mount, IPC, UTS and cgroup namespaces of its own, and can make no further user
    /// namespaces; a read-only view of the file system; its own /dev, /proc, /tmp and /run; no cgroupfs; an
    /// XDG_RUNTIME_DIR with nothing in it but the Wayland socket; no variables that lead to D-Bus or X11. It
    /// keeps the network (and with it abstract sockets), can connect to sockets in the user's home, and can read every file that the user can. When the
    /// command ends, so do its children.
    #[arg(long)]
    pub(crate) confine: bool,
    /// The sandbox engine that the label names, such as org.flatpak
    #[arg(long, value_parser = engine, required_unless_present = "unlabelled")]
    engine: Option<SandboxEngine>,
    /// The application's ID, such as org.example.App
    #[arg(long, value_parser = app_id)]
    app_id: Option<AppId>,
    /// The ID of this running instance
    #[arg(long, value_parser = instance_id)]
    instance_id: Option<InstanceId>,
    /// With --confine: set no label, as a sandbox engine that knows none
    #[arg(long, requires = "confine", conflicts_with_all = ["engine", "app_id", "instance_id"])]
    unlabelled: bool,
    /// This process is in the scope already that was made for it.
    #[arg(long, hide = true)]
    pub(crate) in_scope: bool,
    /// Start the command as where clone3 is refused. For tests.
    #[arg(long, hide = true)]
    pub(crate) without_clone3: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What a label is to say. All of it is valid already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    pub(crate) engine: &'a SandboxEngine,
    pub(crate) app_id: Option<&'a AppId>,
    pub(crate) instance_id: Option<&'a InstanceId>,
}

impl RunArgs {
    /// The label, unless there is to be none.
    pub(crate) fn label(&self) -> Option<Label<'_>> {
        let engine = self.engine.as_ref()?;
        Some(Label { engine, app_id: self.app_id.as_ref(), instance_id: self.instance_id.as_ref() })
    }
}

fn engine(text: &str) -> Result<SandboxEngine, InvalidId> {
    SandboxEngine::new(text)
}

fn app_id(text: &str) -> Result<AppId, InvalidId> {
    AppId::new(text)
}

fn instance_id(text: &str) -> Result<InstanceId, InvalidId> {
    InstanceId::new(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    fn parse(line: &[&str]) -> Option<RunArgs> {
        Line::try_parse_from(std::iter::once(&"run").chain(line)).ok().map(|line| line.args)
    }

    #[test]
    fn label_needs_an_engine() {
        assert!(parse(&["--engine", "org.example", "--", "true"]).is_some_and(|a| a.label().is_some()));
        assert!(parse(&["--", "true"]).is_none());
        assert!(parse(&["--app-id", "org.example.App", "--", "true"]).is_none());
    }

    #[test]
    fn only_the_confined_can_be_unlabelled() {
        assert!(parse(&["--confine", "--unlabelled", "--", "true"]).is_some_and(|a| a.label().is_none()));
        assert!(parse(&["--unlabelled", "--", "true"]).is_none());
        assert!(parse(&["--confine", "--unlabelled", "--engine", "org.example", "--", "true"]).is_none());
    }

    #[test]
    fn bad_values_are_refused() {
        for bad in ["", "a b", "a/b", "a\u{1b}", "\u{20ac}"] {
            assert!(parse(&["--engine", bad, "--", "true"]).is_none(), "{bad:?}");
            assert!(parse(&["--engine", "e", "--app-id", bad, "--", "true"]).is_none(), "{bad:?}");
            assert!(parse(&["--engine", "e", "--instance-id", bad, "--", "true"]).is_none(), "{bad:?}");
        }
        assert!(parse(&["--engine", "e", "--"]).is_none(), "no command");
    }
}
