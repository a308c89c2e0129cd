//! Which capability an interface needs: one row for every global that is known.
//!
//! `core` is what sway, niri *and* cosmic-comp leave to the clients of a security context;
//! where one of them hides an interface, it needs a capability, also if the other two show it.
//! What only some of them have is `core` if none of those hides it and it reaches no further
//! than the client's own windows. What none of them has was judged by that second test alone.
//! Twins (wlr, ext, KDE, COSMIC, Hyprland) need the same capability.
//!
//! Three rows are worth knowing about:
//!
//! * `zxdg_output_manager_v1` and `zwp_keyboard_shortcuts_inhibit_manager_v1` need a capability
//!   because sway hides them, although many applications use them and get by without.
//! * `ext_idle_notifier_v1` needs a capability although all three show it: it tells when a person
//!   sits down and gets up, and so does its KDE twin, which can *simulate* activity as well.
//! * `mutter_x11_interop` is not `core`: only niri has it, without function; with mutter it
//!   reaches the windows of other X11 clients.
//!
//! # References
//!
//! * sway, `is_privileged` in `sway/server.c` (2026-07)
//! * niri, the filters in `Niri::new` in `src/niri.rs` (2026-01)
//! * cosmic-comp, `State::new` in `src/state.rs` (2026-07)

mod table;

use super::Interfaces;
use super::capability::Capability;
use table::TABLE;

/// What a client needs in order to see a global of some interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// Nothing: every client sees it.
    Core,
    /// This capability.
    Capability(Capability),
}

impl Class {
    /// The capability that is needed, if any.
    #[must_use]
    pub fn capability(self) -> Option<Capability> {
        match self {
            Self::Core => None,
            Self::Capability(capability) => Some(capability),
        }
    }
}

/// The row of `interface`, as long as no policy says otherwise.
///
/// `None` means that the interface is in no row: a client needs
/// [`Capability::UNCLASSIFIED`] for it.
#[must_use]
pub fn built_in_class(interface: &str) -> Option<Class> {
    let row = TABLE.binary_search_by(|(name, _)| name.as_bytes().cmp(interface.as_bytes())).ok()?;
    TABLE.get(row).map(|(_, class)| *class)
}

/// All rows, sorted by the name of the interface.
pub fn built_in_interfaces() -> impl Iterator<Item = (&'static str, Class)> {
    TABLE.iter().copied()
}

