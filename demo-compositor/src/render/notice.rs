//! A few words on the screen, for whoever sits in front of it: the one thing that must not stand in a log alone.

use font8x8::legacy::BASIC_LEGACY;
use smithay::{
    backend::{allocator::Fourcc, renderer::element::memory::MemoryRenderBuffer},
    utils::{Physical, Rectangle, Size, Transform},
};

/// The side of a letter, in points that are drawn larger.
const LETTER: usize = 8;
/// How many pixels wide and high a point is.
const SCALE: usize = 2;
/// How much room there is around the words, in points.
const MARGIN: usize = 4;
/// How many lines there are at most, and how many letters in one.
const MAX_LINES: usize = 4;
const MAX_LETTERS: usize = 160;

/// Blue, green, red and a byte that is not used.
const PAPER: [u8; 4] = [0x18, 0x18, 0x80, 0xff];
const INK: [u8; 4] = [0xff, 0xff, 0xff, 0xff];

/// The words that the policy was not read again and why, as far as an output of this size has room.
pub(crate) fn of_policy_error(why: &str, size: Size<i32, Physical>) -> MemoryRenderBuffer {
    let room = usize::try_from(size.w).unwrap_or_default() / (LETTER * SCALE);
    paint(&lines(why, room.saturating_sub(1)))
}

/// Plain lines of at most so many letters. What is left out ends with `...`.
fn lines(why: &str, room: usize) -> Vec<String> {
    let letters = room.clamp(4, MAX_LETTERS);
    // The first message and its place: the rest is in the log, which has room for it.
    let told = why.lines().map(str::trim).filter(|line| !line.is_empty()).take(2);
    let all = std::iter::once("The policy was not read again, the old one holds:").chain(told);
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let mut lines: Vec<String> = Vec::new();
    for text in all {
        let text: Vec<char> = text.chars().take(MAX_LINES * MAX_LETTERS).map(plain).collect();
        lines.extend(text.chunks(letters).map(|part| part.iter().collect::<String>()));
    }
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            last.truncate(letters - 3);
            last.push_str("...");
        }
    }
    lines
}

fn paint(lines: &[String]) -> MemoryRenderBuffer {
    let letters = lines.iter().map(String::len).max().unwrap_or_default();
    let (width, height) = (letters * LETTER + 2 * MARGIN, lines.len() * (LETTER + 2) + 2 * MARGIN);
    let mut points = vec![false; width * height];
    for (row, line) in lines.iter().enumerate() {
        for (column, letter) in line.bytes().enumerate() {
            let rows = BASIC_LEGACY.get(usize::from(letter)).copied().unwrap_or_default();
            for (y, bits) in rows.into_iter().enumerate() {
                for x in (0..LETTER).filter(|x| bits >> x & 1 == 1) {
                    points[(MARGIN + row * (LETTER + 2) + y) * width + MARGIN + column * LETTER + x] = true;
                }
            }
        }
    }
    let mut bytes = Vec::with_capacity(points.len() * SCALE * SCALE * 4);
    for row in points.chunks_exact(width) {
        for _ in 0..SCALE {
            bytes.extend(row.iter().flat_map(|ink| [if *ink { INK } else { PAPER }; SCALE]).flatten());
        }
    }
    // Neither is more than some thousand.
    let size = [width * SCALE, height * SCALE].map(|side| i32::try_from(side).unwrap_or(i32::MAX));
    let opaque = vec![Rectangle::from_size((size[0], size[1]).into())];
    MemoryRenderBuffer::from_slice(&bytes, Fourcc::Xrgb8888, (size[0], size[1]), 1, Transform::Normal, Some(opaque))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str =
        "error: unknown capability `layer_shell`\n --> policy.toml:2:9\n  |\n2 | host = [\"layer_shell\"]";

    #[test]
    fn the_message_and_its_place_are_shown() {
        let shown = lines(WHY, 80);
        assert_eq!(shown[1..], ["error: unknown capability `layer_shell`", "--> policy.toml:2:9"]);
        assert!(shown[0].contains("policy was not read again"));
    }

    #[test]
    fn t26_only_plain_letters_are_shown_and_no_more_than_there_is_room_for() {
        let hostile =
            ["\u{1b}[31m\u{202e}x\u{7f}\u{1f980}".repeat(1000), "x\n".repeat(1000), "\n\n".to_owned(), String::new()];
        for why in &hostile {
            for room in [0, 1, 4, 20, 79, 100_000] {
                let shown = lines(why, room);
                assert!((1..=MAX_LINES).contains(&shown.len()), "{shown:?}");
                let longest = room.clamp(4, MAX_LETTERS);
                assert!(
                    shown.iter().all(|line| line.len() <= longest && line.bytes().all(|b| (b' '..=b'~').contains(&b)))
                );
                paint(&shown);
            }
        }
        assert_eq!(lines(&hostile[0], 20).last().map(|line| line.ends_with("...")), Some(true));
    }
}
