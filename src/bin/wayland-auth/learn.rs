//! `learn`: runs an application, and prints the smallest rule that gives it what it used.
//!
//! The application connects to a socket of this tool's ([`proxy`]), and each of its connections goes on to the compositor
//! ([`connection`]) in both directions ([`flow`]). On the way the messages about globals are looked at ([`tracker`]), and
//! what was seen ([`record`]) becomes a rule ([`rule`]).

mod connection;
mod destructors;
mod flow;
mod proxy;
mod record;
mod rule;
mod tracker;
mod wire;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use wayland_auth::identity::{AppId, AppIdentity, Comparison, InvalidId, Namespaces, SandboxEngine};
use wayland_auth::{Identity, Policy};

use crate::failure::Failure;
use crate::output;
use crate::run::PlainCommand;
use crate::session::{self, WaylandSocket};
use proxy::{Proxy, Socket};
use rule::{Lesson, Whom};
use tracker::Hides;

/// Run an application, see which globals it uses, and print the smallest rule that gives it those
///
/// A global counts as used when the application sent it a request (other than to destroy it), or was told something by it.
/// That it was bound is not enough: toolkits bind whatever there is. Nothing is refused, unless with --enforce. The rule has
/// the name of a capability if all that the compositor offers of it was used, else `interface:NAME`.
///
/// THIS CONFINES NOTHING: the application can connect to the compositor by itself. And while it goes through this tool, the
/// compositor takes it FOR this tool, because the connections are this tool's: the application has all that this tool has,
/// and so has whoever else can connect to the socket, a directory in XDG_RUNTIME_DIR that is closed to other users. Run
/// what you would run outside a sandbox.
///
/// The application keeps standard output for itself; the rule goes to standard error, or to a file. The exit status is the
/// command's, as with `run`. When the command ends, connections that its children have left are closed.
#[derive(Debug, Args)]
pub(crate) struct LearnArgs {
    /// The policy: its [capabilities] name interfaces, and --enforce follows its rules
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Hide from the application what the policy would not give to it
    ///
    /// A program that binds a hidden global all the same is disconnected.
    #[arg(long, requires = "policy", requires = "engine")]
    enforce: bool,
    /// The sandbox engine that the rule names, such as org.flatpak
    #[arg(long, value_name = "ENGINE", value_parser = engine)]
    engine: Option<SandboxEngine>,
    /// The app ID that the rule names
    #[arg(long, value_name = "ID", requires = "engine", value_parser = app_id)]
    app_id: Option<AppId>,
    /// Write the rule to this file instead of standard error
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn engine(text: &str) -> Result<SandboxEngine, InvalidId> {
    SandboxEngine::new(text)
}

fn app_id(text: &str) -> Result<AppId, InvalidId> {
    AppId::new(text)
}

impl LearnArgs {
    /// Whom the application is to be, as a policy sees it: an application whose label the user could have written.
    fn identity(&self) -> Identity {
        let namespaces =
            Namespaces { user: Comparison::Different, mount: Comparison::Different, pid: Comparison::Different };
        let mut app = AppIdentity::unknown(namespaces);
        app.engine = self.engine.clone();
        app.app_id = self.app_id.clone();
        app.namespaces = None;
        app.uid = Some(rustix::process::geteuid().as_raw());
        Identity::App(app)
    }

    /// What is kept from the application.
    fn hides(&self, policy: &Policy) -> Option<Box<Hides>> {
        let (policy, visible) = (policy.clone(), policy.evaluate(&self.identity()).visible());
        let hides = move |interface: &str| {
            // Open to everyone, or visible.
            let capability = policy.class_of(interface).capability();
            capability.is_some_and(|capability| !visible.contains(capability))
        };
        self.enforce.then(|| Box::new(hides) as Box<Hides>)
    }
}

/// Carries out `learn`.
pub(crate) fn learn(args: &LearnArgs) -> Result<ExitCode, Failure> {
    let policy = match &args.policy {
        Some(path) => Policy::from_path(path).map_err(|e| Failure::launcher("the policy is refused").because(e))?,
        None => Policy::built_in(),
    };
    let compositor = match WaylandSocket::find() {
        WaylandSocket::At(path) => path,
        WaylandSocket::None(why) => return Err(Failure::launcher(format!("there is no compositor: {why}"))),
    };
    let mut file = args.output.as_deref().map(create).transpose()?;
    let command = PlainCommand::find(&args.command)?;
    let (ours, theirs) =
        UnixStream::pair().map_err(|e| Failure::launcher("could not make a socket pair").because(e))?;
    let socket = make_socket()?;
    let path = socket.path();
    let proxy = Proxy::new(socket, compositor, args.hides(&policy), theirs);
    // The process is made while there is one thread, and does nothing before the other is there.
    let paused = command.prepare([("WAYLAND_DISPLAY", path.into_os_string())])?;
    let proxy = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || proxy.run());
    let proxy = proxy.map_err(|e| Failure::launcher("could not make a thread").because(e))?;
    let status = command.run(paused);
    drop(ours);
    let record = match proxy.join() {
        Ok(record) => record.map_err(|e| Failure::launcher("lost track of the connections").because(e))?,
        Err(_) => return Err(Failure::launcher("the proxy has failed; this is a bug of wayland-auth")),
    };
    let status = status?;
    let lesson = Lesson::of(Whom { engine: args.engine.as_ref(), app_id: args.app_id.as_ref() }, &record, &policy);
    let text = if args.json { output::json(&lesson.json()) } else { lesson.toml() };
    match &mut file {
        Some(file) => {
            file.write_all(text.as_bytes()).map_err(|e| Failure::launcher("could not write the rule").because(e))?
        }
        None => output::print_to_stderr(&text),
    }
    Ok(status)
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|e| Failure::launcher(format!("could not write {}", output::shown(path))).because(e))
}

/// The socket is where those of compositors are: sandbox engines let it in.
fn make_socket() -> Result<Socket, Failure> {
    let parent = session::runtime_dir().ok_or_else(|| {
        Failure::launcher("XDG_RUNTIME_DIR is not set to an absolute path").remedy("run it in a session")
    })?;
    Socket::new(&parent)
        .map_err(|e| Failure::launcher(format!("could not make a socket in {}", output::shown(&parent))).because(e))
}
