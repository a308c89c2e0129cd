//! Where windows are, and which of them has the focus.

mod focus;
mod limits;
mod placement;
#[cfg(feature = "winit")]
mod pointing;

use smithay::{
    backend::renderer::utils::with_renderer_surface_state, desktop::Window,
    reexports::wayland_server::protocol::wl_surface::WlSurface, wayland::shell::xdg::ToplevelSurface,
};

pub(crate) use self::limits::limit_layer;
use crate::state::State;

impl State {
    /// The window that `surface` is, mapped or not.
    pub(crate) fn window_of(&self, surface: &WlSurface) -> Option<Window> {
        let is_it = |window: &&Window| window.toplevel().is_some_and(|toplevel| toplevel.wl_surface() == surface);
        self.space.elements().chain(&self.unmapped).find(is_it).cloned()
    }

    /// A surface that may be a window committed: it appears with its first buffer, and is gone without one.
    pub(crate) fn toplevel_committed(&mut self, surface: &WlSurface) {
        let Some(window) = self.window_of(surface) else { return };
        let Some(toplevel) = window.toplevel() else { return };
        if !toplevel.is_initial_configure_sent() {
            toplevel.send_configure();
            return;
        }
        let has_buffer = with_renderer_surface_state(surface, |state| state.buffer().is_some()).unwrap_or(false);
        let is_mapped = !self.unmapped.contains(&window);
        if has_buffer && !is_mapped {
            self.unmapped.retain(|other| other != &window);
            self.place(&window);
            self.list_toplevel(toplevel);
            self.refocus();
        } else if !has_buffer && is_mapped {
            self.remove_window(toplevel);
            self.unmapped.push(window.clone());
        }
    }

    /// Takes a window away.
    pub(crate) fn remove_window(&mut self, toplevel: &ToplevelSurface) {
        self.unlist_toplevel(toplevel);
        let Some(window) = self.window_of(toplevel.wl_surface()) else { return };
        self.unmapped.retain(|other| other != &window);
        self.space.unmap_elem(&window);
        self.refocus();
        self.queue_redraw();
    }
}
