//! Lists that are read in batches.

use wayland_server::backend::ObjectId;

use crate::policy::Capability;
use crate::wayland::ClientAuth;

/// So much text is told in one batch, and one entry more. What is not read yet has to fit into the socket: the backends
/// kill a client whose socket is full.
const MAX_BYTES: usize = 32 * 1024;

/// So many entries are told in one batch.
const MAX_ENTRIES: usize = 64;

/// How full a batch is.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn has_room(&self) -> bool {
        self.entries < MAX_ENTRIES && self.bytes < MAX_BYTES
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }
}

/// Who reads a list.
pub(super) struct Reader {
    pub(super) id: ObjectId,
    auth: ClientAuth,
    needs: Capability,
    /// Whether a batch was asked for and has not been told.
    pub(super) asks: bool,
}

impl Reader {
    pub(super) fn new(id: ObjectId, auth: ClientAuth, needs: Capability) -> Self {
        Self { id, auth, needs, asks: false }
    }

    /// Whether it may read now.
    pub(super) fn may(&self) -> bool {
        self.auth.allows(self.needs)
    }
}

/// A number of 64 bits as two arguments.
pub(super) fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

/// Two arguments as a number of 64 bits.
pub(super) fn whole(hi: u32, lo: u32) -> u64 {
    u64::from(hi) << 32 | u64::from(lo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_put_together_again() {
        for number in [0, 1, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let (hi, lo) = halves(number);
            assert_eq!(whole(hi, lo), number);
        }
    }
}
