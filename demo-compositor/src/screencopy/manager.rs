//! The manager, which makes frames.

use std::sync::Arc;

use smithay::{
    output::Output,
    reexports::wayland_server::{
        Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, protocol::wl_output::WlOutput,
    },
    utils::{Buffer, Logical, Rectangle, Size, Transform},
};
use wayland_auth::{policy::Standing, wayland::allow_interface};
use wayland_protocols_wlr::screencopy::v1::server::{
    zwlr_screencopy_frame_v1::{EVT_BUFFER_DONE_SINCE, ZwlrScreencopyFrameV1},
    zwlr_screencopy_manager_v1::{self, ZwlrScreencopyManagerV1},
};

use super::{damage::Unseen, frame::Frame};
use crate::{
    client::{self, ClientState},
    state::State,
};

/// The version of the protocol.
pub(super) const VERSION: u32 = 3;

type Filter = Box<dyn Fn(&Client) -> bool + Send + Sync>;

/// The global's data: who may see it.
pub(crate) struct Global {
    filter: Filter,
}

impl Global {
    pub(super) fn new() -> Self {
        Self { filter: Box::new(allow_interface::<ClientState>(super::INTERFACE)) }
    }
}

impl GlobalDispatch<ZwlrScreencopyManagerV1, Global> for State {
    fn bind(
        state: &mut Self,
        _display: &DisplayHandle,
        _client: &Client,
        resource: New<ZwlrScreencopyManagerV1>,
        _global: &Global,
        data_init: &mut DataInit<'_, Self>,
    ) {
        let unseen = state.screencopy.watch(state.backend.size());
        data_init.init(resource, unseen);
    }

    fn can_view(client: Client, global: &Global) -> bool {
        (global.filter)(&client)
    }
}

impl Dispatch<ZwlrScreencopyManagerV1, Arc<Unseen>> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        _manager: &ZwlrScreencopyManagerV1,
        request: zwlr_screencopy_manager_v1::Request,
        unseen: &Arc<Unseen>,
        _display: &DisplayHandle,
        data_init: &mut DataInit<'_, Self>,
    ) {
        use zwlr_screencopy_manager_v1::Request;

        let (new, with_cursor, region) = match request {
            Request::CaptureOutput { frame, overlay_cursor, output } => {
                (frame, overlay_cursor, state.region_of(&output, None))
            }
            Request::CaptureOutputRegion { frame, overlay_cursor, output, x, y, width, height } => {
                let part = part(x, y, width, height);
                (frame, overlay_cursor, part.and_then(|part| state.region_of(&output, Some(part))))
            }
            _ => return,
        };
        // Checked again at use: the filter speaks for the moment at which the manager was bound.
        let region = region.filter(|_| client::standing(client, super::INTERFACE) > Standing::Denied);
        let frame = Frame::new(region, with_cursor != 0, unseen.clone());
        let resource: ZwlrScreencopyFrameV1 = data_init.init(new, frame);
        match region {
            Some(region) => announce(&resource, region.size),
            None => resource.failed(),
        }
    }
}

impl State {
    /// What `part` of an output is in pixels, or all of it. `None` if nothing is left, or the output is gone.
    fn region_of(&self, output: &WlOutput, part: Option<Rectangle<i32, Logical>>) -> Option<Rectangle<i32, Buffer>> {
        let output = Output::from_resource(output).filter(|output| output == &self.output)?;
        let size = output.current_mode()?.size;
        // The output is neither scaled nor turned: its logical pixels are those of the buffer.
        let whole = Rectangle::from_size(size.to_logical(1));
        let region = part.map_or(Some(whole), |part| part.intersection(whole))?;
        Some(region.to_buffer(1, Transform::Normal, &whole.size)).filter(|region| !region.is_empty())
    }
}

/// The part of an output that a client named. Its numbers may be anything.
fn part(x: i32, y: i32, width: i32, height: i32) -> Option<Rectangle<i32, Logical>> {
    if width <= 0 || height <= 0 {
        return None;
    }
    let (width, height) = (x.saturating_add(width).saturating_sub(x), y.saturating_add(height).saturating_sub(y));
    Some(Rectangle::new((x, y).into(), (width, height).into()))
}

/// Tells what buffer a frame of this size takes.
fn announce(frame: &ZwlrScreencopyFrameV1, size: Size<i32, Buffer>) {
    let (width, height) = (size.w.unsigned_abs(), size.h.unsigned_abs());
    frame.buffer(super::pool::FORMAT, width, height, width * super::pool::PIXEL);
    if frame.version() >= EVT_BUFFER_DONE_SINCE {
        frame.buffer_done();
    }
}
