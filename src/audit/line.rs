//! What stands in a line.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::json;
use super::limit::{Dropped, Kind, Subject};
use crate::identity::{AppId, Evidence, Identity, InstanceId, SandboxEngine};
use crate::policy::{Answer, ClientSerial, Grant, GrantId, Grantee, Lifetime, Location, Policy, PolicyDiff, Verdict};

/// Something that happened, and to whom.
pub(super) struct Entry<'a> {
    pub(super) event: &'static str,
    pub(super) kind: Kind,
    pub(super) subject: Subject,
    /// The number of the client.
    pub(super) client: Option<u64>,
    pub(super) identity: Option<&'a Identity>,
    pub(super) details: Details<'a>,
}

/// The members that only some events have.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Details<'a> {
    Connect {
        evidence: &'a Evidence,
        capabilities: Rights,
    },
    RefusedBind {
        interface: &'a str,
        version: u32,
        name: u32,
    },
    Disconnect {
        reason: &'a str,
    },
    TurnedAway {
        limit: u32,
    },
    UseDenied {
        capability: &'a str,
        standing: &'static str,
        because: String,
    },
    Rights {
        cause: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        grant: Option<GrantId>,
        changes: Changes,
    },
    Grant(GrantLine<'a>),
    Question {
        question: u64,
        grantee: GranteeLine<'a>,
        capability: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<&'static str>,
    },
    Reload(Reload<'a>),
    Why {
        why: &'a str,
    },
    Dropped {
        of: &'a Subject,
    },
    /// Whom the labels of its directories name now.
    Relabelled {
        now: String,
    },
    /// What there is no room for.
    Cut {
        cut: bool,
    },
}

/// How a client stands to each capability.
pub(super) type Rights = BTreeMap<String, Right>;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Right {
    allowed: bool,
    standing: &'static str,
    because: String,
}

/// All rights that `verdict` tells of.
pub(super) fn rights(verdict: &Verdict, policy: &Policy) -> Rights {
    let right = |capability| {
        let standing = verdict.standing(capability).as_str();
        Right { allowed: verdict.allows(capability), standing, because: verdict.reason(capability).to_string() }
    };
    policy.capabilities().map(|c| (policy.capability_name(c).to_owned(), right(c))).collect()
}

/// What became of each capability that a client stands to otherwise than before.
pub(super) type Changes = BTreeMap<String, Change>;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    before: &'static str,
    now: &'static str,
    because: String,
}

pub(super) fn changes(before: &Verdict, now: &Verdict, policy: &Policy) -> Changes {
    let change = |capability| Change {
        before: before.standing(capability).as_str(),
        now: now.standing(capability).as_str(),
        because: now.reason(capability).to_string(),
    };
    let changed = policy.capabilities().filter(|c| before.standing(*c) != now.standing(*c));
    changed.map(|c| (policy.capability_name(c).to_owned(), change(c))).collect()
}

/// What was given to whom, or taken.
#[derive(Serialize)]
pub(super) struct GrantLine<'a> {
    grant: GrantId,
    grantee: GranteeLine<'a>,
    capability: &'a str,
    answer: Answer,
    lifetime: &'static str,
    /// The connection that it is for alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<ClientSerial>,
    /// In seconds since 1970.
    expires: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
}

impl<'a> GrantLine<'a> {
    pub(super) fn new(grant: &'a Grant, by: Option<&'static str>) -> Self {
        let Grant { id, ref grantee, ref capability, answer, lifetime, expires } = *grant;
        let connection = match lifetime {
            Lifetime::Connection(serial) => Some(serial),
            Lifetime::Session | Lifetime::Always => None,
        };
        let (grantee, lifetime, expires) = (GranteeLine::new(grantee), lifetime.as_str(), expires.map(seconds));
        Self { grant: id, grantee, capability, answer, lifetime, connection, expires, by }
    }
}

/// Whom a grant or a question is about.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GranteeLine<'a> {
    engine: &'a SandboxEngine,
    app_id: &'a AppId,
    instance_id: Option<&'a InstanceId>,
}

impl<'a> GranteeLine<'a> {
    pub(super) fn new(grantee: &'a Grantee) -> Self {
        let Grantee { engine, app_id, instance_id } = grantee;
        Self { engine, app_id, instance_id: instance_id.as_ref() }
    }
}

/// So many rules of each list are named.
const MAX_RULES: usize = 100;

/// What another policy says otherwise.
#[derive(Serialize)]
pub(super) struct Reload<'a> {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<Moved>,
    sections: &'a [&'static str],
    /// How many rules are in none of the lists, which would be too long.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    clients: usize,
}

/// Where a rule was, and where it is.
#[derive(Serialize)]
struct Moved {
    before: String,
    now: String,
}

impl<'a> Reload<'a> {
    /// `clients` of those who are connected may do more or less now.
    pub(super) fn new(diff: &'a PolicyDiff, clients: usize) -> Self {
        let lists = [diff.added.len(), diff.removed.len(), diff.changed.len()];
        let shown = |rules: &[Location]| rules.iter().take(MAX_RULES).map(ToString::to_string).collect();
        let moved = |(before, now): &(Location, Location)| Moved { before: before.to_string(), now: now.to_string() };
        Self {
            added: shown(&diff.added),
            removed: shown(&diff.removed),
            changed: diff.changed.iter().take(MAX_RULES).map(moved).collect(),
            sections: &diff.sections,
            more: lists.iter().map(|length| length.saturating_sub(MAX_RULES)).sum(),
            clients,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Who<'a>>,
    #[serde(flatten)]
    details: &'a Details<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dropped: &'a Dropped,
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

/// Who somebody is, or what there is room for of that.
#[derive(Serialize)]
#[serde(untagged)]
enum Who<'a> {
    Whole(&'a Identity),
    Short { kind: &'static str, message: String },
}

impl<'a> Who<'a> {
    fn short(identity: &'a Identity) -> Self {
        let kind = match identity {
            Identity::App(_) => "app",
            Identity::Host(_) => "host",
            Identity::Internal(_) => "internal",
            Identity::Unidentified(_) => "unidentified",
        };
        Self::Short { kind, message: identity.to_string() }
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

impl Entry<'_> {
    /// The line, with its end. If it were too long, what there is room for, and `cut`.
    pub(super) fn line(&self, now: SystemTime, dropped: &Dropped, lost: u64) -> Vec<u8> {
        let time = seconds(now);
        let Self { event, client, identity, .. } = *self;
        let line = |identity, details| json::line(&Line { event, time, client, identity, details, dropped, lost });
        let cut = &Details::Cut { cut: true };
        line(identity.map(Who::Whole), &self.details)
            .or_else(|| line(identity.map(Who::short), cut))
            .or_else(|| line(None, cut))
            .unwrap_or_default()
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (kind, engine, app_id) = match self {
            Self::App(engine, app_id) => ("app", Some(engine), app_id.as_ref()),
            Self::OtherApps => ("other-apps", None, None),
            Self::Namespaced => ("namespaced", None, None),
            Self::Unidentified => ("unidentified", None, None),
            Self::Host => ("host", None, None),
            Self::Compositor => ("compositor", None, None),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", kind)?;
        if let Some(engine) = engine {
            map.serialize_entry("engine", engine)?;
        }
        if let Some(app_id) = app_id {
            map.serialize_entry("app-id", app_id)?;
        }
        map.end()
    }
}
