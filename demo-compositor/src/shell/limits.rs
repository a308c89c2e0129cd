//! Numbers that clients send, kept within what can be calculated with.
//!
//! smithay adds and subtracts them without a check, which ends a program that is built with overflow checks.

use smithay::{
    utils::{Logical, Point},
    wayland::shell::{
        wlr_layer::{ExclusiveZone, LayerSurfaceCachedState},
        xdg::PositionerState,
    },
};

/// Farther than any output reaches, and a thousand times less than what overflows.
const LIMIT: i32 = 1 << 20;

/// A positioner that means the same unless it means nothing sensible.
pub(super) fn limit_positioner(mut positioner: PositionerState) -> PositionerState {
    limit_size(&mut positioner.rect_size.w, &mut positioner.rect_size.h);
    limit_point(&mut positioner.offset);
    limit_point(&mut positioner.anchor_rect.loc);
    limit_size(&mut positioner.anchor_rect.size.w, &mut positioner.anchor_rect.size.h);
    positioner
}

/// Likewise for what a layer wants.
pub(crate) fn limit_layer(layer: &mut LayerSurfaceCachedState) {
    limit_size(&mut layer.size.w, &mut layer.size.h);
    let margin = &mut layer.margin;
    for side in [&mut margin.top, &mut margin.right, &mut margin.bottom, &mut margin.left] {
        *side = (*side).clamp(-LIMIT, LIMIT);
    }
    if let ExclusiveZone::Exclusive(zone) = &mut layer.exclusive_zone {
        *zone = (*zone).min(LIMIT.unsigned_abs());
    }
}

fn limit_point(point: &mut Point<i32, Logical>) {
    point.x = point.x.clamp(-LIMIT, LIMIT);
    point.y = point.y.clamp(-LIMIT, LIMIT);
}

fn limit_size(width: &mut i32, height: &mut i32) {
    *width = (*width).clamp(0, LIMIT);
    *height = (*height).clamp(0, LIMIT);
}
