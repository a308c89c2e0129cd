//! `protocol/README.md` and the example are one.

use wayland_auth::Policy;
use wayland_auth_tests::{Context, Outcome, ensure, ensure_eq};

const README: &str = include_str!("../../../protocol/README.md");
/// The section that goes through the example, to its end.
const SECTION: &str = "## Prototyping a protocol of your own\n";

/// The example's files by their names, as the document calls them.
const FILES: &[(&str, &str)] = &[
    ("examples/designer/xx-hello-v1.xml", include_str!("../../../examples/designer/xx-hello-v1.xml")),
    ("examples/designer/compositor.rs", include_str!("../../../examples/designer/compositor.rs")),
    ("examples/designer/client.rs", include_str!("../../../examples/designer/client.rs")),
    ("examples/designer/policy.toml", include_str!("../../../examples/designer/policy.toml")),
];

/// How much code a draft may take in the compositor.
const LINES: usize = 40;

/// A block of the document.
#[derive(Debug, Default)]
struct Block {
    /// What it is written in.
    language: String,
    /// The file that the text before it named last.
    file: Option<&'static str>,
    text: String,
}

/// The blocks of the section. What is indented, as in a list, is taken out of it.
fn blocks() -> Result<Vec<Block>, String> {
    let (_, section) = README.split_once(SECTION).context("the section is not there")?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let (mut blocks, mut open, mut file) = (Vec::new(), None::<(usize, Block)>, None);
    for line in section.lines() {
        let fence = line.trim_start().strip_prefix("```");
        open = match (open, fence) {
            (None, Some(language)) => {
                let block = Block { language: language.to_owned(), file, text: String::new() };
                Some((line.len() - line.trim_start().len(), block))
            }
            (None, None) => {
                file = FILES.iter().find(|(name, _)| line.contains(name)).map(|(name, _)| *name).or(file);
                None
            }
            (Some((_, block)), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some((indent, mut block)), None) => {
                block.text += line.get(indent..).unwrap_or_default();
                block.text.push('\n');
                Some((indent, block))
            }
        };
    }
    ensure!(open.is_none(), "a block has no end");
    Ok(blocks)
}

/// Every block but those for a shell is exactly lines of the file that is named before it, and the compositor's and the
/// policy's files are in the document as a whole.
pub(crate) fn steps_are_the_files(_: &wayland_auth_tests::World) -> Outcome {
    let blocks = blocks()?;
    let (shell, code): (Vec<&Block>, Vec<&Block>) = blocks.iter().partition(|block| block.language == "sh");
    ensure!(!shell.is_empty(), "nothing is run");
    let mut shown: Vec<(&str, String)> = FILES.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    for block in &code {
        let file = block.file.context(format!("no file is named before\n{}", block.text))?;
        let (_, rest) = shown.iter_mut().find(|(name, _)| *name == file).context(file)?;
        let count = rest.matches(&block.text).count();
        ensure_eq!(count, 1, "not once in {file}, or in two blocks:\n{}", block.text);
        *rest = rest.replacen(&block.text, "", 1);
    }
    for (name, rest) in shown.iter().filter(|(name, _)| !name.ends_with("client.rs")) {
        let left: Vec<&str> = rest.lines().filter(|line| is_code(line)).collect();
        ensure!(left.is_empty(), "of {name} the document does not show {left:#?}");
    }
    Ok(())
}

fn is_code(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with("//") && !line.starts_with('#')
}

/// Everything in the compositor's file counts that is neither blank nor a comment, braces as well.
pub(crate) fn how_many_lines(_: &wayland_auth_tests::World) -> Outcome {
    let (_, compositor) = FILES[1];
    let lines: Vec<&str> =
        compositor.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).collect();
    ensure!(!lines.is_empty() && lines.len() <= LINES, "{} lines:\n{}", lines.len(), lines.join("\n"));
    ensure!(README.contains(&format!("{} lines", lines.len())), "the document says another number");
    let (_, policy) = FILES[3];
    let policy = Policy::parse("policy.toml", policy).map_err(|e| e.to_string())?;
    ensure_eq!((policy.rule_count(), policy.warnings().len()), (1, 0));
    Ok(())
}
