//! `grant`, `grants` and `revoke`: rights of applications while the compositor runs.

use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use serde_json::json;
use wayland_auth::protocol::client::xx_client_auth_admin_v1::{Answer, Disposition, Lifetime, XxClientAuthAdminV1};
use wayland_auth::protocol::client::xx_client_auth_grants_v1::Event;
use wayland_auth::protocol::client::xx_client_auth_result_v1 as result;

use super::connection::{Compositor, known, whole};
use crate::failure::{FAILED, Failure};
use crate::output;

/// The capability that is needed.
pub(super) const ADMIN: &str = "identity-admin";

/// Give capabilities to an application, or take them from it, while it runs
///
/// The application's clients that are connected have them at once. What the compositor's policy denies by name stays denied.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The application of this client, by its number in `clients`
    #[arg(long, value_name = "N", required_unless_present = "engine", conflicts_with = "engine")]
    client: Option<u64>,
    /// The application's sandbox engine
    #[arg(long, value_name = "ENGINE", requires = "app_id")]
    engine: Option<String>,
    /// The application's ID
    #[arg(long, value_name = "ID", requires = "engine")]
    app_id: Option<String>,
    /// Only this instance of it
    #[arg(long, value_name = "ID", requires = "engine")]
    instance_id: Option<String>,
    /// Deny them instead
    #[arg(long)]
    deny: bool,
    /// Until the compositor ends: this is what is done if nothing is said
    #[arg(long, group = "lifetime")]
    session: bool,
    /// Until it is revoked; the compositor writes it down
    #[arg(long, group = "lifetime")]
    always: bool,
    /// As long as the client is connected
    #[arg(long, group = "lifetime", requires = "client")]
    while_connected: bool,
    /// Not for longer than this: a number with s, m, h or d
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Seconds>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The capabilities
    #[arg(required = true, value_name = "CAPABILITY")]
    capabilities: Vec<String>,
}

/// List what was granted while the compositor runs
#[derive(Debug, Args)]
pub(crate) struct GrantsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Revoke grants, by their numbers in `grants`
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Disconnect the clients that had something by them
    #[arg(long)]
    disconnect: bool,
    /// The grants
    #[arg(required = true, value_name = "ID")]
    ids: Vec<u64>,
}

/// A time in whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(u32);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a number with s, m, h or d, such as 90s or 1h, of at most 136 years";
        let (number, factor) = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .ok_or(EXPECTED)?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or(EXPECTED)?;
        if seconds == 0 { Err(EXPECTED) } else { Ok(Self(seconds)) }
    }
}

/// Carries out `grant`.
pub(crate) fn grant(args: &GrantArgs) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect()?;
    let admin: XxClientAuthAdminV1 = compositor.bind(ADMIN)?;
    let handle = compositor.queue.handle();
    let answer = if args.deny { Answer::Deny } else { Answer::Allow };
    let lifetime = match (args.always, args.while_connected) {
        (true, _) => Lifetime::Always,
        (_, true) => Lifetime::Connection,
        _ => Lifetime::Session,
    };
    let seconds = args.time.map_or(0, |Seconds(seconds)| seconds);
    let mut granted = Vec::new();
    for capability in &args.capabilities {
        match (args.client, &args.engine, &args.app_id) {
            (Some(serial), ..) => {
                let (hi, lo) = ((serial >> 32) as u32, serial as u32);
                admin.grant_client(hi, lo, capability.clone(), answer, lifetime, seconds, &handle, ());
            }
            (None, Some(engine), Some(app_id)) => {
                let instance = args.instance_id.clone();
                let (engine, app_id) = (engine.clone(), app_id.clone());
                admin.grant_app(engine, app_id, instance, capability.clone(), answer, lifetime, seconds, &handle, ());
            }
            _ => return Err(Failure::new(FAILED, "there is nobody to grant it to")),
        }
        match outcome(&mut compositor)? {
            result::Event::Granted { id_hi, id_lo } => granted.push((whole(id_hi, id_lo), capability)),
            other => {
                tell_granted(&granted, args);
                return Err(failed(&format!("{answer:?} {capability}").to_lowercase(), other));
            }
        }
    }
    tell_granted(&granted, args);
    Ok(ExitCode::SUCCESS)
}

fn tell_granted(granted: &[(u64, &String)], args: &GrantArgs) {
    if args.json {
        let list: Vec<_> =
            granted.iter().map(|(id, capability)| json!({"grant": id, "capability": capability})).collect();
        output::print_json(&list.into());
    } else {
        let verb = if args.deny { "denied" } else { "allowed" };
        granted.iter().for_each(|(id, capability)| output::print(format_args!("grant {id}: {verb} {capability}")));
    }
}

