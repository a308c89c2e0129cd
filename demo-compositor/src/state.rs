//! The state of the compositor, which every event is handled with.

use std::collections::HashMap;

use smithay::{
    backend::renderer::element::memory::MemoryRenderBuffer,
    desktop::{PopupManager, Space, Window},
    input::{
        Seat, SeatState,
        keyboard::{KeyboardHandle, XkbConfig},
        pointer::{CursorImageStatus, PointerHandle},
    },
    output::{Mode, Output, PhysicalProperties, Subpixel},
    reexports::{
        calloop::LoopHandle,
        wayland_server::{DisplayHandle, backend::GlobalId, protocol::wl_surface::WlSurface},
    },
    utils::Transform,
    wayland::foreign_toplevel_list::ForeignToplevelHandle,
};
use wayland_auth::{Authenticator, ask::Asker, audit::Audit};

use crate::{
    command::Running, error::StartError, frames::FrameClock, globals::Globals, handlers::Typists, render,
    render::Backend, screencopy::Screencopy,
};

/// The name of the one seat.
const SEAT: &str = "seat0";
/// How long a key is held before it repeats, in milliseconds.
const REPEAT_DELAY: i32 = 400;
/// How often a held key repeats in a second.
const REPEAT_RATE: i32 = 25;
/// How often the output is drawn at most, in thousandths of a hertz.
pub(crate) const REFRESH: i32 = 60_000;

/// The state of the compositor.
#[derive(Debug)]
pub struct State {
    pub(crate) display: DisplayHandle,
    pub(crate) loop_handle: LoopHandle<'static, State>,
    pub(crate) globals: Globals,

    /// Missing only when identification itself is being measured.
    pub(crate) authenticator: Option<Authenticator>,
    /// Missing as long as nobody is identified: then nothing is asked, and nothing that is to be asked for is given.
    pub(crate) asker: Option<Asker>,
    pub(crate) audit: Audit,
    /// The files that the policy is in, if it is in any.
    pub(crate) policy_watch: Option<crate::reload::Watch>,
    /// What is wrong with the file, as long as an older policy holds because of that.
    pub(crate) policy_error: Option<String>,
    /// The same on the screen.
    pub(crate) notice: Option<MemoryRenderBuffer>,

    pub(crate) space: Space<Window>,
    pub(crate) popups: PopupManager,
    /// Windows that have shown nothing yet.
    pub(crate) unmapped: Vec<Window>,
    /// The windows that are on the list for others.
    pub(crate) listed: HashMap<WlSurface, ForeignToplevelHandle>,
    pub(crate) output: Output,
    _output_global: GlobalId,

    pub(crate) seat_state: SeatState<State>,
    #[cfg_attr(not(feature = "winit"), expect(dead_code, reason = "only its devices are needed"))]
    pub(crate) seat: Seat<State>,
    pub(crate) keyboard: KeyboardHandle<State>,
    pub(crate) pointer: PointerHandle<State>,
    pub(crate) cursor: CursorImageStatus,

    pub(crate) backend: Backend,
    pub(crate) backdrop: MemoryRenderBuffer,
    pub(crate) frames: FrameClock,
    pub(crate) screencopy: Screencopy,
    pub(crate) typists: Typists,

    pub(crate) command: Option<Running>,
    pub(crate) exit_status: Option<u8>,
    pub(crate) stopped: bool,
}

impl State {
    /// Makes all globals and one output for `backend`.
    pub(crate) fn new(
        display: DisplayHandle,
        loop_handle: LoopHandle<'static, State>,
        mut backend: Backend,
        authenticator: Option<Authenticator>,
        audit: Audit,
    ) -> Result<Self, StartError> {
        let globals = Globals::new(&display, loop_handle.clone(), backend.shm_formats());
        let screencopy = Screencopy::new(&display);

        let mut seat_state = SeatState::new();
        let mut seat = seat_state.new_wl_seat(&display, SEAT);
        let keyboard =
            seat.add_keyboard(XkbConfig::default(), REPEAT_DELAY, REPEAT_RATE).map_err(StartError::Keyboard)?;
        let pointer = seat.add_pointer();

        let output = new_output(&backend);
        let output_global = output.create_global::<State>(&display);
        let mut space = Space::default();
        space.map_output(&output, (0, 0));

        Ok(Self {
            display,
            loop_handle,
            globals,
            authenticator,
            asker: None,
            audit,
            policy_watch: None,
            policy_error: None,
            notice: None,
            space,
            popups: PopupManager::default(),
            unmapped: Vec::new(),
            listed: HashMap::new(),
            output,
            _output_global: output_global,
            seat_state,
            seat,
            keyboard,
            pointer,
            cursor: CursorImageStatus::default_named(),
            backdrop: render::backdrop(backend.size()),
            backend,
            frames: FrameClock::new(),
            screencopy,
            typists: Typists::default(),
            command: None,
            exit_status: None,
            stopped: false,
        })
    }

    /// Leaves the event loop once the event at hand is done with.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }
}

fn new_output(backend: &Backend) -> Output {
    let output = Output::new(
        format!("{}-0", backend.name()),
        PhysicalProperties {
            size: (0, 0).into(),
            subpixel: Subpixel::Unknown,
            make: "wayland-auth".to_owned(),
            model: backend.name().to_owned(),
        },
    );
    let mode = Mode { size: backend.size(), refresh: REFRESH };
    output.change_current_state(Some(mode), Some(Transform::Normal), None, Some((0, 0).into()));
    output.set_preferred(mode);
    output
}
