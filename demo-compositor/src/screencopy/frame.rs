//! A frame: one copy of the output, made at most once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use smithay::{
    reexports::wayland_server::{Client, DataInit, Dispatch, DisplayHandle, Resource, protocol::wl_buffer::WlBuffer},
    utils::{Buffer, Clock, Monotonic, Rectangle},
};
use wayland_auth::ask::Outcome;
use wayland_protocols_wlr::screencopy::v1::server::zwlr_screencopy_frame_v1::{
    self, Error, Flags, ZwlrScreencopyFrameV1,
};

use super::{damage::Unseen, pool};
use crate::{
    asking::Held,
    render::{CaptureError, Pixels},
    state::State,
};

/// What a frame shows.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Nothing, for a frame that failed at once.
    region: Option<Rectangle<i32, Buffer>>,
    with_cursor: bool,
    unseen: Arc<Unseen>,
    used: AtomicBool,
}

impl Frame {
    pub(super) fn new(region: Option<Rectangle<i32, Buffer>>, with_cursor: bool, unseen: Arc<Unseen>) -> Self {
        Self { region, with_cursor, unseen, used: AtomicBool::new(false) }
    }
}

impl Dispatch<ZwlrScreencopyFrameV1, Frame> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        resource: &ZwlrScreencopyFrameV1,
        request: zwlr_screencopy_frame_v1::Request,
        frame: &Frame,
        _display: &DisplayHandle,
        _data_init: &mut DataInit<'_, Self>,
    ) {
        use zwlr_screencopy_frame_v1::Request;

        let (buffer, with_damage) = match request {
            Request::Copy { buffer } => (buffer, false),
            Request::CopyWithDamage { buffer } => (buffer, true),
            _ => return,
        };
        if frame.used.swap(true, Ordering::Relaxed) {
            resource.post_error(Error::AlreadyUsed, "this frame was already used to copy");
            return;
        }
        // A frame that failed only waits to be destroyed.
        let Some(region) = frame.region else { return };
        if let Err(reason) = pool::check(&buffer, region.size) {
            resource.post_error(Error::InvalidBuffer, reason.to_string());
            return;
        }
        let held = state.begin_use(client, super::INTERFACE);
        state.screencopy.waiting.push(Copy {
            resource: resource.clone(),
            held,
            buffer,
            region,
            with_cursor: frame.with_cursor,
            unseen: with_damage.then(|| frame.unseen.clone()),
        });
        state.queue_redraw();
    }
}

/// A copy that a client asked for.
#[derive(Debug)]
pub(super) struct Copy {
    resource: ZwlrScreencopyFrameV1,
    /// Whether it may be made; there may be no answer yet.
    held: Option<Held>,
    buffer: WlBuffer,
    region: Rectangle<i32, Buffer>,
    with_cursor: bool,
    /// What it waits for, if it is one "with damage".
    unseen: Option<Arc<Unseen>>,
}

impl Copy {
    /// Whether somebody has to answer first, or there is nothing to be seen that its client has not seen.
    pub(super) fn must_wait(&self) -> bool {
        let seen = |unseen: &Arc<Unseen>, outcome| match outcome {
            Outcome::Allowed => !unseen.is_any_in(self.region),
            // A black picture never changes: when something did would be told by it else.
            Outcome::Empty => unseen.is_black(),
            Outcome::Denied => false,
        };
        self.resource.is_alive()
            && match self.outcome() {
                None => true,
                Some(outcome) => self.unseen.as_ref().is_some_and(|unseen| seen(unseen, outcome)),
            }
    }

    /// `None` as long as somebody is asked.
    fn outcome(&self) -> Option<Outcome> {
        self.held.as_ref().map_or(Some(Outcome::Denied), Held::outcome)
    }

    /// Fills the buffer with what `capture` gives, and tells the client.
    pub(super) fn make(&self, capture: impl FnOnce(Rectangle<i32, Buffer>, bool) -> Result<Pixels, CaptureError>) {
        if !self.resource.is_alive() {
            return;
        }
        // By what holds now: it may have waited for long.
        let outcome = self.outcome().unwrap_or(Outcome::Denied);
        if outcome == Outcome::Denied || !self.buffer.is_alive() {
            self.resource.failed();
            return;
        }
        let captured = match outcome {
            Outcome::Allowed => capture(self.region, self.with_cursor),
            _ => Ok(Pixels::black(self.region.size)),
        };
        let pixels = match captured {
            Ok(pixels) => pixels,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a capture failed");
                self.resource.failed();
                return;
            }
        };
        let time = Duration::from(Clock::<Monotonic>::new().now());
        if let Err(error) = pool::write(&self.buffer, self.region.size, &pixels) {
            tracing::debug!(%error, "a capture was not delivered");
            self.resource.failed();
            return;
        }
        self.resource.flags(Flags::empty());
        let damage = self.unseen.as_ref().and_then(|unseen| match outcome {
            Outcome::Allowed => unseen.take(self.region),
            _ => {
                unseen.turn_black();
                Some(self.region)
            }
        });
        if let Some(damage) = damage {
            let corner = damage.loc - self.region.loc;
            self.resource.damage(
                corner.x.unsigned_abs(),
                corner.y.unsigned_abs(),
                damage.size.w.unsigned_abs(),
                damage.size.h.unsigned_abs(),
            );
        }
        let seconds = time.as_secs();
        self.resource.ready((seconds >> 32) as u32, seconds as u32, time.subsec_nanos());
    }
}
