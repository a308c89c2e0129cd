//! All documents of the workspace: none shows commands without saying whether a test replays them.

use std::fs;
use std::path::{Path, PathBuf};

use wayland_auth_tests::transcript::{self, DOCUMENTS, Fate};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All documents below a directory, but for what is built and what is hidden.
fn documents(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && !name.starts_with('.') {
                documents(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_transcript_says_whether_it_is_replayed_and_those_that_are_have_a_test() {
    let mut found = Vec::new();
    documents(&workspace(), &mut found);
    assert!(found.len() >= 8, "{found:?}");
    let mut replayed = 0;
    for path in found {
        let name = path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
        let transcripts = transcript::parse(&fs::read_to_string(&path).unwrap());
        let transcripts = transcripts.unwrap_or_else(|e| panic!("{name}: {e}"));
        let here = transcripts.iter().filter(|one| matches!(one.fate, Fate::Replayed(_))).count();
        let is_listed = DOCUMENTS.iter().any(|(listed, _)| *listed == name);
        assert!(here == 0 || is_listed, "{name} has transcripts, and no test replays them");
        replayed += here;
    }
    assert!(replayed >= 3, "only {replayed}");
}
