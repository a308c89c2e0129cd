//! What the machine lacks, and how it gets it.
//!
//! What is looked for are the files and programs themselves, not packages: whoever installed them some other way is
//! left in peace.

mod managers;
mod needs;

use std::{
    io::{IsTerminal, stdin},
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{cli, error::Error, process::Process, signals::Signals};
use managers::{MANAGERS, Manager};
pub(crate) use needs::Purpose;
use needs::{Need, missing};
pub(crate) use needs::{in_path, path_of};

/// How we become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Become {
    /// We are.
    Already,
    /// `sudo` asks nothing.
    Sudo,
    /// `sudo` asks for a password on the terminal.
    SudoAsks,
    /// We cannot.
    Nothing,
}

/// Installs what `purpose` needs and the machine does not have.
///
/// # Errors
///
/// [`Error::Interrupted`], or if something is missing and cannot be installed; the error names the command to give.
pub(crate) fn set_up(signals: &Signals, purpose: Purpose) -> Result<(), Error> {
    let lacking = missing(purpose);
    if lacking.is_empty() {
        return Ok(());
    }
    let named = lacking.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    cli::progress(format!("missing on this machine: {named}"));
    let Some(manager) = MANAGERS.iter().find(|manager| in_path(manager.program)) else {
        return Err(Error::failed(format!("missing: {named}")).remedy(
            "install them; no package manager that this program knows (apt, dnf, pacman, zypper, apk) is here",
        ));
    };
    if !manager.tested {
        cli::detail(format!("the package names for {} are UNTESTED: please report wrong ones", manager.program));
    }

    let how = how_to_become_root()?;
    let commands = commands(manager, &lacking, how);
    let shown = commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" &&\n  ");
    if how == Become::Nothing {
        return Err(Error::failed(format!("missing: {named}")).remedy(format!(
            "give this command as root and try again (this user is not root, and sudo cannot ask here):\n  {shown}"
        )));
    }
    for words in commands {
        signals.check()?;
        cli::progress(words.join(" "));
        run(signals, &words)?;
    }

    let lacking = missing(purpose);
    if lacking.is_empty() {
        return Ok(());
    }
    let named = lacking.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Error::failed(format!("still missing after the installation: {named}"))
        .remedy("install them by hand: this machine's packages seem to have other names"))
}

fn how_to_become_root() -> Result<Become, Error> {
    if geteuid().is_root() {
        return Ok(Become::Already);
    }
    if !in_path("sudo") {
        return Ok(Become::Nothing);
    }
    let mut probe = Command::new("sudo");
    probe.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let silent = probe.status().map_err(|error| Error::failed("cannot run `sudo`").because(error))?.success();
    Ok(match (silent, stdin().is_terminal()) {
        (true, _) => Become::Sudo,
        (false, true) => Become::SudoAsks,
        (false, false) => Become::Nothing,
    })
}

/// The commands that install what is lacking.
fn commands(manager: &Manager, lacking: &[&Need], how: Become) -> Vec<Vec<String>> {
    let mut packages: Vec<&str> = lacking.iter().flat_map(|need| manager.packages_of(need)).collect();
    packages.sort_unstable();
    packages.dedup();
    let prefix: &[&str] = match how {
        Become::Already => &[],
        Become::Sudo => &["sudo", "-n"],
        Become::SudoAsks | Become::Nothing => &["sudo"],
    };
    let words = |rest: &[&str]| -> Vec<String> {
        let environment: &[&str] = if manager.environment.is_empty() { &[] } else { &["env"] };
        [prefix, environment, manager.environment, &[manager.program], rest]
            .concat()
            .into_iter()
            .map(Into::into)
            .collect()
    };
    let mut commands = Vec::new();
    if let Some(refresh) = manager.refresh.filter(|_| (manager.lists_are_old)()) {
        commands.push(words(refresh));
    }
    commands.push(words(&[manager.install, &packages].concat()));
    commands
}

/// Runs a package manager on our terminal. It is never killed: that could leave it with half a package.
fn run(signals: &Signals, words: &[String]) -> Result<(), Error> {
    let failed = || Error::failed(format!("`{}` failed", words.join(" ")));
    let Some((program, arguments)) = words.split_first() else { return Err(failed()) };
    let end = Process::run_in_foreground(signals, Command::new(program).args(arguments))?;
    if end.success() {
        return Ok(());
    }
    Err(failed().because(end).remedy("its messages are above; put right what it says, or install by hand"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apt() -> &'static Manager {
        MANAGERS.iter().find(|manager| manager.program == "apt-get").unwrap()
    }

    #[test]
    fn the_command_names_each_package_once_and_runs_by_itself() {
        let lacking: Vec<_> = needs::NEEDS.iter().filter(|need| need.packages[0].contains("libx")).collect();
        let twice: Vec<_> = [&lacking[..], &lacking].concat();
        let commands = commands(apt(), &twice, Become::Sudo);
        assert_eq!(
            commands.last().unwrap().join(" "),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends libxkbcommon-dev"
        );
    }

    #[test]
    fn every_need_has_a_package_everywhere() {
        for manager in MANAGERS {
            for need in needs::NEEDS {
                assert!(manager.packages_of(need).next().is_some(), "{}: {need}", manager.program);
            }
        }
    }
}
