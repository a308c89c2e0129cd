//! `wl_output` and `xdg_output`, and two protocols that change how a buffer becomes a picture.

use smithay::{
    delegate_single_pixel_buffer, delegate_viewporter,
    reexports::{
        wayland_protocols::xdg::xdg_output::zv1::server::{
            zxdg_output_manager_v1::ZxdgOutputManagerV1, zxdg_output_v1::ZxdgOutputV1,
        },
        wayland_server::{delegate_dispatch, delegate_global_dispatch, protocol::wl_output::WlOutput},
    },
    wayland::output::{OutputHandler, OutputManagerState, OutputUserData, WlOutputData, XdgOutputUserData},
};
use wayland_auth::gate_global;

use crate::{client::ClientState, state::State};

impl OutputHandler for State {}

// `delegate_output` without its way to `xdg_output`, whose state takes no filter.
delegate_global_dispatch!(State: [WlOutput: WlOutputData] => OutputManagerState);
delegate_dispatch!(State: [WlOutput: OutputUserData] => OutputManagerState);
gate_global!(State, ClientState, [ZxdgOutputManagerV1: ()] => OutputManagerState);
delegate_dispatch!(State: [ZxdgOutputManagerV1: ()] => OutputManagerState);
delegate_dispatch!(State: [ZxdgOutputV1: XdgOutputUserData] => OutputManagerState);

delegate_single_pixel_buffer!(State);
delegate_viewporter!(State);
