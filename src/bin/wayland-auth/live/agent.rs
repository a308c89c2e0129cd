//! `agent`: answers for the user when the compositor asks.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wayland_auth::protocol::client::xx_client_auth_admin_v1::XxClientAuthAdminV1;
use wayland_auth::protocol::client::xx_client_auth_agent_v1::{Cause, Decision, Event};

use super::connection::{Compositor, known};
use super::entry::provenance;
use super::grants::ADMIN;
use super::prompt::Prompt;
use crate::failure::{FAILED, Failure};
use crate::output;

/// Answer in a terminal when an application wants to use what has to be asked for
///
/// Each question is answered with deny, once, connection (as long as this client is connected), session (until the
/// compositor ends) or always. Whatever is no answer is deny: an empty line, a time-out, the end of the input.
///
/// With --command, a program is run for each question instead, never through a shell. It gets the question in the
/// environment, as WAYLAND_AUTH_ENGINE, _APP_ID, _INSTANCE_ID, _PROVENANCE, _CAPABILITY, _DESCRIPTION, _TEXT and _SECONDS;
/// and {engine}, {app-id}, {instance-id}, {provenance}, {capability}, {description} and {text} in its arguments are replaced
/// by the values, each of which stays one argument. Its last line of output is the answer; where it writes none, its exit
/// status 0 is once. It is killed, and the answer is deny, when the question's time is up.
///
/// For example: wayland-auth agent --command zenity --question --no-markup --extra-button=session --text={text}
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Run this program for each question, with the arguments that follow
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_names = ["PROGRAM", "ARGUMENT"])]
    command: Vec<String>,
}

/// A question that is open.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) number: u32,
    pub(super) engine: String,
    pub(super) app_id: String,
    pub(super) instance_id: String,
    pub(super) provenance: &'static str,
    pub(super) capability: String,
    pub(super) description: String,
    pub(super) deadline: Instant,
}

impl Question {
    /// In words, for a person.
    pub(super) fn text(&self) -> String {
        let instance = if self.instance_id.is_empty() { "" } else { ", instance " };
        let by = if self.provenance == "system" { "" } else { " (any program of yours could have named it so)" };
        let Self { app_id, engine, instance_id, capability, description, .. } = self;
        format!(
            "The application {app_id} of {engine}{instance}{instance_id}{by} wants to use `{capability}`: {description}"
        )
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The answer that a word is; whatever is none is a no.
pub(super) fn decision(word: &str) -> Decision {
    match word.trim() {
        "once" => Decision::Once,
        "connection" => Decision::Connection,
        "session" => Decision::Session,
        "always" => Decision::Always,
        _ => Decision::Deny,
    }
}

/// Carries out `agent`.
pub(crate) fn agent(args: &AgentArgs) -> Result<ExitCode, Failure> {
    let mut compositor = Compositor::connect()?;
    let admin: XxClientAuthAdminV1 = compositor.bind(ADMIN)?;
    let agent = admin.get_agent(&compositor.queue.handle(), ());
    let mut prompt = Prompt::new(&args.command, std::io::stdin().is_terminal());
    let mut waiting: VecDeque<Question> = VecDeque::new();
    loop {
        for event in std::mem::take(&mut compositor.inbox.agent) {
            take_in(event, &mut waiting, &mut prompt)?;
        }
        let now = Instant::now();
        waiting.retain(|question| question.deadline > now);
        if !prompt.is_open()
            && let Some(question) = waiting.pop_front()
        {
            prompt.open(question);
        }
        if let Some((number, decision)) = prompt.answer() {
            agent.answer(number, decision);
            continue;
        }
        if prompt.is_over() {
            return Ok(ExitCode::SUCCESS);
        }
        wait(&mut compositor, &prompt)?;
    }
}

fn take_in(event: Event, waiting: &mut VecDeque<Question>, prompt: &mut Prompt) -> Result<(), Failure> {
    match event {
        Event::Active => output::complain("answering for this session"),
        Event::Finished { cause } => {
            let why = match known(cause) {
                Some(Cause::Occupied) => "there is another agent".to_owned(),
                Some(Cause::NotSupported) => "the compositor asks nobody".to_owned(),
                _ => format!("the compositor has taken `{ADMIN}` from this program"),
            };
            return Err(Failure::new(FAILED, format!("this cannot be the agent: {why}")));
        }
        Event::Question { question, engine, app_id, instance_id, provenance: by, capability, description, seconds } => {
            let deadline = Instant::now() + Duration::from_secs(u64::from(seconds).min(24 * 3600));
            waiting.push_back(Question {
                number: question,
                engine,
                app_id,
                instance_id: instance_id.unwrap_or_default(),
                provenance: provenance(by),
                capability,
                description,
                deadline,
            });
        }
        Event::Withdrawn { question } => {
            waiting.retain(|waiting| waiting.number != question);
            prompt.withdraw(question);
        }
        _ => {}
    }
    Ok(())
}

/// Waits until the compositor says something, somebody answers, or time is up.
fn wait(compositor: &mut Compositor, prompt: &Prompt) -> Result<(), Failure> {
    compositor.flush()?;
    let Some(guard) = compositor.queue.prepare_read() else { return compositor.pending() };
    let patience = prompt.left().map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    let is_readable = {
        let compositor_fd = guard.connection_fd();
        let mut fds = vec![PollFd::from_borrowed_fd(compositor_fd, PollFlags::IN)];
        let input = prompt.input();
        fds.extend(input.iter().map(|input| PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)));
        // A signal is as good as an event: all is looked at again.
        let _ = poll(&mut fds, patience.as_ref());
        !fds[0].revents().is_empty()
    };
    if is_readable {
        let read = guard.read();
        compositor.lost_unless(read.map(drop))?;
    } else {
        drop(guard);
    }
    compositor.pending()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_answer_is_a_no() {
        for (word, answer) in [
            ("once", Decision::Once),
            (" session\n", Decision::Session),
            ("always", Decision::Always),
            ("connection", Decision::Connection),
        ] {
            assert_eq!(decision(word), answer);
        }
        for word in ["", "deny", "y", "yes", "ALWAYS", "always once", "once\u{1b}[0m", "alwaysx"] {
            assert_eq!(decision(word), Decision::Deny, "{word:?}");
        }
    }
}
