//! Peers that connect to the compositor and say what they see.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use wayland_auth_tests::kinds::Setup;
use wayland_auth_tests::{Context, TestCgroup, World, ensure};

use super::demo::{Demo, Line, events};
use super::running::{Finished, Running};

/// Starts the rest of its arguments in the cgroup that is the first.
const ENTER: [&str; 3] = ["sh", "-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""];

/// Runs the open file that is its standard input: a sandbox may hide the directory that it is in.
const RUN_STDIN: [&str; 4] = ["sh", "-c", "exec /proc/self/fd/0 \"$@\"", "sh"];

/// A peer that said something, and how the compositor recorded it.
#[derive(Debug)]
pub(crate) struct Heard {
    /// One for each thing that it was to say.
    pub(crate) answers: Vec<Value>,
    /// The lines of the audit file about it, from its connection on.
    pub(crate) lines: Vec<Line>,
}

impl Heard {
    /// The line of its connection.
    pub(crate) fn connect(&self) -> Result<&Line, String> {
        events(&self.lines, "connect").next().context("it never connected")
    }
}

/// How programs of a peer are run.
#[derive(Debug)]
pub(crate) enum Launch {
    /// As a kind says.
    Kind(Setup),
    /// By the tool, confined, in this cgroup and with this application's label, if any.
    Confined(TestCgroup, Option<&'static str>),
}

/// The tool's arguments to confine an application.
fn tool(app_id: Option<&str>) -> Result<Vec<String>, String> {
    let tool = std::env::var("WAYLAND_AUTH_TOOL").context("WAYLAND_AUTH_TOOL does not name the tool")?;
    let label = match app_id {
        Some(app_id) => vec!["--engine", "org.example.Engine", "--app-id", app_id],
        None => vec!["--unlabelled"],
    };
    let words = [&["run", "--confine"], &label[..], &["--"]].concat();
    Ok(std::iter::once(tool).chain(words.iter().map(|&word| word.to_owned())).collect())
}

fn enter(cgroup: &Path) -> Result<Vec<String>, String> {
    let cgroup = cgroup.to_str().context("not UTF-8")?;
    Ok(ENTER.iter().chain([&cgroup]).map(|&word| word.to_owned()).collect())
}

impl Launch {
    /// The tool, confining.
    pub(crate) fn confined(world: &World, app_id: Option<&'static str>) -> Result<Self, String> {
        Ok(Self::Confined(world.new_cgroup()?, app_id))
    }

    /// A program as this peer.
    pub(crate) fn command(&self, demo: &Demo, words: &[&str]) -> Result<Command, String> {
        let before = match self {
            Self::Kind(setup) => {
                let enter = setup.keep.innermost().map(enter).transpose()?;
                setup.wrapper.iter().cloned().chain(enter.into_iter().flatten()).collect()
            }
            Self::Confined(cgroup, app_id) => [enter(cgroup.path())?, tool(*app_id)?].concat(),
        };
        let mut line = before.iter().map(String::as_str).chain(words.iter().copied());
        let mut command = demo.command(line.next().context("no program")?);
        command.args(line);
        Ok(command)
    }

    /// The program that plays a peer, which connects and says these things.
    fn speaker(&self, world: &World, demo: &Demo, socket: &Path, says: &[String]) -> Result<Command, String> {
        let say = says.iter().map(|what| format!("say={what}"));
        match self {
            Self::Kind(setup) => {
                let leave = setup.reap.then(|| "leave".to_owned());
                let connect = format!("connect={}", socket.display());
                let mut line = setup.wrapper.clone();
                line.push(world.peer().display().to_string());
                line.extend(setup.steps.iter().cloned().chain([connect]).chain(leave).chain(say));
                let mut command = demo.command(&line[0]);
                command.args(&line[1..]);
                Ok(command)
            }
            Self::Confined(..) => {
                let connect = format!("connect=/run/user/{}/{}", world.uid(), demo.name());
                let steps: Vec<String> = [connect].into_iter().chain(say).collect();
                let words: Vec<&str> = RUN_STDIN.iter().copied().chain(steps.iter().map(String::as_str)).collect();
                let mut command = self.command(demo, &words)?;
                command.stdin(Stdio::from(File::open(world.peer()).context("the peer")?));
                Ok(command)
            }
        }
    }

    fn reaps(&self) -> bool {
        matches!(self, Self::Kind(setup) if setup.reap)
    }

    /// Lets the peer say these things, and waits until it is gone. Nobody else may connect meanwhile.
    pub(crate) fn speak(&self, world: &World, demo: &mut Demo, says: &[String]) -> Result<Heard, String> {
        let socket = demo.socket();
        self.speak_through(world, demo, &socket, says)
    }

    /// The same, through another socket of the compositor's. Confined peers have only the ordinary one.
    pub(crate) fn speak_through(
        &self,
        world: &World,
        demo: &mut Demo,
        socket: &Path,
        says: &[String],
    ) -> Result<Heard, String> {
        let before = demo.audit()?.len();
        let mut command = self.speaker(world, demo, socket, says)?;
        let finished = if self.reaps() {
            // The compositor does not look before the process that connected is gone.
            demo.halt()?;
            let mut peer = Running::start(&mut command)?;
            let reaped = peer.reap();
            demo.go_on()?;
            reaped?;
            peer.finish()?
        } else {
            Running::start(&mut command)?.finish()?
        };
        heard(demo, before, &finished)
    }
}

/// What a peer said, and the lines about it: those of the first client after so many lines.
pub(crate) fn heard(demo: &mut Demo, before: usize, finished: &Finished) -> Result<Heard, String> {
    let text = String::from_utf8_lossy(&finished.out);
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).context(line)).collect::<Result<_, _>>()?;
    ensure!(finished.status.success(), "the peer failed: {}\n{text}", finished.err);
    let gone = |lines: &[Line]| {
        let client = events(&lines[before..], "connect").next().map(|line| line["client"].clone());
        client.is_some_and(|client| events(&lines[before..], "disconnect").any(|line| line["client"] == client))
    };
    let lines = demo.wait_for_audit("end of the peer", gone)?;
    let client = events(&lines[before..], "connect").next().map(|line| line["client"].clone());
    let lines = lines[before..].iter().filter(|line| Some(&line["client"]) == client.as_ref()).cloned().collect();
    Ok(Heard { answers, lines })
}
