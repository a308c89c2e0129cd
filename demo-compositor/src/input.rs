//! Keys and pointers of the session around the nested backend.

use smithay::{
    backend::input::{
        Axis, AxisSource, ButtonState, InputBackend, InputEvent, KeyState, KeyboardKeyEvent, PointerAxisEvent,
        PointerButtonEvent, PointerMotionAbsoluteEvent,
    },
    desktop::{WindowSurfaceType, layer_map_for_output},
    input::{
        keyboard::FilterResult,
        pointer::{AxisFrame, ButtonEvent, MotionEvent},
    },
    utils::{Clock, Monotonic, SERIAL_COUNTER},
};

use crate::state::State;

/// What one detent of a wheel scrolls, where the device does not say.
const DETENT: f64 = 15.0 / 120.0;

impl State {
    /// Hands an event on to the clients.
    pub(crate) fn input<B: InputBackend>(&mut self, event: InputEvent<B>) {
        match event {
            InputEvent::Keyboard { event } => self.key(&event),
            InputEvent::PointerMotionAbsolute { event } => self.motion(&event),
            InputEvent::PointerButton { event } => self.button(&event),
            InputEvent::PointerAxis { event } => self.scroll(&event),
            _ => return,
        }
        let seat = self.seat.clone();
        self.globals.idle_notifier.notify_activity(&seat);
    }

    fn key<B: InputBackend>(&mut self, event: &impl KeyboardKeyEvent<B>) {
        let keyboard = self.keyboard.clone();
        let serial = SERIAL_COUNTER.next_serial();
        keyboard.input::<(), _>(self, event.key_code(), event.state(), serial, event.time_msec(), |_, _, _| {
            FilterResult::Forward
        });
    }

    /// Lets go of all keys, since nobody will tell when they are released.
    pub(crate) fn release_all_keys(&mut self) {
        let keyboard = self.keyboard.clone();
        // The same clock as that of the events.
        let time = Clock::<Monotonic>::new().now().as_millis();
        for key in keyboard.pressed_keys() {
            let serial = SERIAL_COUNTER.next_serial();
            keyboard.input::<(), _>(self, key, KeyState::Released, serial, time, |_, _, _| FilterResult::Forward);
        }
    }

    fn motion<B: InputBackend>(&mut self, event: &impl PointerMotionAbsoluteEvent<B>) {
        let Some(area) = self.space.output_geometry(&self.output) else { return };
        let location = event.position_transformed(area.size) + area.loc.to_f64();
        let focus = self.surface_at(location);
        let pointer = self.pointer.clone();
        let motion = MotionEvent { location, serial: SERIAL_COUNTER.next_serial(), time: event.time_msec() };
        pointer.motion(self, focus, &motion);
        pointer.frame(self);
        self.queue_redraw();
    }

    fn button<B: InputBackend>(&mut self, event: &impl PointerButtonEvent<B>) {
        let pointer = self.pointer.clone();
        if event.state() == ButtonState::Pressed && !pointer.is_grabbed() {
            self.focus_clicked();
        }
        let button = ButtonEvent {
            serial: SERIAL_COUNTER.next_serial(),
            time: event.time_msec(),
            button: event.button_code(),
            state: event.state(),
        };
        pointer.button(self, &button);
        pointer.frame(self);
    }

    fn scroll<B: InputBackend>(&mut self, event: &impl PointerAxisEvent<B>) {
        let mut frame = AxisFrame::new(event.time_msec()).source(event.source());
        for axis in [Axis::Horizontal, Axis::Vertical] {
            let steps = event.amount_v120(axis);
            let amount = event.amount(axis).unwrap_or_else(|| steps.unwrap_or(0.0) * DETENT);
            if amount != 0.0 {
                frame = frame.relative_direction(axis, event.relative_direction(axis)).value(axis, amount);
                if let Some(steps) = steps {
                    frame = frame.v120(axis, steps as i32);
                }
            } else if event.source() == AxisSource::Finger {
                frame = frame.stop(axis);
            }
        }
        let pointer = self.pointer.clone();
        pointer.axis(self, frame);
        pointer.frame(self);
    }

    /// Gives the focus to what is below the pointer.
    fn focus_clicked(&mut self) {
        let point = self.pointer.current_location();
        let Some((surface, _)) = self.surface_at(point) else { return };
        let layer = {
            let layers = layer_map_for_output(&self.output);
            let layer = layers.layer_for_surface(&surface, WindowSurfaceType::ALL);
            layer.filter(|layer| layer.can_receive_keyboard_focus()).map(|layer| layer.wl_surface().clone())
        };
        if layer.is_some() {
            self.set_keyboard_focus(layer);
        } else if let Some((window, _)) = self.space.element_under(point) {
            let window = window.clone();
            self.raise(&window);
        }
    }
}
