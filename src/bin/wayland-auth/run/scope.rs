//! Moving into a delegated scope where our own cgroup is not ours.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::hierarchy::{REMEDIES, Unusable};
use crate::failure::Failure;
use crate::session;

/// Runs this tool again, by `systemd-run`, in a delegated scope of the user's service manager.
///
/// Returns only if that is impossible; `why` is what made it necessary. `systemd-run --scope` becomes the
/// program that it runs, so the pid, the terminal and the exit status stay the same. (If the manager
/// refuses the scope, the message and the exit status 1 are systemd-run's.)
pub(super) fn enter(in_scope: bool, why: Unusable) -> Failure {
    let failure = Failure::launcher("no cgroup can be labelled here").because(why);
    if in_scope {
        return failure.remedy("see why the scope in which it runs, made for it with `Delegate=yes`, is not writable");
    }
    let failure = failure.remedies(REMEDIES.iter().copied());
    let Some(systemd_run) = session::find_tool("systemd-run").filter(|_| session::has_user_manager()) else {
        return failure;
    };
    let tool = match std::env::current_exe() {
        Ok(tool) => tool,
        Err(e) => return failure.because(e),
    };
    let mut command = Command::new(&systemd_run);
    command.args(["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"]);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument.as_encoded_bytes().contains(&b'$')) && expands_variables(&systemd_run) {
        command.arg("--expand-environment=no");
    }
    command.arg("--").arg(tool).args(again(arguments));
    failure.because(command.exec())
}

/// Our arguments once more, marked so that a second failure is final.
fn again(arguments: Vec<OsString>) -> impl Iterator<Item = OsString> {
    let mut arguments = arguments.into_iter();
    let subcommand = arguments.next();
    subcommand.into_iter().chain(["--in-scope".into()]).chain(arguments)
}

/// Whether this systemd-run knows to expand variables in a scope's command line (systemd 254), and so must be told not to.
fn expands_variables(systemd_run: &std::path::Path) -> bool {
    let version = Command::new(systemd_run).arg("--version").output();
    version.is_ok_and(|output| systemd_version(&output.stdout).is_some_and(|version| version >= 254))
}

/// The number in `systemd 254 (254.1-2)`.
fn systemd_version(text: &[u8]) -> Option<u32> {
    let mut words = std::str::from_utf8(text).ok()?.split_whitespace();
    let number = words.nth(1)?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_follows_the_subcommand() {
        let again: Vec<_> = again(["run", "--engine", "e", "--", "x"].map(OsString::from).into()).collect();
        assert_eq!(again, ["run", "--in-scope", "--engine", "e", "--", "x"]);
    }

    #[test]
    fn version_is_the_second_word() {
        assert_eq!(systemd_version(b"systemd 252 (252.39-1~deb12u2)\n+PAM"), Some(252));
        assert_eq!(systemd_version(b"systemd 258~rc2 (x)\n"), Some(258));
        assert_eq!(systemd_version(b"bash\n"), None);
    }
}
