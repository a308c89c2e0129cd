//! `xx_client_auth_grants_v1`: the grants, read in batches; and the requests that make and revoke them.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use wayland_server::backend::ObjectId;
use wayland_server::{DisplayHandle, Resource};

use super::batch::{Batch, Reader, halves};
use super::text::{MAX_ID, MAX_TEXT, bounded};
use crate::identity::{AppId, InstanceId, SandboxEngine};
use crate::policy::{Answer, Capability, ClientSerial, Grant, GrantError, GrantId, Grantee, Lifetime, NewGrant};
use crate::protocol::server::xx_client_auth_admin_v1 as admin;
use crate::protocol::server::xx_client_auth_grants_v1::XxClientAuthGrantsV1;
use crate::protocol::server::xx_client_auth_result_v1::{Reason, XxClientAuthResultV1};
use crate::wayland::{Authenticator, ClientAuth};

/// The lists that clients read.
#[derive(Default)]
pub(super) struct GrantLists {
    lists: Vec<List>,
}

struct List {
    reader: Reader,
    /// Whether a batch was told yet: the first one may be empty.
    began: bool,
    /// What the reader knows of. A grant never changes.
    told: BTreeSet<GrantId>,
}

impl GrantLists {
    pub(super) fn add(&mut self, id: ObjectId, reader: ClientAuth) {
        let reader = Reader::new(id, reader, Capability::IDENTITY_ADMIN);
        self.lists.push(List { reader, began: false, told: BTreeSet::new() });
    }

    pub(super) fn remove(&mut self, id: &ObjectId) {
        self.lists.retain(|list| list.reader.id != *id);
    }

    /// A batch was asked for; it is told at once if there is anything to tell.
    pub(super) fn read(&mut self, display: &DisplayHandle, authenticator: &Authenticator, id: &ObjectId) {
        let Some(list) = self.lists.iter_mut().find(|list| list.reader.id == *id) else { return };
        list.reader.asks = true;
        self.tell_changes(display, authenticator);
    }

    pub(super) fn tell_changes(&mut self, display: &DisplayHandle, authenticator: &Authenticator) {
        self.lists.retain(|list| {
            let may = list.reader.may();
            if !may && let Ok(resource) = XxClientAuthGrantsV1::from_id(display, list.reader.id.clone()) {
                resource.finished();
            }
            may
        });
        if !self.lists.iter().any(|list| list.reader.asks) {
            return;
        }
        let grants = authenticator.grants();
        for list in self.lists.iter_mut().filter(|list| list.reader.asks) {
            if let Ok(resource) = XxClientAuthGrantsV1::from_id(display, list.reader.id.clone()) {
                list.tell(&resource, &grants);
            }
        }
    }
}

impl List {
    fn tell(&mut self, resource: &XxClientAuthGrantsV1, grants: &[Grant]) {
        let mut batch = Batch::default();
        let there: BTreeSet<_> = grants.iter().map(|grant| grant.id).collect();
        let gone: Vec<_> = self.told.difference(&there).copied().collect();
        let new: Vec<_> = grants.iter().filter(|grant| !self.told.contains(&grant.id)).collect();
        let all = gone.len() + new.len();
        for id in gone {
            if !batch.has_room() {
                break;
            }
            let (hi, lo) = halves(id.get());
            resource.gone(hi, lo);
            self.told.remove(&id);
            batch.add(0);
        }
        for grant in new {
            if !batch.has_room() {
                break;
            }
            tell_grant(resource, grant);
            self.told.insert(grant.id);
            batch.add(MAX_TEXT);
        }
        if batch.entries() > 0 || !self.began {
            self.began = true;
            self.reader.asks = false;
            resource.done(u32::from(batch.entries() < all));
        }
    }
}

fn tell_grant(resource: &XxClientAuthGrantsV1, grant: &Grant) {
    let Grantee { engine, app_id, instance_id } = &grant.grantee;
    let id = halves(grant.id.get());
    let (lifetime, serial) = match grant.lifetime {
        Lifetime::Connection(serial) => (admin::Lifetime::Connection, serial.get()),
        Lifetime::Session => (admin::Lifetime::Session, 0),
        Lifetime::Always => (admin::Lifetime::Always, 0),
    };
    let answer = match grant.answer {
        Answer::Allow => admin::Answer::Allow,
        Answer::Deny => admin::Answer::Deny,
    };
    // Before 1970 is as good as over: a second after it, since 0 is never.
    let since = |end: SystemTime| end.duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_secs().max(1));
    let (serial, expires) = (halves(serial), halves(grant.expires.map_or(0, since)));
    resource.grant(
        id.0,
        id.1,
        engine.as_str().to_owned(),
        app_id.as_str().to_owned(),
        instance_id.as_ref().map(|id| id.as_str().to_owned()),
        bounded(&grant.capability, MAX_ID),
        answer,
        lifetime,
        serial.0,
        serial.1,
        expires.0,
        expires.1,
    );
}

