//! What happened to clients and their rights, as lines of JSON.
//!
//! ```no_run
//! use wayland_auth::audit::{Audit, Sink};
//! # use wayland_auth::{Authenticator, ClientAuth};
//! # fn f(authenticator: &Authenticator, auth: &ClientAuth, number: u64) -> std::io::Result<()> {
//! let audit = Audit::new(Sink::append_to("/var/log/compositor.jsonl")?);
//! // Where a client was identified:
//! audit.connected(number, auth, &authenticator.policy());
//! # Ok(()) }
//! ```
//!
//! # The lines
//!
//! One JSON object each. All have `event` and `time` (seconds since 1970). Those about a connection have `client` (its
//! number, counted from 1, never used again) and `identity`; it has at least `kind`: `host`, `app`, `internal` or
//! `unidentified`.
//!
//! | event | when | further members |
//! |---|---|---|
//! | `connect` | a client was identified | `evidence`; `capabilities`: by name, each with `allowed`, `standing` and `because` |
//! | `disconnect` | a client is gone | `reason` |
//! | `refused` | a connection was one too many, and was closed; no `client` | `limit` |
//! | `bind-hidden` | a client was killed because it bound a global that is hidden from it | `interface`, `version`, `name` |
//! | `bind-refused` | the same for any other bind that is none: of no global, or under another's interface | the same |
//! | `use-denied` | a client that sees a global may not use it, or not any more | `capability`, `standing`, `because` |
//! | `dropped` | there will be no other line to say what was left out | `of`: about whom |
//!
//! # What is left out
//!
//! Whoever causes lines cannot fill the disk with them, and pushes nobody else's out: each identity has a budget of its own
//! ([`Rate`]) for each of three kinds of lines (coming and going; refusals; changes of rights). An application is one identity
//! by its engine and ID; all on the host are one, all in sandboxes of an unknown engine, and all that are unidentified.
//! 256 applications have budgets at a time, and the others share one.
//!
//! The next line of the same identity and kind says in `dropped` how many were left out, by event. What no line said is said
//! by a line `dropped` when the log is closed, or when its identity is forgotten.
//!
//! A line that could not be written because there was no room for it, or for any other reason, is counted by `lost` of the
//! next one that is.
//!
//! # What a reader may rely on
//!
//! Each line is whole, and plain ASCII whatever clients call themselves: what could end a line, command a terminal or turn its
//! direction is written as `\uXXXX`. Texts longer than 1024 bytes are cut and end with `...`. No line is longer than 64 KiB: one
//! that would be has `cut` in the place of its further members, and of its `identity` the `kind` and a `message`.
//!
//! Nothing here waits for a reader, and nothing calls into wayland-server, so that it can be called from
//! `ClientData::disconnected`.

mod json;
mod limit;
mod line;
mod sink;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use wayland_backend::server::DisconnectReason;

pub use limit::Rate;
pub use sink::Sink;

use crate::policy::{Capability, Policy};
use crate::wayland::{ClientAuth, RefusedBind};
use limit::{Answer, Dropped, Kind, Limiter, Subject};
use line::{Details, Entry};

/// The log. Cheap to clone; the clones are one.
///
/// It is closed when the last clone is dropped: see [`Audit::close`].
#[derive(Clone, Debug)]
pub struct Audit {
    log: Option<Arc<Mutex<Log>>>,
}

#[derive(Debug)]
struct Log {
    sink: Sink,
    limiter: Limiter,
    /// How many lines were not written since the last that was.
    lost: u64,
    /// When the compositor's own log was told of that.
    complained: Option<Instant>,
}

/// The compositor's own log is told of lost lines once in this time.
const COMPLAIN: Duration = Duration::from_secs(60);

impl Audit {
    /// Writes to this sink.
    #[must_use]
    pub fn new(sink: Sink) -> Self {
        Self::with_rate(sink, Rate::default())
    }

    /// The same, with other budgets than the usual ones.
    #[must_use]
    pub fn with_rate(sink: Sink, rate: Rate) -> Self {
        Self { log: Some(Arc::new(Mutex::new(Log { sink, limiter: Limiter::new(rate), lost: 0, complained: None }))) }
    }

