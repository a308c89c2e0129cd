//! JSON that cannot do anything to a reader: plain ASCII, on one line, of bounded length.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

/// The longest text that is written, in bytes before they are escaped. Longer ones end with `...`.
pub(super) const MAX_TEXT: usize = 1024;

/// The longest line, in bytes with its end.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// `value` as one line with its end, or `None` if that is too long.
pub(super) fn line(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = Bounded(Vec::with_capacity(1024));
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Plain { left: MAX_TEXT })).ok()?;
    bytes.write_all(b"\n").ok()?;
    Some(bytes.0)
}

/// Takes no more than a line.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_LINE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Plain {
    /// How much of the text at hand may still be written.
    left: usize,
}

impl Plain {
    /// Whether so much more of the text is written. What does not fit ends it.
    fn has_room_for(&mut self, length: usize) -> bool {
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => self.left = 0,
        }
        self.left > 0
    }
}

impl Formatter for Plain {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        // One more, so that none left is more than the longest.
        self.left = MAX_TEXT + 1;
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.left == 0 { b"...\"" } else { b"\"" })
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            if !self.has_room_for(c.len_utf8()) {
                break;
            }
            if matches!(c, ' '..='~') {
                writer.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        if !self.has_room_for(1) {
            return Ok(());
        }
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::Backspace => writer.write_all(b"\\b"),
            CharEscape::FormFeed => writer.write_all(b"\\f"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let bytes = line(&text).unwrap();
        let (end, rest) = bytes.split_last().unwrap();
        assert!(*end == b'\n' && rest.iter().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}: {bytes:?}");
        serde_json::from_slice(rest).unwrap()
    }

    #[test]
    fn t26_anything_but_ascii_is_escaped_and_comes_back() {
        for text in [
            "",
            "plain",
            "\u{1b}[31m\n\"\\/\r\t\u{8}\u{c}",
            "\u{202e}a\u{9b}b\u{2028}\u{7f}",
            "\u{1f980}x\u{1f980}\u{e9}",
        ] {
            assert_eq!(written(text), text);
        }
    }

    #[test]
    fn t26_a_text_that_is_too_long_is_cut_between_characters_and_says_so() {
        for part in ["x", "\u{1}", "\"", "\u{e9}", "\u{1f980}", "xx\u{202e}"] {
            let text = part.repeat(MAX_TEXT);
            let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            let text = &text[..end];
            assert_eq!(written(text), text);
            let shown = written(&part.repeat(10 * MAX_TEXT));
            let kept = shown.strip_suffix("...").unwrap();
            assert!(text.starts_with(kept) && kept.len() + 4 > MAX_TEXT, "{part:?}: {}", kept.len());
        }
        // The next text has its own room.
        let two: Vec<String> = serde_json::from_slice(&line(&["x".repeat(5000), "y".to_owned()]).unwrap()).unwrap();
        assert_eq!(two[1], "y");
    }

    #[test]
    fn t26_a_line_that_is_too_long_is_none() {
        let many = vec!["x".repeat(MAX_TEXT); MAX_LINE / MAX_TEXT];
        assert_eq!(line(&many), None);
        assert!(line(&many[..many.len() / 2].to_vec()).is_some());
    }
}
