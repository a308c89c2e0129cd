//! Every target over its seeds, and over thousands of mutations of each, without a fuzzer.
//!
//! The mutations are the same in every run, unless `WAYLAND_AUTH_FUZZ_SEED` gives another number.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use wayland_auth_fuzz_targets::source::Source;
use wayland_auth_fuzz_targets::{TARGETS, target};

/// How many mutations there are of all seeds of a target together.
const MUTATIONS: usize = 5_000;

/// The longest input that mutations make.
const MAX_LEN: usize = 4096;

/// What mutations put into an input beside single bytes.
const WORDS: &[&[u8]] = &[
    b"/..",
    b"/",
    b"\n",
    b"\0",
    b"0::",
    b"\\",
    b"\\040",
    b"\xff",
    b"\x1b[",
    "\u{202e}".as_bytes(),
    b"|",
    b"'",
    b"\"",
    b"]",
    b"[",
    b"{",
    b"}",
    b"=",
    b"#",
    b"*",
    b".",
    b".service",
    b".slice",
    b"user@",
    b"4294967295",
    b"-1",
    b"\xff\xff\xff\xff",
];

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 12, "only {} seeds in {}", paths.len(), dir.display());
    let read = |path: PathBuf| fs::read(&path).map(|bytes| (path, bytes)).expect("a seed");
    paths.into_iter().map(read).collect()
}

fn start() -> u64 {
    let given = std::env::var("WAYLAND_AUTH_FUZZ_SEED").ok();
    given.map_or(0x9e37_79b9_7f4a_7c15, |text| text.parse::<u64>().expect("WAYLAND_AUTH_FUZZ_SEED is a number").max(1))
}

/// Runs a target over its seeds and over mutations of them. Tells of which bytes it fails.
fn run(name: &str) {
    let (run, start) = (target(name), start());
    let seeds = seeds(name);
    let check = |bytes: &[u8], from: &Path| {
        let failed = catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err();
        assert!(
            !failed,
            "{name} fails on this, made of {} with seed {start}:\n{}",
            from.display(),
            bytes.escape_ascii()
        );
    };
    for (path, bytes) in &seeds {
        check(bytes, path);
    }
    let mut source = Source::Seed(start);
    for round in 0..MUTATIONS {
        let (path, bytes) = &seeds[round % seeds.len()];
        let mut bytes = bytes.clone();
        for _ in 0..=source.below(6) {
            let other = &seeds[source.number() as usize % seeds.len()].1;
            mutate(&mut bytes, other, &mut source);
        }
        bytes.truncate(MAX_LEN);
        check(&bytes, path);
    }
    println!("{name}: {} seeds, {MUTATIONS} mutations, seed {start}", seeds.len());
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], source: &mut Source<'_>) {
    let mut at = |len: usize| source.number() as usize % (len + 1);
    let (from, to, there) = (at(bytes.len()), at(bytes.len()), at(other.len()));
    let (from, to) = (from.min(to), from.max(to));
    match source.below(7) {
        0 => drop(bytes.drain(from..to)),
        1 => drop(bytes.splice(from..from, source.pick(WORDS).iter().copied())),
        2 => drop(bytes.splice(from..to, other[there..].iter().copied())),
        3 => bytes.extend_from_within(from..to),
        4 => bytes.insert(from, source.number() as u8),
        5 if from < bytes.len() => bytes[from] ^= 1 << source.below(8),
        _ if from < bytes.len() => bytes[from] = source.number() as u8,
        _ => bytes.truncate(to),
    }
}

#[test]
fn every_target_has_its_seeds_and_its_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, _) in TARGETS {
        assert!(!seeds(name).is_empty());
        assert!(fuzz.join("fuzz_targets").join(format!("{name}.rs")).is_file(), "{name}");
    }
    let programs = fs::read_dir(fuzz.join("fuzz_targets")).expect("programs").count();
    assert_eq!(programs, TARGETS.len());
}

#[test]
fn t25_t26_a_label_states_what_its_grammar_says_and_nothing_else() {
    run("label");
}

#[test]
fn t09_t25_no_name_of_a_process_a_cgroup_or_a_mount_changes_how_proc_is_read() {
    run("proc_files");
}

#[test]
fn t25_a_unit_is_the_outermost_one_of_its_path() {
    run("unit");
}

#[test]
fn t25_what_engines_leave_names_somebody_or_nobody_and_never_two() {
    run("engine");
}

#[test]
fn t33_t34_a_text_is_a_policy_or_is_refused_with_the_places_of_its_errors() {
    run("policy");
}

#[test]
fn t18_no_bytes_make_a_policy_under_which_a_client_gains_by_what_it_does() {
    run("never_widens");
}

#[test]
fn t36_no_requests_get_a_client_a_global_that_it_may_not_see() {
    run("registry");
}
