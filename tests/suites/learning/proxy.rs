//! What comes through, whatever it is.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::wire::{Answer, message};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client;
use super::demo::{Demo, SIZE};
use super::learner::{Learner, learn};
use super::running::finish;

const GREEN: [u8; 3] = [0, 255, 0];
const WINDOW: (i32, i32) = (50, 20);

/// The pixels go to the compositor by a descriptor, and the keyboard's map comes back by one.
pub(crate) fn window(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut window = client::Client::new(learner.connect()?)?;
    window.open_window("a window", WINDOW, GREEN)?;
    let picture = finish(&mut {
        let mut grim = demo.command("grim");
        grim.args(["-t", "ppm", "-"]);
        grim
    })?;
    picture.expect(0)?;
    let header = format!("P6\n{} {}\n255\n", SIZE.0, SIZE.1);
    let pixels = picture.out.strip_prefix(header.as_bytes()).context("no picture")?;
    let green = pixels.chunks_exact(3).filter(|pixel| **pixel == GREEN).count();
    ensure_eq!(green, usize::try_from(WINDOW.0 * WINDOW.1).context("size")?);
    let typed = finish(demo.command("wtype").arg("abc"))?;
    typed.expect(0)?;
    window.wait_for("keys", |seen| seen.keys == 3)?;
    learner.end(0)?.finished.expect(0)
}

fn syncs(ids: std::ops::Range<u32>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for id in ids {
        bytes.extend(message(1, 0, &id.to_ne_bytes())?);
    }
    Ok(bytes)
}

/// Reads the answers to `wl_display.sync`, in their order.
fn expect_answers(mut from: impl Read, ids: std::ops::Range<u32>) -> Outcome {
    for id in ids {
        let mut events = [0; 24];
        from.read_exact(&mut events).context(format!("answer {id}"))?;
        let words: Vec<u32> =
            events.chunks_exact(4).filter_map(|word| Some(u32::from_ne_bytes(word.try_into().ok()?))).collect();
        // `wl_callback.done` and `wl_display.delete_id`.
        ensure_eq!([words[0], words[1], words[3], words[4], words[5]], [id, 12 << 16, 1, 12 << 16 | 1, id]);
    }
    Ok(())
}

/// Some megabytes of requests that nothing answers, in one go, and the answer to what comes last.
pub(crate) fn flood_of_requests(world: &World) -> Outcome {
    const MANY: usize = 200_000;
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut client = learner.client()?;
    let compositor = client.globals().iter().find(|global| global.interface == "wl_compositor").context("none")?.name;
    ensure_eq!(client.bind(compositor, "wl_compositor", 1)?, Answer::Done);
    // The number of the last answer is free again.
    let (compositor, surface) = (client.last_object(), client.last_object() + 1);
    let damage = [0, 0, 1, 1].map(u32::to_ne_bytes).concat();
    let mut bytes = message(compositor, 0, &surface.to_ne_bytes())?;
    bytes.extend(message(surface, 2, &damage)?.repeat(MANY));
    ensure_eq!(client.send(&bytes)?, Answer::Done);
    learner.end(0)?.finished.expect(0)
}

/// Many answers, as many at a time as the compositor holds back for a client that does not read.
pub(crate) fn flood_of_events(world: &World) -> Outcome {
    const MANY: u32 = 60_000;
    const AT_A_TIME: u32 = 1000;
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut stream = learner.connect()?;
    stream.set_read_timeout(Some(PATIENCE)).context("timeout")?;
    for first in (2..2 + MANY).step_by(AT_A_TIME as usize) {
        let ids = first..first + AT_A_TIME;
        stream.write_all(&syncs(ids.clone())?).context("write")?;
        expect_answers(&stream, ids)?;
    }
    learner.end(0)?.finished.expect(0)
}

/// It asks and asks, and never takes an answer. The tool takes no more of it then, and serves the others.
pub(crate) fn never_reads(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let stuck = learner.connect()?;
    stuck.set_nonblocking(true).context("nonblocking")?;
    let bytes = syncs(2..60_000)?;
    let mut asked = 0;
    let deadline = std::time::Instant::now() + PATIENCE;
    while asked < bytes.len() && std::time::Instant::now() < deadline {
        match (&stuck).write(&bytes[asked..]) {
            Ok(len) => asked += len,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                // Everybody else is served, whether it takes more or not.
                ensure_eq!(learner.client()?.sync()?, Answer::Done);
                break;
            }
            // The compositor may have ended it.
            Err(_) => break,
        }
    }
    ensure_eq!(learner.client()?.sync()?, Answer::Done);
    learner.end(0)?.finished.expect(0)
}

