//! Answers that outlive the compositor, and what ends by itself while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::{Demo, start_in_vain_with};
use super::grants::{POLICY, app, capturer, host, line, told, tool};
use super::running::finish;

const GAME: [&str; 5] = ["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Game"];
const RECORDER: [&str; 5] = ["grant", "--engine", "org.example.Engine", "--app-id", "org.example.Recorder"];

fn demo(world: &World, arguments: &[&str]) -> Result<Demo, String> {
    Demo::with_arguments(world, "WAYLAND_AUTH_DEMO", Some(POLICY), arguments)
}

/// How many grants hold.
fn grants(demo: &Demo) -> Result<usize, String> {
    let grants: Value = serde_json::from_str(&told(demo, &["grants", "--json"])?).context("JSON")?;
    grants.as_array().map(Vec::len).context("no list")
}

/// Whether an application that connects now can capture.
fn captures(world: &World, demo: &Demo, app_id: &str) -> Result<bool, String> {
    let mut client = capturer(demo, &app(world, app_id)?, &[])?;
    if line(&mut client, 1)? == "announced" {
        let (ready, got) = (line(&mut client, 2)?, line(&mut client, 3)?);
        ensure_eq!((ready.as_str(), got.as_str()), ("ready", "picture"));
        return Ok(true);
    }
    client.say("capture")?;
    ensure_eq!(line(&mut client, 2)?, "nothing to ask");
    Ok(false)
}

pub(crate) fn answer_for_good_outlives_the_compositor(world: &World) -> Outcome {
    let file = world.new_dir()?.join("deep/grants.toml");
    let state = ["--state", file.to_str().context("UTF-8")?];
    let first = demo(world, &state)?;
    told(&first, &[&GAME[..], &["--always", "screen-capture"]].concat())?;
    told(&first, &[&RECORDER[..], &["screen-capture"]].concat())?;
    ensure_eq!(grants(&first)?, 2);
    ensure_eq!(fs::metadata(&file).context("the file")?.permissions().mode() & 0o7777, 0o600);
    // It is killed: nothing is written at its end.
    drop(first);

    let second = demo(world, &state)?;
    ensure!(captures(world, &second, "org.example.Game")?, "what was for good did not last");
    ensure!(!captures(world, &second, "org.example.Recorder")?, "what was for the session lasts");
    ensure_eq!(grants(&second)?, 1);
    let mut connected = capturer(&second, &app(world, "org.example.Game")?, &[])?;
    ensure_eq!(line(&mut connected, 3)?, "picture");
    ensure_eq!(told(&second, &["revoke", "1"])?, "grant 1: revoked\n");
    ensure_eq!(line(&mut connected, 4)?, "removed");
    drop(second);

    let third = demo(world, &state)?;
    ensure_eq!(grants(&third)?, 0);
    ensure!(!captures(world, &third, "org.example.Game")?, "what was revoked came back");
    Ok(())
}

pub(crate) fn answers_are_in_the_users_own_place(world: &World) -> Outcome {
    let home = world.new_dir()?;
    for (variable, below) in [("XDG_STATE_HOME", "wayland-auth"), ("HOME", ".local/state/wayland-auth")] {
        let place = home.join(variable);
        let demo = Demo::with_command(world, "WAYLAND_AUTH_DEMO", Some(POLICY), |command| {
            command.env_remove("XDG_STATE_HOME").env(variable, &place);
        })?;
        ensure!(!place.exists(), "{variable}: something is written before there is anything to keep");
        told(&demo, &[&GAME[..], &["--always", "screen-capture"]].concat())?;
        let kept = fs::read_to_string(place.join(below).join("grants.toml")).context(variable)?;
        ensure!(kept.contains("app-id = \"org.example.Game\""), "{variable}: {kept}");
    }
    Ok(())
}

