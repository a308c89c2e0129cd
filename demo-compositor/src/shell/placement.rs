//! Where windows and popups go.

use std::cell::Cell;

use smithay::{
    desktop::{PopupKind, Window, find_popup_root_surface, get_popup_toplevel_coords, layer_map_for_output},
    reexports::{wayland_protocols::xdg::shell::server::xdg_toplevel, wayland_server::protocol::wl_surface::WlSurface},
    utils::{Logical, Point, Rectangle, Size},
    wayland::shell::xdg::{PopupSurface, PositionerState, ToplevelSurface},
};

use super::limits::limit_positioner;
use crate::state::State;

/// A new window may go to so many places from left to right, and from top to bottom: odd, for one is the middle.
const PLACES: i32 = 9;

/// Where a window was before it was enlarged.
#[derive(Debug, Default)]
struct Before(Cell<Option<Point<i32, Logical>>>);

impl State {
    /// The part of the output that no panel claims, or all of it if they claim everything.
    fn free_area(&self) -> Rectangle<i32, Logical> {
        let whole = self.whole_area();
        let free = layer_map_for_output(&self.output).non_exclusive_zone();
        free.intersection(whole).filter(|free| !free.is_empty()).unwrap_or(whole)
    }

    fn whole_area(&self) -> Rectangle<i32, Logical> {
        self.space.output_geometry(&self.output).unwrap_or_default()
    }

    /// Shows a new window: over its parent, else where it covers least of the others, and rather in the middle.
    pub(crate) fn place(&mut self, window: &Window) {
        let area = self.free_area();
        let size = window.geometry().size;
        let geometry_of = |window: &Window| self.space.element_geometry(window);
        let parent = window.toplevel().and_then(ToplevelSurface::parent).and_then(|parent| self.window_of(&parent));
        let corner = match parent.as_ref().and_then(geometry_of) {
            Some(parent) => kept_within(centred(size, parent), size, area),
            None => {
                let others: Vec<_> = self.space.elements().filter_map(geometry_of).collect();
                least_covering(size, area, &others)
            }
        };
        self.space.map_element(window.clone(), corner, true);
    }

    /// Lays out the layers anew, and moves what depends on them.
    pub(crate) fn arrange(&mut self) {
        layer_map_for_output(&self.output).arrange();
        self.queue_redraw();
    }

    /// Lets a window fill the free area, or all of the output.
    pub(crate) fn enlarge(&mut self, toplevel: &ToplevelSurface, state: xdg_toplevel::State) {
        let area = match state {
            xdg_toplevel::State::Fullscreen => self.whole_area(),
            _ => self.free_area(),
        };
        toplevel.with_pending_state(|pending| {
            pending.states.set(state);
            pending.size = Some(area.size);
        });
        if let Some(window) = self.window_of(toplevel.wl_surface())
            && let Some(location) = self.space.element_location(&window)
        {
            let before = window.user_data().get_or_insert(Before::default);
            before.0.set(before.0.get().or(Some(location)));
            self.space.map_element(window, area.loc, true);
            self.queue_redraw();
        }
        self.configure_if_begun(toplevel);
    }

    /// Undoes [`enlarge`](Self::enlarge).
    pub(crate) fn restore(&mut self, toplevel: &ToplevelSurface, state: xdg_toplevel::State) {
        toplevel.with_pending_state(|pending| {
            pending.states.unset(state);
            pending.size = None;
        });
        if let Some(window) = self.window_of(toplevel.wl_surface())
            && let Some(location) = window.user_data().get::<Before>().and_then(|before| before.0.take())
        {
            self.space.map_element(window, location, true);
            self.queue_redraw();
        }
        self.configure_if_begun(toplevel);
    }

    /// Each such request wants an answer; before the first commit that comes with the first configure event.
    fn configure_if_begun(&self, toplevel: &ToplevelSurface) {
        if toplevel.is_initial_configure_sent() {
            toplevel.send_configure();
        }
    }

    /// Keeps a popup on the output.
    pub(crate) fn place_popup(&self, popup: &PopupSurface, positioner: PositionerState) {
        let kind = PopupKind::Xdg(popup.clone());
        let positioner = limit_positioner(positioner);
        let corner = find_popup_root_surface(&kind).ok().and_then(|root| self.corner_of(&root));
        let geometry = match corner {
            Some(corner) => {
                let mut area = self.whole_area();
                area.loc -= corner + get_popup_toplevel_coords(&kind);
                positioner.get_unconstrained_geometry(area)
            }
            None => positioner.get_geometry(),
        };
        popup.with_pending_state(|state| {
            state.positioner = positioner;
            state.geometry = geometry;
        });
    }

