//! What was seen of the globals, over all connections.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of the globals of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// It was kept from the application.
    pub(super) hidden: bool,
    /// It was bound.
    pub(super) bound: bool,
    /// It was sent a request that is not its destructor.
    pub(super) asked: bool,
    /// It told the application something.
    pub(super) told: bool,
}

impl Seen {
    /// Whether the application would miss it.
    pub(super) fn used(self) -> bool {
        self.asked || self.told
    }
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Record {
    interfaces: BTreeMap<Arc<str>, Seen>,
    /// How many connections there were.
    pub(super) connections: u64,
    /// How many of them this tool ended, not the application or the compositor, and why the last one.
    pub(super) ended: u64,
    pub(super) last_end: Option<String>,
    /// Why the compositor could not be reached, if it once could not.
    pub(super) unreachable: Option<String>,
}

impl Record {
    /// So many interfaces are kept; no compositor has that many.
    const MAX: usize = 4096;

    /// The compositor announced a global of this interface. `None` if that is more than can be kept.
    pub(super) fn announced(&mut self, interface: &str, hidden: bool) -> Option<Arc<str>> {
        if let Some((name, _)) = self.interfaces.get_key_value(interface) {
            return Some(Arc::clone(name));
        }
        if self.interfaces.len() >= Self::MAX {
            return None;
        }
        let name: Arc<str> = interface.into();
        self.interfaces.insert(Arc::clone(&name), Seen { hidden, ..Seen::default() });
        Some(name)
    }

    /// Something happened to a global of this interface, which was announced.
    pub(super) fn note(&mut self, interface: &str, note: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.interfaces.get_mut(interface) {
            note(seen);
        }
    }

    /// A connection was ended here.
    pub(super) fn end(&mut self, why: impl Into<String>) {
        self.ended = self.ended.saturating_add(1);
        self.last_end = Some(why.into());
    }

    /// All interfaces that were announced.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = (&str, Seen)> {
        self.interfaces.iter().map(|(name, seen)| (&**name, *seen))
    }
}
