//! Every TOML block of the documents is what it says to be.

mod schema;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use schema::Schema;
use wayland_auth::Policy;

/// Fewer than these cannot be all; something was not found.
const MIN_ACCEPTED: usize = 7;
const MIN_REFUSED: usize = 1;
const MIN_FILES: usize = 3;
const MIN_CHECKED: usize = 200;

/// Longer policies are taken as they are, and not word by word.
const MAX_LENGTH: usize = 4096;

/// What a fence may say beside `toml`, and whether such a block is a policy.
const MARKS: &[(&str, bool)] = &[("", true), ("should-fail", true), ("cargo", false), ("grants", false)];

/// A TOML block.
struct Block {
    place: String,
    mark: String,
    text: String,
}

/// Every block marked `toml` in a Markdown file or a doc comment is a policy that is accepted without a warning, and one marked
/// `toml,should-fail` is refused. What is no policy says so, and no other mark is known.
#[test]
fn t33_every_policy_in_the_documents_is_one() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent")?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (mut accepted, mut refused, mut other, mut wrong) = (0, 0, 0, Vec::new());
    for block in blocks(root)? {
        let Some((_, is_policy)) = MARKS.iter().find(|(mark, _)| *mark == block.mark) else {
            wrong.push(format!("{}: unknown mark `{}`", block.place, block.mark));
            continue;
        };
        if !is_policy {
            other += 1;
            continue;
        }
        match (read(dir.path(), &block.text), block.mark == "should-fail") {
            (Ok(()), false) => accepted += 1,
            (Err(_), true) => refused += 1,
            (Ok(()), true) => wrong.push(format!("{}: accepted", block.place)),
            (Err(why), false) => wrong.push(format!("{}: {why}", block.place)),
        }
    }
    println!("{accepted} policies accepted, {refused} refused as they say, {other} are something else");
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let found = accepted >= MIN_ACCEPTED && refused >= MIN_REFUSED;
    if found { Ok(()) } else { Err("some were not found".into()) }
}

/// Every policy that stands in a file of its own is one too.
#[test]
fn every_policy_that_is_shipped_is_one_and_warns_of_nothing() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent")?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let names: Vec<_> = listed(root, &["*policy.toml"])?;
    for name in &names {
        let text = fs::read_to_string(root.join(name)).map_err(|e| format!("{}: {e}", name.display()))?;
        read(dir.path(), &text).map_err(|why| format!("{}: {why}", name.display()))?;
    }
    if names.len() >= MIN_FILES { Ok(()) } else { Err(format!("some were not found: {names:?}")) }
}

/// What is a policy is valid by the schema: those in the documents, those that are shipped, and the seeds of the fuzzer.
#[test]
fn every_policy_is_valid_by_the_schema() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent")?;
    let schema = Schema::new()?;
    let mut texts: Vec<_> = blocks(root)?.into_iter().map(|block| (block.place, block.text)).collect();
    for name in listed(root, &["*policy.toml", "fuzz/seeds/policy/*"])? {
        // Some seeds are no text.
        let text = fs::read(root.join(&name)).map_err(|e| format!("{}: {e}", name.display()))?;
        texts.extend(String::from_utf8(text).ok().map(|text| (name.display().to_string(), text)));
    }
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut checked = 0;
    for (place, text) in texts {
        // Only from a file, a policy may include others.
        if read(dir.path(), &text).is_ok() {
            schema.check(&text).map_err(|why| format!("{place}: {why}"))?;
        }
        if text.len() > MAX_LENGTH {
            continue;
        }
        checked += schema::check_with_less(&schema, &text).map_err(|why| format!("{place}: {why}"))?;
    }
    println!("{checked} policies");
    if checked >= MIN_CHECKED { Ok(()) } else { Err(format!("only {checked} were found")) }
}

/// Reads it as a file that warns of nothing, with an empty directory for whatever it includes.
fn read(dir: &Path, text: &str) -> Result<(), String> {
    let path = dir.join("policy.toml");
    let include = dir.join("policy.d");
    fs::create_dir_all(&include).map_err(|e| e.to_string())?;
    for (path, mode) in [(&path, 0o600), (&include, 0o700)] {
        if mode == 0o600 {
            fs::write(path, text).map_err(|e| e.to_string())?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| e.to_string())?;
    }
    let policy = Policy::from_path(&path).map_err(|e| e.to_string())?;
    policy.warnings().first().map_or(Ok(()), |warning| Err(warning.to_string()))
}

/// The files of the repository that have such names.
fn listed(root: &Path, names: &[&str]) -> Result<Vec<PathBuf>, String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).args(names).current_dir(root).output();
    let listed = String::from_utf8(listed.map_err(|e| format!("git: {e}"))?.stdout).map_err(|e| e.to_string())?;
    Ok(listed.split_terminator('\0').map(PathBuf::from).collect())
}

fn blocks(root: &Path) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    for name in listed(root, &["*.md", "*.rs"])? {
        let text = fs::read_to_string(root.join(&name)).map_err(|e| format!("{}: {e}", name.display()))?;
        let is_rust = name.extension().is_some_and(|extension| extension == "rs");
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let doc = line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).map(str::trim_start);
            let Some(line) = (if is_rust { doc } else { Some(line) }) else { continue };
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => {
                    let (language, mark) = info.trim().split_once(',').unwrap_or((info.trim(), ""));
                    let place = format!("{}:{}", name.display(), number + 1);
                    let mark = if language == "toml" { mark.to_owned() } else { "\0".to_owned() };
                    open = Some(Block { place, mark, text: String::new() });
                }
                (Some(_), Some(block)) if block.mark != "\0" => blocks.push(block),
                (Some(_), Some(_)) | (None, None) => {}
                (None, Some(mut block)) => {
                    block.text += line;
                    block.text.push('\n');
                    open = Some(block);
                }
            }
        }
        if let Some(block) = open.filter(|block| block.mark != "\0") {
            return Err(format!("{}: not closed", block.place));
        }
    }
    Ok(blocks)
}
