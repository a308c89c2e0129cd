//! Filters for globals.

use wayland_server::Client;
use wayland_server::backend::ClientData;
#[cfg(feature = "protocol")]
use wayland_server::backend::ClientId;

use super::client::{ClientAuth, HasClientAuth};
use super::live::ProbeData;
use crate::policy::Capability;

/// A filter that shows a global to the clients that [see](ClientAuth::sees) `capability`.
///
/// It fits the constructors of smithay and of wayland-server that take one. A client whose
/// data is not a `C` is denied. Advertising a global and binding it ask the same question, so a
/// hidden global cannot be bound by guessing its number.
///
/// Create restricted globals at start and keep them: libwayland's backend asks no filter when a
/// global appears while clients are connected, and the Rust backend tells every client when one goes.
pub fn allow<C: HasClientAuth + ClientData>(
    capability: Capability,
) -> impl Fn(&Client) -> bool + Clone + Send + Sync + 'static {
    move |client| may_see::<C>(client, capability)
}

/// A filter that shows a global of `interface` to the clients that [see](ClientAuth::sees_interface) it by the policy.
///
/// Like [`allow`], but nothing has to be written down twice: the table, and the policy's `[capabilities]` and `interface:NAME`,
/// say which capability that is.
///
/// ```
/// # use wayland_auth::wayland::{ClientAuth, allow_interface};
/// # struct ClientState { auth: ClientAuth }
/// # impl wayland_server::backend::ClientData for ClientState {}
/// # wayland_auth::impl_client_auth!(ClientState, auth);
/// let filter = allow_interface::<ClientState>("zwlr_layer_shell_v1");
/// # let _: &(dyn Fn(&wayland_server::Client) -> bool + Send + Sync) = &filter;
/// ```
pub fn allow_interface<C: HasClientAuth + ClientData>(
    interface: &'static str,
) -> impl Fn(&Client) -> bool + Clone + Send + Sync + 'static {
    move |client| may_see_interface::<C>(client, interface)
}

/// Who a client is; `None` if its data is not a `C`.
#[must_use]
pub fn auth_of<C: HasClientAuth + ClientData>(client: &Client) -> Option<&ClientAuth> {
    client.get_data::<C>().map(HasClientAuth::client_auth)
}

/// What a filter answers: for [`gate_global!`](crate::gate_global).
#[doc(hidden)]
pub fn may_see<C: HasClientAuth + ClientData>(client: &Client, capability: Capability) -> bool {
    is_seen::<C>(client, |auth| auth.sees(capability))
}

/// The same by the interface.
#[doc(hidden)]
pub fn may_see_interface<C: HasClientAuth + ClientData>(client: &Client, interface: &str) -> bool {
    is_seen::<C>(client, |auth| auth.sees_interface(interface))
}

fn is_seen<C: HasClientAuth + ClientData>(client: &Client, sees: impl Fn(&ClientAuth) -> bool) -> bool {
    match auth_of::<C>(client) {
        Some(auth) => {
            auth.is_client(|| client.id());
            sees(auth)
        }
        None => client.get_data::<ProbeData>().is_some_and(|probe| sees(&probe.auth)),
    }
}

/// The same one level below `GlobalDispatch`, where there is no [`Client`] yet.
#[cfg(feature = "protocol")]
pub(crate) fn data_may_see<C: HasClientAuth + ClientData>(
    id: ClientId,
    data: &dyn ClientData,
    capability: Capability,
) -> bool {
    match data.downcast_ref::<C>() {
        Some(data) => {
            data.client_auth().is_client(|| id);
            data.client_auth().sees(capability)
        }
        None => data.downcast_ref::<ProbeData>().is_some_and(|probe| probe.auth.sees(capability)),
    }
}

/// Hides a global whose own state takes no filter.
///
/// smithay creates some globals without asking who may see them. This implements
/// `GlobalDispatch` for the compositor's state in the place of smithay's own delegation: binding goes
/// on to the inner state, and only clients that see the capability see the global or can bind it.
///
/// ```text
/// // instead of smithay::delegate_idle_notify!(State):
/// wayland_auth::gate_global!(State, ClientState, [ExtIdleNotifierV1: ()] => IdleNotifierState<State>);
/// wayland_server::delegate_dispatch!(State: [ExtIdleNotifierV1: ()] => IdleNotifierState<State>);
/// ```
#[macro_export]
macro_rules! gate_global {
    ($state:ty, $data:ty, [$interface:ty: $user_data:ty] => $inner:ty) => {
        $crate::gate_global!(@ $state, [$interface: $user_data] => $inner, |client| {
            use $crate::wayland::__private::Resource as _;
            $crate::wayland::__private::may_see_interface::<$data>(client, <$interface>::interface().name)
        });
    };
    ($state:ty, $data:ty, $capability:expr, [$interface:ty: $user_data:ty] => $inner:ty) => {
        $crate::gate_global!(@ $state, [$interface: $user_data] => $inner, |client| {
            $crate::wayland::__private::may_see::<$data>(client, $capability)
        });
    };
    (@ $state:ty, [$interface:ty: $user_data:ty] => $inner:ty, |$client:ident| $may_see:expr) => {
        impl $crate::wayland::__private::GlobalDispatch<$interface, $user_data> for $state {
            fn bind(
                state: &mut Self,
                handle: &$crate::wayland::__private::DisplayHandle,
                client: &$crate::wayland::__private::Client,
                resource: $crate::wayland::__private::New<$interface>,
                global_data: &$user_data,
                data_init: &mut $crate::wayland::__private::DataInit<'_, Self>,
            ) {
                <$inner as $crate::wayland::__private::GlobalDispatch<$interface, $user_data, Self>>::bind(
                    state,
                    handle,
                    client,
                    resource,
                    global_data,
                    data_init,
                );
            }

            fn can_view(client: $crate::wayland::__private::Client, global_data: &$user_data) -> bool {
                let $client = &client;
                let may_see: bool = $may_see;
                may_see
                    && <$inner as $crate::wayland::__private::GlobalDispatch<$interface, $user_data, Self>>::can_view(
                        client,
                        global_data,
                    )
            }
        }
    };
}
