//! What has happened since clients were last told.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::policy::ClientSerial;
use crate::wayland::Event;

/// From so many clients on, nothing is kept of them but that there are many.
const MANY: usize = 4096;

/// Where listeners leave word. They may be called while the backend holds its lock, so they do no more than that.
pub(super) struct News {
    inner: Mutex<Heard>,
    /// Readable while there is word.
    bell: OwnedFd,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whose rights or connection changed.
    pub(super) clients: BTreeSet<ClientSerial>,
    /// Anybody's may have.
    pub(super) all_clients: bool,
    any: bool,
}

impl News {
    pub(super) fn new() -> std::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { inner: Mutex::default(), bell })
    }

    fn inner(&self) -> MutexGuard<'_, Heard> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hear(&self, event: &Event) {
        match event {
            Event::Connected(client) | Event::Gone(client) | Event::Changed { client, .. } => {
                self.note(|heard| heard.of(client.serial()));
            }
            Event::Reloaded { .. } => self.note(|heard| heard.all_clients = true),
            Event::Granted(_) | Event::Revoked { .. } => self.note(|_| ()),
            _ => {}
        }
    }

    /// Takes note of something, and rings if nothing was noted before.
    pub(super) fn note(&self, change: impl FnOnce(&mut Heard)) {
        let mut heard = self.inner();
        change(&mut heard);
        if !std::mem::replace(&mut heard.any, true) {
            // It only fails if it has been rung already.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// What was heard since the last time, if anything.
    pub(super) fn take(&self) -> Option<Heard> {
        let mut heard = self.inner();
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        let heard = std::mem::take(&mut *heard);
        heard.any.then_some(heard)
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Heard {
    fn of(&mut self, client: ClientSerial) {
        if self.clients.len() < MANY {
            self.clients.insert(client);
        } else {
            self.all_clients = true;
        }
    }

    /// Whether this client's entry may have changed.
    pub(super) fn concerns(&self, client: ClientSerial) -> bool {
        self.all_clients || self.clients.contains(&client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(news: &News) -> bool {
        let mut fds = [rustix::event::PollFd::new(news, rustix::event::PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 1
    }

    #[test]
    fn the_bell_rings_while_there_is_something_to_take() {
        let news = News::new().unwrap();
        assert!(!rings(&news) && news.take().is_none());
        news.note(|heard| heard.of(ClientSerial::new(1)));
        news.note(|heard| heard.of(ClientSerial::new(2)));
        assert!(rings(&news));
        let heard = news.take().unwrap();
        assert!(heard.concerns(ClientSerial::new(1)) && heard.concerns(ClientSerial::new(2)));
        assert!(!heard.concerns(ClientSerial::new(3)));
        assert!(!rings(&news) && news.take().is_none());
        news.note(|heard| heard.all_clients = true);
        assert!(rings(&news));
    }

    #[test]
    fn a_flood_of_clients_is_noted_in_bounded_space() {
        let news = News::new().unwrap();
        for serial in 0..100_000 {
            news.note(|heard| heard.of(ClientSerial::new(serial)));
        }
        let heard = news.take().unwrap();
        assert!(heard.clients.len() <= MANY && heard.concerns(ClientSerial::new(99_999)));
    }
}