/// What was asked for, in the words of the request.
pub(super) struct Wanted {
    pub(super) whom: Whom,
    pub(super) capability: String,
    pub(super) answer: admin::Answer,
    pub(super) lifetime: admin::Lifetime,
    pub(super) seconds: u32,
}

/// Whom a request names.
pub(super) enum Whom {
    Client(ClientSerial),
    App { engine: String, app_id: String, instance_id: Option<String> },
}

/// Why a request failed.
pub(super) struct Failure(Reason, String);

impl Failure {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self(reason, message.into())
    }

    /// The client may not ask for that any more.
    pub(super) fn not_permitted() -> Self {
        Self::new(Reason::NotPermitted, "`identity-admin` was taken from the client that asks")
    }

    pub(super) fn tell(self, result: &XxClientAuthResultV1) {
        result.failed(self.0, bounded(&self.1, MAX_TEXT));
    }
}

/// Makes a grant.
pub(super) fn grant(authenticator: &Authenticator, wanted: Wanted) -> Result<GrantId, Failure> {
    let (grantee, serial) = match &wanted.whom {
        Whom::Client(serial) => (of_client(authenticator, *serial)?, Some(*serial)),
        Whom::App { engine, app_id, instance_id } => (of_names(engine, app_id, instance_id.as_deref())?, None),
    };
    if authenticator.policy().capability(&wanted.capability).is_none() {
        let message = format!("there is no capability `{}`", bounded(&wanted.capability, MAX_ID));
        return Err(Failure::new(Reason::NoSuchCapability, message));
    }
    let lifetime = match (wanted.lifetime, serial) {
        (admin::Lifetime::Connection, Some(serial)) => Lifetime::Connection(serial),
        (admin::Lifetime::Session, _) => Lifetime::Session,
        (admin::Lifetime::Always, _) => Lifetime::Always,
        _ => {
            let message = "only what is granted to a client can end with its connection";
            return Err(Failure::new(Reason::InvalidLifetime, message));
        }
    };
    let answer = match wanted.answer {
        admin::Answer::Allow => Answer::Allow,
        _ => Answer::Deny,
    };
    let expires = match wanted.seconds {
        0 => None,
        seconds => {
            let end = SystemTime::now().checked_add(Duration::from_secs(seconds.into()));
            Some(end.ok_or_else(|| Failure::new(Reason::InvalidLifetime, "it would expire too late to tell"))?)
        }
    };
    let new = NewGrant { grantee, capability: wanted.capability.into(), answer, lifetime, expires };
    authenticator.grant(new).map_err(|error| {
        let reason = match error {
            GrantError::NotACapability(_) => Reason::NoSuchCapability,
            GrantError::Withheld(_) => Reason::NotGrantable,
            GrantError::TooMany => Reason::TooMany,
            GrantError::NoStateFile => Reason::InvalidLifetime,
            _ => Reason::Other,
        };
        Failure::new(reason, error.to_string())
    })
}

fn of_client(authenticator: &Authenticator, serial: ClientSerial) -> Result<Grantee, Failure> {
    let clients = authenticator.clients();
    let Some(client) = clients.iter().find(|client| client.serial() == serial) else {
        return Err(Failure::new(Reason::NoSuchClient, format!("there is no client {serial}")));
    };
    Grantee::of(client.identity()).ok_or_else(|| {
        let message = format!("client {serial} is no application with an engine and an ID, but {}", client.identity());
        Failure::new(Reason::NotGrantable, message)
    })
}

fn of_names(engine: &str, app_id: &str, instance_id: Option<&str>) -> Result<Grantee, Failure> {
    let invalid = |what: &str, why| Failure::new(Reason::InvalidName, format!("the {what} {why}"));
    Ok(Grantee {
        engine: SandboxEngine::new(engine).map_err(|why| invalid("engine", why))?,
        app_id: AppId::new(app_id).map_err(|why| invalid("app ID", why))?,
        instance_id: instance_id.map(InstanceId::new).transpose().map_err(|why| invalid("instance ID", why))?,
    })
}

/// Revokes a grant.
pub(super) fn revoke(authenticator: &Authenticator, id: GrantId, disconnect: bool) -> Result<(), Failure> {
    match authenticator.revoke(id, disconnect) {
        Some(_) => Ok(()),
        None => Err(Failure::new(Reason::NoSuchGrant, format!("there is no grant {id}"))),
    }
}
