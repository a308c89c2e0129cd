//! `zwlr_layer_shell_v1`: panels, wallpapers and overlays.

use smithay::{
    delegate_layer_shell,
    desktop::{LayerSurface, PopupKind, WindowSurfaceType, layer_map_for_output},
    reexports::wayland_server::{
        Resource,
        protocol::{wl_output::WlOutput, wl_surface::WlSurface},
    },
    wayland::{
        compositor::with_states,
        shell::{
            wlr_layer::{
                Layer, LayerSurface as WlrLayerSurface, LayerSurfaceCachedState, LayerSurfaceData,
                WlrLayerShellHandler, WlrLayerShellState,
            },
            xdg::PopupSurface,
        },
    },
};

use crate::{client, shell::limit_layer, state::State};

impl WlrLayerShellHandler for State {
    fn shell_state(&mut self) -> &mut WlrLayerShellState {
        &mut self.globals.layer_shell
    }

    fn new_layer_surface(
        &mut self,
        surface: WlrLayerSurface,
        _output: Option<WlOutput>,
        _layer: Layer,
        namespace: String,
    ) {
        // Checked again at use: the filter speaks for the moment at which the global was bound.
        let allowed =
            surface.wl_surface().client().is_some_and(|client| client::may_use(&client, "zwlr_layer_shell_v1"));
        if !allowed {
            surface.send_close();
            return;
        }
        let layer = LayerSurface::new(surface, namespace);
        if let Err(error) = layer_map_for_output(&self.output).map_layer(&layer) {
            tracing::warn!(%error, "a layer surface was not mapped");
        }
    }

    fn new_popup(&mut self, _parent: WlrLayerSurface, popup: PopupSurface) {
        // Its parent was not known when it was first placed.
        let positioner = popup.with_pending_state(|state| state.positioner);
        self.place_popup(&popup, positioner);
        if let Err(error) = self.popups.track_popup(PopupKind::Xdg(popup)) {
            tracing::debug!(%error, "a popup has no living parent");
        }
    }

    fn layer_destroyed(&mut self, surface: WlrLayerSurface) {
        {
            let mut layers = layer_map_for_output(&self.output);
            let layer = layers.layers().find(|layer| layer.layer_surface() == &surface).cloned();
            if let Some(layer) = layer {
                layers.unmap_layer(&layer);
            }
        }
        self.arrange();
        self.refocus();
    }
}

delegate_layer_shell!(State);

impl State {
    /// A surface that may be a layer committed.
    pub(crate) fn layer_committed(&mut self, surface: &WlSurface) {
        let took_keyboard = {
            let mut layers = layer_map_for_output(&self.output);
            let Some(layer) = layers.layer_for_surface(surface, WindowSurfaceType::TOPLEVEL).cloned() else { return };
            let configured = with_states(surface, |states| {
                limit_layer(states.cached_state.get::<LayerSurfaceCachedState>().current());
                let attributes = states.data_map.get::<LayerSurfaceData>()?.lock().ok()?;
                Some(attributes.initial_configure_sent)
            });
            // The size comes first: it is part of the first configure event.
            layers.arrange();
            if configured == Some(false) {
                layer.layer_surface().send_configure();
            }
            layer.can_receive_keyboard_focus()
        };
        self.arrange();
        if took_keyboard {
            self.refocus();
        }
    }
}
