//! Writing to the user's terminal, which must not be told what to do by what is written.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

/// Writes an answer to standard output. That nobody reads it (any more) is no failure.
pub(crate) fn print(text: impl Display) {
    let text = escape(&text.to_string());
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
    let _ = out.flush();
}

/// Writes an answer to standard error, where standard output is somebody else's.
pub(crate) fn print_to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", escape(text).trim_end_matches('\n'));
}

/// Writes JSON to standard output.
pub(crate) fn print_json(value: &serde_json::Value) {
    print_raw(&json(value));
}

/// Writes JSON to standard output, in one line.
pub(crate) fn print_json_line(value: &serde_json::Value) {
    print_raw(&escape_json(&format!("{value}\n")));
}

fn print_raw(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// JSON as lines of text.
pub(crate) fn json(value: &serde_json::Value) -> String {
    escape_json(&format!("{value:#}\n"))
}

/// serde_json leaves some control characters (U+007F to U+009F) and all format characters as they
/// are; they stand in strings only, so they can be escaped afterwards.
fn escape_json(text: &str) -> String {
    let escape = |c| if c != '\n' && is_dangerous(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Writes what went wrong to standard error.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "wayland-auth: {}", escape(&message.to_string()));
}

/// Writes one more line about what went wrong.
pub(crate) fn complain_more(lead: &str, message: &str) {
    let _ = writeln!(std::io::stderr(), "  {lead}{}", escape(message));
}

/// Warns on standard error.
pub(crate) fn warn(message: impl Display) {
    complain(format_args!("warning: {message}"));
}

/// A path as text for a message.
pub(crate) fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// Escapes what could move a terminal's cursor, hide text or turn its direction. Line feeds stay.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_dangerous(c) { escaped.extend(c.escape_unicode()) } else { escaped.push(c) }
    }
    escaped
}

/// Control characters, and the invisible ones that format text (direction, joining, separation).
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_t27_terminal_is_not_told_what_to_do() {
        assert_eq!(escape("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(escape("a\u{202e}b\u{9b}c\rd"), "a\\u{202e}b\\u{9b}c\\u{d}d");
        assert_eq!(escape("one\ntwo \u{20ac} \u{e4}"), "one\ntwo \u{20ac} \u{e4}");
    }
}
