//! Reading the output back.

use std::error::Error;

use smithay::{
    backend::{
        allocator::Fourcc,
        renderer::{Bind, ExportMem, Texture},
    },
    utils::{Buffer, Rectangle, Size},
};

/// The format of all captures.
const FORMAT: Fourcc = Fourcc::Xrgb8888;
/// Its bytes per pixel.
const PIXEL: usize = 4;

/// A picture: rows of `xrgb8888` pixels, the topmost first, without any gap.
#[derive(Debug)]
pub(crate) struct Pixels {
    bytes: Vec<u8>,
    row: usize,
}

/// Why the output could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CaptureError {
    /// Part of the region is not on the output, as after the output became smaller.
    #[error("the region is not on the output")]
    OutOfBounds,
    /// The renderer gave another amount of bytes than the region has.
    #[error("the renderer gave {got} bytes instead of {expected}")]
    Size {
        /// What came.
        got: usize,
        /// What there should have been.
        expected: usize,
    },
    /// The renderer failed.
    #[error("the renderer failed")]
    Renderer(#[source] Box<dyn Error>),
}

impl Pixels {
    /// Nothing but black.
    pub(crate) fn black(size: Size<i32, Buffer>) -> Self {
        let side = |length| usize::try_from(length).unwrap_or(0);
        let row = side(size.w) * PIXEL;
        Self { bytes: vec![0; row * side(size.h)], row: row.max(PIXEL) }
    }

    /// The rows, from top to bottom.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.row)
    }
}

/// Copies `region` of a framebuffer.
pub(super) fn read<R>(
    renderer: &mut R,
    framebuffer: &R::Framebuffer<'_>,
    region: Rectangle<i32, Buffer>,
) -> Result<Pixels, CaptureError>
where
    R: ExportMem,
    R::Error: 'static,
{
    let failed = |error: R::Error| CaptureError::Renderer(Box::new(error));
    if region.is_empty() || !Rectangle::from_size(framebuffer.size()).contains_rect(region) {
        return Err(CaptureError::OutOfBounds);
    }
    let (row, length) = lengths(region.size)?;
    let mapping = renderer.copy_framebuffer(framebuffer, region, FORMAT).map_err(failed)?;
    let bytes = renderer.map_texture(&mapping).map_err(failed)?;
    if bytes.len() != length {
        return Err(CaptureError::Size { got: bytes.len(), expected: length });
    }
    Ok(Pixels { bytes: bytes.to_vec(), row })
}

/// Copies `region` of a target, once it is drawn.
pub(super) fn read_target<R, T>(
    renderer: &mut R,
    target: &mut T,
    region: Rectangle<i32, Buffer>,
) -> Result<Pixels, CaptureError>
where
    R: ExportMem + Bind<T>,
    R::Error: 'static,
{
    let framebuffer = renderer.bind(target).map_err(|error| CaptureError::Renderer(Box::new(error)))?;
    read(renderer, &framebuffer, region)
}

/// The bytes of a row, and of the whole.
fn lengths(size: Size<i32, Buffer>) -> Result<(usize, usize), CaptureError> {
    let side = |side: i32| usize::try_from(side).map_err(|_| CaptureError::OutOfBounds);
    let row = side(size.w)? * PIXEL;
    Ok((row, row * side(size.h)?))
}
