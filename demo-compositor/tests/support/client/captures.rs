//! Frames of screencopy.

use wayland_client::protocol::wl_output::WlOutput;
use wayland_protocols_wlr::screencopy::v1::client::{
    zwlr_screencopy_frame_v1::ZwlrScreencopyFrameV1, zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1,
};

use super::{Client, CopyEvents};

impl Client {
    /// Asks for a frame of all of the output, or of a part, and waits until it says which buffer it takes.
    pub fn frame(&mut self, part: Option<(i32, i32, i32, i32)>) -> (ZwlrScreencopyFrameV1, CopyEvents) {
        let manager: ZwlrScreencopyManagerV1 = self.bind(3);
        self.frame_of(&manager, part)
    }

    /// As [`frame`](Self::frame), from this manager.
    pub fn frame_of(
        &mut self,
        manager: &ZwlrScreencopyManagerV1,
        part: Option<(i32, i32, i32, i32)>,
    ) -> (ZwlrScreencopyFrameV1, CopyEvents) {
        let output: WlOutput = self.bind(1);
        self.seen.copy = CopyEvents::default();
        let frame = match part {
            None => manager.capture_output(0, &output, &self.handle(), ()),
            Some((x, y, width, height)) => {
                manager.capture_output_region(0, &output, x, y, width, height, &self.handle(), ())
            }
        };
        self.roundtrip().unwrap();
        (frame, self.seen.copy.clone())
    }

    /// What came for the last frame so far.
    pub fn copy_events(&mut self) -> CopyEvents {
        self.roundtrip().unwrap();
        self.seen.copy.clone()
    }

    /// Waits until the last frame is ready or failed.
    pub fn finish_copy(&mut self) -> CopyEvents {
        while !self.seen.copy.ready && !self.seen.copy.failed {
            self.queue.blocking_dispatch(&mut self.seen).unwrap();
        }
        self.seen.copy.clone()
    }
}
