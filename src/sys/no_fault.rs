//! The seam at which tests make calls fail, without the tests: nothing, at no cost.

use super::errno::Call;

/// Does not fail.
#[inline]
#[allow(clippy::unnecessary_wraps, reason = "with the feature `fault-injection` it fails when it is told to")]
pub(super) fn enter(_: Call) -> rustix::io::Result<()> {
    Ok(())
}

/// All of the buffer.
#[inline]
pub(super) fn room(buffer: &mut [u8]) -> &mut [u8] {
    buffer
}

/// What the kernel said.
#[inline]
pub(super) fn length(length: usize) -> usize {
    length
}

/// What the kernel said.
#[inline]
pub(super) fn mask(mask: u64, _pid: u64, _cgroup: u64) -> u64 {
    mask
}
