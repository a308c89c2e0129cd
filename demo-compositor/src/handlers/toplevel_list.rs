//! `ext_foreign_toplevel_list_v1`: the list of all windows.

use smithay::{
    delegate_foreign_toplevel_list,
    wayland::{
        compositor::with_states,
        foreign_toplevel_list::{ForeignToplevelListHandler, ForeignToplevelListState},
        shell::xdg::{ToplevelSurface, XdgToplevelSurfaceData},
    },
};

use crate::state::State;

impl ForeignToplevelListHandler for State {
    fn foreign_toplevel_list_state(&mut self) -> &mut ForeignToplevelListState {
        &mut self.globals.toplevel_list
    }
}

delegate_foreign_toplevel_list!(State);

impl State {
    /// Puts a window on the list.
    pub(crate) fn list_toplevel(&mut self, toplevel: &ToplevelSurface) {
        let (title, app_id) = names(toplevel);
        let handle = self.globals.toplevel_list.new_toplevel::<Self>(title, app_id);
        self.listed.insert(toplevel.wl_surface().clone(), handle);
    }

    /// Tells those who watch the list that a window has other names.
    pub(crate) fn rename_toplevel(&self, toplevel: &ToplevelSurface) {
        let Some(handle) = self.listed.get(toplevel.wl_surface()) else { return };
        let (title, app_id) = names(toplevel);
        handle.send_title(&title);
        handle.send_app_id(&app_id);
        handle.send_done();
    }

    /// Takes a window off the list.
    pub(crate) fn unlist_toplevel(&mut self, toplevel: &ToplevelSurface) {
        if let Some(handle) = self.listed.remove(toplevel.wl_surface()) {
            self.globals.toplevel_list.remove_toplevel(&handle);
        }
    }
}

/// The title and the application ID that a window gives itself.
fn names(toplevel: &ToplevelSurface) -> (String, String) {
    let names = with_states(toplevel.wl_surface(), |states| {
        let attributes = states.data_map.get::<XdgToplevelSurfaceData>()?.lock().ok()?;
        Some((attributes.title.clone().unwrap_or_default(), attributes.app_id.clone().unwrap_or_default()))
    });
    names.unwrap_or_default()
}