    /// Where a window or a layer is.
    fn corner_of(&self, root: &WlSurface) -> Option<Point<i32, Logical>> {
        if let Some(window) = self.window_of(root) {
            return self.space.element_location(&window);
        }
        let layers = layer_map_for_output(&self.output);
        let layer = layers.layers().find(|layer| layer.wl_surface() == root)?;
        layers.layer_geometry(layer).map(|geometry| geometry.loc)
    }
}

fn centred(size: Size<i32, Logical>, area: Rectangle<i32, Logical>) -> Point<i32, Logical> {
    area.loc + Point::from(((area.size.w - size.w) / 2, (area.size.h - size.h) / 2))
}

/// Of some places spread over the area, the one where a window of this size covers least of the others. Where that
/// does not decide it, the one nearest to the middle.
fn least_covering(
    size: Size<i32, Logical>,
    area: Rectangle<i32, Logical>,
    others: &[Rectangle<i32, Logical>],
) -> Point<i32, Logical> {
    let middle = kept_within(centred(size, area), size, area);
    let covers = |corner: &Point<i32, Logical>| -> i64 {
        let here = Rectangle::new(*corner, size);
        let pixels = |covered: Rectangle<i32, Logical>| i64::from(covered.size.w) * i64::from(covered.size.h);
        others.iter().filter_map(|other| other.intersection(here)).map(pixels).sum()
    };
    let distance = |corner: &Point<i32, Logical>| {
        let (x, y) = (i64::from(corner.x - middle.x), i64::from(corner.y - middle.y));
        x * x + y * y
    };
    let along = |from: i32, room: i32, length: i32| {
        (0..PLACES).map(move |place| from + (room - length).max(0) * place / (PLACES - 1))
    };
    let xs = along(area.loc.x, area.size.w, size.w);
    let places = xs.flat_map(|x| along(area.loc.y, area.size.h, size.h).map(move |y| Point::from((x, y))));
    places.min_by_key(|corner| (covers(corner), distance(corner))).unwrap_or(middle)
}

/// The corner moved so that the whole window is within the area, or its upper left part if it is too large.
fn kept_within(
    corner: Point<i32, Logical>,
    size: Size<i32, Logical>,
    area: Rectangle<i32, Logical>,
) -> Point<i32, Logical> {
    let within = |at: i32, length: i32, from: i32, room: i32| at.min(from + room - length).max(from);
    Point::from((within(corner.x, size.w, area.loc.x, area.size.w), within(corner.y, size.h, area.loc.y, area.size.h)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area() -> Rectangle<i32, Logical> {
        Rectangle::new(Point::new(0, 20), Size::new(100, 80))
    }

    #[test]
    fn a_window_is_put_in_the_middle_of_the_free_area() {
        assert_eq!(centred(Size::new(40, 40), area()), Point::new(30, 40));
    }

    #[test]
    fn the_first_window_is_put_in_the_middle() {
        assert_eq!(least_covering(Size::new(40, 40), area(), &[]), Point::new(30, 40));
    }

    #[test]
    fn a_window_avoids_the_others_where_it_can() {
        let first = Rectangle::new(Point::new(30, 40), Size::new(40, 40));
        let second = Rectangle::new(least_covering(first.size, area(), &[first]), first.size);
        assert!(area().contains_rect(second));
        let third = least_covering(Size::new(30, 20), area(), &[first]);
        assert!(!first.overlaps(Rectangle::new(third, Size::new(30, 20))));
    }

    #[test]
    fn a_window_stays_on_the_output_where_it_fits() {
        assert_eq!(kept_within(Point::new(90, 90), Size::new(40, 40), area()), Point::new(60, 60));
        assert_eq!(kept_within(Point::new(-5, 0), Size::new(40, 40), area()), Point::new(0, 20));
    }

    #[test]
    fn a_window_that_is_too_large_shows_its_upper_left() {
        assert_eq!(kept_within(Point::new(-50, -50), Size::new(200, 200), area()), Point::new(0, 20));
    }
}
