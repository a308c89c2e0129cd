//! What the client remembers of the events that came.

use wayland_client::{
    Connection, Dispatch, QueueHandle, delegate_noop,
    globals::GlobalListContents,
    protocol::{
        wl_buffer::WlBuffer,
        wl_callback::{self, WlCallback},
        wl_compositor::WlCompositor,
        wl_output::WlOutput,
        wl_registry::{self, WlRegistry},
        wl_shm::WlShm,
        wl_shm_pool::WlShmPool,
        wl_subcompositor::WlSubcompositor,
        wl_subsurface::WlSubsurface,
        wl_surface::WlSurface,
    },
};
use wayland_protocols::{
    wp::security_context::v1::client::{
        wp_security_context_manager_v1::WpSecurityContextManagerV1, wp_security_context_v1::WpSecurityContextV1,
    },
    xdg::shell::client::{
        xdg_popup::XdgPopup,
        xdg_positioner::XdgPositioner,
        xdg_surface::{self, XdgSurface},
        xdg_toplevel::XdgToplevel,
        xdg_wm_base::{self, XdgWmBase},
    },
};
use wayland_protocols_wlr::{
    layer_shell::v1::client::{
        zwlr_layer_shell_v1::ZwlrLayerShellV1,
        zwlr_layer_surface_v1::{self, ZwlrLayerSurfaceV1},
    },
    screencopy::v1::client::{
        zwlr_screencopy_frame_v1::{self, ZwlrScreencopyFrameV1},
        zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1,
    },
};

/// What events came.
#[derive(Default)]
pub struct Seen {
    pub(super) configured: bool,
    pub(super) layer_size: Option<(u32, u32)>,
    pub(super) frames_done: u32,
    pub(super) copy: CopyEvents,
}

/// What events came for one frame of screencopy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CopyEvents {
    pub buffer: Option<(u32, u32, u32)>,
    pub buffer_done: bool,
    pub flags: bool,
    pub damage: Option<(u32, u32, u32, u32)>,
    pub ready: bool,
    pub failed: bool,
}

impl Dispatch<WlRegistry, GlobalListContents> for Seen {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<WlCallback, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        _: &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            seen.frames_done += 1;
        }
    }
}

impl Dispatch<XdgWmBase, ()> for Seen {
    fn event(
        _: &mut Self,
        wm_base: &XdgWmBase,
        event: xdg_wm_base::Event,
        _: &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            wm_base.pong(serial);
        }
    }
}

impl Dispatch<XdgSurface, ()> for Seen {
    fn event(
        seen: &mut Self,
        surface: &XdgSurface,
        event: xdg_surface::Event,
        _: &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            seen.configured = true;
        }
    }
}

impl Dispatch<ZwlrLayerSurfaceV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        surface: &ZwlrLayerSurfaceV1,
        event: zwlr_layer_surface_v1::Event,
        _: &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let zwlr_layer_surface_v1::Event::Configure { serial, width, height } = event {
            surface.ack_configure(serial);
            seen.layer_size = Some((width, height));
        }
    }
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwlrScreencopyFrameV1,
        event: zwlr_screencopy_frame_v1::Event,
        _: &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwlr_screencopy_frame_v1::Event;
        let copy = &mut seen.copy;
        match event {
            Event::Buffer { width, height, stride, .. } => copy.buffer = Some((width, height, stride)),
            Event::BufferDone => copy.buffer_done = true,
            Event::Flags { .. } => copy.flags = true,
            Event::Damage { x, y, width, height } => copy.damage = Some((x, y, width, height)),
            Event::Ready { .. } => copy.ready = true,
            Event::Failed => copy.failed = true,
            _ => {}
        }
    }
}

delegate_noop!(Seen: ignore WlBuffer);
delegate_noop!(Seen: WlCompositor);
delegate_noop!(Seen: ignore WlOutput);
delegate_noop!(Seen: ignore WlShm);
delegate_noop!(Seen: WlShmPool);
delegate_noop!(Seen: WlSubcompositor);
delegate_noop!(Seen: WlSubsurface);
delegate_noop!(Seen: ignore WlSurface);
delegate_noop!(Seen: ignore XdgToplevel);
delegate_noop!(Seen: ignore XdgPopup);
delegate_noop!(Seen: XdgPositioner);
delegate_noop!(Seen: ZwlrLayerShellV1);
delegate_noop!(Seen: WpSecurityContextManagerV1);
delegate_noop!(Seen: WpSecurityContextV1);
delegate_noop!(Seen: ZwlrScreencopyManagerV1);
