//! The protocol's objects and messages, as wayland-scanner makes them for clients.

#![allow(dead_code, non_camel_case_types, unused_unsafe, unused_variables)]
#![allow(non_upper_case_globals, non_snake_case, unused_imports)]
// The scanner writes `unsafe impl Sync` for tables of constants, and nothing else that is unsafe.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

use wayland_client;
use wayland_client::protocol::*;
use wayland_protocols::ext::foreign_toplevel_list::v1::client::*;

pub mod __interfaces {
    use wayland_client::protocol::__interfaces::*;
    use wayland_protocols::ext::foreign_toplevel_list::v1::client::__interfaces::*;
    wayland_scanner::generate_interfaces!("protocol/xx-client-auth-v1.xml");
}
use self::__interfaces::*;

wayland_scanner::generate_client_code!("protocol/xx-client-auth-v1.xml");
