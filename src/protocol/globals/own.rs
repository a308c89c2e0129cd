//! `xx_client_auth_self_v1`: what a client is told about itself.

use std::collections::HashMap;

use wayland_server::backend::{ClientId, ObjectId};
use wayland_server::{DisplayHandle, Resource};

use super::text::{MAX_ID, Names, bounded, standing};
use crate::policy::{Capability, Policy, Standing};
use crate::protocol::server::xx_client_auth_self_v1::XxClientAuthSelfV1;
use crate::wayland::ClientAuth;

/// So many of these objects may a client have: more say nothing more.
const MAX_OF_A_CLIENT: usize = 16;

/// The objects of all clients.
#[derive(Default)]
pub(super) struct OwnObjects {
    of: HashMap<ClientId, Vec<Own>>,
}

struct Own {
    id: ObjectId,
    auth: ClientAuth,
    /// What was told, so that only what changes is told again.
    told: HashMap<Capability, Standing>,
}

/// A client has as many objects as it may have.
pub(super) struct TooMany;

impl OwnObjects {
    /// A new object, which is told everything.
    pub(super) fn add(
        &mut self,
        display: &DisplayHandle,
        policy: &Policy,
        client: ClientId,
        id: ObjectId,
        auth: ClientAuth,
    ) -> Result<(), TooMany> {
        let objects = self.of.entry(client).or_default();
        if objects.len() >= MAX_OF_A_CLIENT {
            return Err(TooMany);
        }
        let mut own = Own { id, auth, told: HashMap::new() };
        if let Ok(resource) = XxClientAuthSelfV1::from_id(display, own.id.clone()) {
            let names = Names::of(own.auth.identity());
            resource.identity(names.kind, names.engine, names.app_id, names.instance_id, names.provenance);
            own.tell(&resource, policy);
            resource.done();
        }
        objects.push(own);
        Ok(())
    }

    pub(super) fn remove(&mut self, client: &ClientId, id: &ObjectId) {
        let Some(objects) = self.of.get_mut(client) else { return };
        objects.retain(|own| own.id != *id);
        if objects.is_empty() {
            self.of.remove(client);
        }
    }

    pub(super) fn tell_changes(&mut self, display: &DisplayHandle, policy: &Policy) {
        for own in self.of.values_mut().flatten() {
            if let Ok(resource) = XxClientAuthSelfV1::from_id(display, own.id.clone())
                && own.tell(&resource, policy)
            {
                resource.done();
            }
        }
    }
}

impl Own {
    /// Tells what stands otherwise than told; whether anything did.
    fn tell(&mut self, resource: &XxClientAuthSelfV1, policy: &Policy) -> bool {
        let verdict = self.auth.verdict();
        let mut changed = false;
        for capability in policy.capabilities() {
            let now = verdict.standing(capability);
            if self.told.insert(capability, now) != Some(now) {
                resource.capability(bounded(policy.capability_name(capability), MAX_ID), standing(now));
                changed = true;
            }
        }
        changed
    }
}
