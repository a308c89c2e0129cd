//! Medians of interleaved rounds.

use std::time::{Duration, Instant};

/// One measurement, repeated; nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    sorted: Vec<f64>,
}

impl Series {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self { sorted: values }
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The interquartile range: how far apart the middle half lies.
    pub(crate) fn iqr(&self) -> f64 {
        self.quantile(0.75) - self.quantile(0.25)
    }

    /// By linear interpolation between the two nearest values.
    fn quantile(&self, q: f64) -> f64 {
        let at = q * (self.sorted.len() - 1) as f64;
        let (low, high) = (self.sorted[at.floor() as usize], self.sorted[at.ceil() as usize]);
        low + (high - low) * at.fract()
    }
}

/// Iterations that are timed together.
const BATCH: u32 = 10;

/// Runs two things in turn, `rounds` times `iterations` of each, and gives the time of one iteration in each round: the
/// median of its batches, most of which no other process interrupts even on a busy machine.
///
/// Which of them comes first changes from round to round, so that neither has the warmer caches.
pub(crate) fn interleave(
    rounds: usize,
    iterations: u32,
    mut first: impl FnMut(u32) -> Duration,
    mut second: impl FnMut(u32) -> Duration,
) -> [Series; 2] {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    // The first round only warms up.
    for round in 0..=rounds {
        let mut run_first = || a.push(median_of_batches(iterations, &mut first));
        let mut run_second = || b.push(median_of_batches(iterations, &mut second));
        if round % 2 == 0 {
            run_first();
            run_second();
        } else {
            run_second();
            run_first();
        }
    }
    [a, b].map(|mut rounds| Series::new(rounds.split_off(1)))
}

fn median_of_batches(iterations: u32, f: &mut impl FnMut(u32) -> Duration) -> f64 {
    let batches = (0..iterations / BATCH).map(|_| f(BATCH).as_nanos() as f64 / f64::from(BATCH));
    Series::new(batches.collect()).median()
}

/// The time of `n` calls of `f`.
pub(crate) fn timed(n: u32, mut f: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        f();
    }
    start.elapsed()
}
