//! What is on the output, from front to back.

use smithay::{
    backend::renderer::{
        ImportAll, ImportMem, Renderer,
        element::{
            Kind,
            memory::{MemoryRenderBuffer, MemoryRenderBufferRenderElement},
            render_elements,
            surface::{WaylandSurfaceRenderElement, render_elements_from_surface_tree},
        },
    },
    desktop::{
        Space, Window,
        space::{SpaceRenderElements, space_render_elements},
    },
    input::pointer::{CursorImageStatus, CursorImageSurfaceData, PointerHandle},
    output::Output,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{IsAlive, Logical, Physical, Point, Size},
    wayland::compositor::with_states,
};

use crate::state::State;

/// The one scale of the output.
const SCALE: f64 = 1.0;

/// Something that can be drawn.
pub(crate) type Element<R> = Elements<R, WaylandSurfaceRenderElement<R>>;

render_elements! {
    /// Something that can be drawn, where windows are drawn by `E`.
    pub(crate) Elements<R, E> where R: ImportAll + ImportMem;
    /// A window, a popup or a layer.
    Shell = SpaceRenderElements<R, E>,
    /// The image of the pointer.
    Cursor = WaylandSurfaceRenderElement<R>,
    /// What the compositor painted itself: what is behind all others, and what it has to say.
    Painted = MemoryRenderBufferRenderElement<R>,
}

/// All that can be seen.
#[derive(Debug)]
pub(crate) struct View<'a> {
    space: &'a Space<Window>,
    output: &'a Output,
    backdrop: &'a MemoryRenderBuffer,
    /// What the compositor has to say, in front of all windows.
    notice: Option<&'a MemoryRenderBuffer>,
    /// The surface that a client gave to the pointer, and where its corner is.
    cursor: Option<(WlSurface, Point<i32, Logical>)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        space: &'a Space<Window>,
        output: &'a Output,
        backdrop: &'a MemoryRenderBuffer,
        notice: Option<&'a MemoryRenderBuffer>,
        cursor: &CursorImageStatus,
        pointer: &PointerHandle<State>,
    ) -> Self {
        Self { space, output, backdrop, notice, cursor: Self::cursor_surface(cursor, pointer) }
    }

    /// The surface that a client gave to the pointer, and where its corner is.
    pub(crate) fn cursor_surface(
        cursor: &CursorImageStatus,
        pointer: &PointerHandle<State>,
    ) -> Option<(WlSurface, Point<i32, Logical>)> {
        let CursorImageStatus::Surface(surface) = cursor else { return None };
        if !surface.alive() {
            return None;
        }
        let hotspot = with_states(surface, |states| {
            let attributes = states.data_map.get::<CursorImageSurfaceData>()?.lock().ok()?;
            Some(attributes.hotspot)
        });
        let corner = pointer.current_location().to_i32_round() - hotspot.unwrap_or_default();
        Some((surface.clone(), corner))
    }

    /// The size of the output.
    pub(crate) fn size(&self) -> Size<i32, Physical> {
        self.output.current_mode().map(|mode| mode.size).unwrap_or_default()
    }

    /// What `renderer` has to draw, from front to back.
    pub(crate) fn elements<R>(&self, renderer: &mut R, with_cursor: bool) -> Vec<Element<R>>
    where
        R: Renderer + ImportAll + ImportMem,
        R::TextureId: Clone + Send + 'static,
    {
        let mut elements = Vec::new();
        if let Some((surface, corner)) = self.cursor.as_ref().filter(|_| with_cursor) {
            let corner = corner.to_physical_precise_round(SCALE);
            elements.extend(render_elements_from_surface_tree::<_, Element<R>>(
                renderer,
                surface,
                corner,
                SCALE,
                1.0,
                Kind::Cursor,
            ));
        }
        if let Some(notice) = self.notice {
            match painted(renderer, notice, None) {
                Ok(notice) => elements.push(notice),
                Err(error) => tracing::error!(%error, "a notice cannot be drawn"),
            }
        }
        match space_render_elements(renderer, [self.space], self.output, 1.0) {
            Ok(shell) => elements.extend(shell.into_iter().map(Elements::Shell)),
            Err(error) => tracing::error!(%error, "the windows cannot be drawn"),
        }
        let size = self.size().to_logical(1);
        match painted(renderer, self.backdrop, Some(size)) {
            Ok(backdrop) => elements.push(backdrop),
            Err(error) => tracing::error!(%error, "the backdrop cannot be drawn"),
        }
        elements
    }
}

/// What the compositor painted, in the corner of the output.
fn painted<R>(
    renderer: &mut R,
    buffer: &MemoryRenderBuffer,
    size: Option<Size<i32, Logical>>,
) -> Result<Element<R>, R::Error>
where
    R: Renderer + ImportAll + ImportMem,
    R::TextureId: Clone + Send + 'static,
{
    let corner = (0.0, 0.0);
    MemoryRenderBufferRenderElement::from_buffer(renderer, corner, buffer, None, None, size, Kind::Unspecified)
        .map(Elements::Painted)
}