/// What a client needs for an interface, where a policy names these itself.
///
/// An interface that neither the table nor the policy names needs [`Capability::UNCLASSIFIED`].
pub(crate) fn class_beside(own: &Interfaces, interface: &str) -> Class {
    let own = own.get(interface).copied().map(Class::Capability);
    own.or_else(|| built_in_class(interface)).unwrap_or(Class::Capability(Capability::UNCLASSIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(interface: &str) -> Option<&'static str> {
        built_in_class(interface).and_then(Class::capability).and_then(Capability::built_in_name)
    }

    #[test]
    fn the_table_is_sorted_and_has_no_row_twice() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0.as_bytes() < pair[1].0.as_bytes(), "{} before {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn every_row_is_found_by_its_name() {
        for (name, class) in built_in_interfaces() {
            assert_eq!(built_in_class(name), Some(class), "{name}");
        }
        for unknown in ["", "zzz", "_", "wl_compositor2", "WL_COMPOSITOR"] {
            assert_eq!(built_in_class(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_row_names_a_built_in_capability_and_never_unclassified() {
        for (name, class) in built_in_interfaces() {
            if let Class::Capability(capability) = class {
                assert!(capability.built_in_name().is_some(), "{name}");
                assert_ne!(capability, Capability::UNCLASSIFIED, "{name}");
            }
        }
    }

    #[test]
    fn nothing_that_sway_or_niri_or_cosmic_comp_hides_is_core() {
        let sway = "zwlr_output_manager_v1 zwlr_output_power_manager_v1 zwp_input_method_manager_v2 \
                    ext_foreign_toplevel_list_v1 zwlr_foreign_toplevel_manager_v1 zwlr_data_control_manager_v1 \
                    ext_data_control_manager_v1 zwlr_screencopy_manager_v1 ext_image_copy_capture_manager_v1 \
                    zwlr_export_dmabuf_manager_v1 wp_security_context_manager_v1 zwlr_gamma_control_manager_v1 \
                    zwlr_layer_shell_v1 ext_session_lock_manager_v1 zwp_keyboard_shortcuts_inhibit_manager_v1 \
                    zwp_virtual_keyboard_manager_v1 zwlr_virtual_pointer_manager_v1 ext_transient_seat_manager_v1 \
                    zxdg_output_manager_v1 ext_workspace_manager_v1 wp_drm_lease_device_v1 xwayland_shell_v1";
        let cosmic = "zcosmic_output_manager_v1 zcosmic_overlap_notify_v1 \
                      zcosmic_workspace_image_capture_source_manager_v1 ext_output_image_capture_source_manager_v1 \
                      ext_foreign_toplevel_image_capture_source_manager_v1 zcosmic_keyboard_layout_manager_v1 \
                      zcosmic_toplevel_info_v1 zcosmic_toplevel_manager_v1 zcosmic_workspace_manager_v2 \
                      cosmic_a11y_manager_v1 zwp_xwayland_keyboard_grab_manager_v1";
        // What niri hides, sway hides too.
        for interface in sway.split_whitespace().chain(cosmic.split_whitespace()) {
            assert!(needs(interface).is_some(), "{interface}");
        }
    }

    #[test]
    fn what_all_three_show_is_core() {
        let shown = "wl_compositor wl_subcompositor wl_shm wl_seat wl_output wl_data_device_manager xdg_wm_base \
                     zwp_linux_dmabuf_v1 wp_viewporter wp_presentation wp_fractional_scale_manager_v1 \
                     wp_cursor_shape_manager_v1 wp_single_pixel_buffer_manager_v1 xdg_activation_v1 \
                     zxdg_decoration_manager_v1 org_kde_kwin_server_decoration_manager zxdg_exporter_v2 \
                     zxdg_importer_v2 zwp_text_input_manager_v3 zwp_tablet_manager_v2 zwp_pointer_gestures_v1 \
                     zwp_pointer_constraints_v1 zwp_relative_pointer_manager_v1 zwp_idle_inhibit_manager_v1 \
                     zwp_primary_selection_device_manager_v1";
        for interface in shown.split_whitespace() {
            assert_eq!(built_in_class(interface), Some(Class::Core), "{interface}");
        }
    }

    #[test]
    fn twins_need_the_same_capability() {
        let twins = [
            ["ext_idle_notifier_v1", "org_kde_kwin_idle"],
            ["ext_data_control_manager_v1", "zwlr_data_control_manager_v1"],
            ["ext_image_copy_capture_manager_v1", "zwlr_screencopy_manager_v1"],
            ["zkde_screencast_unstable_v1", "hyprland_toplevel_export_manager_v1"],
            ["zwlr_layer_shell_v1", "org_kde_plasma_shell"],
            ["ext_foreign_toplevel_list_v1", "zcosmic_toplevel_info_v1"],
            ["zwlr_foreign_toplevel_manager_v1", "org_kde_plasma_window_management"],
            ["ext_workspace_manager_v1", "org_kde_plasma_virtual_desktop_management"],
            ["zwlr_output_manager_v1", "kde_output_management_v2"],
            ["zwlr_output_power_manager_v1", "org_kde_kwin_dpms_manager"],
            ["zwlr_gamma_control_manager_v1", "hyprland_ctm_control_manager_v1"],
            ["zwp_input_method_manager_v2", "zwp_input_method_v1"],
            ["zxdg_output_manager_v1", "kde_output_device_v2"],
        ];
        for [a, b] in twins {
            assert!(needs(a).is_some() && needs(a) == needs(b), "{a} and {b}");
        }
    }
}
