//! What happened to clients and their rights, as lines of JSON.
//!
//! ```no_run
//! use wayland_auth::audit::{Audit, Sink};
//! # use wayland_auth::{Authenticator, ClientAuth, RefusedBind};
//! # use wayland_backend::server::{ClientData, ClientId, DisconnectReason};
//! # struct ClientState { auth: ClientAuth, audit: Audit }
//! # fn f(authenticator: &Authenticator) -> std::io::Result<()> {
//! let audit = Audit::start(authenticator, Sink::append_to("/var/log/compositor.jsonl")?);
//! # Ok(()) }
//! // And, so that it knows of binds that killed their client, and why a client is gone:
//! impl ClientData for ClientState {
//!     fn disconnected(&self, _: ClientId, reason: DisconnectReason) {
//!         if let Some(bind) = RefusedBind::of(&reason) {
//!             self.auth.report_hidden_bind(bind);
//!         }
//!         self.audit.disconnected(&self.auth, &reason);
//!     }
//! }
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
//! | `rights` | a client may do more or less than before | `cause`: `policy`, `expiry`, `state-file`, `relabel`, or `grant` or `revoke` with the number of that in `grant`; `changes`: by name, each with `before`, `now` and `because` |
//! | `relabelled` | the labels of a client's directories say somebody else: it may do what both may | `now`: who that is |
//! | `granted` | somebody gave an application something, or took it from it, beside the policy | `grant`: its number; `grantee`: an `engine`, an `app-id` and perhaps an `instance-id`; `capability`; `answer`: `allow` or `deny`; `lifetime`: `session`, `always`, or `connection` with its number in `connection`; `expires`: in seconds since 1970 |
//! | `expired` | the time of a grant is over | the same |
//! | `revoked` | a grant was taken back, or its connection is closed, or another took its place | `grant`; `grantee`; `capability`; `answer`; `lifetime`; `expires`; `by`: `command`, `disconnect` or `another` |
//! | `asked` | the use of a capability waits for somebody's answer | `question`: its number; `grantee`; `capability` |
//! | `answered` | that answer, or the lack of one, which is a no | `question`; `grantee`; `capability`; `answer`; `kept`: `once`, `connection`, `session`, `always`, or `not answered` |
//! | `reload` | another policy decides | `added`, `removed`: rules, by file and line; `changed`: rules for the same clients, each with `before` and `now`; `sections`: other parts that differ; `clients`: how many may do more or less now, each with a line `rights` |
//! | `reload-failed` | another policy could not be taken, and the old one stays | `why` |
//! | `state-not-written` | what was granted for good could not be written down | `why` |
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

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use wayland_backend::server::DisconnectReason;

pub use limit::Rate;
pub use sink::Sink;

use crate::policy::{Answer, ClientSerial, Grantee, Policy};
use crate::wayland::{Authenticator, Cause, ClientAuth, Event, RefusedBind, RevokedBy, Subscription};
use limit::{Dropped, Kind, Limiter, Permit, Subject};
use line::{Details, Entry, GrantLine, GranteeLine, Reload};

/// The log of what happens to the clients of an [`Authenticator`]. Cheap to clone; the clones are one.
///
/// It is closed when the last clone is dropped: see [`Audit::close`].
#[derive(Clone, Debug)]
pub struct Audit {
    log: Option<Arc<Log>>,
}

#[derive(Debug)]
struct Log {
    /// For the names in it, which no later policy changes.
    policy: Arc<Policy>,
    writer: Mutex<Writer>,
    _subscription: Option<Subscription>,
}

/// The compositor's own log is told of lost lines once in this time.
const COMPLAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Writer {
    sink: Sink,
    limiter: Limiter,
    /// The clients that are connected, and those of them whose end was told already.
    connected: HashMap<ClientSerial, bool>,
    /// How many lines were not written since the last that was.
    lost: u64,
    /// When the compositor's own log was told of that.
    complained: Option<Instant>,
}

impl Audit {
    /// Writes to this sink from now on.
    #[must_use]
    pub fn start(authenticator: &Authenticator, sink: Sink) -> Self {
        Self::with_rate(authenticator, sink, Rate::default())
    }

