//! `delegate`: gives a user a part of the cgroup tree, and moves his session into it.
//!
//! For sessions without systemd, whose cgroups nobody delegates. `run` needs to write to the `cgroup.procs` of the
//! cgroup that it is in *and* to make cgroups there; so it is not enough that some directory is the user's, his session
//! must be inside it: the common ancestor of where a process is and where it goes counts, too.

mod plan;
mod session;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use wayland_auth::users::{self, User};

use crate::cgroup2::Hierarchy;
use crate::failure::{FAILED, Failure};
use crate::output;
use plan::Place;
use session::Session;

/// Give a user a part of the cgroup tree, so that `run` works in sessions without systemd
///
/// For root: from PAM (`session optional pam_exec.so /usr/bin/wayland-auth delegate`, which takes the user from PAM_USER),
/// from greetd, or by hand. It makes `wayland-auth/UID` at the root of cgroup2, gives it to the user, and moves one
/// process into `wayland-auth/UID/session`: the one that started this command, or that of --pid. What that process starts
/// from then on is there too, and can use `wayland-auth run`. Doing it again changes nothing.
///
/// The user can then do with the processes in that tree what whoever owns a cgroup can: move, freeze and end them. Labels
/// that he or his programs write lower rights and never raise them.
///
/// Where systemd manages the cgroups it refuses: there `run` asks the user's service manager.
///
/// The exit status is 0 if all is as wanted, and 1 if not.
#[derive(Debug, Args)]
pub(crate) struct DelegateArgs {
    /// The user: a name, or a number. Without it, whom PAM names in PAM_USER
    #[arg(value_name = "USER")]
    user: Option<String>,
    /// Move this process, instead of the one that started this command
    #[arg(long, value_parser = clap::value_parser!(i32).range(2..))]
    pid: Option<i32>,
    /// Move no process
    #[arg(long, conflicts_with = "pid")]
    no_move: bool,
    /// Make the tree in this cgroup, which root must own: a path in the file system
    #[arg(long, value_name = "DIRECTORY")]
    at: Option<PathBuf>,
    /// Undo it: move the process out, and remove the tree if nothing runs in it
    #[arg(long)]
    remove: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Carries out `delegate`.
pub(crate) fn delegate(args: &DelegateArgs) -> Result<ExitCode, Failure> {
    let failed = |message: String| Failure::new(FAILED, message);
    let named = args.user.clone().or_else(|| std::env::var("PAM_USER").ok());
    let named =
        named.ok_or_else(|| failed("no user is named".into()).remedy("name one: `wayland-auth delegate USER`"))?;
    let user = find_user(&named)?;
    if !rustix::process::geteuid().is_root() {
        return Err(failed("only root can give cgroups away".into())
            .remedy("call it from PAM (pam_exec), from greetd, or with `sudo` or `doas`"));
    }
    let hierarchy = Hierarchy::find()
        .map_err(|e| failed("could not look for cgroup2".into()).because(e))?
        .ok_or_else(|| failed("cgroup2 is not mounted as a whole".into()).remedy("run `wayland-auth doctor`"))?;
    if args.at.is_none() && std::path::Path::new("/run/systemd/system").is_dir() {
        return Err(failed("systemd manages the cgroups here, and would be in the way of another one".into())
            .remedies([
                "nothing needs to be done: `wayland-auth run` asks the user's service manager for a delegated scope",
                "start the user's service manager: `systemctl start user@UID.service`",
                "name a cgroup that systemd has delegated to root, with --at",
            ]));
    }
    let place = Place::find(&hierarchy, args.at.as_deref())?;
    let session = if args.no_move { None } else { Some(Session::pin(args.pid, &user)?) };
    let mut said = Vec::new();
    let result = match args.remove {
        true => place.remove(&hierarchy, &user, session.as_ref(), args.dry_run, &mut said),
        false => place.prepare(&hierarchy, &user, session.as_ref(), args.dry_run, &mut said),
    };
    // What was done before something failed was done all the same.
    if !said.is_empty() {
        output::print(said.join("\n"));
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// Looks a user up. Root needs nothing, and must not get what others can write to.
fn find_user(text: &str) -> Result<User, Failure> {
    let failed = |message: String| Failure::new(FAILED, message);
    let found = users::find(text).map_err(|e| failed("could not read the user database".into()).because(e))?;
    let user = found.ok_or_else(|| failed(format!("there is no user `{text}`")).remedy("see `getent passwd`"))?;
    if user.uid == 0 {
        return Err(failed("root may use every cgroup already".into()).remedy("name the user whose session it is"));
    }
    Ok(user)
}
