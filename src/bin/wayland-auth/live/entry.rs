//! A client in the compositor's list.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wayland_auth::protocol::client::xx_client_auth_clients_v1::Event;
use wayland_auth::protocol::client::xx_client_auth_manager_v1::{Kind, Provenance, Standing};
use wayland_client::WEnum;

use super::connection::{known, whole};

/// What is told of a client.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) serial: u64,
    kind: &'static str,
    engine: Option<String>,
    app_id: Option<String>,
    instance_id: Option<String>,
    provenance: &'static str,
    pub(crate) description: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) capabilities: Vec<Stands>,
}

/// How a client stands to a capability.
#[derive(Clone, Debug)]
pub(crate) struct Stands {
    pub(crate) name: String,
    pub(crate) standing: &'static str,
    pub(crate) reason: String,
}

/// The word for a kind; what is not known is unidentified.
pub(crate) fn kind(kind: WEnum<Kind>) -> &'static str {
    match known(kind) {
        Some(Kind::App) => "app",
        Some(Kind::Host) => "host",
        Some(Kind::Internal) => "internal",
        _ => "unidentified",
    }
}

/// The word for a provenance; what is not known could be anybody's.
pub(crate) fn provenance(provenance: WEnum<Provenance>) -> &'static str {
    match known(provenance) {
        Some(Provenance::None) => "none",
        Some(Provenance::System) => "system",
        _ => "user",
    }
}

/// The word for a standing; what is not known is denied.
pub(crate) fn standing(standing: WEnum<Standing>) -> &'static str {
    match known(standing) {
        Some(Standing::Allowed) => "allowed",
        Some(Standing::Ask) => "ask",
        Some(Standing::Empty) => "empty",
        _ => "denied",
    }
}

/// A change of the list.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Is there, or is not what it was.
    There(Entry),
    Gone(u64),
}

/// The changes in a batch.
pub(crate) fn changes(events: Vec<Event>) -> Vec<Change> {
    let mut changes = Vec::new();
    for event in events {
        match event {
            Event::Client {
                serial_hi,
                serial_lo,
                kind: of_kind,
                engine,
                app_id,
                instance_id,
                provenance: by,
                description,
            } => changes.push(Change::There(Entry {
                serial: whole(serial_hi, serial_lo),
                kind: kind(of_kind),
                engine,
                app_id,
                instance_id,
                provenance: provenance(by),
                description,
                evidence: Vec::new(),
                capabilities: Vec::new(),
            })),
            Event::Gone { serial_hi, serial_lo } => changes.push(Change::Gone(whole(serial_hi, serial_lo))),
            Event::Evidence { line } => {
                if let Some(Change::There(entry)) = changes.last_mut() {
                    entry.evidence.push(line);
                }
            }
            Event::Capability { name, standing: stands, reason } => {
                if let Some(Change::There(entry)) = changes.last_mut() {
                    entry.capabilities.push(Stands { name, standing: standing(stands), reason });
                }
            }
            _ => {}
        }
    }
    changes
}

impl Entry {
    /// In a line, and what it may do in another.
    pub(crate) fn text(&self) -> String {
        let mut text = self.description.clone();
        for (lead, wanted) in [("may use", "allowed"), ("asks for", "ask"), ("gets nothing from", "empty")] {
            let names: Vec<_> =
                self.capabilities.iter().filter(|c| c.standing == wanted).map(|c| c.name.as_str()).collect();
            if wanted == "allowed" || !names.is_empty() {
                let names = match names.len() {
                    0 => "nothing that needs a capability".to_owned(),
                    n if n == self.capabilities.len() => "everything".to_owned(),
                    n if n > 8 => format!("{n} of {} capabilities", self.capabilities.len()),
                    _ => names.join(", "),
                };
                let _ = write!(text, "\n          {lead} {names}");
            }
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let capabilities: Vec<_> = self
            .capabilities
            .iter()
            .map(|c| json!({"capability": c.name, "standing": c.standing, "because": c.reason}))
            .collect();
        json!({
            "client": self.serial,
            "kind": self.kind,
            "engine": self.engine,
            "app-id": self.app_id,
            "instance-id": self.instance_id,
            "provenance": self.provenance,
            "identity": self.description,
            "evidence": self.evidence,
            "capabilities": capabilities,
        })
    }
}
