//! What the command line asks for, and what is told to whom.
//!
//! Results go to standard output, progress to standard error. Nobody may be listening any more (`| head`): that ends
//! nothing half-way, so it is not looked at.

use std::{
    ffi::OsString,
    io::{Write, stderr, stdout},
    path::PathBuf,
};

use crate::{error::Error, kernels::Options};

/// The answer to `--help`.
pub(crate) const USAGE: &str = "\
cargo xtask: set-up, demonstration and tests of wayland-auth

Usage: cargo xtask COMMAND

Commands:
  demo [--keep]    Install what is missing, build, start the demo compositor without a screen, let five kinds of
                   peers run real clients on it, and print who was identified as what and could do what.
                   Status 0 only if everything came out as expected. With --keep the compositor then goes on
                   running until Ctrl-C, for you to try more.
  test [--quick]   Install what is missing, then check format, lints and documentation and run all tests. The last
                   line is `N passed, M failed, K skipped`. With --quick only the tests, on one server backend.
  threats          Run the tests and write THREATS.md: threat, tests, result.
  guards [AREA...] Remove each guard of tests/guards in a copy of the sources, and see that the test that it names
                   fails then. Status 0 only if each of them is caught so.
  fuzz [TARGET] [--seconds N]
                   Look for inputs that break a property of a fuzz target, or of each in turn, for N seconds each (60).
                   Needs cargo-fuzz; see fuzz/README.md.
  kernels [--jobs N] [--quick] [VERSION...]
                   Boot Debian's kernels under qemu, run the tests of identification and the races on each, and print
                   kernel by fact. Status 0 only if each does what its version claims and none grants more than the
                   next newer one. With --quick no races.
  bench [ARGS...]  Install what is missing, then run the benches; ARGS go to them.
  soak [--long]    Install what is missing, then load the library for about four minutes: speed, descriptors, memory,
                   floods. Prints what was measured against each target; status 0 only if all were met. Speed is
                   judged: leave the machine alone meanwhile. With --long ten times as many connections.
  help, --help     This text.

Demo, test and bench need a part of the cgroup tree that they may write to. Root has that; an ordinary user gets it from
systemd, in whose user session these commands start themselves again if need be.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Tell how it is used.
    Help,
    /// Show the whole path with real clients.
    Demo {
        /// Leave the compositor running afterwards.
        keep: bool,
    },
    /// Check everything.
    Test {
        /// Only the tests, once.
        quick: bool,
    },
    /// Write the table of threats.
    Threats,
    /// Remove guards and see tests fail.
    Guards {
        /// Only those of these files; all if there are none.
        areas: Vec<String>,
    },
    /// Test on other kernels.
    Kernels(Options),
    /// Measure.
    Bench {
        /// What the benches are given.
        arguments: Vec<OsString>,
    },
    /// Load for a long time.
    Soak {
        /// Ten times as many connections.
        long: bool,
    },
    /// Look for inputs that break something.
    Fuzz {
        /// One target; else all.
        target: Option<String>,
        /// How long each.
        seconds: u32,
    },
    /// Play a part in the demo.
    Inside(Inside),
}

/// The parts that this program plays in its own demo. No user has a reason to call them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// `__enter DIR -- COMMAND...`: move into the cgroup DIR and become COMMAND.
    Enter {
        /// The cgroup's directory.
        cgroup: PathBuf,
        /// What to run there.
        command: Vec<OsString>,
    },
    /// `__globals`: list the globals that the compositor shows to this process.
    Globals,
    /// `__strip-attempts`: try to get rid of the own label, then list the globals.
    StripAttempts,
    /// `__window`: show a window, and tell which keys are pressed in it.
    Window,
}

/// Reads the command line without the program's name.
///
/// # Errors
///
/// [`Error::Usage`] for whatever is not in [`USAGE`].
pub(crate) fn parse(arguments: &[OsString]) -> Result<Task, Error> {
    let usage = |what: String| Err(Error::Usage(what));
    let Some((command, rest)) = arguments.split_first() else {
        return usage("a command is missing".into());
    };
    let is_help = |argument: &OsString| argument == "--help" || argument == "-h";
    match command.to_str() {
        Some("help" | "--help" | "-h") => Ok(Task::Help),
        Some("demo" | "test" | "threats" | "guards" | "soak" | "fuzz" | "kernels") if rest.iter().any(is_help) => {
            Ok(Task::Help)
        }
        Some("bench") => Ok(Task::Bench { arguments: rest.to_vec() }),
        Some("fuzz") => fuzz(rest),
        Some("demo") => Ok(Task::Demo { keep: flag("--keep", rest)? }),
        Some("test") => Ok(Task::Test { quick: flag("--quick", rest)? }),
        Some("threats") if rest.is_empty() => Ok(Task::Threats),
        Some("guards") => Ok(Task::Guards { areas: rest.iter().map(|area| area.display().to_string()).collect() }),
        Some("soak") => Ok(Task::Soak { long: flag("--long", rest)? }),
        Some("kernels") => Ok(Task::Kernels(kernels(rest)?)),
        Some("__enter") => match rest {
            [cgroup, dashes, command @ ..] if dashes == "--" && !command.is_empty() => {
                Ok(Task::Inside(Inside::Enter { cgroup: cgroup.into(), command: command.to_vec() }))
            }
            _ => usage("__enter needs DIR -- COMMAND".into()),
        },
        Some("__globals") if rest.is_empty() => Ok(Task::Inside(Inside::Globals)),
        Some("__strip-attempts") if rest.is_empty() => Ok(Task::Inside(Inside::StripAttempts)),
        Some("__window") if rest.is_empty() => Ok(Task::Inside(Inside::Window)),
        _ => usage(format!("there is no command `{}`", command.display())),
    }
}

