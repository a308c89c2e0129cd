//! The transcripts in the documents, replayed: see [`wayland_auth_tests::transcript`].
//!
//! `WAYLAND_AUTH_TOOL` names the tool `wayland-auth`, and `WAYLAND_AUTH_DEMO` the demo compositor.

mod stage;

use std::process::ExitCode;

use wayland_auth_tests::transcript::{self, Fate};
use wayland_auth_tests::{Context, Needs, Outcome, Test, World, ensure};

const TESTS: &[Test] = &[
    ("transcripts_of_the_readme_are_what_happens", Needs::Program("grim"), |world| replay(world, "README.md")),
    ("transcripts_of_the_tool_are_what_happens", Needs::Program("grim"), |world| replay(world, "docs/tool.md")),
    ("transcripts_of_a_running_compositor_are_what_happens", Needs::Program("grim"), |world| {
        replay(world, "docs/live.md")
    }),
    ("every_document_with_transcripts_is_replayed", Needs::Nothing, all_are_here),
    ("transcript_that_is_not_what_happens_fails", Needs::Nothing, what_is_not_so_fails),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn replay(world: &World, path: &str) -> Outcome {
    replay_text(world, transcript::document(path)?).context(path)
}

fn replay_text(world: &World, document: &str) -> Outcome {
    let mut replayed = 0;
    for transcript in transcript::parse(document)? {
        match &transcript.fate {
            Fate::Replayed(stage) => {
                let printed =
                    stage::run(world, stage, &transcript.steps).context(format!("line {}", transcript.line))?;
                transcript.steps.iter().zip(&printed).try_for_each(|(step, printed)| step.check(printed))?;
                replayed += 1;
            }
            Fate::NotReplayed(reason) => println!("not replayed: line {}: {reason}", transcript.line),
        }
    }
    ensure!(replayed > 0, "nothing was replayed");
    Ok(())
}

fn all_are_here(_: &World) -> Outcome {
    let this = include_str!("main.rs");
    for (path, _) in transcript::DOCUMENTS {
        ensure!(this.contains(&format!("replay(world, {path:?})")), "{path} is not replayed");
    }
    Ok(())
}

fn what_is_not_so_fails(world: &World) -> Outcome {
    let document = "<!-- replayed\n[files]\n'a' = 'x'\n-->\n```console\n$ cat a\nx\n$ echo $?\n0\n```\n";
    replay_text(world, document)?;
    for (find, replace, why) in [
        ("\nx\n", "\ny\n", "`cat a`"),
        ("\n0\n", "\n1\n", "`echo $?`"),
        ("$ echo", "$ false\n$ echo", "`echo $?`"),
        ("$ echo", "$ exit 0\n$ echo", "the shell ended"),
    ] {
        ensure!(document.contains(find), "{find:?}");
        let result = replay_text(world, &document.replace(find, replace));
        ensure!(result.as_ref().is_err_and(|e| e.contains(why)), "{replace:?}: {result:?}");
    }
    Ok(())
}
