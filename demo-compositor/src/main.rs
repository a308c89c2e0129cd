//! A small Wayland compositor that shows each application its own globals.
fn main() {}
