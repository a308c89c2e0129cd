//! The audit log: what happened to clients, one JSON object per line.
//!
//! | event | when | further members |
//! |---|---|---|
//! | `connect` | a client was identified | `evidence`, `capabilities`: by name, each with `allowed` and `because` |
//! | `bind-hidden` | a client was killed because it bound a global that is hidden from it | `interface`, `version`, `name` |
//! | `bind-refused` | the same for any other bind that is none: of no global, or under another's interface | the same |
//! | `disconnect` | a client is gone | `reason` |
//! | `refused` | a connection was one too many and was closed; in a flood a few are told, then one a second | `limit`, no `client` |
//!
//! Each also has `event`, `time` (seconds since 1970), `client` (its number) and `identity`. A line is written with one
//! call of `write(2)` to a file opened with `O_APPEND`, so that lines of several compositors do not mix. It is plain ASCII,
//! whatever clients call themselves: what could end a line or command a terminal is written as `\uXXXX`.

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
use serde_json::ser::Formatter;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<u64>,
    identity: &'a Identity,
    #[serde(flatten)]
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Connect { evidence: &'a Evidence, capabilities: BTreeMap<String, Right> },
    RefusedBind { interface: &'a str, version: u32, name: u32 },
    Disconnect { reason: String },
    Refused { limit: u32 },
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
        log.write("connect", Some(client), auth, Details::Connect { evidence: auth.evidence(), capabilities });
    }

    /// A connection was closed instead of becoming a client.
    pub(crate) fn refused(&self, auth: &ClientAuth) {
        let (Some(log), Some(over_limit)) = (&self.log, auth.over_limit()) else { return };
        log.write("refused", None, auth, Details::Refused { limit: over_limit.limit.get() });
    }

    /// A client is gone.
    pub(crate) fn disconnected(&self, client: u64, auth: &ClientAuth, reason: &DisconnectReason) {
        let Some(log) = &self.log else { return };
        if let Some(RefusedBind { interface, version, name, .. }) = RefusedBind::of(reason) {
            tracing::warn!(client, identity = %auth.identity(), interface, name, "a client bound what it cannot see");
            // The interface is the client's own word: under another's, a hidden global is refused all the same.
            let event = if log.is_hidden(&interface, auth) { "bind-hidden" } else { "bind-refused" };
            log.write(event, Some(client), auth, Details::RefusedBind { interface: &interface, version, name });
        }
        let reason = match reason {
            DisconnectReason::ConnectionClosed => "connection closed".to_owned(),
            DisconnectReason::ProtocolError(error) => error.to_string(),
        };
        log.write("disconnect", Some(client), auth, Details::Disconnect { reason });
    }
}

impl Log {
    fn is_hidden(&self, interface: &str, auth: &ClientAuth) -> bool {
        self.policy.class_of(interface).capability().is_some_and(|capability| !auth.allows(capability))
    }

    fn write(&self, event: &'static str, client: Option<u64>, auth: &ClientAuth, details: Details<'_>) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let line = Line { event, time, client, identity: auth.identity(), details };
        let mut bytes = Vec::new();
        let serialized = line.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii));
        let written = serialized.map_err(io::Error::from).and_then(|()| {
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

/// JSON in plain ASCII, on one line.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(|c| !is_plain(c)) {
            let plain = part.trim_end_matches(|c| !is_plain(c));
            writer.write_all(plain.as_bytes())?;
            for unit in part[plain.len()..].encode_utf16() {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_anything_but_ascii_is_escaped_and_comes_back() {
        for text in ["", "plain", "\u{1b}[31m\n\"\\", "\u{202e}a\u{9b}b\u{2028}\u{7f}", "\u{1f980}x\u{1f980}\u{e9}"] {
            let mut bytes = Vec::new();
            text.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii)).unwrap();
            assert!(bytes.iter().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}: {bytes:?}");
            assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        }
    }
}
