//! What is below the pointer.

use smithay::{
    desktop::{Window, WindowSurfaceType, layer_map_for_output},
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point},
    wayland::shell::wlr_layer::Layer,
};

use crate::state::State;

impl State {
    /// Brings `window` to the front and gives it the keyboard, unless a layer insists on having it.
    pub(crate) fn raise(&mut self, window: &Window) {
        self.space.raise_element(window, true);
        self.refocus();
        self.queue_redraw();
    }

    /// The surface at a point of the output, and where that surface begins.
    pub(crate) fn surface_at(&self, point: Point<f64, Logical>) -> Option<(WlSurface, Point<f64, Logical>)> {
        self.layer_surface_at(point, [Layer::Overlay, Layer::Top])
            .or_else(|| {
                let (window, corner) = self.space.element_under(point)?;
                let (surface, offset) = window.surface_under(point - corner.to_f64(), WindowSurfaceType::ALL)?;
                Some((surface, (corner + offset).to_f64()))
            })
            .or_else(|| self.layer_surface_at(point, [Layer::Bottom, Layer::Background]))
    }

    fn layer_surface_at(
        &self,
        point: Point<f64, Logical>,
        layers: [Layer; 2],
    ) -> Option<(WlSurface, Point<f64, Logical>)> {
        let map = layer_map_for_output(&self.output);
        layers.into_iter().find_map(|layer| {
            let layer = map.layer_under(layer, point)?;
            let corner = map.layer_geometry(layer)?.loc;
            let (surface, offset) = layer.surface_under(point - corner.to_f64(), WindowSurfaceType::ALL)?;
            Some((surface, (corner + offset).to_f64()))
        })
    }
}
