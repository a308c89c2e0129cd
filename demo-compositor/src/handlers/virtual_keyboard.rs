//! `zwp_virtual_keyboard_v1`: typing into whatever window has the focus.

use smithay::delegate_virtual_keyboard_manager;

use crate::state::State;

delegate_virtual_keyboard_manager!(State);