pub(crate) fn broken_file_is_refused_and_left_as_it_is(world: &World) -> Outcome {
    let file = world.new_dir()?.join("grants.toml");
    let path = file.to_str().context("UTF-8")?;
    // The first entry is in order, and does not hold either.
    let whole = "[[grant]]\nengine = \"org.example.Engine\"\napp-id = \"org.example.Game\"\n\
                 capability = \"screen-capture\"\nanswer = \"allow\"\n";
    put(&file, whole, 0o600)?;
    ensure!(captures(world, &demo(world, &["--state", path])?, "org.example.Game")?, "the control");
    let broken = format!("{whole}\n[[grant]]\nengine = 7\n");
    for (content, mode, says) in [
        (broken.as_str(), 0o600, "grants.toml:8:"),
        ("\u{1b}[31m = [", 0o600, "grants.toml:1:"),
        (whole, 0o666, "grants.toml"),
    ] {
        put(&file, content, mode)?;
        let refused = start_in_vain_with(world, POLICY, &["--state", path])?;
        refused.expect(2)?;
        ensure!(refused.err.contains(says) && refused.err.contains("--without-state"), "{}", refused.err);
        ensure!(!refused.err.contains('\u{1b}') && refused.out.is_empty(), "{:?}", refused.err);
        let without = demo(world, &["--without-state"])?;
        ensure!(!captures(world, &without, "org.example.Game")?, "it gives something");
        ensure_eq!(fs::read_to_string(&file).context("read")?, content);
    }
    Ok(())
}

fn put(file: &Path, content: &str, mode: u32) -> Outcome {
    fs::write(file, content).context("write")?;
    fs::set_permissions(file, PermissionsExt::from_mode(mode)).context("mode")
}

pub(crate) fn nothing_is_for_good_without_a_place(world: &World) -> Outcome {
    let homeless = Demo::with_command(world, "WAYLAND_AUTH_DEMO", Some(POLICY), |command| {
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
    })?;
    for demo in [homeless, demo(world, &["--without-state"])?] {
        let words = [&GAME[..], &["--always", "screen-capture"]].concat();
        finish(&mut tool(&demo, &host(), &words)?)?.expect_refused("screen-capture")?;
        ensure_eq!(grants(&demo)?, 0);
        ensure!(!captures(world, &demo, "org.example.Game")?, "it gives what it cannot keep");
        // The control: for the session.
        told(&demo, &[&GAME[..], &["screen-capture"]].concat())?;
        ensure!(captures(world, &demo, "org.example.Game")?, "it gives nothing");
    }
    Ok(())
}

pub(crate) fn grant_for_a_time_ends_by_itself(world: &World) -> Outcome {
    let demo = demo(world, &[])?;
    let mut game = capturer(&demo, &app(world, "org.example.Game")?, &[])?;
    told(&demo, &[&GAME[..], &["--for", "1s", "screen-capture"]].concat())?;
    ensure_eq!((line(&mut game, 2)?, line(&mut game, 3)?), ("announced".into(), "picture".into()));
    ensure_eq!(line(&mut game, 4)?, "removed");
    game.say("again")?;
    ensure_eq!(line(&mut game, 5)?, "refused");
    ensure_eq!(grants(&demo)?, 0);
    // The control: another, for longer, is there.
    told(&demo, &[&GAME[..], &["--for", "1h", "screen-capture"]].concat())?;
    ensure_eq!(grants(&demo)?, 1);
    Ok(())
}

/// The demo sleeps until then: nothing but the time wakes it.
pub(crate) fn rule_ends_at_its_time(world: &World) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the time")?;
    let mut ahead = Duration::from_secs(2);
    loop {
        let policy = format!(
            "{POLICY}\n[[rule]]\nmatch = {{ engine = \"org.example.Engine\", app-id = \"org.example.Game\" }}\n\
             allow = [\"screen-capture\"]\nuntil = {}\n",
            utc((now + ahead).as_secs())
        );
        let mut demo = Demo::with_policy(world, Some(&policy))?;
        let mut bystander = capturer(&demo, &app(world, "org.example.Recorder")?, &["bystander"])?;
        let mut game = capturer(&demo, &app(world, "org.example.Game")?, &[])?;
        if line(&mut game, 1)? != "announced" {
            // This machine was too slow for it.
            ahead *= 2;
            ensure!(ahead < Duration::from_secs(60), "the rule gives nothing");
            continue;
        }
        ensure_eq!((line(&mut game, 2)?, line(&mut game, 3)?), ("ready".into(), "picture".into()));
        ensure_eq!(line(&mut game, 4)?, "removed");
        let over = SystemTime::now().duration_since(UNIX_EPOCH).context("the time")?;
        ensure!(over.as_secs() >= (now + ahead).as_secs(), "it ended too early");
        game.say("again")?;
        ensure_eq!(line(&mut game, 5)?, "refused");
        bystander.say("how many?")?;
        ensure_eq!(line(&mut bystander, 2)?, "0 bytes");
        return demo.expect_alive();
    }
}

/// A date and time of TOML for this many seconds since 1970.
fn utc(seconds: u64) -> String {
    let (days, left) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (left / 3600, left / 60 % 60, left % 60);
    // From days to a date of the Gregorian calendar, whose years begin in March here.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