    /// Writes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { log: None }
    }

    /// A client was identified. `policy` is the one that decided.
    pub fn connected(&self, client: u64, auth: &ClientAuth, policy: &Policy) {
        self.record(|| {
            let capabilities = line::rights(&auth.verdict(), policy);
            of_client(
                "connect",
                Kind::Presence,
                client,
                auth,
                Details::Connect { evidence: auth.evidence(), capabilities },
            )
        });
    }

    /// A client is gone, for the reason that `ClientData::disconnected` is told.
    ///
    /// If it was killed because it bound what it could not see, there is a line about that before.
    pub fn disconnected(&self, client: u64, auth: &ClientAuth, reason: &DisconnectReason, policy: &Policy) {
        if let Some(RefusedBind { interface, version, name }) = RefusedBind::of(reason) {
            // The interface is the client's own word: under another's, a hidden global is refused all the same.
            let needed = policy.class_of(&interface).capability();
            let is_hidden = needed.is_some_and(|capability| !auth.verdict().visible().contains(capability));
            let event = if is_hidden { "bind-hidden" } else { "bind-refused" };
            let details = || Details::RefusedBind { interface: &interface, version, name };
            self.record(|| of_client(event, Kind::Refusal, client, auth, details()));
        }
        let reason = match reason {
            DisconnectReason::ConnectionClosed => "connection closed".to_owned(),
            DisconnectReason::ProtocolError(error) => error.to_string(),
        };
        self.record(|| of_client("disconnect", Kind::Presence, client, auth, Details::Disconnect { reason: &reason }));
    }

    /// A connection was closed instead of becoming a client, because it was [one too many](ClientAuth::over_limit).
    pub fn turned_away(&self, auth: &ClientAuth) {
        let Some(over_limit) = auth.over_limit() else { return };
        self.record(|| {
            let details = Details::TurnedAway { limit: over_limit.limit.get() };
            Entry { client: None, ..of_client("refused", Kind::Refusal, 0, auth, details) }
        });
    }

    /// A client used what it may not use, or not any more, and got nothing.
    pub fn use_denied(&self, client: u64, auth: &ClientAuth, capability: Capability, policy: &Policy) {
        self.record(|| {
            let verdict = auth.verdict();
            let details = Details::UseDenied {
                capability: policy.capability_name(capability),
                standing: verdict.standing(capability).as_str(),
                because: verdict.reason(capability).to_string(),
            };
            of_client("use-denied", Kind::Refusal, client, auth, details)
        });
    }

    /// Says what was left out and not said yet. The log can be written to after that.
    pub fn close(&self) {
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).say_untold();
        }
    }

    fn record<'a>(&self, entry: impl FnOnce() -> Entry<'a>) {
        if let Some(log) = &self.log {
            let entry = entry();
            log.lock().unwrap_or_else(PoisonError::into_inner).record(&entry, Instant::now());
        }
    }
}

fn of_client<'a>(
    event: &'static str,
    kind: Kind,
    client: u64,
    auth: &'a ClientAuth,
    details: Details<'a>,
) -> Entry<'a> {
    let identity = auth.identity();
    Entry { event, kind, subject: Subject::of(identity), client: Some(client), identity: Some(identity), details }
}

impl Log {
    fn record(&mut self, entry: &Entry<'_>, now: Instant) {
        let Entry { event, kind, .. } = *entry;
        let mut forgotten = Vec::new();
        let subject = entry.subject.clone();
        let answer = self.limiter.ask(subject, kind, event, now, |subject, dropped| forgotten.push((subject, dropped)));
        for (subject, dropped) in &forgotten {
            self.say_dropped(subject, dropped);
        }
        let Answer::Write(dropped) = answer else { return };
        if !self.write(entry, &dropped) {
            self.limiter.was_not_written(&entry.subject, kind, dropped);
        }
    }

    fn say_untold(&mut self) {
        let untold = self.limiter.untold();
        for (subject, dropped) in &untold {
            if !self.say_dropped(subject, dropped) {
                self.limiter.was_not_written(subject, Kind::Presence, dropped.clone());
            }
        }
        if untold.is_empty() && self.lost > 0 {
            self.say_dropped(&Subject::Compositor, &Dropped::new());
        }
    }

    fn say_dropped(&mut self, of: &Subject, dropped: &Dropped) -> bool {
        let (kind, details) = (Kind::Presence, Details::Dropped { of });
        let entry = Entry { event: "dropped", kind, subject: of.clone(), client: None, identity: None, details };
        self.write(&entry, dropped)
    }

    /// Whether it was written.
    fn write(&mut self, entry: &Entry<'_>, dropped: &Dropped) -> bool {
        let bytes = entry.line(SystemTime::now(), dropped, self.lost);
        match self.sink.write_line(&bytes) {
            Ok(()) => {
                self.lost = 0;
                true
            }
            Err(error) => {
                let now = Instant::now();
                let lately = self.complained.is_some_and(|at| now.saturating_duration_since(at) < COMPLAIN);
                if !lately {
                    self.complained = Some(now);
                    tracing::warn!(event = entry.event, %error, "the audit log misses an event");
                }
                self.lost = self.lost.saturating_add(1);
                false
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.say_untold();
    }
}

#[cfg(test)]
mod tests;
