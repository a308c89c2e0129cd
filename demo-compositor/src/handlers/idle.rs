//! `ext_idle_notifier_v1`: being told when the user is away.

use smithay::{
    reexports::{
        wayland_protocols::ext::idle_notify::v1::server::{
            ext_idle_notification_v1::ExtIdleNotificationV1, ext_idle_notifier_v1::ExtIdleNotifierV1,
        },
        wayland_server::delegate_dispatch,
    },
    wayland::idle_notify::{IdleNotificationUserData, IdleNotifierHandler, IdleNotifierState},
};
use wayland_auth::gate_global;

use crate::{client::ClientState, state::State};

// smithay's state takes no filter, so the gate stands in for half of `delegate_idle_notify`.
gate_global!(State, ClientState, [ExtIdleNotifierV1: ()] => IdleNotifierState<State>);
delegate_dispatch!(State: [ExtIdleNotifierV1: ()] => IdleNotifierState<State>);
delegate_dispatch!(State: [ExtIdleNotificationV1: IdleNotificationUserData] => IdleNotifierState<State>);

impl IdleNotifierHandler for State {
    fn idle_notifier_state(&mut self) -> &mut IdleNotifierState<Self> {
        &mut self.globals.idle_notifier
    }
}
