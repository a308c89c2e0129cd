//! What smithay calls when a client asks for something: one module per concept.

mod compositor;
mod idle;
mod layer_shell;
mod output;
mod seat;
mod selection;
mod shm;
mod toplevel_list;
pub(crate) mod virtual_keyboard;
mod xdg_shell;

pub(crate) use virtual_keyboard::Typists;
