//! `cargo xtask demo`: real clients of five kinds on the demo compositor, and who was told what.

mod audit;
mod clients;
mod expect;
mod peers;
mod png;
mod report;
mod stage;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cargo, cli,
    error::{Context, Error},
    packages::{self, Purpose},
    signals::Signals,
};
use peers::{PEERS, Peer};
use report::Row;
use stage::Stage;

/// Runs everything and prints the table.
///
/// # Errors
///
/// [`Error::Interrupted`], or if the demo could not be performed. Outcomes that are not the expected ones are no
/// errors here: they are told, and the status is 1.
pub(crate) fn run(signals: &Signals, keep: bool) -> Result<ExitCode, Error> {
    packages::set_up(signals, Purpose::Demo)?;
    let programs = cargo::build_programs(signals)?;

    let mut stage = Stage::open(signals, &programs)?;
    let mut rows = Vec::new();
    for peer in PEERS {
        rows.push(perform(signals, &mut stage, peer)?);
    }
    let directory = results(&programs.compositor)?;
    let picture = save_picture(&rows, &directory)?;
    let audit = save_audit(&stage, &directory)?;
    let wrong = expect::mismatches(&rows);
    cli::say(report::table(&rows));
    cli::say(report::legend(&rows));
    if let Some(picture) = picture {
        cli::say(format!("The picture that the allowed grim took: {picture}"));
    }
    cli::say(format!("Who connected, by which evidence, and why each may do what: {audit}"));
    let code = if wrong.is_empty() {
        cli::say("Every outcome is the expected one.");
        ExitCode::SUCCESS
    } else {
        cli::say(format!("NOT AS EXPECTED:\n  {}", wrong.join("\n  ")));
        cli::say(stage.logs());
        ExitCode::FAILURE
    };
    if keep {
        cli::say(stage.invitation());
        // Ctrl-C is how this ends when all is well.
        return match stage.wait(signals) {
            Err(Error::Interrupted(_)) => Ok(code),
            other => other.map(|()| code),
        };
    }
    Ok(code)
}

/// Runs all clients of one peer.
fn perform(signals: &Signals, stage: &mut Stage, peer: &'static Peer) -> Result<Row, Error> {
    cli::progress(format!("peer: {}", peer.name));
    let place = stage.place(peer.launch)?;
    if let Some(shown) = place.shown() {
        cli::detail(shown);
    }
    let globals = clients::globals(signals, stage, &place)?;
    let grim = clients::grim(signals, stage, &place)?;
    let watch = clients::wl_paste_watch(signals, stage, &place)?;
    let wtype = clients::wtype(signals, stage, &place)?;
    let strip = if peer.strips() { Some(clients::strip(signals, stage, &place)?) } else { None };
    Ok(Row { peer, globals, grim, watch, wtype, strip })
}

/// Where the demo leaves what is worth keeping, beside the programs.
fn results(compositor: &Path) -> Result<PathBuf, Error> {
    let target = compositor.parent().and_then(Path::parent).unwrap_or_else(|| cargo::workspace());
    let path = target.join("demo");
    std::fs::create_dir_all(&path).or_fail(|| format!("cannot create the directory `{}`", path.display()))?;
    Ok(path)
}

/// Saves what the peer with the rule saw.
fn save_picture(rows: &[Row], directory: &Path) -> Result<Option<String>, Error> {
    let mut allowed = rows.iter().filter(|row| row.peer.is_the_allowed_one());
    let Some(picture) = allowed.find_map(|row| row.grim.picture.as_ref()) else { return Ok(None) };
    let path = directory.join("capture.png");
    std::fs::write(&path, &picture.bytes).or_fail(|| format!("cannot save the picture as `{}`", path.display()))?;
    Ok(Some(format!("{} ({}x{})", path.display(), picture.width, picture.height)))
}

/// Saves what the compositor found out about whom, and why it decided as it did.
fn save_audit(stage: &Stage, directory: &Path) -> Result<String, Error> {
    let path = directory.join("audit.jsonl");
    std::fs::copy(stage.audit.path(), &path)
        .or_fail(|| format!("cannot save the audit log as `{}`", path.display()))?;
    Ok(path.display().to_string())
}