    /// The same, with other budgets than the usual ones.
    #[must_use]
    pub fn with_rate(authenticator: &Authenticator, sink: Sink, rate: Rate) -> Self {
        let log = Arc::new_cyclic(|log: &Weak<Log>| {
            let log = Weak::clone(log);
            // The authenticator outlives the log, or not: neither keeps the other.
            let subscription = authenticator.subscribe(move |event| {
                if let Some(log) = log.upgrade() {
                    log.tell(event);
                }
            });
            let connected = authenticator.clients().iter().map(|client| (client.serial(), false)).collect();
            Log { _subscription: Some(subscription), ..Log::new(authenticator.policy(), sink, rate, connected) }
        });
        Self { log: Some(log) }
    }

    /// Writes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { log: None }
    }

    /// Why a client is gone: call it in `ClientData::disconnected`. Otherwise its end is told without a reason.
    pub fn disconnected(&self, client: &ClientAuth, reason: &DisconnectReason) {
        if let Some(log) = &self.log {
            log.disconnected(client, reason);
        }
    }

    /// Says what was left out and not said yet. The log can be written to after that.
    pub fn close(&self) {
        if let Some(log) = &self.log {
            log.writer().say_untold();
        }
    }
}

impl Log {
    fn new(policy: Arc<Policy>, sink: Sink, rate: Rate, connected: HashMap<ClientSerial, bool>) -> Self {
        let writer = Writer { sink, limiter: Limiter::new(rate), connected, lost: 0, complained: None };
        Self { policy, writer: Mutex::new(writer), _subscription: None }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Connected(client) => self.connected(client),
            Event::Gone(client) => {
                if self.writer().connected.remove(&client.serial()) != Some(true) {
                    self.record(&of_client(
                        "disconnect",
                        Kind::Presence,
                        client,
                        Details::Disconnect { reason: NO_REASON },
                    ));
                }
            }
            Event::TurnedAway(client) => self.turned_away(client),
            Event::Changed { client, before, cause } => {
                let changes = line::changes(before, &client.verdict(), &self.policy);
                let (cause, grant) = match cause {
                    Cause::Policy => ("policy", None),
                    Cause::Granted(id) => ("grant", Some(*id)),
                    Cause::Revoked(id) => ("revoke", Some(*id)),
                    Cause::Expired => ("expiry", None),
                    Cause::StateFile => ("state-file", None),
                    Cause::Relabelled => ("relabel", None),
                };
                self.record(&of_client("rights", Kind::Rights, client, Details::Rights { cause, grant, changes }));
            }
            Event::Granted(grant) => {
                let details = Details::Grant(GrantLine::new(grant, None));
                self.record(&of_grantee("granted", &grant.grantee, details));
            }
            Event::Revoked { grant, by } => {
                let (event, by) = match by {
                    RevokedBy::Command => ("revoked", Some("command")),
                    RevokedBy::Expiry => ("expired", None),
                    RevokedBy::Disconnect => ("revoked", Some("disconnect")),
                    RevokedBy::Another(_) => ("revoked", Some("another")),
                };
                self.record(&of_grantee(event, &grant.grantee, Details::Grant(GrantLine::new(grant, by))));
            }
            Event::Asked { question, grantee, capability } => self.question(*question, grantee, capability, None),
            Event::Answered { question, grantee, capability, answer, kept } => {
                self.question(*question, grantee, capability, Some((*answer, kept)));
            }
            Event::Reloaded { before, after, changed } => self.reloaded(before, after, *changed),
            Event::ReloadFailed { why } => {
                self.record(&of_the_compositor("reload-failed", Details::Why { why }));
            }
            Event::StateNotWritten { why } => {
                self.record(&of_the_compositor("state-not-written", Details::Why { why }));
            }
            Event::UseDenied { client, capability } => {
                let verdict = client.verdict();
                let details = Details::UseDenied {
                    capability: self.policy.capability_name(*capability),
                    standing: verdict.standing(*capability).as_str(),
                    because: verdict.reason(*capability).to_string(),
                };
                self.record(&of_client("use-denied", Kind::Refusal, client, details));
            }
            Event::HiddenBind { client, bind } => self.refused_bind(client, bind),
            Event::Relabelled { client, identity } => {
                let details = Details::Relabelled { now: identity.to_string() };
                self.record(&of_client("relabelled", Kind::Rights, client, details));
            }
            // This is in the program's own log.
            Event::LabelsNotWatched { .. } => {}
        }
    }

    fn question(&self, question: u64, grantee: &Grantee, capability: &str, answer: Option<(Answer, &'static str)>) {
        let event = if answer.is_some() { "answered" } else { "asked" };
        let (answer, kept) = answer.unzip();
        let details = Details::Question { question, grantee: GranteeLine::new(grantee), capability, answer, kept };
        self.record(&of_grantee(event, grantee, details));
    }

    /// `clients` of those who are connected may do more or less now.
    fn reloaded(&self, before: &Policy, now: &Policy, clients: usize) {
        let diff = before.diff(now);
        self.record(&of_the_compositor("reload", Details::Reload(Reload::new(&diff, clients))));
    }

    fn connected(&self, client: &ClientAuth) {
        self.writer().connected.insert(client.serial(), false);
        let capabilities = line::rights(&client.verdict(), &self.policy);
        let details = Details::Connect { evidence: client.evidence(), capabilities };
        self.record(&of_client("connect", Kind::Presence, client, details));
    }

    fn disconnected(&self, client: &ClientAuth, reason: &DisconnectReason) {
        // A backend may say it twice.
        match self.writer().connected.get_mut(&client.serial()) {
            Some(told) if !*told => *told = true,
            _ => return,
        }
        let reason = match reason {
            DisconnectReason::ConnectionClosed => "connection closed".to_owned(),
            DisconnectReason::ProtocolError(error) => error.to_string(),
        };
        self.record(&of_client("disconnect", Kind::Presence, client, Details::Disconnect { reason: &reason }));
    }

    fn refused_bind(&self, client: &ClientAuth, bind: &RefusedBind) {
        let RefusedBind { interface, version, name } = bind;
        // The interface is the client's own word: under another's, a hidden global is refused all the same.
        let needed = self.policy.class_of(interface).capability();
        let is_hidden = needed.is_some_and(|capability| !client.sees(capability));
        let event = if is_hidden { "bind-hidden" } else { "bind-refused" };
        let details = Details::RefusedBind { interface, version: *version, name: *name };
        self.record(&of_client(event, Kind::Refusal, client, details));
    }

    fn turned_away(&self, client: &ClientAuth) {
        let Some(over_limit) = client.over_limit() else { return };
        let details = Details::TurnedAway { limit: over_limit.limit.get() };
        self.record(&Entry { client: None, ..of_client("refused", Kind::Refusal, client, details) });
    }

    fn record(&self, entry: &Entry<'_>) {
        self.writer().record(entry, Instant::now());
    }
}

