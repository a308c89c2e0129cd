//! What the registries of one client were told, and what they are to be told.

use std::collections::BTreeSet;

use wayland_server::backend::{ClientId, ObjectId};
use wayland_server::protocol::wl_registry::WlRegistry;
use wayland_server::{DisplayHandle, Resource};

use super::probe::Global;
use crate::policy::CapabilitySet;

/// So far the numbers of objects are tried, where the backend does not list registries.
const NUMBERS: u32 = 1024;

/// What the registries of a client show, as far as that is not what its filters say.
#[derive(Debug, Default)]
pub(in crate::wayland) struct Registries {
    /// What the filters said since the registries were told the last time.
    seen: CapabilitySet,
    /// Each with the globals that it was told to forget, though the filters still say yes: a new one was told of them.
    taken: Vec<(ObjectId, BTreeSet<u32>)>,
}

/// What became of the client in a round.
pub(super) struct Now {
    /// What its filters say from now on.
    pub(super) seen: CapabilitySet,
    /// What its registries are to show.
    pub(super) visible: CapabilitySet,
}

impl Registries {
    pub(in crate::wayland) fn new(seen: CapabilitySet) -> Self {
        Self { seen, taken: Vec::new() }
    }

    /// Nobody can tell them.
    pub(super) fn skip(&mut self, now: &Now) {
        self.seen = now.seen;
        self.taken.clear();
    }

    /// These numbers name other globals now, or none.
    pub(super) fn forget(&mut self, gone: &[u32]) {
        for (_, taken) in &mut self.taken {
            taken.retain(|name| !gone.contains(name));
        }
    }

    /// Sends each registry of the client what it lacks.
    pub(super) fn tell(&mut self, handle: &DisplayHandle, client: &ClientId, globals: &[Global], now: &Now) {
        let mut taken = std::mem::take(&mut self.taken);
        for id in registries_of(handle, client) {
            let mut without =
                taken.iter_mut().find(|(of, _)| *of == id).map(|(_, names)| std::mem::take(names)).unwrap_or_default();
            if let Ok(registry) = WlRegistry::from_id(handle, id.clone()) {
                self.tell_one(&registry, globals, now, &mut without);
            }
            if !without.is_empty() {
                self.taken.push((id, without));
            }
        }
        self.seen = now.seen;
        let mut backend = handle.backend_handle();
        if let Err(error) = backend.flush(Some(client.clone())) {
            tracing::debug!(%error, "a client could not be told at once of globals that came or went");
        }
    }

    fn tell_one(&self, registry: &WlRegistry, globals: &[Global], now: &Now, without: &mut BTreeSet<u32>) {
        for Global { name, interface, version, capability } in globals {
            let showed = self.seen.contains(*capability) && !without.contains(name);
            let shows = now.visible.contains(*capability);
            if showed && !shows {
                registry.global_remove(*name);
            } else if shows && !showed {
                registry.global(*name, interface.to_string(), *version);
            }
            if now.seen.contains(*capability) && !shows {
                without.insert(*name);
            } else {
                without.remove(name);
            }
        }
    }
}

/// The registries of a client. libwayland's backend lists none that it made itself, but finds them by their numbers, which
/// clients count up from the lowest that is free.
fn registries_of(handle: &DisplayHandle, client: &ClientId) -> Vec<ObjectId> {
    let backend = handle.backend_handle();
    let mut registries = Vec::new();
    let listed = backend.with_all_objects_for(client.clone(), |id| {
        // The backend holds its lock: the names of interfaces can be asked for, and nothing else.
        if id.interface().name == WlRegistry::interface().name {
            registries.push(id);
        }
    });
    if listed.is_ok() && registries.is_empty() {
        let by_number = |number| backend.object_for_protocol_id(client.clone(), WlRegistry::interface(), number).ok();
        registries.extend((2..NUMBERS).filter_map(by_number));
    }
    registries
}
