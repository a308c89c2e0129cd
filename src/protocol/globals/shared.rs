//! What all objects of the protocol share.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wayland_server::DisplayHandle;
use wayland_server::backend::WeakHandle;

use super::agent::Agent;
use super::clients::ClientLists;
use super::grants::GrantLists;
use super::news::News;
use super::own::OwnObjects;
use crate::ask::Asker;
use crate::wayland::Authenticator;

pub(super) struct Shared {
    pub(super) authenticator: Authenticator,
    pub(super) asker: Option<Asker>,
    /// A strong one would keep the display alive by its own objects.
    display: WeakHandle,
    objects: Mutex<Objects>,
    pub(super) news: Arc<News>,
}

/// The objects that are told of changes.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) own: OwnObjects,
    pub(super) clients: ClientLists,
    pub(super) grants: GrantLists,
    pub(super) agent: Option<Agent>,
}

impl Shared {
    pub(super) fn new(authenticator: Authenticator, asker: Option<Asker>, display: &DisplayHandle) -> io::Result<Self> {
        let news = Arc::new(News::new()?);
        Ok(Self {
            authenticator,
            asker,
            display: display.backend_handle().downgrade(),
            objects: Mutex::default(),
            news,
        })
    }

    /// Never called by what the backend may call under its own lock: sending takes that one while this is held.
    pub(super) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has changed.
    pub(super) fn dispatch(&self) {
        let Some(display) = self.display.upgrade().map(DisplayHandle::from) else { return };
        let Some(heard) = self.news.take() else { return };
        let mut objects = self.objects();
        objects.own.tell_changes(&display, &self.authenticator.policy());
        objects.clients.tell_changes(&display, &self.authenticator, &heard);
        objects.grants.tell_changes(&display, &self.authenticator);
        let is_agent = objects.agent.as_mut().is_some_and(|agent| agent.tell(&display));
        let left = if is_agent { None } else { objects.agent.take() };
        // What it leaves behind is told to others: without the lock.
        drop(objects);
        drop(left);
    }
}
