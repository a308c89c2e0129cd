//! Numbers that no sane client sends.

mod support;

use support::{Demo, client::Client};

#[test]
fn extreme_subsurface_positions_harm_nobody() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(20, 20, [255, 0, 0]);
    for at in [(i32::MAX, i32::MAX), (i32::MIN, i32::MIN), (i32::MAX, i32::MIN)] {
        client.add_subsurface(&window, at, (5, 5), [0, 255, 0]);
    }
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}

#[test]
fn extreme_window_geometry_harms_nobody() {
    let demo = Demo::start(&[]);
    for (x, y, w, h) in
        [(i32::MAX, i32::MAX, i32::MAX, i32::MAX), (i32::MIN, i32::MIN, i32::MAX, i32::MAX), (0, 0, i32::MAX, i32::MAX)]
    {
        let mut client = Client::new(demo.connect());
        let window = client.open_window(20, 20, [255, 0, 0]);
        window.xdg_surface.set_window_geometry(x, y, w, h);
        client.commit(&window.surface);
    }
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}

#[test]
fn extreme_popup_positions_harm_nobody() {
    let demo = Demo::start(&[]);
    for at in [(i32::MAX, i32::MAX), (i32::MIN, i32::MIN)] {
        let mut client = Client::new(demo.connect());
        let window = client.open_window(20, 20, [255, 0, 0]);
        client.open_popup(&window, at, (5, 5), [0, 255, 0]);
    }
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}

#[test]
fn extreme_layer_margins_harm_nobody() {
    let demo = Demo::start(&[]);
    for margin in [i32::MAX, i32::MIN] {
        let mut client = Client::new(demo.connect());
        let (surface, layer) = client.open_panel(20, [0, 255, 0]);
        layer.set_margin(margin, margin, margin, margin);
        layer.set_exclusive_zone(i32::MAX);
        client.commit(&surface);
    }
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}
