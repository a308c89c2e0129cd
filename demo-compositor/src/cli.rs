//! What the command line says.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{Parser, ValueEnum};

/// A small Wayland compositor that shows each application its own globals.
///
/// When it accepts clients it prints `WAYLAND_DISPLAY=NAME` on standard output, and nothing else ever; its log goes
/// to standard error (see RUST_LOG). SIGINT and SIGTERM end it with status 0.
#[derive(Clone, Debug, Parser)]
#[command(name = "demo-compositor", version, max_term_width = 100, args_override_self = true)]
pub struct Options {
    /// Where to draw: nested in the session around it, or nowhere that can be seen.
    ///
    /// `auto` nests if WAYLAND_DISPLAY, WAYLAND_SOCKET or DISPLAY is set, and draws headless if that fails.
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,

    /// The policy that says which application may use which globals [default: a built-in one].
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The name of the socket in XDG_RUNTIME_DIR [default: the first free one of wayland-1, wayland-2, ...].
    #[arg(long, value_name = "NAME")]
    pub socket: Option<OsString>,

    /// The size of the output in pixels.
    #[arg(long, value_name = "WxH", default_value_t = OutputSize::DEFAULT)]
    pub size: OutputSize,

    /// Append what happens to clients to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,

    /// How many lines there may be at once about one application, and about everybody on the host, for each kind of event.
    /// After that one a second is written, and the others are counted.
    #[arg(long, value_name = "LINES", default_value_t = wayland_auth::audit::Rate::default().burst)]
    pub audit_burst: u32,

    /// Keep answers that hold for good in this file [default: wayland-auth/grants.toml in XDG_STATE_HOME or ~/.local/state;
    /// none as root].
    ///
    /// A file that is not in order ends the compositor before it starts, and is left as it is.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Keep no answer for good, and take none up: answers end with the compositor at the latest.
    #[arg(long, conflicts_with = "state")]
    pub without_state: bool,

    /// FOR MEASURING ONLY: insert clients without asking who they are.
    ///
    /// Every client is then unidentified and may do nothing but what is open to all. It exists so that a benchmark
    /// can tell what identification costs.
    #[arg(long, hide = true)]
    pub without_identification: bool,

    /// Run this with WAYLAND_DISPLAY set, and end with its status.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Where to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// As winit inside a session, else headless.
    Auto,
    /// Into memory, with pixman.
    Headless,
    /// Into a window of a Wayland or X11 session.
    Winit,
}

/// The size of an output: each side within 1..=16384 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputSize {
    width: u16,
    height: u16,
}

impl OutputSize {
    /// What is used when nothing is said.
    pub const DEFAULT: Self = Self { width: 1280, height: 720 };
    /// The longest side that can be asked for.
    pub const MAX_SIDE: u16 = 16384;

    /// Its width in pixels.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }

    /// Its height in pixels.
    #[must_use]
    pub fn height(self) -> u16 {
        self.height
    }
}

impl std::fmt::Display for OutputSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A size that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSize {
    /// It is not two numbers with an `x` between them.
    #[error("expected WIDTHxHEIGHT, for example 1280x720")]
    Syntax,
    /// A side is too short or too long.
    #[error("each side must be within 1 and {}", OutputSize::MAX_SIDE)]
    OutOfRange,
}

impl FromStr for OutputSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (width, height) = text.split_once('x').ok_or(InvalidSize::Syntax)?;
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

fn side(text: &str) -> Result<u16, InvalidSize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidSize::Syntax);
    }
    match text.parse() {
        Ok(side) if (1..=OutputSize::MAX_SIDE).contains(&side) => Ok(side),
        _ => Err(InvalidSize::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_within_the_limits_are_accepted() {
        for text in ["1x1", "1280x720", "16384x16384"] {
            assert_eq!(text.parse::<OutputSize>().map(|size| size.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn sizes_outside_the_limits_are_refused() {
        for text in ["0x1", "1x0", "16385x1", "1x99999999999999999999"] {
            assert_eq!(text.parse::<OutputSize>(), Err(InvalidSize::OutOfRange), "{text}");
        }
    }

    #[test]
    fn anything_but_two_plain_numbers_is_no_size() {
        for text in ["", "x", "1280", "1280x", "x720", "1280X720", "-1x1", "+1x1", " 1x1", "1x1x1", "1.5x2"] {
            assert_eq!(text.parse::<OutputSize>(), Err(InvalidSize::Syntax), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
