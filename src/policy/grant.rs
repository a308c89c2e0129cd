//! What somebody gave to one application, or took from it, while the compositor runs.
//!
//! A policy says what applications may do; a [`Grant`] is the answer of a person to one
//! question about one of them. It can be listed and revoked, it may expire, and it is never
//! written into the policy: what stays for good is in a [file of its own](StateFile).
//!
//! # What a grant cannot do
//!
//! It fills in what the policy leaves open: a default, what a rule leaves out, what is to be asked for. What a rule
//! denies, what could not be told, what is capped or withheld stays as it is ([`Policy::decide`]). A grant that denies
//! always counts. Only a labelled application with an engine and an ID can have one: never the host, and never who
//! could not be identified, since everybody who fails to be would share it.

mod decide;
mod state;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

pub use state::{StateError, StateFile};

use super::capability::Capability;
use super::eval::NEVER_FOR_APPS;
use crate::identity::{AppId, AppIdentity, Identity, InstanceId, SandboxEngine};

#[cfg(doc)]
use super::Policy;

/// How many grants there can be at a time.
pub const MAX_GRANTS: usize = 1024;

/// The longest name of a capability, in bytes: `interface:` and the name of an interface.
const MAX_CAPABILITY: usize = 160;

/// The number of a connection, counted from 1. No other connection of this process ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct ClientSerial(u64);

impl ClientSerial {
    /// The connection with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a grant, counted from 1. It is not used again before the compositor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct GrantId(u64);

impl GrantId {
    /// The grant with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a grant is for: a labelled application, by the names that its engine gave it.
///
/// Never a process, a path or a connection: those are used again by others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grantee {
    /// The engine that confines it.
    pub engine: SandboxEngine,
    /// Its ID.
    pub app_id: AppId,
    /// One running instance of it; `None` is all of them.
    pub instance_id: Option<InstanceId>,
}

impl Grantee {
    /// The application that `identity` is, in all its instances; `None` unless it has an engine and an app ID.
    #[must_use]
    pub fn of(identity: &Identity) -> Option<Self> {
        let Identity::App(app) = identity else { return None };
        Self::of_app(app)
    }

    pub(super) fn of_app(app: &AppIdentity) -> Option<Self> {
        Some(Self { engine: app.engine.clone()?, app_id: app.app_id.clone()?, instance_id: None })
    }

    /// The very instance that `identity` is; `None` unless it has an engine, an app ID and an instance ID.
    #[must_use]
    pub fn instance_of(identity: &Identity) -> Option<Self> {
        let Identity::App(app) = identity else { return None };
        Some(Self { instance_id: Some(app.instance_id.clone()?), ..Self::of(identity)? })
    }

    /// Whether `identity` certainly is this application, and this instance.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        let Identity::App(app) = identity else { return false };
        app.engine.as_ref() == Some(&self.engine)
            && app.app_id.as_ref() == Some(&self.app_id)
            && (self.instance_id.is_none() || app.instance_id == self.instance_id)
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.app_id, self.engine)?;
        self.instance_id.iter().try_for_each(|instance| write!(f, ", instance {instance}"))
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Answer {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl Answer {
    /// The word for it in files and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long an answer holds. "Once" is no grant: it is an answer to one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Lifetime {
    /// For this connection, as long as it is open.
    Connection(ClientSerial),
    /// As long as the compositor runs.
    Session,
    /// Until it is revoked.
    Always,
}

impl Lifetime {
    /// The word for it in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Session => "session",
            Self::Always => "always",
        }
    }

    /// Whether a grant of this lifetime is about the connection `serial` at all.
    fn covers(self, serial: ClientSerial) -> bool {
        match self {
            Self::Connection(of) => of == serial,
            Self::Session | Self::Always => true,
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A grant that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// Whom it is for.
    pub grantee: Grantee,
    /// The name of a capability. A policy that does not have it does not regard the grant.
    pub capability: Box<str>,
    /// Yes or no.
    pub answer: Answer,
    /// How long it holds.
    pub lifetime: Lifetime,
    /// When it ends, if not before; `None` is never.
    pub expires: Option<SystemTime>,
}

/// An answer that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Its number.
    pub id: GrantId,
    /// Whom it is for.
    pub grantee: Grantee,
    /// The name of a capability.
    pub capability: Box<str>,
    /// Yes or no.
    pub answer: Answer,
    /// How long it holds.
    pub lifetime: Lifetime,
    /// When it ends, if not before; `None` is never.
    pub expires: Option<SystemTime>,
}

impl Grant {
    /// Whether it has ended by `now`.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, grantee, capability, answer, lifetime, .. } = self;
        write!(f, "grant {id}: {answer} {capability} to {grantee} ({lifetime})")
    }
}

