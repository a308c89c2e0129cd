//! `xx_client_auth_clients_v1`: the clients, read in batches.

use std::collections::{BTreeMap, BTreeSet};

use wayland_server::backend::ObjectId;
use wayland_server::{DisplayHandle, Resource};

use super::batch::{Batch, Reader, halves};
use super::news::Heard;
use super::text::{MAX_ID, MAX_REASON, MAX_TEXT, Names, bounded, standing};
use crate::policy::{Capability, ClientSerial, Policy};
use crate::protocol::server::xx_client_auth_clients_v1::XxClientAuthClientsV1;
use crate::wayland::{Authenticator, ClientAuth};

/// So many lines of evidence are told of a client.
const MAX_LINES: usize = 16;

/// The lists that clients read.
#[derive(Default)]
pub(super) struct ClientLists {
    lists: Vec<List>,
}

struct List {
    reader: Reader,
    /// Whether a batch was told yet: the first one may be empty.
    began: bool,
    /// Who is in the list as the reader knows it.
    told: BTreeSet<ClientSerial>,
    /// Whose entries are not what was told.
    stale: BTreeSet<ClientSerial>,
}

impl ClientLists {
    pub(super) fn add(&mut self, id: ObjectId, reader: ClientAuth) {
        let reader = Reader::new(id, reader, Capability::IDENTITY_MONITOR);
        self.lists.push(List { reader, began: false, told: BTreeSet::new(), stale: BTreeSet::new() });
    }

    pub(super) fn remove(&mut self, id: &ObjectId) {
        self.lists.retain(|list| list.reader.id != *id);
    }

    /// A batch was asked for; it is told at once if there is anything to tell.
    pub(super) fn read(&mut self, display: &DisplayHandle, authenticator: &Authenticator, id: &ObjectId) {
        let Some(list) = self.lists.iter_mut().find(|list| list.reader.id == *id) else { return };
        list.reader.asks = true;
        self.tell(display, authenticator);
    }

    pub(super) fn tell_changes(&mut self, display: &DisplayHandle, authenticator: &Authenticator, heard: &Heard) {
        for list in &mut self.lists {
            let concerned = list.told.iter().filter(|serial| heard.concerns(**serial));
            list.stale.extend(concerned.copied().collect::<Vec<_>>());
        }
        self.tell(display, authenticator);
    }

    fn tell(&mut self, display: &DisplayHandle, authenticator: &Authenticator) {
        // Who may not read any more learns it at once, whether he asks or not.
        self.lists.retain(|list| {
            let may = list.reader.may();
            if !may && let Ok(resource) = XxClientAuthClientsV1::from_id(display, list.reader.id.clone()) {
                resource.finished();
            }
            may
        });
        if !self.lists.iter().any(|list| list.reader.asks) {
            return;
        }
        let policy = authenticator.policy();
        let there: BTreeMap<_, _> = authenticator.clients().into_iter().map(|auth| (auth.serial(), auth)).collect();
        for list in self.lists.iter_mut().filter(|list| list.reader.asks) {
            if let Ok(resource) = XxClientAuthClientsV1::from_id(display, list.reader.id.clone()) {
                list.tell(&resource, &policy, &there);
            }
        }
    }
}

impl List {
    fn tell(&mut self, resource: &XxClientAuthClientsV1, policy: &Policy, there: &BTreeMap<ClientSerial, ClientAuth>) {
        let mut batch = Batch::default();
        let gone: Vec<_> = self.told.iter().copied().filter(|serial| !there.contains_key(serial)).collect();
        let new = there.keys().copied().filter(|serial| !self.told.contains(serial) || self.stale.contains(serial));
        let new: Vec<_> = new.collect();
        let all = gone.len() + new.len();
        for serial in gone {
            if !batch.has_room() {
                break;
            }
            let (hi, lo) = halves(serial.get());
            resource.gone(hi, lo);
            self.told.remove(&serial);
            self.stale.remove(&serial);
            batch.add(0);
        }
        for serial in new {
            let (true, Some(auth)) = (batch.has_room(), there.get(&serial)) else { break };
            self.told.insert(serial);
            self.stale.remove(&serial);
            batch.add(tell_client(resource, policy, auth));
        }
        if batch.entries() > 0 || !self.began {
            self.began = true;
            self.reader.asks = false;
            resource.done(u32::from(batch.entries() < all));
        }
    }
}

/// Tells all about a client; how many bytes of text that took.
fn tell_client(resource: &XxClientAuthClientsV1, policy: &Policy, auth: &ClientAuth) -> usize {
    let mut size = 0;
    let mut text = |text: &str, max| {
        let text = bounded(text, max);
        size += text.len();
        text
    };
    let (hi, lo) = halves(auth.serial().get());
    let Names { kind, engine, app_id, instance_id, provenance } = Names::of(auth.identity());
    let description = text(&auth.identity().to_string(), MAX_TEXT);
    resource.client(hi, lo, kind, engine, app_id, instance_id, provenance, description);
    for line in auth.evidence().to_string().lines().take(MAX_LINES) {
        resource.evidence(text(line, MAX_TEXT));
    }
    let verdict = auth.verdict();
    for capability in policy.capabilities() {
        let name = text(policy.capability_name(capability), MAX_ID);
        let reason = text(&verdict.reason(capability).to_string(), MAX_REASON);
        resource.capability(name, standing(verdict.standing(capability)), reason);
    }
    size
}
