//! The globals.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use wayland_backend::server::{ClientData, ClientId, GlobalHandler, GlobalId, Handle, ObjectData, ObjectId};
use wayland_server::{DisplayHandle, Resource};

use super::generated::xx_client_auth_manager_v1::XxClientAuthManagerV1;
use super::object::{Context, Object, Role};
use super::shared::Shared;
use crate::policy::Capability;
use crate::wayland::{Authenticator, ClientAuth, HasClientAuth, auth_of};

/// The globals of `xx_client_auth_v1`. Make them at start, and keep this as long as the display.
pub struct ClientAuthGlobals {
    shared: Arc<Shared>,
}

impl fmt::Debug for ClientAuthGlobals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthGlobals").finish_non_exhaustive()
    }
}

impl ClientAuthGlobals {
    /// Makes the globals for a display whose state is `D` and whose clients' data is `C`.
    ///
    /// A client whose data is not a `C` is unidentified here, and sees the open global alone.
    ///
    /// # Panics
    ///
    /// If the display's state is not a `D`, as `DisplayHandle::create_global`.
    pub fn new<D: 'static, C: HasClientAuth + ClientData>(
        display: &DisplayHandle,
        authenticator: &Authenticator,
    ) -> Self {
        let shared = Arc::new(Shared::new(authenticator.clone(), display));
        make::<XxClientAuthManagerV1, D, C>(display, &shared, Role::Manager, None);
        Self { shared }
    }

    /// Tells clients what has changed. The events are written to them when the display is flushed.
    pub fn dispatch(&self) {
        self.shared.dispatch();
    }
}

fn make<I: Resource + 'static, D: 'static, C: HasClientAuth + ClientData>(
    display: &DisplayHandle,
    shared: &Arc<Shared>,
    role: Role,
    needs: Option<Capability>,
) {
    let global = Global::<D, C> { shared: Arc::clone(shared), role, needs, _types: PhantomData };
    let interface = I::interface();
    display.backend_handle().create_global::<D>(interface, interface.version, Arc::new(global));
}

struct Global<D, C> {
    shared: Arc<Shared>,
    role: Role,
    needs: Option<Capability>,
    _types: PhantomData<fn(&mut D, &C)>,
}

impl<D: 'static, C: HasClientAuth + ClientData> GlobalHandler<D> for Global<D, C> {
    // The backend holds its lock.
    fn can_view(&self, _: ClientId, data: &Arc<dyn ClientData>, _: GlobalId) -> bool {
        let Some(needed) = self.needs else { return true };
        data.downcast_ref::<C>().is_some_and(|data| data.client_auth().allows(needed))
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
        let context = Context { shared: Arc::clone(&self.shared), auth, _state: PhantomData };
        Arc::new(Object { context, role: self.role })
    }
}
