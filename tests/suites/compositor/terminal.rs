//! What a person sees of the tool: the prompt of the agent in a terminal, and the list of clients as it changes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use wayland_auth_tests::connect::PATIENCE;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::demo::Demo;
use super::grants::{POLICY, app, capturer, host, line, told, tool};
use super::running::Running;

/// A person with a terminal.
struct Terminal {
    master: File,
    shown: String,
    /// How much of it was waited for.
    seen: usize,
}

impl Terminal {
    /// The terminal, and the other side of it for a program.
    fn open() -> Result<(Self, File), String> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("a terminal")?;
        grantpt(&master).context("grantpt")?;
        unlockpt(&master).context("unlockpt")?;
        let name = ptsname(&master, Vec::new()).context("ptsname")?;
        let name = name.to_str().context("UTF-8")?;
        let slave = File::options().read(true).write(true).open(name).context(name)?;
        Ok((Self { master: master.into(), shown: String::new(), seen: 0 }, slave))
    }

    /// Waits until this is shown, after all that was waited for before.
    fn wait_for(&mut self, text: &str) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return Ok(());
            }
            ensure!(Instant::now() < until, "it does not show {text:?}: {:?}", self.shown);
            let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.master.as_fd(), PollFlags::IN)], Some(&patience));
            if ready.context("poll")? > 0 {
                let mut bytes = [0; 4096];
                let len = self.master.read(&mut bytes).context("read")?;
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..len]));
            }
        }
    }

    fn press(&mut self, keys: &str) -> Outcome {
        self.master.write_all(keys.as_bytes()).context("write")
    }
}

/// An agent in a terminal.
fn agent(demo: &Demo) -> Result<(Running, Terminal), String> {
    let (terminal, slave) = Terminal::open()?;
    let mut command = tool(demo, &host(), &["agent"])?;
    let input = slave.try_clone().context("descriptor")?;
    let mut agent = Running::start_with(command.stdin(Stdio::from(input)), Some(Stdio::from(slave)))?;
    agent.wait_for_error("answering for this session")?;
    Ok((agent, terminal))
}

const PROMPT: &str = "deny, once, connection, session or always? ";

pub(crate) fn agent_asks_in_the_terminal(world: &World) -> Outcome {
    // After a no it is not asked again at once, so that nobody asks until he gets a yes.
    // What is typed, what is said then, and what becomes of this use, of the next, and of the next connection's.
    let cases = [
        ("deny\n", "denied", ["refused", "refused", "refused"]),
        ("\n", "denied", ["refused", "refused", "refused"]),
        ("yes\n", "denied", ["refused", "refused", "refused"]),
        ("once\n", "allowed once", ["picture", "asks", "asks"]),
        ("connection\n", "allowed as long as it is connected", ["picture", "picture", "asks"]),
        ("session\n", "allowed for this session", ["picture", "picture", "picture"]),
        ("always\n", "allowed until it is revoked", ["picture", "picture", "picture"]),
    ];
    for (keys, said, [first, second, next]) in cases {
        let demo = Demo::start(world, POLICY)?;
        let (_agent, mut terminal) = agent(&demo)?;
        let asking = app(world, "org.example.Asking")?;
        let mut client = capturer(&demo, &asking, &[])?;
        terminal.wait_for("The application org.example.Asking of org.example.Engine").context(keys)?;
        terminal.wait_for(PROMPT)?;
        terminal.press(keys)?;
        terminal.wait_for(said).context(keys)?;
        ensure_eq!(line(&mut client, 3)?, first, "{keys:?}");
        client.say("again")?;
        becomes(&mut client, 4, second, &mut terminal).context(keys)?;
        drop(client);
        let mut client = capturer(&demo, &asking, &[])?;
        becomes(&mut client, 3, next, &mut terminal).context(keys)?;
    }
    Ok(())
}

/// What becomes of a use; where it asks again, a yes for this once.
fn becomes(client: &mut Running, count: usize, expected: &str, terminal: &mut Terminal) -> Outcome {
    if expected == "asks" {
        terminal.wait_for(PROMPT)?;
        terminal.press("once\n")?;
        ensure_eq!(line(client, count)?, "picture");
    } else {
        ensure_eq!(line(client, count)?, expected);
    }
    Ok(())
}

/// Ctrl-D, a signal as of Ctrl-C, and a terminal that is closed.
pub(crate) fn agent_that_ends_while_it_asks_is_a_no(world: &World) -> Outcome {
    for end in ["ctrl-d", "signal", "hang-up"] {
        let demo = Demo::start(world, POLICY)?;
        let (mut agent, mut terminal) = agent(&demo)?;
        let mut client = capturer(&demo, &app(world, "org.example.Asking")?, &[])?;
        terminal.wait_for(PROMPT).context(end)?;
        match end {
            "ctrl-d" => terminal.press("\u{4}")?,
            "signal" => agent.signal(Signal::INT)?,
            _ => drop(terminal),
        }
        ensure_eq!(line(&mut client, 3)?, "refused", "{end}");
        agent.reap().context(end)?;
        // Nobody answers from here on.
        client.say("again")?;
        ensure_eq!(line(&mut client, 4)?, "refused", "{end}");
    }
    Ok(())
}

/// What is typed before a question is seen is no answer to it.
pub(crate) fn what_is_typed_ahead_answers_nothing(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    let (_agent, mut terminal) = agent(&demo)?;
    terminal.press("always")?;
    // The terminal has taken it: it shows what is typed.
    terminal.wait_for("always")?;
    let mut client = capturer(&demo, &app(world, "org.example.Asking")?, &[])?;
    terminal.wait_for(PROMPT)?;
    // Alone this is no answer.
    terminal.press("\n")?;
    ensure_eq!(line(&mut client, 3)?, "refused");
    ensure_eq!(told(&demo, &["grants", "--json"])?, "[]\n");
    Ok(())
}

pub(crate) fn clients_that_come_and_go_are_shown(world: &World) -> Outcome {
    let demo = Demo::start(world, POLICY)?;
    let mut watch = Running::start(&mut tool(&demo, &host(), &["clients", "--watch", "--json"])?)?;
    let mut text = Running::start(&mut tool(&demo, &host(), &["clients", "--watch"])?)?;
    // Itself, and the other.
    line(&mut watch, 2)?;
    text.wait_for("the list", |out| out.contains(&b'\n'))?;
    let game = capturer(&demo, &app(world, "org.example.Game")?, &[])?;
    let came: Value = serde_json::from_str(&line(&mut watch, 3)?).context("JSON")?;
    ensure_eq!(came["app-id"], "org.example.Game");
    let shows = |part: String| move |out: &[u8]| String::from_utf8_lossy(out).contains(&part);
    text.wait_for("the game", shows("org.example.Game".to_owned()))?;
    drop(game);
    let gone: Value = serde_json::from_str(&line(&mut watch, 4)?).context("JSON")?;
    ensure_eq!((&gone["client"], &gone["gone"]), (&came["client"], &Value::Bool(true)));
    text.wait_for("its end", shows(format!("{:>8}  is gone\n", came["client"].as_u64().context("no number")?)))?;
    for watch in [watch, text] {
        watch.signal(Signal::INT)?;
        let finished = watch.finish()?;
        ensure!(finished.err.is_empty() && finished.out.ends_with(b"\n"), "{}", finished.err);
    }
    Ok(())
}
