//! Transcripts in documents: commands with what they print, which a test replays.
//!
//! A transcript is a fenced block marked `console`. A line that begins with `$ ` is a command; one that begins with `> ` right
//! after it goes on with it. The lines up to the next command are what it prints on both of its outputs. A line `...` there
//! stands for any lines, or none; `...` inside a line stands for any text. A comment just before the block says what becomes
//! of it:
//!
//! ```text
//! <!-- not replayed: it boots six kernels, which takes an hour -->
//!
//! <!-- replayed
//! toml = "policy.toml"       # the last TOML block above is written to this file
//! demo = "policy.toml"       # a demo compositor with this policy runs meanwhile
//! [files]                    # further files
//! "broken.toml" = "x"
//! -->
//! ```
//!
//! All commands of a block are run by one shell, in a new directory and a cgroup of their own. There they have `wayland-auth`
//! and the tests' client `capturer` in their `PATH`, and with a demo compositor its `WAYLAND_DISPLAY`, and its audit log as the
//! file `audit.jsonl`. What one waits for a background command to write is looked for with `grep -qs`: the file need not be
//! there yet.

use std::collections::BTreeMap;

use crate::{Context, Outcome, ensure};

/// The documents that have transcripts, by their paths in the workspace.
pub const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", include_str!("../../README.md")),
    ("docs/tool.md", include_str!("../../docs/tool.md")),
    ("docs/live.md", include_str!("../../docs/live.md")),
];

/// A document's text by its path.
///
/// # Errors
///
/// If it is not in the list.
pub fn document(path: &str) -> Result<&'static str, String> {
    let found = DOCUMENTS.iter().find(|(name, _)| *name == path);
    found.map(|(_, text)| *text).context(format!("{path} is not in the list of documents"))
}

/// What becomes of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is replayed so.
    Replayed(Stage),
    /// It is not, for this reason.
    NotReplayed(String),
}

/// What a transcript needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Files to be written, by name.
    pub files: BTreeMap<String, String>,
    /// The file that is the policy of a demo compositor, if there is to be one.
    pub demo: Option<String>,
}

/// A command, and what it prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Its line in the document, counted from 1.
    pub line: usize,
    /// What the shell is told.
    pub command: String,
    /// The lines that it prints.
    pub expected: Vec<String>,
}

/// One block of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Its line in the document, counted from 1.
    pub line: usize,
    /// What becomes of it.
    pub fate: Fate,
    /// Its commands.
    pub steps: Vec<Step>,
}

/// A fenced block.
#[derive(Debug, Default)]
struct Block {
    line: usize,
    language: String,
    /// The comment just before it, with the number of its line.
    comment: Option<(usize, String)>,
    text: Vec<String>,
}

/// All transcripts of a document.
///
/// # Errors
///
/// If a block shows commands and is none, or is one that does not say what becomes of it.
pub fn parse(document: &str) -> Result<Vec<Transcript>, String> {
    let mut transcripts = Vec::new();
    let mut toml = None;
    for block in blocks(document)? {
        let Block { line, language, comment, text } = block;
        match &*language {
            "console" => {
                let (at, comment) = comment.context(format!(
                    "line {line}: a transcript without a comment before it that says whether it is replayed"
                ))?;
                let fate = fate(&comment, toml.as_deref()).context(format!("line {at}"))?;
                transcripts.push(Transcript { line, fate, steps: steps(line, &text)? });
            }
            "toml" => toml = Some(text.join("\n") + "\n"),
            _ => {
                let command = text.iter().any(|line| line.starts_with("$ "));
                ensure!(!command, "line {line}: this shows commands and is no `console` block");
            }
        }
    }
    Ok(transcripts)
}

fn blocks(document: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut comment: Option<(usize, String)> = None;
    let mut in_comment = false;
    for (number, line) in document.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if let Some(block) = &mut open {
            if line.trim() == "```" {
                blocks.extend(open.take());
            } else {
                block.text.push(line.to_owned());
            }
        } else if in_comment || line.starts_with("<!--") {
            let text = if in_comment { line } else { line.trim_start_matches("<!--") };
            let (text, ends) = text.split_once("-->").map_or((text, false), |(text, _)| (text, true));
            let (_, whole) = match &mut comment {
                Some(comment) if in_comment => comment,
                other => other.insert((number, String::new())),
            };
            whole.push_str(text);
            whole.push('\n');
            in_comment = !ends;
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            let language = language.trim().to_owned();
            open = Some(Block { line: number, language, comment: comment.take(), text: Vec::new() });
        } else if !line.trim().is_empty() {
            comment = None;
        }
    }
    ensure!(open.is_none() && !in_comment, "a block or a comment has no end");
    Ok(blocks)
}

