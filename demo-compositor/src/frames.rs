//! When to draw: only if something changed, and then at most sixty times a second.

use std::time::{Duration, Instant};

use smithay::{
    desktop::{layer_map_for_output, utils::send_frames_surface_tree},
    reexports::calloop::timer::{TimeoutAction, Timer},
};

use crate::{
    render::View,
    state::{REFRESH, State},
};

/// The least time between two frames.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000_000 / REFRESH.unsigned_abs() as u64);
/// Frame callbacks go to hidden surfaces too.
const ALWAYS: Option<Duration> = Some(Duration::ZERO);

/// When the last frame was, and whether there will be another.
#[derive(Debug)]
pub(crate) struct FrameClock {
    started: Instant,
    last: Option<Instant>,
    scheduled: bool,
}

impl FrameClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), last: None, scheduled: false }
    }

    /// The time since the compositor started, for the time stamps of events.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the next frame may be drawn, if it is not decided yet.
    fn schedule(&mut self) -> Option<Instant> {
        if self.scheduled {
            return None;
        }
        self.scheduled = true;
        let now = Instant::now();
        Some(self.last.map_or(now, |last| now.max(last + INTERVAL)))
    }

    fn begin(&mut self) {
        self.scheduled = false;
        self.last = Some(Instant::now());
    }
}

impl State {
    /// Something on the output changed, or a client waits for a frame: draw at the next occasion.
    pub(crate) fn queue_redraw(&mut self) {
        let Some(deadline) = self.frames.schedule() else { return };
        let timer = self.loop_handle.insert_source(Timer::from_deadline(deadline), |_, (), state| {
            state.frame();
            TimeoutAction::Drop
        });
        if let Err(error) = timer {
            tracing::error!(%error, "a frame is lost");
            self.frames.scheduled = false;
        }
    }

    /// Draws what changed, then serves those who wait for the contents of the screen.
    fn frame(&mut self) {
        self.frames.begin();
        self.space.refresh();
        self.popups.cleanup();
        layer_map_for_output(&self.output).cleanup();

        let view =
            View::new(&self.space, &self.output, &self.backdrop, self.notice.as_ref(), &self.cursor, &self.pointer);
        let damage = self.backend.update(&view);
        self.screencopy.add_damage(&damage);
        self.screencopy.serve(&mut self.backend, &view);
        if self.backend.has_shown_it() {
            self.send_frame_callbacks();
        }
    }

    /// Tells all clients that now is a good time for their next frame.
    pub(crate) fn send_frame_callbacks(&self) {
        let (output, time) = (&self.output, self.frames.now());
        for window in self.space.elements().chain(&self.unmapped) {
            window.send_frame(output, time, ALWAYS, |_, _| None);
        }
        for layer in layer_map_for_output(output).layers() {
            layer.send_frame(output, time, ALWAYS, |_, _| None);
        }
        if let Some((cursor, _)) = View::cursor_surface(&self.cursor, &self.pointer) {
            send_frames_surface_tree(&cursor, output, time, ALWAYS, |_, _| None);
        }
    }
}