fn fuzz(arguments: &[OsString]) -> Result<Task, Error> {
    let (mut target, mut seconds) = (None, 60);
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|number| number.parse().ok()).filter(|&seconds| seconds > 0);
            seconds = number.ok_or_else(|| Error::Usage("--seconds needs a number above 0".into()))?;
        } else if word.starts_with('-') || target.is_some() {
            return Err(Error::Usage(format!("there is no option `{word}` here")));
        } else {
            target = Some(word.into_owned());
        }
    }
    Ok(Task::Fuzz { target, seconds })
}

/// Whether `name` is given; nothing else may be.
fn flag(name: &str, arguments: &[OsString]) -> Result<bool, Error> {
    match arguments.iter().find(|argument| *argument != name) {
        Some(other) => Err(Error::Usage(format!("there is no option `{}` here", other.display()))),
        None => Ok(!arguments.is_empty()),
    }
}

/// What follows `kernels`.
fn kernels(arguments: &[OsString]) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--quick") => options.quick = true,
            Some("--jobs") => {
                let number = rest.next().and_then(|n| n.to_str()?.parse().ok()).filter(|&n: &usize| n > 0);
                options.jobs = Some(number.ok_or_else(|| Error::Usage("--jobs needs a number".into()))?);
            }
            Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) => options.only.push(version.to_owned()),
            _ => return Err(Error::Usage(format!("there is no option `{}` here", argument.display()))),
        }
    }
    Ok(options)
}

/// Prints a result.
pub(crate) fn say(text: impl AsRef<str>) {
    let mut out = stdout().lock();
    let text = text.as_ref();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(out, "{text}{end}").and_then(|()| out.flush());
}

/// Prints what happens now.
pub(crate) fn progress(text: impl AsRef<str>) {
    let _ = writeln!(stderr().lock(), "==> {}", text.as_ref());
}

/// Prints something that belongs to the last [`progress`].
pub(crate) fn detail(text: impl AsRef<str>) {
    let _ = writeln!(stderr().lock(), "    {}", text.as_ref().replace('\n', "\n    "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Task, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        parse(&words).map_err(|error| error.report())
    }

    #[test]
    fn every_command_of_the_usage_is_understood() {
        assert_eq!(parsed(&["demo"]), Ok(Task::Demo { keep: false }));
        assert_eq!(parsed(&["demo", "--keep"]), Ok(Task::Demo { keep: true }));
        assert_eq!(parsed(&["test"]), Ok(Task::Test { quick: false }));
        assert_eq!(parsed(&["test", "--quick"]), Ok(Task::Test { quick: true }));
        assert_eq!(parsed(&["threats"]), Ok(Task::Threats));
        assert_eq!(parsed(&["guards", "core"]), Ok(Task::Guards { areas: vec!["core".into()] }));
        assert_eq!(parsed(&["bench", "--", "-x"]), Ok(Task::Bench { arguments: vec!["--".into(), "-x".into()] }));
        assert_eq!(parsed(&["soak"]), Ok(Task::Soak { long: false }));
        assert_eq!(parsed(&["soak", "--long"]), Ok(Task::Soak { long: true }));
        assert_eq!(parsed(&["fuzz"]), Ok(Task::Fuzz { target: None, seconds: 60 }));
        assert_eq!(
            parsed(&["fuzz", "unit", "--seconds", "5"]),
            Ok(Task::Fuzz { target: Some("unit".into()), seconds: 5 })
        );
        assert_eq!(parsed(&["kernels"]), Ok(Task::Kernels(Options::default())));
        let options = Options { jobs: Some(3), only: vec!["6.1".into(), "7.3".into()], quick: true };
        assert_eq!(parsed(&["kernels", "6.1", "--quick", "--jobs", "3", "7.3"]), Ok(Task::Kernels(options)));
        for help in [&["help"][..], &["--help"], &["-h"], &["demo", "--help"], &["test", "-h"]] {
            assert_eq!(parsed(help), Ok(Task::Help), "{help:?}");
        }
    }

    #[test]
    fn anything_else_is_answered_with_what_is_wrong_and_the_usage() {
        for (words, wrong) in [
            (&[][..], "a command is missing"),
            (&["frobnicate"], "`frobnicate`"),
            (&["demo", "--kept"], "`--kept`"),
            (&["kernels", "--jobs", "0"], "--jobs"),
            (&["kernels", "newest"], "`newest`"),
            (&["test", "all"], "`all`"),
            (&["soak", "--short"], "`--short`"),
            (&["fuzz", "--seconds", "0"], "--seconds"),
            (&["fuzz", "unit", "label"], "`label`"),
            (&["__enter", "/x"], "__enter"),
        ] {
            let report = parsed(words).unwrap_err();
            assert!(report.contains(wrong) && report.contains("Usage: cargo xtask"), "{words:?}: {report}");
        }
    }

    #[test]
    fn a_command_to_run_in_a_cgroup_is_kept_as_it_is() {
        let Ok(Task::Inside(Inside::Enter { cgroup, command })) = parsed(&["__enter", "/c", "--", "sh", "--", "-c"])
        else {
            panic!()
        };
        assert_eq!((cgroup, command), (PathBuf::from("/c"), vec!["sh".into(), "--".into(), "-c".into()]));
    }
}
