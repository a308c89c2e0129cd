//! The tool `wayland-auth`: runs programs under a label, and looks at what a compositor sees.

mod cgroup2;
mod check;
mod delegate;
mod doctor;
mod explain;
mod failure;
mod learn;
mod lint;
mod live;
mod mounts;
mod output;
mod run;
mod session;
mod show;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Label applications, and see who they are to a Wayland compositor.
#[derive(Debug, Parser)]
#[command(name = "wayland-auth", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Show(show::ShowArgs),
    Doctor(doctor::DoctorArgs),
    Lint(lint::LintArgs),
    Delegate(delegate::DelegateArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Clients(live::ClientsArgs),
    Learn(learn::LearnArgs),
    Grant(live::GrantArgs),
    Grants(live::GrantsArgs),
    Revoke(live::RevokeArgs),
    Agent(live::AgentArgs),
    #[command(hide = true)]
    Janitor(run::JanitorArgs),
}

fn main() -> ExitCode {
    wayland_auth::spawn::keep_exit_statuses();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Show(args) => show::show(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Lint(args) => lint::lint(&args),
        Command::Delegate(args) => delegate::delegate(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Clients(args) => live::clients(&args),
        Command::Learn(args) => learn::learn(&args),
        Command::Grant(args) => live::grant(&args),
        Command::Grants(args) => live::grants(&args),
        Command::Revoke(args) => live::revoke(&args),
        Command::Agent(args) => live::agent(&args),
        Command::Janitor(args) => run::keep_watch(&args),
    };
    result.unwrap_or_else(|failure| failure.report())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
