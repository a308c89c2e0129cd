//! The nested backend: OpenGL, into a window of another Wayland or X11 session.

use smithay::{
    backend::{
        SwapBuffersError,
        allocator::Fourcc,
        renderer::{
            Bind, Color32F, ImportMemWl, Offscreen,
            damage::OutputDamageTracker,
            gles::{GlesRenderbuffer, GlesRenderer},
        },
        winit::{self, WinitEvent, WinitEventLoop, WinitGraphicsBackend},
    },
    input::pointer::CursorImageStatus,
    output::Mode,
    reexports::{
        calloop::LoopHandle,
        wayland_server::protocol::wl_shm,
        winit::{dpi::PhysicalSize, window::Window},
    },
    utils::{Buffer, Physical, Rectangle, Size, Transform},
};

use super::{
    Backend,
    backdrop::backdrop,
    capture::{CaptureError, Pixels, read},
    scene::View,
};
use crate::{
    cli::OutputSize,
    error::StartError,
    state::{REFRESH, State},
};

/// OpenGL has its origin at the lower left.
const UPSIDE_DOWN: Transform = Transform::Flipped180;

/// OpenGL, into a window.
#[derive(Debug)]
pub(crate) struct Nested {
    window: WinitGraphicsBackend<GlesRenderer>,
    /// What the window does not show yet.
    shown: OutputDamageTracker,
    /// What those who capture do not have yet: apart, since the window may be hidden and not drawn for long.
    captured: OutputDamageTracker,
    size: Size<i32, Physical>,
}

impl Nested {
    /// Opens a window of this size.
    pub(crate) fn new(size: OutputSize) -> Result<(Self, WinitEventLoop), winit::Error> {
        let attributes = Window::default_attributes()
            .with_inner_size(PhysicalSize::new(u32::from(size.width()), u32::from(size.height())))
            .with_title("wayland-auth demo");
        let (window, events) = winit::init_from_attributes::<GlesRenderer>(attributes)?;
        let size = window.window_size();
        Ok((
            Self { window, shown: tracker(size, UPSIDE_DOWN), captured: tracker(size, Transform::Normal), size },
            events,
        ))
    }

    pub(super) fn size(&self) -> Size<i32, Physical> {
        self.size
    }

    pub(super) fn shm_formats(&mut self) -> Vec<wl_shm::Format> {
        self.window.renderer().shm_formats().collect()
    }

    fn resize(&mut self, size: Size<i32, Physical>) {
        self.size = size;
        self.shown = tracker(size, UPSIDE_DOWN);
        self.captured = tracker(size, Transform::Normal);
    }

    /// Asks for an occasion to draw, and tells what changed since the last time.
    pub(super) fn update(&mut self, view: &View<'_>) -> Vec<Rectangle<i32, Physical>> {
        self.window.window().request_redraw();
        let elements = view.elements(self.window.renderer(), true);
        match self.captured.damage_output(1, &elements) {
            Ok((damage, _)) => damage.cloned().unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "what changed is not known");
                vec![Rectangle::from_size(self.size)]
            }
        }
    }

    /// Draws what the window does not show yet.
    pub(crate) fn draw(&mut self, view: &View<'_>) -> Result<(), SwapBuffersError> {
        let elements = view.elements(self.window.renderer(), true);
        // The age of the buffer is known once the window is bound.
        self.window.bind()?;
        let age = self.window.buffer_age().unwrap_or(0);
        let (renderer, mut framebuffer) = self.window.bind()?;
        let damage = match self.shown.render_output(renderer, &mut framebuffer, age, &elements, Color32F::BLACK) {
            Ok(result) => result.damage.cloned(),
            Err(error) => {
                tracing::error!(%error, "a frame was not drawn");
                None
            }
        };
        drop(framebuffer);
        match damage {
            Some(damage) => self.window.submit(Some(&damage)),
            None => Ok(()),
        }
    }

    /// Draws the output once more, into memory, and reads that.
    pub(super) fn capture(
        &mut self,
        view: &View<'_>,
        region: Rectangle<i32, Buffer>,
        with_cursor: bool,
    ) -> Result<Pixels, CaptureError> {
        let failed = |error| CaptureError::Renderer(Box::new(error));
        let size = view.size();
        let renderer = self.window.renderer();
        let elements = view.elements(renderer, with_cursor);
        let mut target: GlesRenderbuffer =
            renderer.create_buffer(Fourcc::Abgr8888, (size.w, size.h).into()).map_err(failed)?;
        let mut framebuffer = renderer.bind(&mut target).map_err(failed)?;
        tracker(size, Transform::Normal)
            .render_output(renderer, &mut framebuffer, 0, &elements, Color32F::BLACK)
            .map_err(|error| CaptureError::Renderer(Box::new(error)))?;
        read(renderer, &framebuffer, region)
    }

    /// Makes the pointer of the session around it look as `cursor` says.
    pub(crate) fn show_cursor(&self, cursor: &CursorImageStatus) {
        let window = self.window.window();
        match cursor {
            CursorImageStatus::Named(icon) => {
                window.set_cursor_visible(true);
                window.set_cursor(*icon);
            }
            // Drawn with the rest, or not at all.
            CursorImageStatus::Surface(_) | CursorImageStatus::Hidden => window.set_cursor_visible(false),
        }
    }
}

fn tracker(size: Size<i32, Physical>, transform: Transform) -> OutputDamageTracker {
    OutputDamageTracker::new(size, 1.0, transform)
}

/// Handles what happens to the window.
pub(crate) fn listen(handle: &LoopHandle<'static, State>, events: WinitEventLoop) -> Result<(), StartError> {
    handle
        .insert_source(events, |event, (), state| match event {
            WinitEvent::Resized { size, .. } => state.window_resized(size),
            WinitEvent::Redraw => state.window_wants_drawing(),
            WinitEvent::Input(event) => state.input(event),
            WinitEvent::CloseRequested => state.end(),
            WinitEvent::Focus(true) => {}
            WinitEvent::Focus(false) => state.release_all_keys(),
        })
        .map(drop)
        .map_err(|error| StartError::EventLoop(error.error))
}

impl State {
    fn window_resized(&mut self, size: Size<i32, Physical>) {
        if let Backend::Nested(nested) = &mut self.backend
            && !size.is_empty()
        {
            nested.resize(size);
            self.resize_output(size);
            self.queue_redraw();
        }
    }

    /// Gives the output another size.
    fn resize_output(&mut self, size: Size<i32, Physical>) {
        let mode = Mode { size, refresh: REFRESH };
        if self.output.current_mode() == Some(mode) {
            return;
        }
        if let Some(old) = self.output.current_mode() {
            self.output.delete_mode(old);
        }
        self.output.change_current_state(Some(mode), None, None, None);
        self.output.set_preferred(mode);
        self.backdrop = backdrop(size);
        self.arrange();
    }

    fn window_wants_drawing(&mut self) {
        let Backend::Nested(nested) = &mut self.backend else { return };
        let view =
            View::new(&self.space, &self.output, &self.backdrop, self.notice.as_ref(), &self.cursor, &self.pointer);
        if let Err(error) = nested.draw(&view) {
            tracing::error!(%error, "a frame was not shown");
        }
        self.send_frame_callbacks();
    }
}
