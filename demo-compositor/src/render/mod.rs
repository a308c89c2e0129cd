//! Drawing: what is drawn ([`View`]), and what with ([`Backend`]).

mod backdrop;
mod capture;
mod headless;
pub(crate) mod notice;
mod scene;
#[cfg(feature = "winit")]
mod winit;

use smithay::{
    reexports::wayland_server::protocol::wl_shm,
    utils::{Buffer, Physical, Rectangle, Size},
};

#[cfg(feature = "winit")]
pub(crate) use self::winit::{Nested, listen as listen_to_window};
pub(crate) use self::{
    backdrop::backdrop,
    capture::{CaptureError, Pixels},
    headless::Headless,
    scene::View,
};

/// What the output is drawn with.
#[derive(Debug)]
pub(crate) enum Backend {
    /// Pixman, into memory.
    Headless(Box<Headless>),
    /// OpenGL, into a window of another session.
    #[cfg(feature = "winit")]
    Nested(Box<Nested>),
}

impl Backend {
    /// Its name, as in `--backend`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Headless(_) => "headless",
            #[cfg(feature = "winit")]
            Self::Nested(_) => "winit",
        }
    }

    /// The size of the output.
    pub(crate) fn size(&self) -> Size<i32, Physical> {
        match self {
            Self::Headless(headless) => headless.size(),
            #[cfg(feature = "winit")]
            Self::Nested(nested) => nested.size(),
        }
    }

    /// The formats that clients' buffers may have.
    pub(crate) fn shm_formats(&mut self) -> Vec<wl_shm::Format> {
        match self {
            Self::Headless(headless) => headless.shm_formats(),
            #[cfg(feature = "winit")]
            Self::Nested(nested) => nested.shm_formats(),
        }
    }

    /// Takes notice of what `view` is now, and tells what changed since the last time.
    ///
    /// Headless draws it; nested asks the session around it for an occasion to draw.
    pub(crate) fn update(&mut self, view: &View<'_>) -> Vec<Rectangle<i32, Physical>> {
        match self {
            Self::Headless(headless) => headless.draw(view),
            #[cfg(feature = "winit")]
            Self::Nested(nested) => nested.update(view),
        }
    }

    /// Whether [`update`](Self::update) already showed it, or there will be an event for that.
    pub(crate) fn has_shown_it(&self) -> bool {
        match self {
            Self::Headless(_) => true,
            #[cfg(feature = "winit")]
            Self::Nested(_) => false,
        }
    }

    /// The pixels within `region` of the output, with or without the pointer's image.
    #[cfg_attr(not(feature = "winit"), expect(unused_variables, reason = "headless has drawn it already"))]
    pub(crate) fn capture(
        &mut self,
        view: &View<'_>,
        region: Rectangle<i32, Buffer>,
        with_cursor: bool,
    ) -> Result<Pixels, CaptureError> {
        match self {
            Self::Headless(headless) => headless.capture(region),
            #[cfg(feature = "winit")]
            Self::Nested(nested) => nested.capture(view, region, with_cursor),
        }
    }
}
