//! The tool's answers about policies: what it prints, and its exit status, which scripts go by.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};

use serde_json::{Value, json};
use wayland_auth_tests::{Context, Needs, Outcome, Test, World, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("t33_t34_check_shows_every_error_with_its_place", Needs::Nothing, check_shows_errors),
    ("t32_check_refuses_a_policy_that_others_can_write", Needs::Nothing, check_refuses_what_others_can_write),
    ("check_and_explain_read_included_files", Needs::Nothing, included_files),
    ("check_counts_warnings_and_strict_refuses_them", Needs::Nothing, check_and_warnings),
    ("explain_says_why_and_what_would_change_it", Needs::Nothing, explain_says_why),
    ("explain_tells_what_is_asked_for_and_what_is_empty_apart", Needs::Nothing, explain_tells_standings_apart),
    ("explain_has_a_status_for_scripts", Needs::Nothing, explain_has_a_status),
    ("t26_what_is_asked_for_is_escaped_in_the_answer", Needs::Nothing, answers_are_escaped),
];

const POLICY: &str = "\
[defaults]
sandboxed = ['output-info']
[[rule]]
match = { engine = 'org.flatpak', app-id = 'org.example.*' }
allow = ['screen-capture', 'output-info']
[[rule]]
match = { engine = 'org.flatpak', app-id = 'org.example.Game' }
deny = ['screen-capture']
";

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn tool(arguments: &[&str]) -> Result<Output, String> {
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    Command::new(tool).args(arguments).output().context("the tool")
}

/// The exit status and what was printed.
fn answer(arguments: &[&str]) -> Result<(Option<i32>, String, String), String> {
    let output = tool(arguments)?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("not UTF-8");
    Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
}

fn json_of(arguments: &[&str]) -> Result<(Option<i32>, Value), String> {
    let (status, out, err) = answer(arguments)?;
    Ok((status, serde_json::from_str(&out).context(format!("{out}{err}"))?))
}

fn file(world: &World, text: &str) -> Result<(PathBuf, String), String> {
    let path = world.new_dir()?.join("policy.toml");
    std::fs::write(&path, text).context("policy")?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).context("policy")?;
    let shown = path.to_str().context("not UTF-8")?.to_owned();
    Ok((path, shown))
}

fn check_shows_errors(world: &World) -> Outcome {
    let (_, path) = file(world, "[defaults]\nhost = ['layer_shell']\nsandboxd = []\n")?;
    let (status, out, _) = answer(&["check", &path])?;
    ensure_eq!(status, Some(1), "{out}");
    for part in ["unknown capability `layer_shell`", ":2:9", "did you mean `layer-shell`?", ":3:1", "`sandboxed`"] {
        ensure!(out.contains(part), "no {part:?} in {out}");
    }
    let (status, value) = json_of(&["check", "--json", &path])?;
    ensure_eq!((status, &value["valid"]), (Some(1), &json!(false)));
    let places: Vec<_> = value["diagnostics"].as_array().context("no list")?.iter().map(|d| &d["line"]).collect();
    ensure_eq!(places, [&json!(2), &json!(3)]);
    Ok(())
}

fn check_refuses_what_others_can_write(world: &World) -> Outcome {
    let (path, shown) = file(world, POLICY)?;
    ensure_eq!(answer(&["check", &shown])?.0, Some(0), "before");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).context("mode")?;
    let (status, _, err) = answer(&["check", &shown])?;
    ensure!(status == Some(1) && err.contains("chmod go-w"), "{status:?} {err}");
    let (status, value) = json_of(&["check", "--json", &shown])?;
    let refused = value["refused"].as_str().context("no reason")?;
    ensure!(status == Some(1) && refused.contains("chmod go-w"), "{value}");
    Ok(())
}

fn included_files(world: &World) -> Outcome {
    let (path, shown) = file(world, &format!("include = ['policy.d/*.toml']\n{POLICY}"))?;
    let directory = path.with_file_name("policy.d");
    std::fs::create_dir(&directory).context("policy.d")?;
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).context("mode")?;
    let included = directory.join("sound.toml");
    let write = |text: &str| {
        std::fs::write(&included, text).context("write")?;
        std::fs::set_permissions(&included, PermissionsExt::from_mode(0o600)).context("mode")
    };
    let rule = "[[rule]]\nmatch = { engine = 'org.flatpak', app-id = 'org.example.*' }\n";
    write(&format!("{rule}deny = ['output-info']\n"))?;
    ensure_eq!(
        answer(&["check", "--strict", &shown])?,
        (Some(0), format!("{shown}: 3 rules, 0 warnings\n"), String::new())
    );
    let who = ["--engine", "flatpak", "--app-id", "org.example.Recorder", "--global", "output-info"];
    let (status, out, _) = answer(&[&["explain", "--policy", &shown], &who[..]].concat())?;
    ensure!(status == Some(1) && out.contains("policy.d/sound.toml:1 applies; denies output-info"), "{status:?} {out}");

    write(&format!("{rule}dney = ['output-info']\n[trust]\n"))?;
    let (status, value) = json_of(&["check", "--json", &shown])?;
    let told = value["diagnostics"].as_array().context("no list")?;
    let places: Vec<_> = told.iter().map(|d| (d["file"].as_str(), d["line"].as_u64())).collect();
    let place = included.to_str();
    ensure_eq!((status, places), (Some(1), vec![(place, Some(1)), (place, Some(3)), (place, Some(4))]), "{value}");
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o770)).context("mode")?;
    let (status, out, _) = answer(&["check", &shown])?;
    ensure!(status == Some(1) && out.contains("run `chmod go-w "), "{status:?} {out}");
    Ok(())
}

