//! Writing into a client's shared memory: the only unsafe code of this crate.

use smithay::{
    reexports::wayland_server::protocol::{wl_buffer::WlBuffer, wl_shm::Format},
    utils::{Buffer, Size},
    wayland::shm::{BufferAccessError, BufferData, with_buffer_contents, with_buffer_contents_mut},
};

use crate::render::Pixels;

/// The format of all captures.
pub(super) const FORMAT: Format = Format::Xrgb8888;
/// Its bytes per pixel.
pub(super) const PIXEL: u32 = 4;

/// Why a buffer cannot take a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum BufferError {
    /// It is not shared memory, or its memory is gone.
    #[error("the buffer is not usable shared memory")]
    Access(#[source] BufferAccessError),
    /// It has another format, size or stride than was asked for.
    #[error("the buffer has another format, size or stride than this frame needs")]
    Mismatch,
    /// It does not lie within its pool.
    #[error("the buffer is larger than its pool")]
    OutOfPool,
}

/// Checks that `buffer` can take a capture of this size.
pub(super) fn check(buffer: &WlBuffer, size: Size<i32, Buffer>) -> Result<(), BufferError> {
    let checked = with_buffer_contents(buffer, |_, length, data| rows(&data, size, length).map(drop));
    checked.map_err(BufferError::Access)?
}

/// Copies `pixels`, a capture of this size, into `buffer`.
pub(super) fn write(buffer: &WlBuffer, size: Size<i32, Buffer>, pixels: &Pixels) -> Result<(), BufferError> {
    let written = with_buffer_contents_mut(buffer, |pool, length, data| {
        for (from, to) in pixels.rows().zip(rows(&data, size, length)?) {
            let Some(room) = length.checked_sub(to).filter(|room| from.len() <= *room) else {
                return Err(BufferError::OutOfPool);
            };
            debug_assert!(from.len() <= room);
            // SAFETY: `pool` is valid for writes of `length` bytes while this closure runs, and `to + from.len()` is
            // at most `length`, as was checked just now. `from` is memory of our own, so the two do not overlap. The
            // client may write there at the same time, hence no reference to its memory is ever made; that it may
            // have truncated the file is smithay's matter, whose SIGBUS handler turns it into an error.
            #[allow(unsafe_code)]
            unsafe {
                std::ptr::copy_nonoverlapping(from.as_ptr(), pool.add(to), from.len());
            }
        }
        Ok(())
    });
    written.map_err(BufferError::Access)?
}

/// Where each row of the buffer begins in a pool of `length` bytes.
fn rows(data: &BufferData, size: Size<i32, Buffer>, length: usize) -> Result<impl Iterator<Item = usize>, BufferError> {
    let row = usize::try_from(size.w).ok().and_then(|width| width.checked_mul(PIXEL as usize));
    let stride = usize::try_from(data.stride).ok();
    let matches = data.format == FORMAT && (data.width, data.height) == (size.w, size.h) && stride == row;
    let (Some(stride), true) = (stride, matches) else { return Err(BufferError::Mismatch) };

    let out_of_pool = |_| BufferError::OutOfPool;
    let (offset, height) =
        (usize::try_from(data.offset).map_err(out_of_pool)?, usize::try_from(data.height).map_err(out_of_pool)?);
    let end = stride.checked_mul(height).and_then(|bytes| bytes.checked_add(offset));
    let fits = end.is_some_and(|end| end <= length);
    if fits { Ok((0..height).map(move |row| offset + row * stride)) } else { Err(BufferError::OutOfPool) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(offset: i32, width: i32, height: i32, stride: i32, format: Format) -> BufferData {
        BufferData { offset, width, height, stride, format }
    }

    fn starts(data: &BufferData, length: usize) -> Option<Vec<usize>> {
        rows(data, Size::new(2, 3), length).ok().map(Iterator::collect)
    }

    #[test]
    fn the_rows_of_a_buffer_that_fits_follow_each_other() {
        assert_eq!(starts(&data(16, 2, 3, 8, FORMAT), 40), Some(vec![16, 24, 32]));
    }

    #[test]
    fn a_buffer_of_another_shape_or_format_is_refused() {
        for data in [
            data(0, 3, 3, 8, FORMAT),
            data(0, 2, 2, 8, FORMAT),
            data(0, 2, 3, 12, FORMAT),
            data(0, 2, 3, -8, FORMAT),
            data(0, 2, 3, 8, Format::Rgb565),
        ] {
            assert_eq!(starts(&data, 1 << 20), None, "{data:?}");
        }
    }

    #[test]
    fn a_buffer_that_leaves_its_pool_is_refused() {
        assert_eq!(starts(&data(0, 2, 3, 8, FORMAT), 23), None);
        assert_eq!(starts(&data(-8, 2, 3, 8, FORMAT), 100), None);
        assert_eq!(starts(&data(i32::MAX, 2, 3, 8, FORMAT), 100), None);
    }
}
