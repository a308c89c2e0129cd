//! Which surface has the keyboard.

use smithay::{
    backend::renderer::utils::with_renderer_surface_state,
    desktop::{Window, layer_map_for_output},
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::SERIAL_COUNTER,
    wayland::shell::wlr_layer::{KeyboardInteractivity, Layer},
};

use crate::state::State;

impl State {
    /// Gives the keyboard to whoever should have it: a layer that insists, else the topmost window.
    pub(crate) fn refocus(&mut self) {
        let window = self.space.elements().next_back().cloned();
        self.activate(window.as_ref());
        let insists = self.insisting_layer();
        let focus = insists
            .or_else(|| window.as_ref().and_then(Window::toplevel).map(|toplevel| toplevel.wl_surface().clone()));
        self.set_keyboard_focus(focus);
    }

    /// Gives the keyboard to `surface`.
    pub(crate) fn set_keyboard_focus(&mut self, surface: Option<WlSurface>) {
        let keyboard = self.keyboard.clone();
        if keyboard.current_focus() != surface {
            keyboard.set_focus(self, surface, SERIAL_COUNTER.next_serial());
        }
    }

    /// Lets `window`, and no other, look as if it had the focus.
    fn activate(&self, window: Option<&Window>) {
        for other in self.space.elements() {
            other.set_activated(Some(other) == window);
            if let Some(toplevel) = other.toplevel() {
                toplevel.send_pending_configure();
            }
        }
    }

    /// The topmost layer surface that takes the keyboard from all windows.
    fn insisting_layer(&self) -> Option<WlSurface> {
        let layers = layer_map_for_output(&self.output);
        [Layer::Overlay, Layer::Top].into_iter().find_map(|layer| {
            layers
                .layers_on(layer)
                .rev()
                .find(|surface| {
                    surface.cached_state().keyboard_interactivity == KeyboardInteractivity::Exclusive
                        && has_contents(surface.wl_surface())
                })
                .map(|surface| surface.wl_surface().clone())
        })
    }
}

fn has_contents(surface: &WlSurface) -> bool {
    with_renderer_surface_state(surface, |state| state.buffer().is_some()).unwrap_or(false)
}
