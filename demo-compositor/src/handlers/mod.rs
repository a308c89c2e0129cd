//! What smithay calls when a client asks for something: one module per concept.

mod compositor;
mod idle;
mod layer_shell;
mod output;
mod seat;
mod selection;
mod shm;
mod toplevel_list;
mod virtual_keyboard;

pub(crate) use virtual_keyboard::Typists;
mod xdg_shell;
