//! `xdg_shell`: windows and popups.

use smithay::{
    delegate_xdg_shell,
    desktop::{PopupKeyboardGrab, PopupKind, PopupPointerGrab, PopupUngrabStrategy, Window, find_popup_root_surface},
    input::{Seat, pointer::Focus},
    reexports::{
        wayland_protocols::xdg::shell::server::xdg_toplevel,
        wayland_server::protocol::{wl_output::WlOutput, wl_seat::WlSeat, wl_surface::WlSurface},
    },
    utils::Serial,
    wayland::shell::xdg::{PopupSurface, PositionerState, ToplevelSurface, XdgShellHandler, XdgShellState},
};

use crate::state::State;

impl XdgShellHandler for State {
    fn xdg_shell_state(&mut self) -> &mut XdgShellState {
        &mut self.globals.xdg_shell
    }

    fn new_toplevel(&mut self, surface: ToplevelSurface) {
        self.unmapped.push(Window::new_wayland_window(surface));
    }

    fn toplevel_destroyed(&mut self, surface: ToplevelSurface) {
        self.remove_window(&surface);
    }

    fn title_changed(&mut self, surface: ToplevelSurface) {
        self.rename_toplevel(&surface);
    }

    fn app_id_changed(&mut self, surface: ToplevelSurface) {
        self.rename_toplevel(&surface);
    }

    fn maximize_request(&mut self, surface: ToplevelSurface) {
        self.enlarge(&surface, xdg_toplevel::State::Maximized);
    }

    fn unmaximize_request(&mut self, surface: ToplevelSurface) {
        self.restore(&surface, xdg_toplevel::State::Maximized);
    }

    fn fullscreen_request(&mut self, surface: ToplevelSurface, _output: Option<WlOutput>) {
        self.enlarge(&surface, xdg_toplevel::State::Fullscreen);
    }

    fn unfullscreen_request(&mut self, surface: ToplevelSurface) {
        self.restore(&surface, xdg_toplevel::State::Fullscreen);
    }

    fn new_popup(&mut self, surface: PopupSurface, positioner: PositionerState) {
        self.place_popup(&surface, positioner);
        if let Err(error) = self.popups.track_popup(PopupKind::Xdg(surface)) {
            tracing::debug!(%error, "a popup has no living parent");
        }
    }

    fn reposition_request(&mut self, surface: PopupSurface, positioner: PositionerState, token: u32) {
        self.place_popup(&surface, positioner);
        surface.send_repositioned(token);
    }

    fn grab(&mut self, surface: PopupSurface, seat: WlSeat, serial: Serial) {
        let Some(seat) = Seat::<Self>::from_resource(&seat) else { return };
        let popup = PopupKind::Xdg(surface);
        let Ok(root) = find_popup_root_surface(&popup) else { return };
        // Where the grab is refused, smithay has told the client so.
        let Ok(mut grab) = self.popups.grab_popup(root, popup, &seat, serial) else { return };

        let (keyboard, pointer) = (self.keyboard.clone(), self.pointer.clone());
        let earlier = grab.previous_serial().unwrap_or(serial);
        let taken_by_others = |grabbed: bool, ours: bool| grabbed && !ours;
        if taken_by_others(keyboard.is_grabbed(), keyboard.has_grab(serial) || keyboard.has_grab(earlier))
            || taken_by_others(pointer.is_grabbed(), pointer.has_grab(serial) || pointer.has_grab(earlier))
        {
            grab.ungrab(PopupUngrabStrategy::All);
            return;
        }
        keyboard.set_focus(self, grab.current_grab(), serial);
        keyboard.set_grab(self, PopupKeyboardGrab::new(&grab), serial);
        pointer.set_grab(self, PopupPointerGrab::new(&grab), serial, Focus::Keep);
    }

    fn popup_destroyed(&mut self, _surface: PopupSurface) {
        self.queue_redraw();
    }
}

delegate_xdg_shell!(State);

impl State {
    /// A surface that may be a popup committed.
    pub(crate) fn popup_committed(&self, surface: &WlSurface) {
        let Some(PopupKind::Xdg(popup)) = self.popups.find_popup(surface) else { return };
        if !popup.is_initial_configure_sent()
            && let Err(error) = popup.send_configure()
        {
            tracing::debug!(%error, "a popup was not configured");
        }
    }
}
