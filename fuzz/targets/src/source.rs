//! Choices, out of a fuzzer's bytes or out of a seed.

/// Where choices come from.
#[derive(Debug)]
pub enum Source<'a> {
    /// Bytes; behind their end every choice is the first one.
    Bytes(&'a [u8]),
    /// A small generator (xorshift64*): the same choices for the same seed, which must not be 0.
    Seed(u64),
}

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        match self {
            Self::Bytes(bytes) => {
                let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
                *bytes = rest;
                *first
            }
            Self::Seed(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
            }
        }
    }

    /// Whether nothing is left to choose from.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    /// A number below `n`, which is 256 at most.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Every second time something.
    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.one_in(2) { Some(make(self)) } else { None }
    }

    /// Any number.
    pub fn number(&mut self) -> u32 {
        u32::from_ne_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }
}
