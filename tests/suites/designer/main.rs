//! A draft of a protocol, shown to a single application: `examples/designer` does what `protocol/README.md` says.
//!
//! `WAYLAND_AUTH_DESIGNER` names the compositor of the example, `WAYLAND_AUTH_DESIGNER_CLIENT` its client, and
//! `WAYLAND_AUTH_TOOL` the tool `wayland-auth`.

#[path = "../compositor/demo.rs"]
#[allow(dead_code, reason = "shared with the suite of the demo compositor")]
mod demo;
mod document;
#[path = "../compositor/running.rs"]
#[allow(dead_code, reason = "shared with the suite of the demo compositor")]
mod running;

use std::process::{Command, ExitCode};

use serde_json::Value;
use wayland_auth_tests::{Context, Needs, Outcome, Test, World, ensure, ensure_eq};

use self::demo::{Demo, events};
use self::running::{Finished, finish};

const TESTS: &[Test] = &[
    ("draft_is_for_the_one_application_that_the_policy_names", Needs::Nothing, the_one_application),
    ("draft_cannot_be_bound_by_another_application_that_guesses_its_number", Needs::Nothing, guessed),
    ("draft_is_for_nobody_if_the_policy_does_not_say_so", Needs::Nothing, without_the_policys_line),
    ("steps_of_the_document_are_the_files_of_the_example", Needs::Nothing, document::steps_are_the_files),
    ("draft_takes_forty_lines_and_one_of_the_policy", Needs::Nothing, document::how_many_lines),
];

/// The policy of the example.
const POLICY: &str = include_str!("../../../examples/designer/policy.toml");
/// The interface of the draft.
const DRAFT: &str = "xx_hello_manager_v1";
const TESTER: &str = "org.example.Tester";
const OTHER: &str = "org.example.Other";

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn start(world: &World, policy: &str) -> Result<Demo, String> {
    Demo::of_program(world, "WAYLAND_AUTH_DESIGNER", Some(policy))
}

fn named(variable: &str) -> Result<String, String> {
    std::env::var(variable).context(format!("{variable} does not name a program"))
}

/// Runs the client as this application, by the tool.
fn say_hello(world: &World, demo: &Demo, app_id: &str, arguments: &[&str]) -> Result<Finished, String> {
    let cgroup = world.new_cgroup()?;
    let mut command: Command = demo.command("sh");
    command.args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""]).arg(cgroup.path());
    command.args([&*named("WAYLAND_AUTH_TOOL")?, "run", "--engine", "org.example.Engine", "--app-id", app_id, "--"]);
    command.arg(named("WAYLAND_AUTH_DESIGNER_CLIENT")?).args(arguments);
    finish(&mut command)
}

fn the_one_application(world: &World) -> Outcome {
    let demo = start(world, POLICY)?;
    let tester = say_hello(world, &demo, TESTER, &[])?;
    tester.expect(0)?;
    let heard = String::from_utf8_lossy(&tester.out).into_owned();
    ensure!(heard.starts_with("hello, app org.example.Tester of org.example.Engine"), "it heard {heard:?}");
    let other = say_hello(world, &demo, OTHER, &[])?;
    other.expect_refused(DRAFT)
}

/// The number of the draft; the host sees everything.
fn number(demo: &Demo) -> Result<u32, String> {
    let client = demo.client()?;
    client.globals().iter().find(|global| global.interface == DRAFT).map(|global| global.name).context("no such global")
}

fn guessed(world: &World) -> Outcome {
    let mut demo = start(world, POLICY)?;
    let number = number(&demo)?.to_string();
    // The number is right: with it the application that may have the draft gets it.
    say_hello(world, &demo, TESTER, &[&number])?.expect(0)?;
    let other = say_hello(world, &demo, OTHER, &[&number])?;
    other.expect_refused("Invalid binding")?;
    let lines = demo.audit()?;
    let guesses: Vec<&Value> = events(&lines, "bind-hidden").collect();
    ensure_eq!(guesses.len(), 1, "{lines:#?}");
    ensure_eq!(guesses[0]["identity"]["app-id"], OTHER);
    demo.expect_alive()
}

fn without_the_policys_line(world: &World) -> Outcome {
    let demo = start(world, &POLICY.replace("allow = [\"interface:xx_hello_manager_v1\"]", "allow = []"))?;
    say_hello(world, &demo, TESTER, &[])?.expect_refused(DRAFT)
}
