//! The headless backend: pixman, into memory that only captures read.

use smithay::{
    backend::{
        allocator::Fourcc,
        renderer::{
            Bind, Color32F, ImportMemWl, Offscreen,
            damage::OutputDamageTracker,
            pixman::{PixmanError, PixmanRenderer},
        },
    },
    reexports::{pixman::Image, wayland_server::protocol::wl_shm},
    utils::{Buffer, Physical, Rectangle, Size, Transform},
};

use super::{
    capture::{CaptureError, Pixels, read_target},
    scene::View,
};
use crate::cli::OutputSize;

/// Pixman, into memory.
#[derive(Debug)]
pub(crate) struct Headless {
    renderer: PixmanRenderer,
    screen: Image<'static, 'static>,
    size: Size<i32, Physical>,
    tracker: OutputDamageTracker,
    drawn: bool,
}

impl Headless {
    /// An output of this size.
    pub(crate) fn new(size: OutputSize) -> Result<Self, PixmanError> {
        let (width, height) = (i32::from(size.width()), i32::from(size.height()));
        let mut renderer = PixmanRenderer::new()?;
        let screen = renderer.create_buffer(Fourcc::Xrgb8888, (width, height).into())?;
        let size = (width, height).into();
        let tracker = OutputDamageTracker::new(size, 1.0, Transform::Normal);
        Ok(Self { renderer, screen, size, tracker, drawn: false })
    }

    pub(super) fn size(&self) -> Size<i32, Physical> {
        self.size
    }

    pub(super) fn shm_formats(&self) -> Vec<wl_shm::Format> {
        self.renderer.shm_formats().collect()
    }

    /// Draws what changed, and tells what that was.
    pub(super) fn draw(&mut self, view: &View<'_>) -> Vec<Rectangle<i32, Physical>> {
        let elements = view.elements(&mut self.renderer, true);
        let age = usize::from(self.drawn);
        let mut framebuffer = match self.renderer.bind(&mut self.screen) {
            Ok(framebuffer) => framebuffer,
            Err(error) => {
                tracing::error!(%error, "the screen cannot be drawn to");
                return Vec::new();
            }
        };
        let drawn = self.tracker.render_output(&mut self.renderer, &mut framebuffer, age, &elements, Color32F::BLACK);
        match drawn {
            Ok(result) => {
                self.drawn = true;
                result.damage.cloned().unwrap_or_default()
            }
            Err(error) => {
                tracing::error!(%error, "a frame was not drawn");
                self.drawn = false;
                Vec::new()
            }
        }
    }

    /// Reads the screen, which is up to date: there is no pointing device, so the pointer never has an image.
    pub(super) fn capture(&mut self, region: Rectangle<i32, Buffer>) -> Result<Pixels, CaptureError> {
        read_target(&mut self.renderer, &mut self.screen, region)
    }
}
