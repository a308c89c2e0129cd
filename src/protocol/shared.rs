//! What all objects of the protocol share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wayland_server::DisplayHandle;
use wayland_server::backend::WeakHandle;

use super::own::OwnObjects;
use crate::wayland::Authenticator;

pub(super) struct Shared {
    pub(super) authenticator: Authenticator,
    /// A strong one would keep the display alive by its own objects.
    display: WeakHandle,
    objects: Mutex<Objects>,
}

/// The objects that are told of changes.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) own: OwnObjects,
}

impl Shared {
    pub(super) fn new(authenticator: Authenticator, display: &DisplayHandle) -> Self {
        Self { authenticator, display: display.backend_handle().downgrade(), objects: Mutex::default() }
    }

    /// Never called by what the backend may call under its own lock: sending takes that one while this is held.
    pub(super) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has changed.
    pub(super) fn dispatch(&self) {
        let Some(display) = self.display.upgrade().map(DisplayHandle::from) else { return };
        self.objects().own.tell_changes(&display, &self.authenticator.policy());
    }
}
