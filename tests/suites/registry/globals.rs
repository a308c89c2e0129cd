//! The globals of the tests' compositor.

use wayland_auth_tests::server::{Filter, State};
use wayland_protocols::ext::data_control::v1::server::ext_data_control_manager_v1::ExtDataControlManagerV1;
use wayland_protocols::ext::foreign_toplevel_list::v1::server::ext_foreign_toplevel_list_v1::ExtForeignToplevelListV1;
use wayland_protocols::ext::idle_notify::v1::server::ext_idle_notifier_v1::ExtIdleNotifierV1;
use wayland_protocols::ext::image_copy_capture::v1::server::ext_image_copy_capture_manager_v1::ExtImageCopyCaptureManagerV1;
use wayland_protocols::ext::session_lock::v1::server::ext_session_lock_manager_v1::ExtSessionLockManagerV1;
use wayland_protocols::wp::fractional_scale::v1::server::wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1;
use wayland_protocols::wp::security_context::v1::server::wp_security_context_manager_v1::WpSecurityContextManagerV1;
use wayland_protocols::wp::viewporter::server::wp_viewporter::WpViewporter;
use wayland_protocols::xdg::shell::server::xdg_wm_base::XdgWmBase;
use wayland_protocols::xdg::xdg_output::zv1::server::zxdg_output_manager_v1::ZxdgOutputManagerV1;
use wayland_protocols_misc::zwp_input_method_v2::server::zwp_input_method_manager_v2::ZwpInputMethodManagerV2;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::server::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_plasma::output_management::v2::server::kde_output_management_v2::KdeOutputManagementV2;
use wayland_protocols_wlr::data_control::v1::server::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1;
use wayland_protocols_wlr::gamma_control::v1::server::zwlr_gamma_control_manager_v1::ZwlrGammaControlManagerV1;
use wayland_protocols_wlr::layer_shell::v1::server::zwlr_layer_shell_v1::ZwlrLayerShellV1;
use wayland_protocols_wlr::screencopy::v1::server::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;
use wayland_protocols_wlr::virtual_pointer::v1::server::zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1;
use wayland_server::protocol::wl_compositor::WlCompositor;
use wayland_server::protocol::wl_data_device_manager::WlDataDeviceManager;
use wayland_server::protocol::wl_output::WlOutput;
use wayland_server::protocol::wl_seat::WlSeat;
use wayland_server::protocol::wl_shm::WlShm;
use wayland_server::protocol::wl_subcompositor::WlSubcompositor;
use wayland_server::{DisplayHandle, Resource};

macro_rules! globals {
    ($($type:ty, $interface:literal, $capability:literal;)*) => {
        /// Each interface with the capability that it needs: written down here once more, so that a row that
        /// slips in the library's table is seen.
        pub(crate) const GLOBALS: &[(&str, &str)] = &[$(($interface, $capability)),*];

        /// Makes the globals.
        pub(crate) fn make_globals(handle: &DisplayHandle, filter: &dyn Fn(&str) -> Filter) {
            $(
                let interface = <$type>::interface();
                assert_eq!(interface.name, $interface);
                handle.create_global::<State, $type, Filter>(interface.version, filter($interface));
            )*
        }
    };
}

globals! {
    WlCompositor, "wl_compositor", "core";
    WlSubcompositor, "wl_subcompositor", "core";
    WlShm, "wl_shm", "core";
    WlSeat, "wl_seat", "core";
    WlOutput, "wl_output", "core";
    WlDataDeviceManager, "wl_data_device_manager", "core";
    XdgWmBase, "xdg_wm_base", "core";
    WpViewporter, "wp_viewporter", "core";
    WpFractionalScaleManagerV1, "wp_fractional_scale_manager_v1", "core";
    ZxdgOutputManagerV1, "zxdg_output_manager_v1", "output-info";
    ZwlrScreencopyManagerV1, "zwlr_screencopy_manager_v1", "screen-capture";
    ExtImageCopyCaptureManagerV1, "ext_image_copy_capture_manager_v1", "screen-capture";
    ZwlrLayerShellV1, "zwlr_layer_shell_v1", "layer-shell";
    ZwlrDataControlManagerV1, "zwlr_data_control_manager_v1", "clipboard-manager";
    ExtDataControlManagerV1, "ext_data_control_manager_v1", "clipboard-manager";
    ZwpVirtualKeyboardManagerV1, "zwp_virtual_keyboard_manager_v1", "virtual-keyboard";
    ZwlrVirtualPointerManagerV1, "zwlr_virtual_pointer_manager_v1", "virtual-pointer";
    ZwpInputMethodManagerV2, "zwp_input_method_manager_v2", "input-method";
    ExtForeignToplevelListV1, "ext_foreign_toplevel_list_v1", "toplevel-list";
    ExtIdleNotifierV1, "ext_idle_notifier_v1", "idle-notify";
    ExtSessionLockManagerV1, "ext_session_lock_manager_v1", "session-lock";
    ZwlrGammaControlManagerV1, "zwlr_gamma_control_manager_v1", "gamma-control";
    KdeOutputManagementV2, "kde_output_management_v2", "output-management";
    WpSecurityContextManagerV1, "wp_security_context_manager_v1", "security-context";
}
