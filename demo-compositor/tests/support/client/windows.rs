//! Windows, and what is inside and beside them.

use wayland_client::protocol::{
    wl_buffer::WlBuffer, wl_compositor::WlCompositor, wl_subcompositor::WlSubcompositor, wl_surface::WlSurface,
};
use wayland_protocols::xdg::shell::client::{
    xdg_popup::XdgPopup,
    xdg_positioner::{self, XdgPositioner},
    xdg_surface::XdgSurface,
    xdg_toplevel::XdgToplevel,
    xdg_wm_base::XdgWmBase,
};
use wayland_protocols_wlr::layer_shell::v1::client::{
    zwlr_layer_shell_v1::{Layer, ZwlrLayerShellV1},
    zwlr_layer_surface_v1::{Anchor, ZwlrLayerSurfaceV1},
};

use super::Client;

/// A window.
pub struct Window {
    pub surface: WlSurface,
    pub toplevel: XdgToplevel,
    pub xdg_surface: XdgSurface,
}

impl Client {
    /// Opens a window of one colour and waits until it is on the output.
    pub fn open_window(&mut self, width: i32, height: i32, colour: [u8; 3]) -> Window {
        let compositor: WlCompositor = self.bind(4);
        let wm_base: XdgWmBase = self.bind(1);
        let surface = compositor.create_surface(&self.handle(), ());
        let xdg_surface = wm_base.get_xdg_surface(&surface, &self.handle(), ());
        let toplevel = xdg_surface.get_toplevel(&self.handle(), ());
        surface.commit();
        self.wait_for_configure();
        let buffer = self.colour(width, height, colour);
        self.show(&surface, &buffer);
        Window { surface, toplevel, xdg_surface }
    }

    /// Waits until a window was told what to be like, and acknowledges that.
    pub fn wait_for_configure(&mut self) {
        self.seen.configured = false;
        while !self.seen.configured {
            self.queue.blocking_dispatch(&mut self.seen).unwrap();
        }
    }

    /// Lets a surface show a buffer, and waits until that is on the output.
    pub fn show(&mut self, surface: &WlSurface, buffer: &WlBuffer) {
        surface.attach(Some(buffer), 0, 0);
        surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
        self.commit(surface);
    }

    /// Commits a surface and waits for the next frame.
    pub fn commit(&mut self, surface: &WlSurface) {
        surface.frame(&self.handle(), ());
        surface.commit();
        let before = self.seen.frames_done;
        while self.seen.frames_done == before {
            self.queue.blocking_dispatch(&mut self.seen).unwrap();
        }
    }

    /// A surface of one colour inside a window.
    pub fn add_subsurface(&mut self, window: &Window, at: (i32, i32), size: (i32, i32), colour: [u8; 3]) {
        let compositor: WlCompositor = self.bind(4);
        let subcompositor: WlSubcompositor = self.bind(1);
        let surface = compositor.create_surface(&self.handle(), ());
        let subsurface = subcompositor.get_subsurface(&surface, &window.surface, &self.handle(), ());
        subsurface.set_position(at.0, at.1);
        surface.attach(Some(&self.colour(size.0, size.1, colour)), 0, 0);
        surface.commit();
        self.commit(&window.surface);
    }

    /// Opens a popup of one colour whose corner is at a place of a window, and waits until it is on the output.
    pub fn open_popup(&mut self, window: &Window, at: (i32, i32), size: (i32, i32), colour: [u8; 3]) {
        let compositor: WlCompositor = self.bind(4);
        let wm_base: XdgWmBase = self.bind(1);
        let positioner: XdgPositioner = wm_base.create_positioner(&self.handle(), ());
        positioner.set_size(size.0, size.1);
        positioner.set_anchor_rect(at.0, at.1, 1, 1);
        positioner.set_anchor(xdg_positioner::Anchor::TopLeft);
        positioner.set_gravity(xdg_positioner::Gravity::BottomRight);
        let slide = xdg_positioner::ConstraintAdjustment::SlideX | xdg_positioner::ConstraintAdjustment::SlideY;
        positioner.set_constraint_adjustment(slide);
        let surface = compositor.create_surface(&self.handle(), ());
        let xdg_surface = wm_base.get_xdg_surface(&surface, &self.handle(), ());
        let _popup: XdgPopup = xdg_surface.get_popup(Some(&window.xdg_surface), &positioner, &self.handle(), ());
        surface.commit();
        self.wait_for_configure();
        let buffer = self.colour(size.0, size.1, colour);
        self.show(&surface, &buffer);
    }

    /// Opens a panel along the upper edge, as high as `height` and as wide as it is told to be.
    pub fn open_panel(&mut self, height: u32, colour: [u8; 3]) -> (WlSurface, ZwlrLayerSurfaceV1) {
        let compositor: WlCompositor = self.bind(4);
        let shell: ZwlrLayerShellV1 = self.bind(4);
        let surface = compositor.create_surface(&self.handle(), ());
        let layer = shell.get_layer_surface(&surface, None, Layer::Top, "panel".to_owned(), &self.handle(), ());
        layer.set_size(0, height);
        layer.set_anchor(Anchor::Top | Anchor::Left | Anchor::Right);
        layer.set_exclusive_zone(height.try_into().unwrap());
        surface.commit();
        while self.seen.layer_size.is_none() {
            self.queue.blocking_dispatch(&mut self.seen).unwrap();
        }
        let (width, height) = self.seen.layer_size.unwrap();
        let buffer = self.colour(width.try_into().unwrap(), height.try_into().unwrap(), colour);
        self.show(&surface, &buffer);
        (surface, layer)
    }
}
