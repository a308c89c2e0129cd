//! Saying often enough what happens too often.

use std::time::{Duration, Instant};

/// So many in a row are told.
const BURST: u32 = 10;

/// After that one is told in this time.
const EVERY: Duration = Duration::from_secs(1);

/// Decides which of many events are told, so that whoever causes them cannot fill a log.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// So many may be told at once.
    left: u32,
    /// Since when `left` has not grown.
    since: Instant,
    /// How many were not told since the last that was.
    silent: u64,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, silent: 0 }
    }

    /// An event happened. If it is to be told: how many were not, since the last that was.
    pub(crate) fn tell(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since).as_millis() / EVERY.as_millis();
        if let Ok(passed @ 1..) = u32::try_from(passed) {
            self.left = self.left.saturating_add(passed).min(BURST);
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.silent))
            }
            None => {
                self.silent = self.silent.saturating_add(1);
                None
            }
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_a_flood_is_told_a_few_times_and_then_once_a_second() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let told = |throttle: &mut Throttle, at: Duration, times: usize| -> Vec<u64> {
            (0..times).filter_map(|_| throttle.tell(start + at)).collect()
        };
        assert_eq!(told(&mut throttle, Duration::ZERO, 1000), [0; BURST as usize]);
        assert_eq!(told(&mut throttle, EVERY / 2, 1000), [0; 0]);
        // What was left out is counted.
        assert_eq!(told(&mut throttle, EVERY, 1000), [1990]);
        assert_eq!(told(&mut throttle, EVERY * 2, 1), [999]);
        // After a long silence it is as at first.
        let long = EVERY * 100_000;
        assert_eq!(told(&mut throttle, long, 1000), [0; BURST as usize]);
        // A clock that stands still, or goes back, tells nothing more.
        assert_eq!(told(&mut throttle, Duration::ZERO, 1000), [0; 0]);
    }
}
