//! The globals that a compositor shows to this process.

use std::process::ExitCode;

use serde_json::Value;
use wayland_client::{
    Connection, Dispatch, QueueHandle,
    globals::{GlobalListContents, registry_queue_init},
    protocol::wl_registry,
};

use crate::{
    cli,
    error::{Context, Error},
};

struct Listener;

impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for Listener {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

/// The interfaces of all globals, sorted; one that is there twice is named twice.
pub(super) fn list() -> Result<Vec<String>, Error> {
    let connection = Connection::connect_to_env().or_fail(|| "cannot connect to the compositor".into())?;
    let (globals, _queue) =
        registry_queue_init::<Listener>(&connection).or_fail(|| "cannot list the compositor's globals".into())?;
    let mut names: Vec<String> =
        globals.contents().with_list(|list| list.iter().map(|global| global.interface.clone()).collect());
    names.sort_unstable();
    Ok(names)
}

/// Prints them as a JSON array.
pub(super) fn run() -> Result<ExitCode, Error> {
    cli::say(Value::from(list()?).to_string());
    Ok(ExitCode::SUCCESS)
}
