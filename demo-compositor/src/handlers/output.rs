//! `wl_output` and `xdg_output`, and two protocols that change how a buffer becomes a picture.

use smithay::{delegate_output, delegate_single_pixel_buffer, delegate_viewporter, wayland::output::OutputHandler};

use crate::state::State;

impl OutputHandler for State {}

delegate_output!(State);
delegate_single_pixel_buffer!(State);
delegate_viewporter!(State);
