//! The demo compositor with one global more, a draft that a single application is shown.
//!
//! `protocol/README.md` goes through this program and the files beside it, step by step.

use demo_compositor::{ClientState, State};
use wayland_auth::wayland::{allow_interface, auth_of};
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New};

// What is generated from the XML.
#[allow(missing_docs, unused, unreachable_pub, non_camel_case_types, non_upper_case_globals, clippy::all)]
mod protocol {
    use wayland_server;
    pub mod interfaces {
        wayland_scanner::generate_interfaces!("../examples/designer/xx-hello-v1.xml");
    }
    use interfaces::*;
    wayland_scanner::generate_server_code!("../examples/designer/xx-hello-v1.xml");
}
use protocol::xx_hello_manager_v1::{Request, XxHelloManagerV1 as Hello};

fn main() -> std::process::ExitCode {
    demo_compositor::main_with(|display, _| {
        display.create_global::<State, Hello, ()>(1, ());
    })
}

// Who sees the global, and what binding it does.
impl GlobalDispatch<Hello, ()> for State {
    fn can_view(client: Client, (): &()) -> bool {
        allow_interface::<ClientState>("xx_hello_manager_v1")(&client)
    }

    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, new: New<Hello>, (): &(), init: &mut DataInit<'_, Self>) {
        init.init(new, ());
    }
}

// What a request does: the client's word comes back, with whom the client is held for.
impl Dispatch<Hello, ()> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        hello: &Hello,
        Request::Greet { word }: Request,
        (): &(),
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        hello.greeting(word, auth_of::<ClientState>(client).map_or(String::new(), |auth| auth.identity().to_string()));
    }
}
