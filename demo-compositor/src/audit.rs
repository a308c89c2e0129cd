//! The audit log: what happened to clients, one JSON object per line.
//!
//! | event | when | further members |
//! |---|---|---|
//! | `connect` | a client was identified | `evidence`, `capabilities`: by name, each with `allowed` and `because` |
//! | `bind-hidden` | a client was killed because it bound a global that is hidden from it | `interface`, `version`, `name` |
//! | `disconnect` | a client is gone | `reason` |
//!
//! Each also has `event`, `time` (seconds since 1970), `client` (its number) and `identity`. A line is written with one
//! call of `write(2)` to a file opened with `O_APPEND`, so that lines of several compositors do not mix.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use rustix::fs::OFlags;
use serde::Serialize;
use smithay::reexports::wayland_server::backend::DisconnectReason;
use wayland_auth::{ClientAuth, Identity, Policy, RefusedBind, identity::Evidence};

/// Where events go, if anywhere.
#[derive(Debug)]
pub(crate) struct Audit {
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    policy: Arc<Policy>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    time: f64,
    client: u64,
    identity: &'a Identity,
    #[serde(flatten)]
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Connect { evidence: &'a Evidence, capabilities: BTreeMap<String, Right> },
    BindHidden { interface: &'a str, version: u32, name: u32 },
    Disconnect { reason: String },
}

#[derive(Serialize)]
struct Right {
    allowed: bool,
    because: String,
}

impl Audit {
    /// Writes nothing.
    #[must_use]
    pub(crate) fn off() -> Self {
        Self { log: None }
    }

    /// Appends to `path`, which is created for this user alone. `policy` tells why a client may do something.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or is a symbolic link.
    pub(crate) fn append_to(path: &Path, policy: Arc<Policy>) -> io::Result<Self> {
        // `O_NONBLOCK` is for a FIFO that nobody reads: opening it must not wait.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        Ok(Self { log: Some(Log { file, policy }) })
    }

    /// A client was identified.
    pub(crate) fn connected(&self, client: u64, auth: &ClientAuth) {
        let Some(log) = &self.log else { return };
        let rights = auth.verdict().describe(&log.policy);
        let capabilities =
            rights.into_iter().map(|(name, allowed, because)| (name, Right { allowed, because })).collect();
        log.write("connect", client, auth, Details::Connect { evidence: auth.evidence(), capabilities });
    }

    /// A client is gone.
    pub(crate) fn disconnected(&self, client: u64, auth: &ClientAuth, reason: &DisconnectReason) {
        let Some(log) = &self.log else { return };
        if let Some(refused) = RefusedBind::of(reason).filter(|refused| log.is_hidden(&refused.interface, auth)) {
            let RefusedBind { interface, version, name, .. } = &refused;
            tracing::warn!(client, identity = %auth.identity(), interface, "a client bound a hidden global");
            log.write("bind-hidden", client, auth, Details::BindHidden { interface, version: *version, name: *name });
        }
        let reason = match reason {
            DisconnectReason::ConnectionClosed => "connection closed".to_owned(),
            DisconnectReason::ProtocolError(error) => error.to_string(),
        };
        log.write("disconnect", client, auth, Details::Disconnect { reason });
    }
}

impl Log {
    fn is_hidden(&self, interface: &str, auth: &ClientAuth) -> bool {
        self.policy.class_of(interface).capability().is_some_and(|capability| !auth.allows(capability))
    }

    fn write(&self, event: &'static str, client: u64, auth: &ClientAuth, details: Details<'_>) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let line = Line { event, time, client, identity: auth.identity(), details };
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            match (&self.file).write(&bytes)? {
                all if all == bytes.len() => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
            }
        });
        if let Err(error) = written {
            tracing::warn!(client, event, %error, "the audit log misses an event");
        }
    }
}