fn check_and_warnings(world: &World) -> Outcome {
    let (_, path) = file(world, POLICY)?;
    ensure_eq!(
        answer(&["check", "--strict", &path])?,
        (Some(0), format!("{path}: 2 rules, 0 warnings\n"), String::new())
    );
    let (_, path) = file(world, "[defaults]\nsandboxed = ['security-context']\n")?;
    let (status, out, _) = answer(&["check", &path])?;
    ensure!(
        status == Some(0) && out.contains("warning: ") && out.ends_with("0 rules, 1 warning\n"),
        "{status:?} {out}"
    );
    ensure_eq!(answer(&["check", "--strict", &path])?.0, Some(1));
    Ok(())
}

fn explain_says_why(world: &World) -> Outcome {
    let (_, path) = file(world, POLICY)?;
    let game = ["explain", "--policy", &path, "--engine", "flatpak", "--app-id", "org.example.Game"];
    let (status, out, _) = answer(&[&game[..], &["--global", "zwlr_screencopy_manager_v1"]].concat())?;
    ensure_eq!(status, Some(1));
    for part in [
        "app org.example.Game of org.flatpak",
        "policy.toml:3 applies; allows screen-capture, output-info",
        "policy.toml:6 applies; denies screen-capture",
        "zwlr_screencopy_manager_v1 (needs screen-capture): denied: the rule at",
        "what would change it: take `screen-capture` out of `deny` at",
    ] {
        ensure!(out.contains(part), "no {part:?} in {out}");
    }
    let (_, value) = json_of(&[&game[..], &["--json"]].concat())?;
    let allowed: Vec<_> = value["capabilities"].as_array().context("no list")?.iter().collect();
    let allowed: Vec<_> = allowed.iter().filter(|c| c["allowed"] == true).map(|c| &c["capability"]).collect();
    ensure_eq!(allowed, [&json!("output-info")]);
    ensure_eq!(value["rules"].as_array().map(Vec::len), Some(2));
    Ok(())
}

fn explain_tells_standings_apart(world: &World) -> Outcome {
    let policy = "[[rule]]\nmatch = { engine = 'org.flatpak' }\nask = ['screen-capture']\ndeny = ['virtual-keyboard']\n\
                  when-denied = 'empty'\n";
    let (_, path) = file(world, &format!("[defaults]\nhost = ['*']\n{policy}"))?;
    let game = ["explain", "--policy", &path, "--engine", "flatpak", "--app-id", "org.example.Game"];
    let (_, out, _) = answer(&game)?;
    ensure!(out.contains("applies; allows nothing; asks for screen-capture; denies virtual-keyboard"), "{out}");
    let heads: Vec<_> = out.lines().filter(|line| line.ends_with(':')).collect();
    ensure_eq!(heads, ["allowed:", "ask:", "empty:", "denied:"]);
    for (capability, standing) in [("screen-capture", "ask"), ("virtual-keyboard", "empty"), ("layer-shell", "denied")]
    {
        let one = [&game[..], &["--global", capability]].concat();
        let (status, out, _) = answer(&one)?;
        // Only what is allowed is given.
        ensure_eq!(status, Some(1), "{capability}");
        ensure!(out.contains(&format!("{capability}: {standing}: ")), "{out}");
        let (_, value) = json_of(&[&one[..], &["--json"]].concat())?;
        ensure!(value.to_string().contains(&format!("\"standing\":\"{standing}\"")), "{value}");
    }
    Ok(())
}

fn explain_has_a_status(world: &World) -> Outcome {
    let (_, path) = file(world, POLICY)?;
    let (_, broken) = file(world, "x")?;
    let explain = ["explain", "--global", "screen-capture", "--policy"];
    let cases: &[(&str, &[&str], i32)] = &[
        (&path, &["--engine", "org.flatpak", "--app-id", "org.example.Recorder"], 0),
        (&path, &["--engine", "org.flatpak", "--app-id", "org.other.Recorder"], 1),
        (&path, &["--engine", "unknown"], 1),
        (&path, &["--unidentified"], 1),
        (&path, &["--internal", "xwayland"], 1),
        (&path, &["--host"], 0),
        (&path, &[], 2),
        (&path, &["--engine", "a b"], 2),
        (&path, &["--engine", "unknown", "--app-id", "a"], 2),
        (&broken, &["--host"], 2),
    ];
    for (path, who, status) in cases {
        ensure_eq!(answer(&[&explain[..], &[path], who].concat())?.0, Some(*status), "{who:?}");
    }
    Ok(())
}

fn answers_are_escaped(world: &World) -> Outcome {
    let (_, path) = file(world, POLICY)?;
    for hostile in ["\x1b[2J", "a\u{202e}b", "x\ny"] {
        for arguments in [
            &["explain", "--policy", &path, "--internal", hostile][..],
            &["explain", "--policy", &path, "--engine", hostile],
            &["explain", "--policy", &path, "--host", "--global", hostile],
            &["explain", "--policy", &path, "--host", "--unit", hostile],
            &["check", hostile],
        ] {
            let (_, out, err) = answer(arguments)?;
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            ensure!(!out.contains(bad) && !err.contains(bad), "{arguments:?}: {out:?} {err:?}");
        }
    }
    Ok(())
}
