//! The clients that each peer runs, and what came of them.

use std::{path::Path, process::Command};

use super::{
    audit::Identity,
    png::Picture,
    stage::{CLIPBOARD, PATIENCE, Place, SIZE, Stage},
};
use crate::{
    error::Error,
    inside,
    process::{End, Said, capture},
    signals::Signals,
};

/// What wtype types.
const TYPED: &str = "hello";

/// What came of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It did its work.
    Works,
    /// It ended with status 1, and said that the compositor does not have the protocol.
    Refused,
    /// Neither.
    Odd(String),
}

/// What came of a client, and whom the compositor took it for.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) identities: Vec<Identity>,
    /// What grim saw.
    pub(crate) picture: Option<Picture>,
}

/// The globals that were shown.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    /// The interfaces, or why they could not be had.
    pub(crate) names: Result<Vec<String>, String>,
    pub(crate) identities: Vec<Identity>,
}

/// What came of the attempts to get rid of the label.
#[derive(Clone, Debug)]
pub(crate) struct Strip {
    /// The report, or why there is none.
    pub(crate) report: Result<inside::Report, String>,
    /// Whom the compositor took the process for after them.
    pub(crate) identities: Vec<Identity>,
}

/// Lists the globals.
///
/// # Errors
///
/// [`Error::Interrupted`], or if nothing can be run. This holds for all functions here.
pub(crate) fn globals(signals: &Signals, stage: &mut Stage, place: &Place) -> Result<Globals, Error> {
    let mut command = stage.part(place, "__globals")?;
    let ran = run(signals, stage, &mut command, |_| false)?;
    let names = ran.text().and_then(|text| {
        let value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        inside::strings(&value).ok_or_else(|| format!("not a list of globals: {text}"))
    });
    Ok(Globals { names, identities: ran.identities })
}

/// Takes a picture of the screen.
pub(crate) fn grim(signals: &Signals, stage: &mut Stage, place: &Place) -> Result<Outcome, Error> {
    let mut command = stage.command(place, Path::new("grim"));
    let ran = run(signals, stage, command.arg("-"), |_| false)?;
    let picture = Picture::new(ran.said.stdout.clone()).filter(|picture| (picture.width, picture.height) == SIZE);
    let works = ran.end.success() && picture.is_some();
    // "compositor doesn't support wlr-screencopy-unstable-v1"; from 1.5 on "... the screen capture protocol".
    Ok(ran.outcome(works, "compositor doesn't support", picture.filter(|_| works)))
}

/// Waits for what is on the clipboard. It runs for ever when it may: the first thing that it hears is enough.
pub(crate) fn wl_paste_watch(signals: &Signals, stage: &mut Stage, place: &Place) -> Result<Outcome, Error> {
    let heard = |said: &Said| said.stdout.windows(CLIPBOARD.len()).any(|text| text == CLIPBOARD.as_bytes());
    let mut command = stage.command(place, Path::new("wl-paste"));
    let ran = run(signals, stage, command.args(["--watch", "cat"]), heard)?;
    let works = ran.end == End::Enough;
    Ok(ran.outcome(works, "Watch mode requires", None))
}

/// Types. What it types must arrive in the window.
pub(crate) fn wtype(signals: &Signals, stage: &mut Stage, place: &Place) -> Result<Outcome, Error> {
    let mut command = stage.command(place, Path::new("wtype"));
    let ran = run(signals, stage, command.arg(TYPED), |_| false)?;
    let works = ran.end.success() && stage.window_hears(signals, TYPED)?;
    Ok(ran.outcome(works, "does not support the virtual keyboard protocol", None))
}

/// Tries to get rid of the label, and connects after that.
pub(crate) fn strip(signals: &Signals, stage: &mut Stage, place: &Place) -> Result<Strip, Error> {
    let mut command = stage.part(place, "__strip-attempts")?;
    let ran = run(signals, stage, &mut command, |_| false)?;
    let report = ran.text().and_then(|text| inside::Report::from_json(&text).ok_or(format!("not a report: {text}")));
    Ok(Strip { report, identities: ran.identities })
}

/// A client that ran.
struct Ran {
    end: End,
    said: Said,
    identities: Vec<Identity>,
}

fn run(
    signals: &Signals,
    stage: &mut Stage,
    command: &mut Command,
    enough: impl FnMut(&Said) -> bool,
) -> Result<Ran, Error> {
    // Whoever connected before is no part of it.
    stage.audit.connected()?;
    let (end, said) = capture(signals, command, PATIENCE, enough)?;
    Ok(Ran { end, said, identities: stage.audit.connected()? })
}

impl Ran {
    /// What it said, if it ended well.
    fn text(&self) -> Result<String, String> {
        if self.end.success() {
            Ok(String::from_utf8_lossy(&self.said.stdout).into_owned())
        } else {
            Err(format!("{}: {}", self.end, self.said.last_error_line()))
        }
    }

    fn outcome(self, works: bool, refusal: &str, picture: Option<Picture>) -> Outcome {
        let ended_with_1 = matches!(self.end, End::Exited(status) if status.code() == Some(1));
        let answer = if works {
            Answer::Works
        } else if ended_with_1 && String::from_utf8_lossy(&self.said.stderr).contains(refusal) {
            Answer::Refused
        } else {
            Answer::Odd(format!("{}: {}", self.end, self.said.last_error_line()))
        };
        Outcome { answer, identities: self.identities, picture }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::Refused => f.write_str("refused"),
            Self::Odd(what) => write!(f, "?? {what}"),
        }
    }
}
