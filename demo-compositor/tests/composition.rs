//! What is drawn, as a real client sees it.

mod support;

use support::{Demo, NOTHING_FOR_HOST, Picture, client::Client, stderr};

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

#[test]
fn grim_takes_a_picture_of_the_backdrop() {
    let demo = Demo::start(&[]);
    let output = demo.grim(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let picture = Picture::parse(&output.stdout);
    assert_eq!((picture.width, picture.height), (640, 480));
    let first = picture.pixels[0];
    assert!(picture.count(first) < picture.pixels.len() / 2, "the backdrop is of one colour");
}

#[test]
fn grim_writes_a_png_of_the_size_of_the_output() {
    let demo = Demo::start(&["--size", "333x77"]);
    let path = demo.file("picture.png");
    let status = demo.client("grim").arg(&path).status().expect("install grim, which this test needs");
    assert!(status.success());
    let png = std::fs::read(path).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (333, 77));
}

#[test]
fn grim_takes_a_picture_of_a_part() {
    let demo = Demo::start(&[]);
    let whole = Picture::parse(&demo.grim(&[]).stdout);
    let part = Picture::parse(&demo.grim(&["-g", "10,20 30x40"]).stdout);
    assert_eq!((part.width, part.height), (30, 40));
    for (index, pixel) in part.pixels.iter().enumerate() {
        assert_eq!(*pixel, whole.pixels[(20 + index / 30) * 640 + 10 + index % 30]);
    }
}

#[test]
fn grim_is_refused_where_the_policy_says_so() {
    let demo = Demo::with_policy(NOTHING_FOR_HOST);
    let output = demo.grim(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("wlr-screencopy-unstable-v1"), "{}", stderr(&output));
}

#[test]
fn two_windows_are_drawn_side_by_side() {
    let demo = Demo::start(&[]);
    let (mut first, mut second) = (Client::new(demo.connect()), Client::new(demo.connect()));
    let _red = first.open_window(200, 150, RED);
    let _blue = second.open_window(120, 90, BLUE);
    let picture = Picture::parse(&demo.grim(&[]).stdout);
    assert_eq!(picture.count(RED), 200 * 150);
    assert_eq!(picture.count(BLUE), 120 * 90);
    // The first one is in the middle.
    assert_eq!(picture.find(RED), Some(((640 - 200) / 2, (480 - 150) / 2)));
}

#[test]
fn a_subsurface_is_drawn_where_it_belongs() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(200, 150, RED);
    client.add_subsurface(&window, (10, 20), (50, 40), GREEN);
    let picture = Picture::parse(&demo.grim(&[]).stdout);
    assert_eq!(picture.count(GREEN), 50 * 40);
    assert_eq!(picture.count(RED), 200 * 150 - 50 * 40);
    let (corner, inside) = (picture.find(RED).unwrap(), picture.find(GREEN).unwrap());
    assert_eq!(inside, (corner.0 + 10, corner.1 + 20));
}

#[test]
fn a_popup_is_drawn_where_its_parent_wants_it_but_on_the_output() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(200, 150, RED);
    client.open_popup(&window, (10, 20), (50, 40), GREEN);
    client.open_popup(&window, (9999, 9999), (50, 40), BLUE);
    let picture = Picture::parse(&demo.grim(&[]).stdout);
    let corner = picture.find(RED).unwrap();
    assert_eq!((picture.count(GREEN), picture.find(GREEN)), (50 * 40, Some((corner.0 + 10, corner.1 + 20))));
    assert_eq!((picture.count(BLUE), picture.find(BLUE)), (50 * 40, Some((640 - 50, 480 - 40))));
}

#[test]
fn a_panel_is_drawn_along_its_edge_and_windows_avoid_it() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let _panel = client.open_panel(30, GREEN);
    let _window = client.open_window(200, 150, RED);
    let picture = Picture::parse(&demo.grim(&[]).stdout);
    assert_eq!((picture.count(GREEN), picture.find(GREEN)), (640 * 30, Some((0, 0))));
    assert_eq!(picture.find(RED), Some(((640 - 200) / 2, 30 + (450 - 150) / 2)));
}

#[test]
fn a_window_shows_its_newest_buffer() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(200, 150, RED);
    let blue = client.colour(200, 150, BLUE);
    client.show(&window.surface, &blue);
    let picture = Picture::parse(&demo.grim(&[]).stdout);
    assert_eq!((picture.count(RED), picture.count(BLUE)), (0, 200 * 150));
}

#[test]
fn a_window_that_is_gone_is_not_drawn() {
    let demo = Demo::start(&[]);
    let before = Picture::parse(&demo.grim(&[]).stdout);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(200, 150, RED);
    window.toplevel.destroy();
    window.xdg_surface.destroy();
    window.surface.destroy();
    client.roundtrip().unwrap();
    let after = Picture::parse(&demo.grim(&[]).stdout);
    assert!(before.pixels == after.pixels);
}

#[test]
fn a_window_without_a_buffer_is_hidden_and_may_come_back() {
    let demo = Demo::start(&[]);
    let mut client = Client::new(demo.connect());
    let window = client.open_window(200, 150, RED);
    window.surface.attach(None, 0, 0);
    window.surface.commit();
    client.roundtrip().unwrap();
    assert_eq!(Picture::parse(&demo.grim(&[]).stdout).count(RED), 0);

    window.surface.commit();
    client.wait_for_configure();
    let red = client.colour(200, 150, RED);
    client.show(&window.surface, &red);
    assert_eq!(Picture::parse(&demo.grim(&[]).stdout).count(RED), 200 * 150);
}