/// The reason of an end that nobody gave one for.
const NO_REASON: &str = "not told";

fn of_client<'a>(event: &'static str, kind: Kind, client: &'a ClientAuth, details: Details<'a>) -> Entry<'a> {
    let identity = client.identity();
    let serial = Some(client.serial().get());
    Entry { event, kind, subject: Subject::of(identity), client: serial, identity: Some(identity), details }
}

fn of_grantee<'a>(event: &'static str, grantee: &Grantee, details: Details<'a>) -> Entry<'a> {
    let subject = Subject::App(grantee.engine.clone(), Some(grantee.app_id.clone()));
    Entry { event, kind: Kind::Rights, subject, client: None, identity: None, details }
}

fn of_the_compositor<'a>(event: &'static str, details: Details<'a>) -> Entry<'a> {
    Entry { event, kind: Kind::Rights, subject: Subject::Compositor, client: None, identity: None, details }
}

impl Writer {
    fn record(&mut self, entry: &Entry<'_>, now: Instant) {
        let Entry { event, kind, .. } = *entry;
        let mut forgotten = Vec::new();
        let subject = entry.subject.clone();
        let answer = self.limiter.ask(subject, kind, event, now, |subject, dropped| forgotten.push((subject, dropped)));
        for (subject, dropped) in &forgotten {
            self.say_dropped(subject, dropped);
        }
        let Permit::Write(dropped) = answer else { return };
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

impl Drop for Writer {
    fn drop(&mut self) {
        self.say_untold();
    }
}

#[cfg(test)]
mod tests;
