//! The protocol `wlr-screencopy`, request by request.

mod support;

use std::os::unix::fs::FileExt;

use support::{
    Demo,
    client::{Client, CopyEvents},
};
use wayland_client::protocol::wl_shm::Format;
use wayland_protocols_wlr::screencopy::v1::client::zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1;

const RED: [u8; 3] = [255, 0, 0];
const FRAME: &str = "zwlr_screencopy_frame_v1";
const ALREADY_USED: u32 = 0;
const INVALID_BUFFER: u32 = 1;

/// The compositor with an output of 640 by 480 pixels, and a client.
fn start() -> (Demo, Client) {
    let demo = Demo::start(&[]);
    let client = Client::new(demo.connect());
    (demo, client)
}

#[test]
fn a_frame_says_which_buffer_it_takes() {
    let (_demo, mut client) = start();
    let (_, events) = client.frame(None);
    let expected = CopyEvents { buffer: Some((640, 480, 640 * 4)), buffer_done: true, ..CopyEvents::default() };
    assert_eq!(events, expected);
}

#[test]
fn versions_before_3_are_not_sent_what_they_do_not_know() {
    let (_demo, mut client) = start();
    let manager: ZwlrScreencopyManagerV1 = client.bind(1);
    let (_, events) = client.frame_of(&manager, None);
    assert!(events.buffer.is_some() && !events.buffer_done);
}

#[test]
fn a_copy_has_the_pixels_of_the_output() {
    let (_demo, mut client) = start();
    let _window = client.open_window(200, 150, RED);
    let (frame, _) = client.frame(None);
    let memory = client.memory(640, 480, 640 * 4, Format::Xrgb8888);
    frame.copy(&memory.buffer);
    let events = client.finish_copy();
    assert!(events.ready && events.flags && !events.failed && events.damage.is_none());
    let mut pixels = vec![0; 640 * 480 * 4];
    memory.file.read_exact_at(&mut pixels, 0).unwrap();
    assert_eq!(pixels.chunks(4).filter(|pixel| pixel[..3] == [0, 0, 255]).count(), 200 * 150);
}

#[test]
fn a_part_is_clipped_to_the_output() {
    let (_demo, mut client) = start();
    for (part, size) in [
        ((10, 20, 30, 40), (30, 40)),
        ((-10, -20, 30, 40), (20, 20)),
        ((630, 470, 100, 100), (10, 10)),
        ((-5, -5, i32::MAX, i32::MAX), (640, 480)),
        ((i32::MIN, i32::MIN, i32::MAX, i32::MAX), (0, 0)),
    ] {
        let (_, events) = client.frame(Some(part));
        let expected = (size != (0, 0)).then_some((size.0, size.1, size.0 * 4));
        assert_eq!((events.buffer, events.failed), (expected, expected.is_none()), "{part:?}");
    }
}

#[test]
fn a_part_of_which_nothing_is_on_the_output_fails() {
    let (_demo, mut client) = start();
    for part in
        [(640, 0, 1, 1), (0, 480, 1, 1), (0, 0, 0, 5), (0, 0, -5, 5), (-10, -10, 10, 10), (i32::MAX, 0, i32::MAX, 1)]
    {
        let (frame, events) = client.frame(Some(part));
        assert!(events.failed && events.buffer.is_none(), "{part:?}");
        // Whoever is not told in time may still ask.
        let memory = client.memory(1, 1, 4, Format::Xrgb8888);
        frame.copy(&memory.buffer);
        client.roundtrip().unwrap();
    }
}

#[test]
fn a_frame_is_used_once_only() {
    let (_demo, mut client) = start();
    let (frame, _) = client.frame(Some((0, 0, 8, 8)));
    let memory = client.memory(8, 8, 32, Format::Xrgb8888);
    frame.copy(&memory.buffer);
    frame.copy_with_damage(&memory.buffer);
    assert_eq!(client.expect_error(), (FRAME.to_owned(), ALREADY_USED));
}

#[test]
fn a_buffer_of_another_shape_or_format_is_invalid() {
    for (width, height, stride, format) in [
        (7, 8, 32, Format::Xrgb8888),
        (8, 9, 32, Format::Xrgb8888),
        (8, 8, 36, Format::Xrgb8888),
        (8, 8, 32, Format::Argb8888),
    ] {
        let (_demo, mut client) = start();
        let (frame, _) = client.frame(Some((0, 0, 8, 8)));
        let memory = client.memory(width, height, stride, format);
        frame.copy(&memory.buffer);
        assert_eq!(client.expect_error(), (FRAME.to_owned(), INVALID_BUFFER), "{width}x{height} {stride} {format:?}");
    }
}

#[test]
fn a_client_that_truncates_its_memory_harms_only_itself() {
    let (demo, mut client) = start();
    let (frame, _) = client.frame(None);
    let memory = client.memory(640, 480, 640 * 4, Format::Xrgb8888);
    memory.file.set_len(0).unwrap();
    frame.copy(&memory.buffer);
    client.expect_error();
    assert!(Client::new(demo.connect()).roundtrip().is_ok());
}

#[test]
fn a_copy_with_damage_waits_for_damage_and_tells_where_it_is() {
    let (demo, mut watcher) = start();
    let mut painter = Client::new(demo.connect());
    let window = painter.open_window(200, 150, RED);
    let memory = watcher.memory(640, 480, 640 * 4, Format::Xrgb8888);
    let manager: ZwlrScreencopyManagerV1 = watcher.bind(3);

    let (frame, _) = watcher.frame_of(&manager, None);
    frame.copy_with_damage(&memory.buffer);
    assert_eq!(watcher.finish_copy().damage, Some((0, 0, 640, 480)), "all of it is new at first");

    let (frame, _) = watcher.frame_of(&manager, None);
    frame.copy_with_damage(&memory.buffer);
    // A frame is drawn meanwhile, but nothing changes in it.
    watcher.roundtrip().unwrap();
    painter.commit(&window.surface);
    assert!(!watcher.copy_events().ready);

    let blue = painter.colour(200, 150, [0, 0, 255]);
    painter.show(&window.surface, &blue);
    let events = watcher.finish_copy();
    assert_eq!(events.damage, Some(((640 - 200) / 2, (480 - 150) / 2, 200, 150)));
}

#[test]
fn a_copy_without_damage_does_not_wait() {
    let (_demo, mut client) = start();
    let memory = client.memory(640, 480, 640 * 4, Format::Xrgb8888);
    for _ in 0..3 {
        let (frame, _) = client.frame(None);
        frame.copy(&memory.buffer);
        assert!(client.finish_copy().ready);
    }
}

#[test]
fn a_client_may_leave_while_its_copy_waits() {
    let (demo, mut client) = start();
    let manager: ZwlrScreencopyManagerV1 = client.bind(3);
    let memory = client.memory(640, 480, 640 * 4, Format::Xrgb8888);
    for _ in 0..2 {
        let (frame, _) = client.frame_of(&manager, None);
        frame.copy_with_damage(&memory.buffer);
        client.roundtrip().unwrap();
    }
    drop(client);
    let mut other = Client::new(demo.connect());
    let _window = other.open_window(200, 150, RED);
    assert!(other.roundtrip().is_ok());
}
