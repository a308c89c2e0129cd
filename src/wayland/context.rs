//! Security contexts (`wp_security_context_v1`): what an engine says of the clients of a socket.

use super::ClientAuth;

/// What the client that opened a security context said of those who connect through it, and
/// who that client was.
#[derive(Clone, Debug)]
#[must_use]
pub struct SandboxContext {
    pub(crate) creator: ClientAuth,
    pub(super) engine: Option<String>,
    pub(super) app_id: Option<String>,
    pub(super) instance_id: Option<String>,
}

impl SandboxContext {
    /// The context that `creator` opened.
    ///
    /// Take the [`ClientAuth`] when the context is committed and keep it: the creator may leave
    /// before the first client comes. Its connection no longer counts because of that.
    pub fn new(creator: ClientAuth) -> Self {
        Self { creator: creator.detached(), engine: None, app_id: None, instance_id: None }
    }

    /// The sandbox engine, as the creator wrote it.
    pub fn engine(mut self, engine: Option<String>) -> Self {
        self.engine = engine;
        self
    }

    /// The application, as the creator wrote it.
    pub fn app_id(mut self, app_id: Option<String>) -> Self {
        self.app_id = app_id;
        self
    }

    /// The instance, as the creator wrote it.
    pub fn instance_id(mut self, instance_id: Option<String>) -> Self {
        self.instance_id = instance_id;
        self
    }

    /// The context that smithay keeps, with the client that opened it.
    #[cfg(feature = "smithay")]
    pub fn from_smithay(context: &smithay::wayland::security_context::SecurityContext, creator: ClientAuth) -> Self {
        Self::new(creator)
            .engine(context.sandbox_engine.clone())
            .app_id(context.app_id.clone())
            .instance_id(context.instance_id.clone())
    }
}