pub(crate) fn malformed(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut bystander = learner.client()?;
    let cases: [&[u8]; 4] = [&[0; 8], &[1, 0, 0, 0, 0, 0, 7, 0], &[1, 0, 0, 0, 0, 0, 13, 0], &[0xff; 64]];
    for bytes in cases {
        let mut stream = learner.connect()?;
        stream.set_read_timeout(Some(PATIENCE)).context("timeout")?;
        stream.write_all(bytes).context("write")?;
        expect_closed(&mut stream).context(format!("{bytes:?}"))?;
    }
    // A beginning without an end is none either, but nobody is ended for it.
    let mut stream = learner.connect()?;
    stream.write_all(&[1, 0, 0, 0, 0, 0]).context("write")?;
    drop(stream);
    ensure_eq!(bystander.sync()?, Answer::Done);
    let lesson = learner.end(0)?;
    ensure_eq!(lesson.json["ended"], cases.len());
    Ok(())
}

fn expect_closed(stream: &mut UnixStream) -> Outcome {
    let mut buffer = [0; 64];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        other => Err(format!("it is not closed: {other:?}")),
    }
}

pub(crate) fn protocol_error(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let (direct, learner) = (demo.client()?, Learner::start(world, &demo, None)?);
    let (mut direct, mut through) = (direct, learner.client()?);
    // There is no such global.
    let expected = direct.bind(0xfff, "wl_shm", 1)?;
    ensure!(matches!(expected, Answer::Error(..)), "{expected:?}");
    ensure_eq!(through.bind(0xfff, "wl_shm", 1)?, expected);
    let lesson = learner.end(0)?;
    ensure_eq!(lesson.json["ended"], 0);
    Ok(())
}

pub(crate) fn exit_status(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    for (program, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        learn(world, &demo, None, &["sh", "-c", program])?.finished.expect(status).context(program)?;
    }
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    let missing = finish(demo.command(&tool).args(["learn", "--", "no-such-command-anywhere"]))?;
    missing.expect(127)?;
    let nowhere = finish(demo.command(&tool).args(["learn", "--", "true"]).env("WAYLAND_DISPLAY", "wayland-nowhere"))?;
    nowhere.expect(125)?;
    let left = std::fs::read_dir(demo.dir())
        .context("directory")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left: Vec<String> = left.filter(|name| name.contains("learn")).collect();
    ensure!(left.is_empty(), "{left:?} is left");
    Ok(())
}

pub(crate) fn signals(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let mut client = learner.client()?;
    ensure_eq!(client.sync()?, Answer::Done);
    learner.signal(Signal::INT)?;
    let lesson = learner.ended(130)?;
    ensure_eq!(lesson.json["connections"], 1);
    Ok(())
}

pub(crate) fn directory(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let learner = Learner::start(world, &demo, None)?;
    let dir = learner.socket().parent().context("no directory")?.to_owned();
    ensure!(dir.starts_with(demo.dir()), "{} is elsewhere", dir.display());
    let mode = std::fs::metadata(&dir).context(dir.display())?.permissions().mode();
    ensure_eq!(mode & 0o7777, 0o700);
    // That it is gone then is looked at in there.
    learner.end(0)?.finished.expect(0)
}

pub(crate) fn environment(world: &World) -> Outcome {
    let demo = Demo::start(world, None)?;
    let program = "test \"$WAYLAND_DISPLAY\" != \"$1\" && test -S \"$WAYLAND_DISPLAY\" && test -z \"${WAYLAND_SOCKET+set}\" && ls /proc/self/fd";
    let tool = std::env::var_os("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    let mut command = demo.command(tool);
    command.args(["learn", "--", "sh", "-c", program, "sh", demo.name()]).env("WAYLAND_SOCKET", "9");
    let finished = finish(&mut command)?;
    finished.expect(0)?;
    // Its three streams, and the directory that is being listed.
    ensure_eq!(String::from_utf8_lossy(&finished.out).split_whitespace().count(), 4);
    Ok(())
}
