//! The globals of the demo compositor, written down once more: each name, and what it needs.

use std::collections::BTreeSet;

/// What everybody sees.
const CORE: [&str; 12] = [
    "wl_compositor",
    "wl_subcompositor",
    "wl_shm",
    "wl_output",
    "wl_seat",
    "wl_data_device_manager",
    "xdg_wm_base",
    "wp_viewporter",
    "wp_single_pixel_buffer_manager_v1",
    "wp_cursor_shape_manager_v1",
    "zwp_primary_selection_device_manager_v1",
    "xx_client_auth_manager_v1",
];

/// What is hidden from whoever lacks the capability.
pub(crate) const PRIVILEGED: [(&str, &str); 10] = [
    ("zwlr_screencopy_manager_v1", "screen-capture"),
    ("zwlr_layer_shell_v1", "layer-shell"),
    ("zwlr_data_control_manager_v1", "clipboard-manager"),
    ("ext_data_control_manager_v1", "clipboard-manager"),
    ("zwp_virtual_keyboard_manager_v1", "virtual-keyboard"),
    ("ext_foreign_toplevel_list_v1", "toplevel-list"),
    ("ext_idle_notifier_v1", "idle-notify"),
    ("wp_security_context_manager_v1", "security-context"),
    ("zxdg_output_manager_v1", "output-info"),
    ("xx_client_auth_monitor_v1", "identity-monitor"),
];

/// The capabilities that `*` does not contain.
pub(crate) const NOT_IN_STAR: [&str; 2] = ["identity-admin", "identity-monitor"];

pub(crate) use wayland_auth_tests::wire::{PrintedGlobal as Global, printed_globals as globals_of};

/// The interfaces that a client with these capabilities sees.
pub(crate) fn expected(capabilities: &[&str]) -> BTreeSet<String> {
    let all = capabilities.contains(&"*");
    let all = |needed: &str| all && !NOT_IN_STAR.contains(&needed);
    let seen = PRIVILEGED.iter().filter(|(_, needed)| all(needed) || capabilities.contains(needed));
    CORE.iter().copied().chain(seen.map(|(interface, _)| *interface)).map(str::to_owned).collect()
}

/// Their interfaces.
pub(crate) fn interfaces(globals: &[Global]) -> BTreeSet<String> {
    globals.iter().map(|(_, interface, _)| interface.clone()).collect()
}
