//! `cargo xtask kernels`: the same tests on one kernel after the other.
//!
//! | module | what it does |
//! |---|---|
//! | `rungs` | which kernels, and what each claims |
//! | `apt` | gets them from Debian, without touching the machine's own apt |
//! | `image`, `guest` | a file system in memory with the tests in it; a machine that runs them |
//! | `outcome` | what a guest said |
//! | `ladder` | no kernel may grant more than the next newer one |

mod apt;
mod guest;
mod image;
mod ladder;
mod outcome;
mod rungs;

use std::{
    collections::VecDeque,
    env,
    path::PathBuf,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    cargo, cli,
    error::{Context, Error},
    packages::{self, Purpose},
    signals::Signals,
};
use outcome::Outcome;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// How many guests run at a time.
    pub(crate) jobs: Option<usize>,
    /// Only these kernels; all if there are none.
    pub(crate) only: Vec<String>,
    /// Only who is who; no races.
    pub(crate) quick: bool,
}

/// Boots the kernels, prints what each can tell and does, and fails if one grants what the next newer one does not.
///
/// # Errors
///
/// [`Error::Interrupted`], or if set-up fails.
pub(crate) fn run(signals: &Signals, options: &Options) -> Result<ExitCode, Error> {
    let start = Instant::now();
    let rungs = rungs::chosen(&options.only)?;
    packages::set_up(signals, Purpose::Kernels)?;
    let programs = image::build(signals)?;
    let cache = cache()?;
    let (kernels, missing) = apt::kernels(signals, &cache, &rungs)?;
    let image = image::write(&programs, &cache, options.quick)?;
    let built = start.elapsed();

    let jobs = options.jobs.unwrap_or(2).clamp(1, kernels.len().max(1));
    cli::progress(format!("{} kernels under qemu, {jobs} at a time", kernels.len()));
    let mut outcomes = boot_all(signals, &kernels, &image, &cache, jobs)?;
    outcomes.sort_by_key(|outcome| outcome.rung.version);

    cli::say(ladder::draw(&outcomes));
    let mut wrong = missing;
    for outcome in &outcomes {
        wrong.extend(outcome.problems(options.quick, programs.narrow.is_ok()));
    }
    wrong.extend(ladder::problems(&outcomes));
    let guests: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    cli::say(format!(
        "set-up {:.1} s, {} guests {:.1} s one by one, {:.1} s in all",
        built.as_secs_f64(),
        outcomes.len(),
        guests.as_secs_f64(),
        start.elapsed().as_secs_f64(),
    ));
    if let Err(why) = &programs.narrow {
        cli::say(format!("SKIPPED: 32-bit programs: {why}"));
    }
    if wrong.is_empty() {
        cli::say("Every kernel does what its version claims, and none grants more than the next newer one.");
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &wrong {
        cli::say(format!("WRONG: {problem}"));
    }
    cli::say(format!("{} problems; what the guests said is in {}", wrong.len(), cache.join("logs").display()));
    Ok(ExitCode::FAILURE)
}

/// Where kernels stay for the next time.
fn cache() -> Result<PathBuf, Error> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| cargo::workspace().join("target"), PathBuf::from);
    let cache = cargo::workspace().join(target).join("kernels");
    std::fs::create_dir_all(cache.join("logs")).or_fail(|| format!("cannot make `{}`", cache.display()))?;
    Ok(cache)
}

/// Runs the guests, so many at a time. The first error, or a signal, ends them all.
fn boot_all(
    signals: &Signals,
    kernels: &[apt::Kernel],
    image: &std::path::Path,
    cache: &std::path::Path,
    jobs: usize,
) -> Result<Vec<Outcome>, Error> {
    let queue = Mutex::new(kernels.iter().collect::<VecDeque<_>>());
    let next = || queue.lock().map(|mut queue| queue.pop_front()).unwrap_or(None);
    let work = || -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::new();
        while let Some((rung, kernel)) = next() {
            let log = cache.join("logs").join(format!("{}.log", rung.name));
            let outcome = guest::boot(signals, rung, kernel, image, &log)?;
            cli::detail(format!("{}: {} in {:.1} s", rung.name, outcome.summary(), outcome.took.as_secs_f64()));
            outcomes.push(outcome);
        }
        Ok(outcomes)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut outcomes = Vec::new();
        let mut failed = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(some)) => outcomes.extend(some),
                Ok(Err(error)) => failed = failed.or(Some(error)),
                Err(_) => failed = failed.or(Some(Error::failed("a worker panicked"))),
            }
        }
        failed.map_or(Ok(outcomes), Err)
    })
}