/// Why something cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The name of the capability is not one.
    #[error("{} is not the name of a capability", .0.escape_debug())]
    NotACapability(Box<str>),
    /// No application ever has this capability.
    #[error("`{0}` is never an application's")]
    Withheld(Box<str>),
    /// There are too many grants.
    #[error("there are {MAX_GRANTS} grants already: revoke some")]
    TooMany,
    /// It is to stay for good, and there is nowhere to write it down.
    #[error("there is no state file to keep it in")]
    NoStateFile,
    /// It is to stay for good, and cannot be written down.
    #[error(transparent)]
    State(#[from] StateError),
}

/// All answers that hold.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    last: u64,
    grants: BTreeMap<GrantId, Grant>,
}

impl Grants {
    /// Takes an answer down. It is in the place of the one that says how this capability stands for the same grantee and
    /// the same lifetime, if there is one ([`replaced_by`](Self::replaced_by)).
    ///
    /// That is in memory; a grant for [`Lifetime::Always`] is to be [saved](StateFile::save) as well.
    ///
    /// # Errors
    ///
    /// Where no application can have the capability, the name is none, or there are [`MAX_GRANTS`] already.
    pub fn insert(&mut self, new: NewGrant) -> Result<GrantId, GrantError> {
        check_capability(&new.capability)?;
        let replaced = self.replaced_by(&new).map(|grant| grant.id);
        if replaced.is_none() && self.grants.len() >= MAX_GRANTS {
            return Err(GrantError::TooMany);
        }
        if let Some(id) = replaced {
            self.grants.remove(&id);
        }
        self.last += 1;
        let id = GrantId(self.last);
        let NewGrant { grantee, capability, answer, lifetime, expires } = new;
        self.grants.insert(id, Grant { id, grantee, capability, answer, lifetime, expires });
        Ok(id)
    }

    /// The grant that would make room for `new`.
    #[must_use]
    pub fn replaced_by(&self, new: &NewGrant) -> Option<&Grant> {
        self.list()
            .find(|old| old.grantee == new.grantee && old.capability == new.capability && old.lifetime == new.lifetime)
    }

    /// Takes an answer back. Returns what it was.
    pub fn revoke(&mut self, id: GrantId) -> Option<Grant> {
        self.grants.remove(&id)
    }

    /// The grant of this number.
    #[must_use]
    pub fn get(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(&id)
    }

    /// All grants, the oldest first; also those that expired and are not [dropped](Self::drop_expired) yet.
    pub fn list(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Drops what was given to a connection that is closed. Returns what it was.
    pub fn forget_connection(&mut self, serial: ClientSerial) -> Vec<Grant> {
        self.drop_where(|grant| grant.lifetime == Lifetime::Connection(serial))
    }

    /// Drops what ended by `now`. Returns what it was.
    pub fn drop_expired(&mut self, now: SystemTime) -> Vec<Grant> {
        self.drop_where(|grant| grant.has_expired(now))
    }

    /// When the next grant ends.
    #[must_use]
    pub fn next_expiry(&self) -> Option<SystemTime> {
        self.list().filter_map(|grant| grant.expires).min()
    }

    fn drop_where(&mut self, drop: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let ids: Vec<_> = self.list().filter(|grant| drop(grant)).map(|grant| grant.id).collect();
        ids.into_iter().filter_map(|id| self.revoke(id)).collect()
    }
}

/// A name as policies have them, of a capability that an application can have.
fn check_capability(name: &str) -> Result<(), GrantError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':');
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || name.len() > MAX_CAPABILITY || !name.bytes().all(allowed) {
        return Err(GrantError::NotACapability(name.chars().take(MAX_CAPABILITY).collect()));
    }
    if Capability::built_in(name).is_some_and(|capability| NEVER_FOR_APPS.contains(capability)) {
        return Err(GrantError::Withheld(name.into()));
    }
    Ok(())
}
