//! Lists of guards.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::{
    cargo,
    error::{Context, Error},
    threats,
};

/// A check whose absence would be a hole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// The list that it is in.
    #[serde(skip)]
    pub(super) area: String,
    /// What it guards.
    pub(super) name: String,
    /// The file that it stands in, from the workspace's root.
    pub(super) file: String,
    /// The text of the guard, which stands there exactly once.
    pub(super) find: String,
    /// What stands there without it.
    pub(super) replace: String,
    /// The arguments of `cargo test`.
    test: Vec<String>,
    /// The test that has to fail then.
    pub(super) fails: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    guard: Vec<Guard>,
}

/// The suites that start neither the tool nor the demo.
const WITHOUT_PROGRAMS: [&str; 9] =
    ["identity", "forgery", "races", "resources", "registry", "interfaces", "threats", "places", "engines"];

impl Guard {
    /// What cargo is told after `test`. Only the test that has to fail is run, unless the list says which are.
    pub(super) fn arguments(&self) -> Vec<String> {
        let filter = ["--".to_owned(), threats::without_ids(&self.fails).to_owned()];
        let is_filtered = self.test.iter().any(|argument| argument == "--");
        self.test.iter().cloned().chain(filter.into_iter().filter(|_| !is_filtered)).collect()
    }

    /// Whether its tests start programs of this workspace.
    pub(super) fn needs_programs(&self) -> bool {
        let has = |word: &str| self.test.iter().any(|argument| argument == word);
        has("wayland-auth-tests") && !WITHOUT_PROGRAMS.iter().any(|suite| has(suite))
    }

    /// Whether its tests run the examples for designers of protocols.
    pub(super) fn needs_examples(&self) -> bool {
        self.test.iter().any(|argument| argument == "designer")
    }
}

/// The guards of these areas; all if none is named.
///
/// # Errors
///
/// If a list cannot be read, or an area has none.
pub(super) fn load(areas: &[String]) -> Result<Vec<Guard>, Error> {
    let directory = cargo::workspace().join("tests/guards");
    let entries = fs::read_dir(&directory).or_fail(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let area_of = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(unknown) = areas.iter().find(|area| !files.iter().any(|path| area_of(path) == **area)) {
        let known: Vec<_> = files.iter().map(|path| area_of(path)).collect();
        return Err(Error::Usage(format!("there are no guards of `{unknown}`, only of {}", known.join(", "))));
    }
    let mut guards = Vec::new();
    for path in files.iter().filter(|path| areas.is_empty() || areas.contains(&area_of(path))) {
        let text = fs::read_to_string(path).or_fail(|| format!("cannot read {}", path.display()))?;
        let File { guard } = toml::from_str(&text).or_fail(|| format!("{} is no list of guards", path.display()))?;
        guards.extend(guard.into_iter().map(|guard| Guard { area: area_of(path), ..guard }));
    }
    Ok(guards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_stands_where_its_list_says() {
        let guards = load(&[]).unwrap();
        assert!(guards.len() >= 30, "only {} guards", guards.len());
        for Guard { area, name, file, find, replace, test, fails, .. } in &guards {
            let what = format!("{area}: {name}");
            let text = fs::read_to_string(cargo::workspace().join(file)).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(text.matches(find.as_str()).count(), 1, "{what}: in {file}");
            assert!(find != replace && test.contains(&"-p".to_owned()) && !fails.is_empty(), "{what}");
        }
    }

    #[test]
    fn an_area_that_is_not_there_is_told() {
        assert!(load(&["nowhere".into()]).unwrap_err().report().contains("nowhere"));
    }
}