fn fate(comment: &str, toml: Option<&str>) -> Result<Fate, String> {
    let comment = comment.trim();
    if let Some(reason) = comment.strip_prefix("not replayed:") {
        ensure!(!reason.trim().is_empty(), "no reason");
        return Ok(Fate::NotReplayed(reason.trim().to_owned()));
    }
    let preamble = comment.strip_prefix("replayed").context("neither `replayed` nor `not replayed: REASON`")?;
    let preamble: toml::Table = preamble.parse().context("the preamble")?;
    let mut stage = Stage::default();
    for (key, value) in preamble {
        let text = value.as_str().map(str::to_owned);
        match (&*key, text, value.as_table()) {
            ("toml", Some(name), _) => {
                stage.files.insert(name, toml.context("no TOML block above")?.to_owned());
            }
            ("demo", Some(name), _) => stage.demo = Some(name),
            ("files", _, Some(files)) => {
                for (name, text) in files {
                    let text = text.as_str().context(format!("{name} is no text"))?;
                    stage.files.insert(name.clone(), text.to_owned());
                }
            }
            _ => return Err(format!("`{key}` means nothing here")),
        }
    }
    if let Some(policy) = &stage.demo {
        ensure!(stage.files.contains_key(policy), "the demo's policy {policy} is not there");
    }
    Ok(Fate::Replayed(stage))
}

fn steps(line: usize, text: &[String]) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, text) in (line + 1..).zip(text) {
        if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step { line: number, command: command.to_owned(), expected: Vec::new() });
            continue;
        }
        let step = steps.last_mut().context(format!("line {number}: something is printed before any command"))?;
        match text.strip_prefix("> ") {
            Some(more) if step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            _ => step.expected.push(text.clone()),
        }
    }
    ensure!(!steps.is_empty(), "line {line}: no command");
    Ok(steps)
}

impl Step {
    /// Compares what was printed.
    ///
    /// # Errors
    ///
    /// What was printed, if that is something else.
    pub fn check(&self, printed: &str) -> Outcome {
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let expected: Vec<&str> = self.expected.iter().map(|line| line.trim_end()).collect();
        let same = lines_match(&expected, &printed);
        let (command, expected, printed) = (&self.command, expected.join("\n"), printed.join("\n"));
        ensure!(same, "line {}: `{command}`\n--- expected:\n{expected}\n--- printed:\n{printed}", self.line);
        Ok(())
    }
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others))
        }
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    match expected.split_once("...") {
        None => expected == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| line_matches(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Title

```toml
[defaults]
```

<!-- replayed
toml = \"p.toml\"
demo = \"p.toml\"
-->
```console
$ one \\
> two
a
...
z
$ three
```

<!-- not replayed: it needs the moon -->

```console
$ fly
```
";

    #[test]
    fn transcripts_are_read_with_what_becomes_of_them() {
        let all = parse(DOCUMENT).unwrap();
        let files = BTreeMap::from([("p.toml".to_owned(), "[defaults]\n".to_owned())]);
        assert_eq!(all[0].fate, Fate::Replayed(Stage { files, demo: Some("p.toml".to_owned()) }));
        assert_eq!((all[0].line, all[0].steps.len()), (11, 2));
        assert_eq!((&*all[0].steps[0].command, all[0].steps[0].line), ("one \\\ntwo", 12));
        assert_eq!(all[0].steps[0].expected, ["a", "...", "z"]);
        assert_eq!(all[1].fate, Fate::NotReplayed("it needs the moon".to_owned()));
    }

    #[test]
    fn a_transcript_that_does_not_say_whether_it_is_replayed_is_an_error() {
        for (find, replace, error) in [
            ("<!-- not replayed: it needs the moon -->", "", "without a comment"),
            ("<!-- not replayed: it needs the moon -->", "<!-- not replayed: -->", "no reason"),
            ("<!-- not replayed: it needs the moon -->", "<!-- a remark -->", "neither"),
            ("<!-- not replayed: it needs the moon -->", "<!-- not replayed: it -->\nText.", "without a comment"),
            ("toml = \"p.toml\"\n", "", "p.toml is not there"),
            ("demo = ", "dmo = ", "`dmo` means nothing"),
            ("$ fly", "fly", "before any command"),
            ("```console\n$ fly", "```sh\n$ fly", "is no `console` block"),
            ("```toml", "```toml\n[", ""),
        ] {
            assert!(DOCUMENT.contains(find), "{find}");
            let result = parse(&DOCUMENT.replace(find, replace));
            match error {
                "" => assert!(result.is_ok()),
                _ => assert!(result.as_ref().is_err_and(|e| e.contains(error)), "{replace}: {result:?}"),
            }
        }
    }

    #[test]
    fn only_dots_stand_for_something_else() {
        let step = |expected: &str| Step { expected: expected.lines().map(str::to_owned).collect(), ..Step::default() };
        for (expected, printed, same) in [
            ("", "", true),
            ("", "x", false),
            ("x", "", false),
            ("a\nb", "a\nb\n", true),
            ("a\nb", "a\nb\nc", false),
            ("a\n...", "a", true),
            ("...\nz", "a\nb\nz", true),
            ("...\nz", "z\na", false),
            ("a\n...\nb\n...\nc", "a\n1\nb\n2\n3\nc", true),
            ("pid ... is ...", "pid 7 is host", true),
            ("pid ... is host", "pid 7 is not host!", false),
            ("a.b", "axb", false),
        ] {
            assert_eq!(step(expected).check(printed).is_ok(), same, "{expected:?} {printed:?}");
        }
    }
}
