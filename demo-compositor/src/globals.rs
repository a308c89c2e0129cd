//! The globals of the compositor, and which capability each of them needs.
//!
//! All of them are made at start and live as long as the compositor: what a client may not use is hidden from it, and
//! never taken away.

use smithay::{
    reexports::{
        calloop::LoopHandle,
        wayland_server::{DisplayHandle, protocol::wl_shm},
    },
    wayland::{
        compositor::CompositorState,
        cursor_shape::CursorShapeManagerState,
        foreign_toplevel_list::ForeignToplevelListState,
        idle_notify::IdleNotifierState,
        output::OutputManagerState,
        selection::{
            data_device::DataDeviceState, ext_data_control, primary_selection::PrimarySelectionState, wlr_data_control,
        },
        shell::{wlr_layer::WlrLayerShellState, xdg::XdgShellState},
        shm::ShmState,
        single_pixel_buffer::SinglePixelBufferState,
        viewporter::ViewporterState,
        virtual_keyboard::VirtualKeyboardManagerState,
    },
};
use wayland_auth::wayland::allow_interface;

use crate::{client::ClientState, handlers::virtual_keyboard, security_context, state::State};

/// What smithay keeps about each global.
#[derive(Debug)]
pub(crate) struct Globals {
    // Open to everyone.
    pub(crate) compositor: CompositorState,
    pub(crate) shm: ShmState,
    pub(crate) xdg_shell: XdgShellState,
    pub(crate) data_device: DataDeviceState,
    pub(crate) primary_selection: PrimarySelectionState,
    _viewporter: ViewporterState,
    _single_pixel_buffer: SinglePixelBufferState,
    _cursor_shape: CursorShapeManagerState,

    // Each behind its capability.
    _output: OutputManagerState,
    pub(crate) layer_shell: WlrLayerShellState,
    pub(crate) wlr_data_control: wlr_data_control::DataControlState,
    pub(crate) ext_data_control: ext_data_control::DataControlState,
    pub(crate) toplevel_list: ForeignToplevelListState,
    pub(crate) idle_notifier: IdleNotifierState<State>,
    _virtual_keyboard: VirtualKeyboardManagerState,
}

impl Globals {
    /// Makes them all, but `wl_output`, `wl_seat` and screencopy.
    pub(crate) fn new(
        display: &DisplayHandle,
        loop_handle: LoopHandle<'static, State>,
        formats: impl IntoIterator<Item = wl_shm::Format>,
    ) -> Self {
        let primary_selection = PrimarySelectionState::new::<State>(display);
        security_context::create_global(display);
        Self {
            compositor: CompositorState::new::<State>(display),
            shm: ShmState::new::<State>(display, formats),
            xdg_shell: XdgShellState::new::<State>(display),
            data_device: DataDeviceState::new::<State>(display),
            _viewporter: ViewporterState::new::<State>(display),
            _single_pixel_buffer: SinglePixelBufferState::new::<State>(display),
            _cursor_shape: CursorShapeManagerState::new::<State>(display),

            // `wl_output` is open; for `xdg_output` see the gate in `handlers::output`.
            _output: OutputManagerState::new_with_xdg_output::<State>(display),
            layer_shell: WlrLayerShellState::new_with_filter::<State, _>(
                display,
                allow_interface::<ClientState>("zwlr_layer_shell_v1"),
            ),
            wlr_data_control: wlr_data_control::DataControlState::new::<State, _>(
                display,
                Some(&primary_selection),
                allow_interface::<ClientState>("zwlr_data_control_manager_v1"),
            ),
            ext_data_control: ext_data_control::DataControlState::new::<State, _>(
                display,
                Some(&primary_selection),
                allow_interface::<ClientState>("ext_data_control_manager_v1"),
            ),
            toplevel_list: ForeignToplevelListState::new_with_filter::<State>(
                display,
                allow_interface::<ClientState>("ext_foreign_toplevel_list_v1"),
            ),
            // Its state takes no filter: see the gate in `handlers::idle`.
            idle_notifier: IdleNotifierState::new(display, loop_handle),
            _virtual_keyboard: VirtualKeyboardManagerState::new::<State, _>(
                display,
                allow_interface::<ClientState>(virtual_keyboard::INTERFACE),
            ),
            primary_selection,
        }
    }
}
