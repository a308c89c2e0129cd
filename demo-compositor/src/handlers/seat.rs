//! The seat: who has the focus, and what the pointer looks like.

use smithay::{
    delegate_cursor_shape, delegate_seat,
    input::{Seat, SeatHandler, SeatState, pointer::CursorImageStatus},
    reexports::wayland_server::{Resource, protocol::wl_surface::WlSurface},
    wayland::{
        selection::{data_device::set_data_device_focus, primary_selection::set_primary_focus},
        tablet_manager::TabletSeatHandler,
    },
};

#[cfg(feature = "winit")]
use crate::render::Backend;
use crate::state::State;

impl SeatHandler for State {
    type KeyboardFocus = WlSurface;
    type PointerFocus = WlSurface;
    type TouchFocus = WlSurface;

    fn seat_state(&mut self) -> &mut SeatState<Self> {
        &mut self.seat_state
    }

    fn focus_changed(&mut self, seat: &Seat<Self>, focused: Option<&WlSurface>) {
        // Selections are for the client whose window has the focus.
        let client = focused.and_then(Resource::client);
        set_data_device_focus(&self.display, seat, client.clone());
        set_primary_focus(&self.display, seat, client);
    }

    fn cursor_image(&mut self, _seat: &Seat<Self>, image: CursorImageStatus) {
        #[cfg(feature = "winit")]
        if let Backend::Nested(nested) = &self.backend {
            nested.show_cursor(&image);
        }
        self.cursor = image;
        self.queue_redraw();
    }
}

/// Only because the cursor's shape may be asked for by a tablet too. There are none.
impl TabletSeatHandler for State {}

delegate_seat!(State);
delegate_cursor_shape!(State);
