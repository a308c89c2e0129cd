//! The globals, and the objects that clients make by them.

mod agent;
mod batch;
mod clients;
mod explanation;
mod grants;
mod news;
mod object;
mod own;
mod shared;
mod text;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use wayland_backend::server::{ClientData, ClientId, GlobalHandler, GlobalId, Handle, ObjectData, ObjectId};
use wayland_protocols::ext::foreign_toplevel_list::v1::server::ext_foreign_toplevel_handle_v1::ExtForeignToplevelHandleV1;
use wayland_server::{DisplayHandle, Resource};

use crate::ask::Asker;
use crate::policy::Capability;
use crate::protocol::server::xx_client_auth_admin_v1::XxClientAuthAdminV1;
use crate::protocol::server::xx_client_auth_manager_v1::XxClientAuthManagerV1;
use crate::protocol::server::xx_client_auth_monitor_v1::XxClientAuthMonitorV1;
use crate::wayland::{Authenticator, ClientAuth, HasClientAuth, Subscription, auth_of, data_may_see};
use object::{Context, FindToplevel, Object, Role};
use shared::Shared;

/// The globals of `xx_client_auth_v1`. Make them at start, and keep this as long as the display.
///
/// What changes is told to clients by [`dispatch`](Self::dispatch). As a file descriptor, this is readable while
/// there is something to tell.
pub struct ClientAuthGlobals {
    shared: Arc<Shared>,
    _subscription: Subscription,
}

/// Makes [`ClientAuthGlobals`] for a display whose state is `D`.
#[must_use]
pub struct ClientAuthGlobalsBuilder<D> {
    find_toplevel: FindToplevel<D>,
    asker: Option<Asker>,
}

impl fmt::Debug for ClientAuthGlobals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthGlobals").finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for ClientAuthGlobalsBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthGlobalsBuilder").finish_non_exhaustive()
    }
}

impl ClientAuthGlobals {
    /// Makes the globals for a display whose state is `D` and whose clients' data is `C`.
    ///
    /// # Errors
    ///
    /// If this process is out of file descriptors.
    ///
    /// # Panics
    ///
    /// As [`ClientAuthGlobalsBuilder::build`].
    pub fn new<D: 'static, C: HasClientAuth + ClientData>(
        display: &DisplayHandle,
        authenticator: &Authenticator,
    ) -> io::Result<Self> {
        Self::builder::<D>().build::<C>(display, authenticator)
    }

    /// Starts making them for a display whose state is `D`.
    pub fn builder<D: 'static>() -> ClientAuthGlobalsBuilder<D> {
        ClientAuthGlobalsBuilder { find_toplevel: Arc::new(|_, _| None), asker: None }
    }

    /// Tells clients what has changed. The events are written to them when the display is flushed.
    pub fn dispatch(&self) {
        self.shared.dispatch();
    }
}

impl AsFd for ClientAuthGlobals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.news.as_fd()
    }
}

impl<D: 'static> ClientAuthGlobalsBuilder<D> {
    /// How to find the client that a toplevel belongs to; without it, nobody is told.
    ///
    /// `find` is called with a handle of the client that asks, and gives the client that made the toplevel: the one that
    /// owns the surface, whatever that window calls itself.
    pub fn find_toplevel(
        mut self,
        find: impl Fn(&mut D, &ExtForeignToplevelHandleV1) -> Option<ClientAuth> + Send + Sync + 'static,
    ) -> Self {
        self.find_toplevel = Arc::new(find);
        self
    }

    /// Lets the one agent answer what `asker` asks; without it, nobody can be the agent.
    pub fn asker(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// Makes the globals for clients whose data is `C`.
    ///
    /// A client whose data is not a `C` is unidentified here, and sees the open global alone.
    ///
    /// # Errors
    ///
    /// If this process is out of file descriptors.
    ///
    /// # Panics
    ///
    /// If the display's state is not a `D`, as `DisplayHandle::create_global`.
    pub fn build<C: HasClientAuth + ClientData>(
        self,
        display: &DisplayHandle,
        authenticator: &Authenticator,
    ) -> io::Result<ClientAuthGlobals> {
        let shared = Arc::new(Shared::new(authenticator.clone(), self.asker.clone(), display)?);
        let news = Arc::clone(&shared.news);
        let subscription = authenticator.subscribe(move |event| news.hear(event));
        let make = |role, needs| Global::<D, C> {
            shared: Arc::clone(&shared),
            find_toplevel: Arc::clone(&self.find_toplevel),
            role,
            needs,
            _data: PhantomData,
        };
        make(Role::Manager, None).create::<XxClientAuthManagerV1>(display);
        make(Role::Monitor, Some(Capability::IDENTITY_MONITOR)).create::<XxClientAuthMonitorV1>(display);
        make(Role::Admin, Some(Capability::IDENTITY_ADMIN)).create::<XxClientAuthAdminV1>(display);
        Ok(ClientAuthGlobals { shared, _subscription: subscription })
    }
}

struct Global<D, C> {
    shared: Arc<Shared>,
    find_toplevel: FindToplevel<D>,
    role: Role,
    needs: Option<Capability>,
    _data: PhantomData<fn(&C)>,
}

impl<D: 'static, C: HasClientAuth + ClientData> Global<D, C> {
    fn create<I: Resource>(self, display: &DisplayHandle) {
        let interface = I::interface();
        display.backend_handle().create_global::<D>(interface, interface.version, Arc::new(self));
    }
}

impl<D: 'static, C: HasClientAuth + ClientData> GlobalHandler<D> for Global<D, C> {
    // The backend holds its lock.
    fn can_view(&self, client: ClientId, data: &Arc<dyn ClientData>, _: GlobalId) -> bool {
        match self.needs {
            Some(needed) => data_may_see::<C>(client, &**data, needed),
            None => true,
        }
    }

    fn bind(
        self: Arc<Self>,
        handle: &Handle,
        _: &mut D,
        _: ClientId,
        _: GlobalId,
        object: ObjectId,
    ) -> Arc<dyn ObjectData<D>> {
        let client = DisplayHandle::from(handle.clone()).get_client(object).ok();
        // The client's own data counts its connection.
        let auth = client.as_ref().and_then(auth_of::<C>).map_or_else(ClientAuth::default, ClientAuth::detached);
        let (shared, find_toplevel) = (Arc::clone(&self.shared), Arc::clone(&self.find_toplevel));
        Arc::new(Object { context: Context { shared, auth, find_toplevel }, role: self.role })
    }
}
