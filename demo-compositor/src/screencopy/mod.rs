//! `zwlr_screencopy_manager_v1`: pictures of the output, into shared memory.
//!
//! A client binds the manager ([`manager`]), asks it for a frame of the output or of a part of it ([`frame`]), is told
//! what buffer that takes, and hands one in. The buffer is filled ([`pool`]) with the next frame that is drawn; a copy
//! "with damage" waits until something changed that this client has not seen yet ([`damage`]).

mod damage;
mod frame;
mod manager;
mod pool;

use std::sync::{Arc, Weak};

use smithay::{
    reexports::wayland_server::{DisplayHandle, backend::GlobalId},
    utils::{Physical, Rectangle, Size},
};
use wayland_protocols_wlr::screencopy::v1::server::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

use self::{damage::Unseen, frame::Copy, manager::VERSION};
use crate::{
    render::{Backend, View},
    state::State,
};

/// What a client has to see and may have to ask for.
pub(crate) const INTERFACE: &str = "zwlr_screencopy_manager_v1";

/// Who captures the output, and what they wait for.
#[derive(Debug)]
pub(crate) struct Screencopy {
    _global: GlobalId,
    /// One for each manager that a client bound.
    unseen: Vec<Weak<Unseen>>,
    /// Copies that were asked for and not made yet.
    waiting: Vec<Copy>,
}

impl Screencopy {
    /// Makes the global. Who may not capture does not see it: see [`manager`].
    pub(crate) fn new(display: &DisplayHandle) -> Self {
        let global = display.create_global::<State, ZwlrScreencopyManagerV1, _>(VERSION, manager::Global::new());
        Self { _global: global, unseen: Vec::new(), waiting: Vec::new() }
    }

    /// Begins to keep what changes, for a manager that has not seen anything of an output of this size.
    fn watch(&mut self, size: Size<i32, Physical>) -> Arc<Unseen> {
        let unseen = Arc::new(Unseen::all_of(size));
        self.unseen.push(Arc::downgrade(&unseen));
        unseen
    }

    /// Parts of the output changed.
    pub(crate) fn add_damage(&mut self, damage: &[Rectangle<i32, Physical>]) {
        self.unseen.retain(|unseen| match unseen.upgrade() {
            Some(unseen) => {
                unseen.add(damage);
                true
            }
            None => false,
        });
    }

    /// Makes all copies that need not wait any longer.
    pub(crate) fn serve(&mut self, backend: &mut Backend, view: &View<'_>) {
        self.waiting.retain(|copy| {
            copy.must_wait() || {
                copy.make(|region, with_cursor| backend.capture(view, region, with_cursor));
                false
            }
        });
    }
}
