//! What is in the window: a page with some lines that stand for secrets.

/// In pixels.
pub(super) const WIDTH: i32 = 560;
/// In pixels.
pub(super) const HEIGHT: i32 = 360;

const PAPER: u32 = 0x00f4_f1ea;
const BAR: u32 = 0x0033_3a52;
const BUTTONS: [u32; 3] = [0x00e0_6c75, 0x00e5_c07b, 0x0098_c379];
const HEADING: u32 = 0x003b_5b8c;
const INK: u32 = 0x0085_8a94;

const BAR_HEIGHT: i32 = 32;
/// How long the lines on the page are, in hundredths of its width.
const LINES: [i32; 9] = [45, 0, 86, 80, 88, 52, 0, 84, 70];

/// All pixels, as `wl_shm`'s xrgb8888 has them in memory.
pub(super) fn pixels() -> Vec<u8> {
    (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| pixel(x, y).to_le_bytes())).collect()
}

fn pixel(x: i32, y: i32) -> u32 {
    if y < BAR_HEIGHT {
        let hit = BUTTONS.iter().zip([20, 42, 64]).find(|(_, centre)| (x - centre).pow(2) + (y - 16).pow(2) <= 49);
        return hit.map_or(BAR, |(&colour, _)| colour);
    }
    let (line, within) = ((y - BAR_HEIGHT - 24) / 32, (y - BAR_HEIGHT - 24) % 32);
    let length = usize::try_from(line).ok().and_then(|line| LINES.get(line)).copied().unwrap_or(0);
    let inked = (0..12).contains(&within) && (32..32 + (WIDTH - 64) * length / 100).contains(&x);
    match (inked, line) {
        (true, 0) => HEADING,
        (true, _) => INK,
        (false, _) => PAPER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_pixels_as_the_size_says_and_something_is_on_them() {
        let pixels = pixels();
        assert_eq!(i32::try_from(pixels.len()), Ok(WIDTH * HEIGHT * 4));
        let is_there = |colour: u32| pixels.chunks(4).any(|pixel| pixel == colour.to_le_bytes());
        assert!([PAPER, BAR, HEADING, INK].into_iter().chain(BUTTONS).all(is_there));
    }
}
