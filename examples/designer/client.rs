//! The client of the protocol: it says hello, and prints what it hears.
//!
//! It ends with status 1 if the compositor does not show it the global. Given a number, it binds the global of that number
//! instead, whether it was told of it or not.

use std::error::Error;

use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{Connection, Dispatch, QueueHandle};

use self::protocol::xx_hello_manager_v1::{Event, XxHelloManagerV1};

#[allow(missing_docs, unused, unreachable_pub, non_camel_case_types, non_upper_case_globals, clippy::all)]
mod protocol {
    use wayland_client;
    pub mod interfaces {
        wayland_scanner::generate_interfaces!("../examples/designer/xx-hello-v1.xml");
    }
    use interfaces::*;
    wayland_scanner::generate_client_code!("../examples/designer/xx-hello-v1.xml");
}

/// What was heard.
#[derive(Default)]
struct Heard(Option<String>);

fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::connect_to_env()?;
    let (globals, mut queue) = registry_queue_init::<Heard>(&connection)?;
    let manager: XxHelloManagerV1 = match std::env::args().nth(1) {
        Some(number) => globals.registry().bind(number.parse()?, 1, &queue.handle(), ()),
        None => globals.bind(&queue.handle(), 1..=1, ()).map_err(|error| format!("xx_hello_manager_v1: {error}"))?,
    };
    manager.greet("hello".to_owned());
    let mut heard = Heard::default();
    queue.roundtrip(&mut heard)?;
    println!("{}", heard.0.ok_or("no greeting")?);
    Ok(())
}

impl Dispatch<XxHelloManagerV1, ()> for Heard {
    fn event(heard: &mut Self, _: &XxHelloManagerV1, event: Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        let Event::Greeting { word, identity } = event;
        heard.0 = Some(format!("{word}, {identity}"));
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Heard {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}
