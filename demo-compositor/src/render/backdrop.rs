//! What is behind all windows: hills at dusk, painted once.

use smithay::{
    backend::{allocator::Fourcc, renderer::element::memory::MemoryRenderBuffer},
    utils::{Physical, Rectangle, Size, Transform},
};

/// Larger outputs show an enlarged painting, which keeps it within 64 MiB.
const MAX_SIDE: i32 = 4096;

/// A colour with fractions of a level: red, green, blue within 0 and 255.
type Colour = [f32; 3];

/// The sky at some heights, from the top (0) to the bottom (1).
const SKY: [(f32, Colour); 4] = [
    (0.00, [25.0, 28.0, 58.0]),
    (0.38, [72.0, 58.0, 110.0]),
    (0.62, [178.0, 104.0, 124.0]),
    (0.80, [244.0, 176.0, 132.0]),
];
/// The light around the sun that went down.
const GLOW: Colour = [70.0, 52.0, 20.0];
/// Where it went down, and how far its light reaches, in parts of the width and of the height.
const GLOW_AT: (f32, f32) = (0.68, 0.72);
const GLOW_REACH: (f32, f32) = (0.22, 0.20);

/// Ranges of hills, the farthest first.
const HILLS: [Range; 4] = [
    Range { top: 0.66, rise: 0.050, waves: 1.3, shift: 0.9, colour: [122.0, 84.0, 122.0] },
    Range { top: 0.74, rise: 0.060, waves: 1.9, shift: 4.1, colour: [84.0, 62.0, 106.0] },
    Range { top: 0.83, rise: 0.055, waves: 1.5, shift: 2.3, colour: [52.0, 44.0, 84.0] },
    Range { top: 0.92, rise: 0.050, waves: 2.3, shift: 5.6, colour: [28.0, 28.0, 58.0] },
];

/// Thresholds that turn fractions of a level into a pattern too fine to see.
const DITHER: [[f32; 4]; 4] = [
    [0.031, 0.531, 0.156, 0.656],
    [0.781, 0.281, 0.906, 0.406],
    [0.219, 0.719, 0.094, 0.594],
    [0.969, 0.469, 0.844, 0.344],
];

/// A range of hills.
struct Range {
    /// The height of its mean, in parts of the output's height from the top.
    top: f32,
    /// How far it rises above and falls below.
    rise: f32,
    /// How many hills there are.
    waves: f32,
    /// Where they begin.
    shift: f32,
    colour: Colour,
}

impl Range {
    /// Where it begins in a column, in parts of the height. `x` is in parts of the width.
    fn crest(&self, x: f32) -> f32 {
        let angle = x * self.waves * std::f32::consts::TAU + self.shift;
        self.top + self.rise * (0.7 * angle.sin() + 0.3 * (2.3 * angle + self.shift).sin())
    }
}

/// The backdrop of an output of this size.
pub(crate) fn backdrop(size: Size<i32, Physical>) -> MemoryRenderBuffer {
    let (width, height) = (size.w.clamp(1, MAX_SIDE), size.h.clamp(1, MAX_SIDE));
    let bytes = paint(width.unsigned_abs() as usize, height.unsigned_abs() as usize);
    let opaque = vec![Rectangle::from_size((width, height).into())];
    MemoryRenderBuffer::from_slice(&bytes, Fourcc::Xrgb8888, (width, height), 1, Transform::Normal, Some(opaque))
}

fn paint(width: usize, height: usize) -> Vec<u8> {
    let part = |index: usize, whole: usize| (index as f32 + 0.5) / whole as f32;
    let columns: Vec<(f32, [f32; HILLS.len()])> = (0..width)
        .map(|x| part(x, width))
        .map(|x| (bell(x, GLOW_AT.0, GLOW_REACH.0), std::array::from_fn(|hill| HILLS[hill].crest(x))))
        .collect();

    let mut bytes = Vec::with_capacity(width * height * 4);
    for row in 0..height {
        let y = part(row, height);
        let sky = sky(y);
        let glow = bell(y, GLOW_AT.1, GLOW_REACH.1);
        for (column, (glow_here, crests)) in columns.iter().enumerate() {
            let colour = match crests.iter().rposition(|crest| y >= *crest) {
                // Hills grow a little darker towards their feet.
                Some(hill) => HILLS[hill].colour.map(|level| level * (1.0 - 0.9 * (y - crests[hill]))),
                None => std::array::from_fn(|channel| sky[channel] + GLOW[channel] * glow * glow_here),
            };
            let threshold = DITHER[row % 4][column % 4];
            let [red, green, blue] = colour.map(|level| (level + threshold) as u8);
            bytes.extend([blue, green, red, 0xff]);
        }
    }
    bytes
}

/// The colour of the sky at a height.
fn sky(y: f32) -> Colour {
    let above = SKY.iter().rfind(|(at, _)| *at <= y).unwrap_or(&SKY[0]);
    let below = SKY.iter().find(|(at, _)| *at > y).unwrap_or(&SKY[SKY.len() - 1]);
    let distance = below.0 - above.0;
    let t = if distance > 0.0 { (y - above.0) / distance } else { 0.0 };
    std::array::from_fn(|channel| above.1[channel] + (below.1[channel] - above.1[channel]) * t)
}

/// 1 in the middle, and towards 0 beyond its reach.
fn bell(at: f32, middle: f32, reach: f32) -> f32 {
    let distance = (at - middle) / reach;
    (-distance * distance).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_painting_has_four_bytes_for_each_pixel() {
        assert_eq!(paint(3, 2).len(), 3 * 2 * 4);
        assert_eq!(paint(1, 1).len(), 4);
    }

    #[test]
    fn the_painting_is_not_of_one_colour() {
        let bytes = paint(64, 64);
        assert!(bytes.chunks_exact(4).any(|pixel| pixel != &bytes[..4]));
    }
}
