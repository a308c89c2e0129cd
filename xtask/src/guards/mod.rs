//! `cargo xtask guards`: each guard is taken out of a copy of the sources, and a test has to miss it.
//!
//! A guard is a check whose absence would be a hole. `tests/guards/AREA.toml` lists them: where each stands, what stands
//! there without it, and the test that fails then. A guard that can go without any test seeing it is not known to work.

mod copy;
mod list;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    cargo, cli,
    error::Error,
    packages::{self, Purpose},
    process::{End, Process},
    signals::Signals,
    table,
    test::{Outcome, Outcomes, Parser},
    threats,
    workplace::Workplace,
};
use copy::Copy;
use list::Guard;

/// How long the tests of one guard may take, with their build. Without its guard a test may never end.
const PATIENCE: Duration = Duration::from_secs(1200);

/// What became of a guard's removal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// The test failed.
    Caught,
    /// It did not, or something else is wrong.
    Missed(String),
}

/// Takes out the guards of these areas, or all, one by one.
///
/// # Errors
///
/// [`Error::Interrupted`], or if the lists, the copy or set-up fail.
pub(crate) fn run(signals: &Signals, areas: &[String]) -> Result<ExitCode, Error> {
    let guards = list::load(areas)?;
    packages::set_up(signals, Purpose::Test)?;
    let copy = Copy::new()?;
    let workplace = Workplace::new()?;
    let runner = Runner { signals, copy: &copy, workplace: &workplace };
    // What fails anyway catches nothing. All of this first: it needs one build only.
    let mut whole: BTreeMap<Vec<String>, Ran> = BTreeMap::new();
    cli::progress("the tests, with all guards in place");
    for guard in &guards {
        if let Entry::Vacant(entry) = whole.entry(guard.arguments()) {
            entry.insert(runner.test(guard)?);
        }
    }
    let mut lines = vec![["area", "guard", "test that has to fail", "result", "s"].map(str::to_owned).to_vec()];
    let mut caught = 0;
    for (number, guard) in guards.iter().enumerate() {
        cli::progress(format!("guard {} of {}: {}: {}", number + 1, guards.len(), guard.area, guard.name));
        let start = Instant::now();
        let finding = match whole.get(&guard.arguments()) {
            Some(ran) if !ran.passed(&guard.fails) => {
                let why = ran.outcome(&guard.fails).map_or(ran.said.clone(), |outcome| format!("{outcome:?}"));
                Finding::Missed(format!("with the guard in place: {why}"))
            }
            _ => runner.without(guard)?,
        };
        let result = match &finding {
            Finding::Caught => "caught".to_owned(),
            Finding::Missed(why) => format!("MISSED: {why}"),
        };
        cli::detail(&result);
        caught += usize::from(finding == Finding::Caught);
        let time = format!("{:.0}", start.elapsed().as_secs_f64());
        lines.push(vec![guard.area.clone(), guard.name.clone(), guard.fails.clone(), result, time]);
    }
    cli::say(format!("{}{} guards, {caught} caught", table::draw(&lines, &[10, 40, 50, 40, 5]), guards.len()));
    Ok(if caught == guards.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Runner<'a> {
    signals: &'a Signals,
    copy: &'a Copy,
    workplace: &'a Workplace,
}

/// What tests came to.
struct Ran {
    outcomes: Outcomes,
    /// The last line, should there be no outcome.
    said: String,
}

impl Ran {
    /// What the test of this name came to; the threats in a name may have changed since it was written down.
    fn outcome(&self, test: &str) -> Option<&Outcome> {
        let is_it = |name: &str| threats::without_ids(name) == threats::without_ids(test);
        self.outcomes.iter().filter(|(name, _)| is_it(name)).map(|(_, outcome)| outcome).max()
    }

    fn passed(&self, test: &str) -> bool {
        self.outcome(test) == Some(&Outcome::Passed)
    }
}

impl Runner<'_> {
    /// Runs the tests without the guard.
    fn without(&self, guard: &Guard) -> Result<Finding, Error> {
        let Some(_removed) = self.copy.edit(&guard.file, &guard.find, &guard.replace)? else {
            let count = "what is to be removed does not stand there exactly once";
            return Ok(Finding::Missed(format!("{}: {count}", guard.file)));
        };
        let ran = self.test(guard)?;
        Ok(match ran.outcome(&guard.fails) {
            Some(Outcome::Failed) => Finding::Caught,
            Some(Outcome::Passed) => Finding::Missed("the test passes without it".to_owned()),
            Some(Outcome::Skipped(why)) => Finding::Missed(format!("the test is skipped: {why}")),
            None => Finding::Missed(ran.said),
        })
    }

    fn test(&self, guard: &Guard) -> Result<Ran, Error> {
        let mut arguments = vec!["test".to_owned(), "--locked".to_owned()];
        arguments.extend(guard.arguments());
        let mut programs = Vec::new();
        if guard.needs_programs() {
            for (variable, package, kind, name, more) in [
                ("WAYLAND_AUTH_TOOL", "wayland-auth", "--bin", "wayland-auth", &["--features", "cli"][..]),
                ("WAYLAND_AUTH_DEMO", "demo-compositor", "--bin", "demo-compositor", &[]),
                ("WAYLAND_AUTH_DESIGNER", "demo-compositor", "--example", "designer-compositor", &[]),
                ("WAYLAND_AUTH_DESIGNER_CLIENT", "demo-compositor", "--example", "designer-client", &[]),
            ] {
                if kind == "--example" && !guard.needs_examples() {
                    continue;
                }
                let build = [&["build", "--locked", "-p", package, kind, name][..], more].concat();
                let (end, said) = self.cargo(&build.into_iter().map(str::to_owned).collect::<Vec<_>>(), &[])?;
                if !end.success() {
                    return Ok(Ran { outcomes: Outcomes::new(), said: said.1 });
                }
                let place = if kind == "--example" { "debug/examples" } else { "debug" };
                programs.push((variable, self.copy.target().join(place).join(name)));
            }
        }
        let (end, (outcomes, last)) = self.cargo(&arguments, &programs)?;
        let said = match end {
            End::TimedOut => "it takes too long".to_owned(),
            _ => last,
        };
        Ok(Ran { outcomes, said })
    }

    /// Runs cargo in the copy: how it ended, the tests, and the last words.
    fn cargo(
        &self,
        arguments: &[String],
        environment: &[(&str, std::path::PathBuf)],
    ) -> Result<(End, (Outcomes, String)), Error> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        cli::detail(cargo::typed(&words));
        let mut command = self.workplace.cargo(&words);
        command.current_dir(self.copy.tree()).env("CARGO_TARGET_DIR", self.copy.target());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (end, said) = process.wait(self.signals, Some(PATIENCE), |_| false)?;
        let mut parser = Parser::default();
        parser.push(&said.stdout);
        let text = String::from_utf8_lossy(&said.stderr);
        let words = text.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned();
        let words = if words.is_empty() { format!("the test is not there ({end})") } else { words };
        Ok((end, (parser.into_outcomes(), words)))
    }
}
