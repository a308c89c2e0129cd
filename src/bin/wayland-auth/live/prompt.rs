//! Asking a person: in the terminal, or by a program.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use wayland_auth::protocol::client::xx_client_auth_agent_v1::Decision;

use super::agent::{Question, decision};
use crate::output;

/// So much of an answer is looked at.
const MAX_ANSWER: usize = 4096;

/// Where questions are put, one at a time.
#[derive(Debug)]
pub(super) struct Prompt {
    program: Vec<String>,
    is_terminal: bool,
    open: Option<Open>,
    is_over: bool,
    /// What was read and is no whole line yet.
    typed: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    question: Question,
    /// The program that asks, with what it has written; in the terminal there is none.
    running: Option<(Running, Vec<u8>)>,
}

/// A program that is killed and reaped when this is dropped.
#[derive(Debug)]
struct Running {
    child: Child,
    out: ChildStdout,
    /// Readable when it has ended.
    pidfd: OwnedFd,
    /// Whether it has closed its output.
    is_silent: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prompt {
    pub(super) fn new(program: &[String], is_terminal: bool) -> Self {
        Self { program: program.to_vec(), is_terminal, open: None, is_over: false, typed: Vec::new() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether nobody will answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Puts a question.
    pub(super) fn open(&mut self, question: Question) {
        if self.program.is_empty() {
            output::print(question.text());
            // What was typed before the question was seen is no answer to it.
            self.forget_typed();
            self.ask();
            self.open = Some(Open { question, running: None });
            return;
        }
        match start(&self.program, &question) {
            Ok(running) => self.open = Some(Open { question, running: Some((running, Vec::new())) }),
            Err(error) => {
                output::complain(format_args!("cannot run {}: {error}", self.program[0]));
                self.open = Some(Open { question, running: None });
            }
        }
    }

    fn ask(&self) {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "deny, once, connection, session or always? ");
        let _ = out.flush();
    }

    fn forget_typed(&mut self) {
        self.typed.clear();
        if self.is_terminal {
            let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
        }
    }

    /// The question is not open any more.
    pub(super) fn withdraw(&mut self, number: u32) {
        if self.open.take_if(|open| open.question.number == number).is_some() && self.program.is_empty() {
            output::print("\nnot asked any more");
        }
    }

    /// How long the open question can wait.
    pub(super) fn left(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| open.question.left())
    }

    /// What is readable when there is an answer.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        match &self.open {
            Some(Open { running: Some((running, _)), .. }) if running.is_silent => Some(running.pidfd.as_fd()),
            Some(Open { running: Some((running, _)), .. }) => Some(running.out.as_fd()),
            // Its end is looked for even when nothing is asked.
            _ if self.program.is_empty() => Some(rustix::stdio::stdin()),
            _ => None,
        }
    }

    /// The answer, if there is one; it closes the question.
    pub(super) fn answer(&mut self) -> Option<(u32, Decision)> {
        let line = if self.program.is_empty() { self.read_line() } else { None };
        let open = self.open.as_mut()?;
        let number = open.question.number;
        let is_late = open.question.left().is_zero();
        let decided = match (&mut open.running, line) {
            _ if is_late => Some(Decision::Deny),
            (None, line) if self.program.is_empty() => match line {
                Some(line) => Some(decision(&line)),
                None if self.is_over => Some(Decision::Deny),
                None => None,
            },
            // It could not be started.
            (None, _) => Some(Decision::Deny),
            (Some((running, said)), _) => running.decided(said),
        };
        let decided = decided?;
        self.open = None;
        if self.program.is_empty() {
            output::print(if is_late { "\ntoo late: denied" } else { word(decided) });
        }
        Some((number, decided))
    }

    /// A line that was typed. Never blocks.
    fn read_line(&mut self) -> Option<String> {
        let stdin = rustix::stdio::stdin();
        let readable = |fd: BorrowedFd<'_>| is_readable(fd);
        while !self.typed.contains(&b'\n') && !self.is_over && readable(stdin) {
            let mut bytes = [0; 256];
            match rustix::io::read(stdin, &mut bytes) {
                Ok(0) => self.is_over = true,
                Ok(len) if self.typed.len() < MAX_ANSWER => self.typed.extend(&bytes[..len]),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => break,
                Err(_) => self.is_over = true,
            }
        }
        let end = self.typed.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.typed.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Once => "allowed once",
        Decision::Connection => "allowed as long as it is connected",
        Decision::Session => "allowed for this session",
        Decision::Always => "allowed until it is revoked",
        _ => "denied",
    }
}

