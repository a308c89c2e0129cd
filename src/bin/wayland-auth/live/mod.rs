//! The commands that talk to a running compositor, by `xx_client_auth_v1`.

mod clients;
mod connection;
mod entry;

pub(crate) use clients::{ClientsArgs, clients, explain_client};
