//! What a client has not seen yet.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use smithay::utils::{Buffer, Physical, Rectangle, Size, Transform};

/// How many rectangles are kept before they become one.
const MAX_RECTANGLES: usize = 32;

/// The parts of the output that changed since a manager's last copies "with damage".
#[derive(Debug)]
pub(super) struct Unseen {
    // Only the one thread of the compositor uses it; user data must be `Sync` nevertheless.
    rectangles: Mutex<Vec<Rectangle<i32, Buffer>>>,
    /// A client that may see nothing has been shown black.
    black: AtomicBool,
}

impl Unseen {
    /// Nothing of an output of this size was seen yet.
    pub(super) fn all_of(size: Size<i32, Physical>) -> Self {
        Self { rectangles: Mutex::new(vec![in_buffer(Rectangle::from_size(size))]), black: AtomicBool::new(false) }
    }

    /// These changed.
    pub(super) fn add(&self, damage: &[Rectangle<i32, Physical>]) {
        let mut rectangles = self.lock();
        rectangles.extend(damage.iter().copied().map(in_buffer));
        if rectangles.len() > MAX_RECTANGLES {
            let all = bounding_box(&rectangles);
            rectangles.clear();
            rectangles.extend(all);
        }
    }

    /// Whether black was shown.
    pub(super) fn is_black(&self) -> bool {
        self.black.load(Ordering::Relaxed)
    }

    /// Black is shown.
    pub(super) fn turn_black(&self) {
        self.black.store(true, Ordering::Relaxed);
    }

    /// Whether anything within `region` is to be seen.
    pub(super) fn is_any_in(&self, region: Rectangle<i32, Buffer>) -> bool {
        self.lock().iter().any(|unseen| unseen.overlaps(region))
    }

    /// The least rectangle around all that is to be seen within `region`, which is seen from now on.
    pub(super) fn take(&self, region: Rectangle<i32, Buffer>) -> Option<Rectangle<i32, Buffer>> {
        let mut rectangles = self.lock();
        let within: Vec<_> = rectangles.iter().filter_map(|unseen| unseen.intersection(region)).collect();
        *rectangles = Rectangle::subtract_rects_many(rectangles.iter().copied(), [region]);
        bounding_box(&within)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rectangle<i32, Buffer>>> {
        self.rectangles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output is neither scaled nor turned: its pixels are those of the buffer.
fn in_buffer(rectangle: Rectangle<i32, Physical>) -> Rectangle<i32, Buffer> {
    rectangle.to_logical(1).to_buffer(1, Transform::Normal, &Size::default())
}

fn bounding_box(rectangles: &[Rectangle<i32, Buffer>]) -> Option<Rectangle<i32, Buffer>> {
    rectangles.iter().copied().reduce(Rectangle::merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangle<Kind>(x: i32, y: i32, width: i32, height: i32) -> Rectangle<i32, Kind> {
        Rectangle::new((x, y).into(), (width, height).into())
    }

    #[test]
    fn all_is_to_be_seen_at_first_and_once_only() {
        let unseen = Unseen::all_of((100, 50).into());
        let whole = rectangle(0, 0, 100, 50);
        assert!(unseen.is_any_in(whole));
        assert_eq!(unseen.take(whole), Some(whole));
        assert!(!unseen.is_any_in(whole));
        assert_eq!(unseen.take(whole), None);
    }

    #[test]
    fn what_was_seen_of_one_region_is_still_to_be_seen_of_another() {
        let unseen = Unseen::all_of((100, 50).into());
        assert_eq!(unseen.take(rectangle(0, 0, 40, 50)), Some(rectangle(0, 0, 40, 50)));
        assert_eq!(unseen.take(rectangle(0, 0, 100, 50)), Some(rectangle(40, 0, 60, 50)));
    }

    #[test]
    fn changes_are_told_as_one_rectangle() {
        let unseen = Unseen::all_of((100, 50).into());
        let whole = rectangle(0, 0, 100, 50);
        unseen.take(whole);
        unseen.add(&[rectangle(10, 10, 5, 5), rectangle(30, 20, 5, 5)]);
        assert_eq!(unseen.take(whole), Some(rectangle(10, 10, 25, 15)));
    }

    #[test]
    fn many_changes_do_not_pile_up() {
        let unseen = Unseen::all_of((100, 50).into());
        for x in 0..1000 {
            unseen.add(&[rectangle(x % 100, 0, 1, 1)]);
        }
        assert!(unseen.lock().len() <= MAX_RECTANGLES);
    }
}
