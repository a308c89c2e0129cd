//! `zwp_virtual_keyboard_v1`: typing into whatever window has the focus.
//!
//! smithay hands on what comes. Here each keyboard is one use: what is typed before somebody has said yes, and after a no,
//! reaches nobody. It is not kept for later either: when the prompt is gone, another window may have the focus than the
//! one for which it was meant. Only the keymap is, which a client sends once.

use std::collections::HashMap;

use smithay::{
    reexports::{
        wayland_protocols_misc::zwp_virtual_keyboard_v1::server::{
            zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1,
            zwp_virtual_keyboard_v1::{Request, ZwpVirtualKeyboardV1},
        },
        wayland_server::{
            Client, DataInit, Dispatch, DisplayHandle, Resource,
            backend::{ClientId, ObjectId},
            delegate_dispatch, delegate_global_dispatch,
        },
    },
    wayland::virtual_keyboard::{
        VirtualKeyboardManagerGlobalData, VirtualKeyboardManagerState, VirtualKeyboardUserData,
    },
};
use wayland_auth::ask::Outcome;

use crate::{asking::Held, state::State};

/// What a client has to see and may have to ask for.
pub(crate) const INTERFACE: &str = "zwp_virtual_keyboard_manager_v1";

/// The virtual keyboards that were used.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    keyboards: HashMap<ObjectId, Typist>,
}

#[derive(Debug, Default)]
struct Typist {
    /// From the first use on, until a no.
    held: Option<Held>,
    /// The last keymap, if smithay does not have it yet.
    keymap: Option<Request>,
}

type Data = VirtualKeyboardUserData<State>;
type Handler = VirtualKeyboardManagerState;

delegate_global_dispatch!(State: [ZwpVirtualKeyboardManagerV1: VirtualKeyboardManagerGlobalData] => Handler);
delegate_dispatch!(State: [ZwpVirtualKeyboardManagerV1: ()] => Handler);

impl State {
    /// Whether what is typed here reaches anybody.
    fn may_type(&mut self, client: &Client, keyboard: &ObjectId) -> bool {
        let begun = self.typists.keyboards.get_mut(keyboard).and_then(|typist| typist.held.take());
        let held = begun.or_else(|| self.begin_use(client, INTERFACE));
        let outcome = held.as_ref().map_or(Some(Outcome::Denied), Held::outcome);
        // After a no, the next key begins another use.
        let held = held.filter(|_| matches!(outcome, None | Some(Outcome::Allowed)));
        self.typists.keyboards.entry(keyboard.clone()).or_default().held = held;
        outcome == Some(Outcome::Allowed)
    }
}

impl Dispatch<ZwpVirtualKeyboardV1, Data> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        keyboard: &ZwpVirtualKeyboardV1,
        request: Request,
        data: &Data,
        display: &DisplayHandle,
        data_init: &mut DataInit<'_, Self>,
    ) {
        let mut hand_on = |state: &mut Self, request| {
            <Handler as Dispatch<ZwpVirtualKeyboardV1, Data, Self>>::request(
                state, client, keyboard, request, data, display, data_init,
            );
        };
        let id = keyboard.id();
        if let Request::Keymap { .. } = &request {
            state.typists.keyboards.entry(id).or_default().keymap = Some(request);
        } else if let Request::Destroy = &request {
            hand_on(state, request);
        } else if state.may_type(client, &id) {
            // All keyboards of a seat share one keymap in smithay: only who types sets it.
            let keymap = state.typists.keyboards.get_mut(&id).and_then(|typist| typist.keymap.take());
            if let Some(keymap) = keymap {
                hand_on(state, keymap);
            }
            hand_on(state, request);
        }
    }

    fn destroyed(state: &mut Self, client: ClientId, keyboard: &ZwpVirtualKeyboardV1, data: &Data) {
        state.typists.keyboards.remove(&keyboard.id());
        <Handler as Dispatch<ZwpVirtualKeyboardV1, Data, Self>>::destroyed(state, client, keyboard, data);
    }
}
