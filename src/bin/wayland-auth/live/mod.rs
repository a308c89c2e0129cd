//! The commands that talk to a running compositor, by `xx_client_auth_v1`.

mod agent;
mod clients;
mod connection;
mod entry;
mod grants;
mod prompt;

pub(crate) use agent::{AgentArgs, agent};
pub(crate) use clients::{ClientsArgs, clients, explain_client};
pub(crate) use grants::{GrantArgs, GrantsArgs, RevokeArgs, grant, grants, revoke};
