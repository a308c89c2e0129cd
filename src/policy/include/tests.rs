use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::policy::file::tests::Dir;
use crate::policy::{Capability, Policy, PolicyErrors};

const INCLUDING: &str = "include = ['policy.d/*.toml']\n";

/// The main file with this in it, and a directory `policy.d` with these files.
fn policy(dir: &Dir, main: &str, included: &[(&str, &str)]) -> PathBuf {
    let path = dir.path().join("policy.toml");
    let directory = dir.path().join("policy.d");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o755);
    write(&path, main);
    for (name, text) in included {
        write(&directory.join(name), text);
    }
    path
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    set_mode(path, 0o644);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn rule(app_id: &str, rest: &str) -> String {
    format!("[[rule]]\nmatch = {{ engine = 'e', app-id = '{app_id}' }}\n{rest}\n")
}

fn errors(path: &Path) -> PolicyErrors {
    match Policy::from_path(path) {
        Err(PolicyError::Invalid(errors)) => errors,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// File name and line, message and help of each error.
fn told(path: &Path) -> Vec<(String, String)> {
    let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
    let help = |help: &Option<String>| help.clone().unwrap_or_default();
    errors(path)
        .iter()
        .map(|e| (format!("{}:{}", name(e.file()), e.line), e.message.clone() + &help(&e.help)))
        .collect()
}

fn only_error(path: &Path) -> String {
    let mut all = told(path);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).1
}

#[test]
fn rules_follow_in_the_order_of_the_names_and_say_their_file() {
    let dir = Dir::new("include-order");
    let [a, b, main] = [rule("a", "deny = ['*']"), rule("b", "deny = ['*']"), rule("m", "deny = ['*']")];
    let main = format!("{INCLUDING}{main}");
    let others =
        [("20-b.toml", b.as_str()), ("10-a.toml", &a), (".hidden.toml", "x"), ("a.toml~", "x"), ("b.tom", "x")];
    let path = policy(&dir, &main, &others);
    let policy = Policy::from_path(&path).unwrap();
    let shown: Vec<_> = policy.rules.iter().map(|rule| rule.at.to_string()).collect();
    let directory = dir.path().join("policy.d");
    let [first, second] = [directory.join("10-a.toml"), directory.join("20-b.toml")];
    let expected =
        [format!("{}:2", path.display()), format!("{}:1", first.display()), format!("{}:1", second.display())];
    assert_eq!(shown, expected);
    assert_eq!(policy.files().files(), [path, first, second]);
    assert_eq!(policy.files().directories(), [directory]);
}

#[test]
fn a_capability_may_be_named_in_any_file() {
    let dir = Dir::new("include-names");
    let main = format!("include = ['policy.d/names.toml', 'policy.d/use*']\n{}", rule("m", "allow = ['mine']"));
    let used = rule("u", "allow = ['mine']");
    let names = "[capabilities]\nmine = ['xx_mine_v1']\n";
    let path = policy(&dir, &main, &[("names.toml", names), ("use.toml", &used)]);
    let policy = Policy::from_path(&path).unwrap();
    let mine = policy.capability("mine").unwrap();
    assert_eq!(policy.needed_for("xx_mine_v1"), Some(mine));
    assert!(policy.rules.iter().all(|rule| rule.allow.is_some_and(|allow| allow.contains(mine))));
    assert!(policy.defaults.host.set.contains(mine));
    assert_eq!(policy.files().directories(), [dir.path().join("policy.d")]);

    write(&dir.path().join("policy.d/use.toml"), "[capabilities]\nother = ['xx_mine_v1']\n");
    assert_eq!(
        told(&path),
        [("use.toml:2".into(), "`xx_mine_v1` is in `mine` alreadyname each interface once".into())]
    );
}

#[test]
fn t33_all_errors_of_all_files_are_told_at_once_each_in_its_file() {
    let dir = Dir::new("include-errors");
    let main = format!("{INCLUDING}[defaults]\nhots = []\n{}", rule("m", "allow = ['layer_shell']"));
    let one = rule("a", "alow = []\ndeny = ['*']");
    let path = policy(&dir, &main, &[("1.toml", &one), ("2.toml", "[[rules]]\n"), ("3.toml", "a = \n")]);
    let lines: Vec<_> = told(&path).into_iter().map(|(place, _)| place).collect();
    assert_eq!(lines, ["policy.toml:3", "1.toml:3", "2.toml:1", "3.toml:1"]);
    let shown = errors(&path).to_string();
    let place = format!(
        "error: unknown key `alow`\n --> {}:3:1\n  |\n3 | alow = []\n  | ^^^^ did you mean `allow`?",
        dir.path().join("policy.d/1.toml").display()
    );
    assert!(shown.contains(&place), "{shown}");
    assert!(shown.contains("did you mean `rule`?"), "{shown}");
    assert_eq!(errors(&path).files().files().len(), 4);

    // Only the broken file could have had the name.
    write(&dir.path().join("policy.d/3.toml"), "");
    assert!(errors(&path).to_string().contains("unknown capability `layer_shell`"));
}

#[test]
fn warnings_stand_where_they_belong() {
    let dir = Dir::new("include-warnings");
    let text = format!("\n{}", rule("a", "allow = ['security-context']"));
    let path = policy(&dir, INCLUDING, &[("1.toml", &text)]);
    let policy = Policy::from_path(&path).unwrap();
    let places: Vec<_> = policy.warnings().iter().map(|w| (w.file().to_owned(), w.line)).collect();
    assert!(!places.is_empty());
    assert!(places.iter().all(|(file, line)| file.ends_with("/policy.d/1.toml") && *line == 2), "{places:?}");
}

#[test]
fn an_included_file_holds_rules_and_names_only() {
    let dir = Dir::new("include-sections");
    let path = policy(&dir, INCLUDING, &[]);
    let included = dir.path().join("policy.d/1.toml");
    for section in ["[defaults]", "[machine]", "[trust]", "[limits]"] {
        write(&included, &format!("{section}\n"));
        let error = only_error(&path);
        assert!(error.contains("may not stand in an included file") && error.contains("in one place"), "{error}");
    }
    write(&included, "include = ['2.toml']\n");
    assert!(only_error(&path).contains("may not include others"));
    write(&included, "[capabilites]\n");
    assert!(only_error(&path).ends_with("did you mean `capabilities`?"));
    write(&included, "frobnicate = 1\n");
    assert!(only_error(&path).ends_with("an included file knows `capabilities`, `rule`"));
    write(&included, "[capabilities]\n");
    Policy::from_path(&path).unwrap();
}

#[test]
fn t32_included_files_and_their_directory_are_ours_alone() {
    let dir = Dir::new("include-modes");
    let path = policy(&dir, INCLUDING, &[("1.toml", "")]);
    let directory = dir.path().join("policy.d");
    let file = directory.join("1.toml");
    let include = ["include = ['policy.d/*.toml']", "include = ['policy.d/1.toml']"];
    for (changed, good, bad) in [(&file, 0o600, [0o620, 0o602, 0o666]), (&directory, 0o755, [0o775, 0o757, 0o1777])] {
        for mode in bad {
            for main in include {
                write(&path, main);
                set_mode(changed, mode);
                let error = only_error(&path);
                assert!(error.contains(&format!("run `chmod go-w {}`", changed.display())), "{mode:o}: {error}");
            }
        }
        set_mode(changed, good);
    }
    for main in include {
        write(&path, main);
        Policy::from_path(&path).unwrap();
    }
    // Only root can make one of another user's; for others there is nothing to show.
    if std::os::unix::fs::chown(&directory, Some(1), None).is_ok() {
        assert!(only_error(&path).contains("belongs to uid 1"));
    }
}

#[test]
fn what_is_named_must_be_there() {
    let dir = Dir::new("include-missing");
    let path = policy(&dir, "include = ['policy.d/1.toml']", &[]);
    let error = only_error(&path);
    assert!(error.contains("cannot open") && error.contains("No such file"), "{error}");
    assert_eq!(errors(&path).files().files(), [path.clone(), dir.path().join("policy.d/1.toml")]);
    write(&path, "include = ['policy.d/*.toml', 'polcy.d/*.toml']");
    assert!(only_error(&path).contains("polcy.d"));
    // An empty directory is none of those.
    write(&path, INCLUDING);
    Policy::from_path(&path).unwrap();
    fs::create_dir(dir.path().join("policy.d/1.toml")).unwrap();
    assert!(only_error(&path).contains("is not a regular file"));
    write(&path, "include = ['policy.toml/*.toml']");
    assert!(only_error(&path).contains("Not a directory"));
}

#[test]
fn names_that_mean_something_else_elsewhere_are_refused() {
    let dir = Dir::new("include-globs");
    let path = policy(&dir, "", &[]);
    for (name, why) in [
        ("policy.d/**.toml", "is not a name that is understood"),
        ("policy.d/?.toml", "is not a name that is understood"),
        ("policy.d/[0-9]*.toml", "is not a name that is understood"),
        ("policy.d/{a,b}.toml", "is not a name that is understood"),
        ("*/a.toml", "before the last `/`"),
        ("policy.d/", "does not name a file"),
        ("", "does not name a file"),
        ("..", "does not name a file"),
        ("~/a.toml", "is not expanded"),
        ("$HOME/a.toml", "is not expanded"),
        ("a\\u0000.toml", "cannot open"),
    ] {
        write(&path, &format!("include = [\"{name}\"]"));
        let error = only_error(&path);
        assert!(error.contains(why), "{name}: {error}");
    }
    for (text, why) in [("include = 'a'", "expected an array"), ("include = [1]", "expected a string")] {
        write(&path, text);
        assert!(only_error(&path).contains(why), "{text}");
    }
}

#[test]
fn no_file_is_included_twice_and_none_includes_itself() {
    let dir = Dir::new("include-twice");
    let path = policy(&dir, "include = ['policy.d/*', 'policy.d/1.toml']", &[("1.toml", "")]);
    assert!(only_error(&path).contains("1.toml is included already"));
    write(&path, INCLUDING);
    std::os::unix::fs::symlink("1.toml", dir.path().join("policy.d/2.toml")).unwrap();
    assert!(only_error(&path).contains("2.toml is included already"));
    write(&path, "include = ['*.toml']");
    assert!(only_error(&path).contains("is the file that includes it"));
}

#[test]
fn names_may_be_absolute_or_lead_out_and_the_rest_is_relative_to_the_file() {
    let dir = Dir::new("include-relative");
    let path = policy(&dir, "", &[("1.toml", &rule("a", "deny = ['*']"))]);
    let absolute = dir.path().join("policy.d/1.toml");
    let parent = dir.path().file_name().unwrap().to_str().unwrap();
    for name in [absolute.to_str().unwrap(), &format!("../{parent}/policy.d/1.toml"), "policy.d/../policy.d/1.t*"] {
        write(&path, &format!("include = ['{name}']"));
        assert_eq!(Policy::from_path(&path).unwrap().rule_count(), 1, "{name}");
    }
}

#[test]
fn number_and_size_are_bounded() {
    let dir = Dir::new("include-bounds");
    let path = policy(&dir, INCLUDING, &[]);
    let directory = dir.path().join("policy.d");
    for number in 0..MAX_FILES {
        write(&directory.join(format!("{number:03}.toml")), "");
    }
    Policy::from_path(&path).unwrap();
    write(&directory.join("999.toml"), "");
    write(&directory.join("9999.toml"), "");
    assert_eq!(only_error(&path), "more than 64 files are included");
    write(&path, &format!("include = [{}]", "'policy.d/a*',".repeat(MAX_FILES + 1)));
    assert_eq!(only_error(&path), "more than 64 names of files");

    write(&path, "include = ['policy.d/000.toml', 'policy.d/001.toml']");
    let half = "#".repeat(MAX_SIZE / 2);
    write(&directory.join("000.toml"), &half);
    write(&directory.join("001.toml"), &half);
    Policy::from_path(&path).unwrap();
    write(&directory.join("001.toml"), &format!("{half}#"));
    assert!(only_error(&path).contains("included files have more than 1048576 bytes"));
    fs::write(directory.join("001.toml"), b"a\n\xff").unwrap();
    assert!(only_error(&path).contains("001.toml:2: this is not UTF-8"));
}

#[test]
fn a_directory_with_too_much_in_it_is_not_searched() {
    let dir = Dir::new("include-crowd");
    let path = policy(&dir, INCLUDING, &[]);
    // `.` and `..` are names too.
    for number in 0..MAX_NAMES - 2 {
        fs::File::create(dir.path().join(format!("policy.d/{number}"))).unwrap();
    }
    Policy::from_path(&path).unwrap();
    fs::File::create(dir.path().join("policy.d/one more")).unwrap();
    assert!(only_error(&path).contains("has more than 4096 names in it"));
}

#[test]
fn a_text_that_is_no_file_includes_nothing() {
    let errors = Policy::parse("built-in", INCLUDING).unwrap_err();
    let shown = errors.to_string();
    assert!(shown.contains("`include` has no meaning here") && shown.contains("`Policy::from_path`"), "{shown}");
    assert_eq!(errors.files(), &PolicyFiles::default());
    let policy = Policy::parse("built-in", "").unwrap();
    assert!(policy.files().files().is_empty() && policy.capability("layer-shell") == Some(Capability::LAYER_SHELL));
}

#[test]
fn a_star_is_any_text_and_hidden_files_are_left_alone() {
    for (pattern, name, expected) in [
        ("*.toml", "a.toml", true),
        ("*.toml", ".a.toml", false),
        (".*.toml", ".a.toml", true),
        ("*.toml", "a.toml~", false),
        ("*", "a", true),
        ("*", ".a", false),
        ("a*b*c", "abc", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "acb", false),
        ("ab*ba", "aba", false),
        ("ab*ba", "abba", true),
        ("a*", "b", false),
        ("10-*-x.toml", "10-a-x.toml", true),
        ("10-*-x.toml", "10-x.toml", false),
    ] {
        assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }
}

#[test]
fn a_later_file_may_take_back_what_an_earlier_one_gives_and_is_told_what_is_taken_already() {
    let (narrow, wide) = (rule("a", "allow = ['layer-shell']"), rule("*", "deny = ['layer-shell']"));
    let denied = rule("a", "deny = ['layer-shell']");
    let cases = [
        (&narrow, &wide, vec![]),
        (&denied, &wide, vec![]),
        (&wide, &narrow, vec!["`layer-shell` has no effect here: `deny` beats `allow`"]),
        (&wide, &denied, vec!["this rule has no effect"]),
        (&wide, &wide, vec!["this rule has no effect"]),
    ];
    for (main, included, expected) in cases {
        let dir = Dir::new("include-warnings");
        let policy = Policy::from_path(&policy(&dir, &format!("{INCLUDING}{main}"), &[("a.toml", included)])).unwrap();
        let told: Vec<_> =
            policy.warnings().iter().map(|w| (w.file().ends_with("a.toml"), w.message.as_str())).collect();
        assert_eq!(told, expected.into_iter().map(|message| (true, message)).collect::<Vec<_>>(), "{main}\n{included}");
    }
}