impl Running {
    /// What it has answered, once it has ended.
    fn decided(&mut self, said: &mut Vec<u8>) -> Option<Decision> {
        while !self.is_silent && is_readable(self.out.as_fd()) {
            let mut bytes = [0; 512];
            match self.out.read(&mut bytes) {
                // Its status comes with its end.
                Ok(0) => self.is_silent = true,
                Ok(len) if said.len() < MAX_ANSWER => said.extend(&bytes[..len]),
                Ok(_) => return Some(Decision::Deny),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Some(Decision::Deny),
            }
        }
        if !self.is_silent {
            return None;
        }
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(outcome(status.code(), said)),
            Err(_) => Some(Decision::Deny),
        }
    }
}

/// What a program that has ended with this status, if by itself, and has said this, answers.
fn outcome(status: Option<i32>, said: &[u8]) -> Decision {
    let said = String::from_utf8_lossy(said);
    match (status, said.trim_end().lines().last()) {
        (Some(_), Some(answer)) => decision(answer),
        (Some(0), None) => Decision::Once,
        _ => Decision::Deny,
    }
}

/// `word` with the values in it, in one pass: what is put in is not looked at again.
fn fill_in(word: &str, values: &[(&str, &str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(name, ..)| rest.starts_with(name)) {
            Some((name, _, value)) => {
                filled.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// Starts the program: each value is one argument or one variable, and no shell sees any.
fn start(program: &[String], question: &Question) -> std::io::Result<Running> {
    let text = question.text();
    let values: [(&str, &str, &str); 7] = [
        ("{engine}", "WAYLAND_AUTH_ENGINE", &question.engine),
        ("{app-id}", "WAYLAND_AUTH_APP_ID", &question.app_id),
        ("{instance-id}", "WAYLAND_AUTH_INSTANCE_ID", &question.instance_id),
        ("{provenance}", "WAYLAND_AUTH_PROVENANCE", question.provenance),
        ("{capability}", "WAYLAND_AUTH_CAPABILITY", &question.capability),
        ("{description}", "WAYLAND_AUTH_DESCRIPTION", &question.description),
        ("{text}", "WAYLAND_AUTH_TEXT", &text),
    ];
    let mut command = Command::new(program.first().map_or("", String::as_str));
    for word in program.iter().skip(1) {
        let filled = fill_in(word, &values);
        // An ID may begin so, and would be taken for an option.
        if filled.starts_with('-') && !word.starts_with('-') {
            return Err(std::io::Error::other(format!("the argument {word} would begin with a `-`")));
        }
        command.arg(filled);
    }
    command.envs(values.iter().map(|(_, name, value)| (name, value)));
    command.env("WAYLAND_AUTH_SECONDS", question.left().as_secs().to_string());
    // What a person types belongs to the terminal, not to a program that asks in a window.
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    match (child.stdout.take(), pidfd) {
        (Some(out), Ok(pidfd)) => Ok(Running { child, out, pidfd, is_silent: false }),
        (_, pidfd) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(pidfd.err().map_or_else(|| std::io::Error::other("it has no output"), Into::into))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once() {
        let values = [("{text}", "", "a {engine} b"), ("{engine}", "", "{text}")];
        for (word, filled) in
            [("--text={text}!", "--text=a {engine} b!"), ("{engine}{engine}", "{text}{text}"), ("{x} {", "{x} {")]
        {
            assert_eq!(fill_in(word, &values), filled);
        }
    }

    #[test]
    fn output_decides_and_without_any_the_status() {
        for (status, said, answer) in [
            (Some(0), "", Decision::Once),
            (Some(1), "", Decision::Deny),
            (None, "", Decision::Deny),
            (None, "always\n", Decision::Deny),
            (Some(1), "session\n", Decision::Session),
            (Some(0), "deny\n", Decision::Deny),
            (Some(0), "always\nnonsense\n", Decision::Deny),
            (Some(0), "hello\nonce\n\n", Decision::Once),
        ] {
            assert_eq!(outcome(status, said.as_bytes()), answer, "{status:?} {said:?}");
        }
    }
}
