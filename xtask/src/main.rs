//! Set-up, demonstration, tests and benches of the workspace: `cargo xtask --help`.
//!
//! | module | what it does |
//! |---|---|
//! | `cli` | what the command line asks for |
//! | `packages` | finds out what the machine lacks and installs it |
//! | `delegate`, `cgroup` | a place in the cgroup tree that we may write to, and its removal |
//! | `signals`, `process`, `scratch` | children, files and directories that do not outlive us, whatever happens |
//! | `cargo`, `workplace` | builds, and where tests run |
//! | `demo`, `table` | `cargo xtask demo` |
//! | `test`, `bench`, `soak` | `cargo xtask test`, `cargo xtask bench`, `cargo xtask soak` |
//! | `threats`, `guards` | `cargo xtask threats`, `cargo xtask guards` |
//! | `fuzz` | `cargo xtask fuzz` |
//! | `kernels` | `cargo xtask kernels` |
//! | `inside` | what this program does when the demo starts it again as one of its own peers |

#![deny(unsafe_code)]

mod bench;
mod cargo;
mod cgroup;
mod cli;
mod delegate;
mod demo;
mod error;
mod fuzz;
mod guards;
mod inside;
mod kernels;
mod packages;
mod process;
mod scratch;
mod signals;
mod soak;
mod table;
mod test;
mod threats;
mod workplace;

use std::{env, process::ExitCode};

use cli::Task;
use error::Error;
use signals::Signals;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.report());
            error.exit_code()
        }
    }
}

fn run(arguments: &[std::ffi::OsString]) -> Result<ExitCode, Error> {
    match cli::parse(arguments)? {
        Task::Help => {
            cli::say(cli::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Task::Demo { keep } => {
            delegate::ensure(arguments)?;
            demo::run(&Signals::install()?, keep)
        }
        Task::Test { quick } => {
            delegate::ensure(arguments)?;
            test::run(&Signals::install()?, quick)
        }
        Task::Threats => {
            delegate::ensure(arguments)?;
            threats::run(&Signals::install()?)
        }
        Task::Guards { areas } => {
            delegate::ensure(arguments)?;
            guards::run(&Signals::install()?, &areas)
        }
        // Needs no place in the cgroup tree: the guests have their own.
        Task::Kernels(options) => kernels::run(&Signals::install()?, &options),
        Task::Bench { arguments: passed } => {
            delegate::ensure(arguments)?;
            bench::run(&Signals::install()?, &passed)
        }
        Task::Soak { long } => {
            delegate::ensure(arguments)?;
            soak::run(&Signals::install()?, long)
        }
        Task::Fuzz { target, seconds } => fuzz::run(&Signals::install()?, target.as_deref(), seconds),
        Task::Inside(task) => inside::run(task),
    }
}