/// Carries out `grants`.
pub(crate) fn grants(args: &GrantsArgs) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect()?;
    let admin: XxClientAuthAdminV1 = compositor.bind(ADMIN)?;
    let list = admin.get_grants(&compositor.queue.handle(), ());
    let mut grants = Vec::new();
    'batches: loop {
        list.read();
        loop {
            compositor.wait()?;
            for event in std::mem::take(&mut compositor.inbox.grants) {
                match event {
                    Event::Done { more: 0 } => break 'batches,
                    Event::Done { .. } => continue 'batches,
                    Event::Finished => {
                        let message = format!("the compositor has taken `{ADMIN}` from this program");
                        return Err(Failure::new(FAILED, message));
                    }
                    event => grants.push(event),
                }
            }
        }
    }
    if args.json {
        output::print_json(&grants.iter().filter_map(as_json).collect());
    } else {
        let lines: Vec<_> = grants.iter().filter_map(as_json).map(|grant| line(&grant)).collect();
        output::print(if lines.is_empty() { "no grants".to_owned() } else { lines.join("\n") });
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(event: &Event) -> Option<serde_json::Value> {
    let Event::Grant {
        id_hi,
        id_lo,
        engine,
        app_id,
        instance_id,
        capability,
        answer,
        lifetime,
        serial_hi,
        serial_lo,
        expires_hi,
        expires_lo,
    } = event
    else {
        return None;
    };
    let lifetime = match known(*lifetime) {
        Some(Lifetime::Connection) => "connection",
        Some(Lifetime::Session) => "session",
        Some(Lifetime::Always) => "always",
        _ => "unknown",
    };
    let unless_zero = |number| Some(number).filter(|number| *number != 0);
    Some(json!({
        "grant": whole(*id_hi, *id_lo),
        "engine": engine,
        "app-id": app_id,
        "instance-id": instance_id,
        "capability": capability,
        "answer": if known(*answer) == Some(Answer::Allow) { "allow" } else { "deny" },
        "lifetime": lifetime,
        "client": unless_zero(whole(*serial_hi, *serial_lo)),
        "expires": unless_zero(whole(*expires_hi, *expires_lo)),
    }))
}

fn line(grant: &serde_json::Value) -> String {
    let word = |key: &str| grant[key].as_str().unwrap_or_default().to_owned();
    let mut line = format!(
        "{:>8}  {} {} to {} of {}",
        grant["grant"],
        word("answer"),
        word("capability"),
        word("app-id"),
        word("engine")
    );
    if grant["instance-id"].is_string() {
        line += &format!(", instance {}", word("instance-id"));
    }
    line += &match (grant["lifetime"].as_str(), grant["client"].as_u64()) {
        (Some("connection"), Some(serial)) => format!("; while client {serial} is connected"),
        (Some("always"), _) => "; until it is revoked".to_owned(),
        _ => "; until the compositor ends".to_owned(),
    };
    if let Some(end) = grant["expires"].as_u64() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        line += &format!("; for {} s more at most", end.saturating_sub(now));
    }
    line
}

/// Carries out `revoke`.
pub(crate) fn revoke(args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect()?;
    let admin: XxClientAuthAdminV1 = compositor.bind(ADMIN)?;
    let disposition = if args.disconnect { Disposition::Disconnect } else { Disposition::Keep };
    for id in &args.ids {
        admin.revoke((id >> 32) as u32, *id as u32, disposition, &compositor.queue.handle(), ());
        match outcome(&mut compositor)? {
            result::Event::Revoked => output::print(format_args!("grant {id}: revoked")),
            other => return Err(failed(&format!("revoke {id}"), other)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of the last request.
fn outcome(compositor: &mut Compositor) -> Result<result::Event, Failure> {
    loop {
        if let Some(outcome) = compositor.inbox.results.pop() {
            return Ok(outcome);
        }
        compositor.wait()?;
    }
}

fn failed(what: &str, event: result::Event) -> Failure {
    let result::Event::Failed { reason, message } = event else {
        return Failure::new(FAILED, format!("cannot {what}: the compositor does not say why"));
    };
    let failure = Failure::new(FAILED, format!("cannot {what}: {message}"));
    match known(reason) {
        Some(result::Reason::NoSuchClient) => failure.remedy("`wayland-auth clients` lists those that are there"),
        Some(result::Reason::NoSuchGrant) => failure.remedy("`wayland-auth grants` lists those that hold"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_and_bounded() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("5m", 300), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "h", "1", "0s", "-1s", "+1s", "1.5h", "1 h", "99999999999s", "99999999d", "1w"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
