//! `clients`: who is connected to the compositor; and `explain --client`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wayland_auth::protocol::client::xx_client_auth_clients_v1::{Event, XxClientAuthClientsV1};
use wayland_auth::protocol::client::xx_client_auth_explanation_v1 as explanation;
use wayland_auth::protocol::client::xx_client_auth_monitor_v1::XxClientAuthMonitorV1;

use super::connection::Compositor;
use super::entry::{Change, Entry, changes, standing};
use crate::failure::{FAILED, Failure, UNANSWERED};
use crate::output;

/// The capability that is needed.
const MONITOR: &str = "identity-monitor";

/// List the clients of this session's compositor, who they are and what they may do
#[derive(Debug, Args)]
pub(crate) struct ClientsArgs {
    /// Go on telling who comes, changes and goes
    #[arg(long)]
    watch: bool,
    /// Print JSON; with --watch one object in each line
    #[arg(long)]
    json: bool,
}

/// Carries out `clients`.
pub(crate) fn clients(args: &ClientsArgs) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect()?;
    let monitor: XxClientAuthMonitorV1 = compositor.bind(MONITOR)?;
    let list = monitor.get_clients(&compositor.queue.handle(), ());
    if args.watch {
        loop {
            let (batch, _) = read(&mut compositor, &list)?;
            batch.iter().for_each(|change| tell(change, args.json));
        }
    }
    let there = read_all(&mut compositor, &list)?;
    if args.json {
        output::print_json(&there.values().map(Entry::json).collect());
    } else {
        let lines: Vec<_> = there.values().map(|entry| format!("{:>8}  {}", entry.serial, entry.text())).collect();
        output::print(lines.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(change: &Change, json: bool) {
    match (change, json) {
        (Change::There(entry), false) => output::print(format_args!("{:>8}  {}", entry.serial, entry.text())),
        (Change::Gone(serial), false) => output::print(format_args!("{serial:>8}  is gone")),
        (Change::There(entry), true) => output::print_json_line(&entry.json()),
        (Change::Gone(serial), true) => output::print_json_line(&json!({"client": serial, "gone": true})),
    }
}

/// Waits for a batch: its changes, and whether there is more.
fn read(compositor: &mut Compositor, list: &XxClientAuthClientsV1) -> Result<(Vec<Change>, bool), Failure> {
    list.read();
    loop {
        let end = compositor.inbox.clients.iter().position(|e| matches!(e, Event::Done { .. } | Event::Finished));
        let Some(end) = end else {
            compositor.wait()?;
            continue;
        };
        let mut batch: Vec<_> = compositor.inbox.clients.drain(..=end).collect();
        return match batch.pop() {
            Some(Event::Done { more }) => Ok((changes(batch), more != 0)),
            _ => Err(Failure::new(FAILED, format!("the compositor has taken `{MONITOR}` from this program"))),
        };
    }
}

fn read_all(compositor: &mut Compositor, list: &XxClientAuthClientsV1) -> Result<BTreeMap<u64, Entry>, Failure> {
    let mut there = BTreeMap::new();
    loop {
        let (batch, more) = read(compositor, list)?;
        for change in batch {
            match change {
                Change::There(entry) => drop(there.insert(entry.serial, entry)),
                Change::Gone(serial) => drop(there.remove(&serial)),
            }
        }
        if !more {
            return Ok(there);
        }
    }
}

/// Carries out `explain --client`.
pub(crate) fn explain_client(serial: u64, global: Option<&str>, json: bool) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect().map_err(|failure| failure.with_code(UNANSWERED))?;
    let monitor: XxClientAuthMonitorV1 = compositor.bind(MONITOR).map_err(|failure| failure.with_code(UNANSWERED))?;
    let list = monitor.get_clients(&compositor.queue.handle(), ());
    let there = read_all(&mut compositor, &list)?;
    let Some(entry) = there.get(&serial) else {
        let failure = Failure::new(UNANSWERED, format!("there is no client {serial}"));
        return Err(failure.remedy("`wayland-auth clients` lists those that are there"));
    };
    let halves = ((serial >> 32) as u32, serial as u32);
    monitor.get_explanation(halves.0, halves.1, global.map(str::to_owned), &compositor.queue.handle(), ());
    compositor.roundtrip()?;
    let (mut lines, mut verdict) = (Vec::new(), None);
    for event in compositor.inbox.explanation.drain(..) {
        match event {
            explanation::Event::Line { text } => lines.push(text),
            explanation::Event::Verdict { capability, standing: stands } => {
                verdict = Some((capability, standing(stands)));
            }
            _ => {}
        }
    }
    if lines.is_empty() {
        return Err(Failure::new(UNANSWERED, format!("client {serial} is gone")));
    }
    if json {
        let mut value = entry.json();
        value["explanation"] = lines.into();
        if let Some(name) = global {
            value["global"] = name.into();
            value["needs"] = verdict.as_ref().map(|(capability, _)| capability.clone()).into();
            value["standing"] = verdict.as_ref().map_or("allowed", |(_, standing)| *standing).into();
        }
        output::print_json(&value);
    } else {
        let indented = |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let mut text = format!("client {serial}: {}\n{}", entry.description, indented(&entry.evidence));
        text += &lines.join("\n");
        if global.is_none() {
            for wanted in ["allowed", "ask", "empty", "denied"] {
                let of: Vec<_> = entry.capabilities.iter().filter(|c| c.standing == wanted).collect();
                if !of.is_empty() {
                    text += &format!("\n{wanted}:\n");
                    text += &of.iter().map(|c| format!("  {:<27} {}", c.name, c.reason)).collect::<Vec<_>>().join("\n");
                }
            }
        }
        output::print(text);
    }
    let is_given = match (global, &verdict) {
        (Some(_), Some((_, standing))) => *standing == "allowed",
        // The compositor names no capability for what is open to everyone.
        (Some(_), None) | (None, _) => true,
    };
    Ok(if is_given { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
