//! `xx_client_auth_agent_v1`: the one client that answers for the user.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wayland_server::backend::ObjectId;
use wayland_server::{DisplayHandle, Resource};

use super::news::News;
use super::object::may_administrate;
use super::text::{MAX_ID, MAX_TEXT, Names, bounded};
use crate::ask::{Asker, Decision, DecisionProvider, Question, QuestionId, Reply, Service};
use crate::protocol::server::xx_client_auth_agent_v1::{self as agent, XxClientAuthAgentV1};
use crate::wayland::ClientAuth;

/// The agent, while there is one. Dropped, every open question is a no.
pub(super) struct Agent {
    pub(super) id: ObjectId,
    auth: ClientAuth,
    desk: Arc<Desk>,
    /// What was asked and is not answered, by the number that the client knows.
    open: BTreeMap<u32, Reply>,
    last: u32,
    _service: Service,
}

/// Where questions are left for the agent. They come while requests of other clients are handled.
struct Desk {
    news: Arc<News>,
    inner: Mutex<Papers>,
}

#[derive(Default)]
struct Papers {
    questions: VecDeque<(Question, Reply)>,
    withdrawn: Vec<QuestionId>,
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DecisionProvider for Desk {
    fn ask(&self, question: Question, reply: Reply) {
        self.papers().questions.push_back((question, reply));
        self.news.note(|_| ());
    }

    fn withdraw(&self, question: QuestionId) {
        self.papers().withdrawn.push(question);
        self.news.note(|_| ());
    }
}

impl Agent {
    /// Makes the object the agent, if it can be; else says why it cannot.
    pub(super) fn start(
        resource: &XxClientAuthAgentV1,
        asker: Option<&Asker>,
        news: &Arc<News>,
        auth: &ClientAuth,
    ) -> Option<Self> {
        let desk = Arc::new(Desk { news: Arc::clone(news), inner: Mutex::default() });
        let service = match asker {
            _ if !may_administrate(auth) => Err(agent::Cause::NotPermitted),
            None => Err(agent::Cause::NotSupported),
            Some(asker) => asker.serve(Arc::clone(&desk) as _).map_err(|_| agent::Cause::Occupied),
        };
        match service {
            Ok(service) => {
                resource.active();
                let (id, auth) = (resource.id(), auth.clone());
                Some(Self { id, auth, desk, open: BTreeMap::new(), last: 0, _service: service })
            }
            Err(cause) => {
                resource.finished(cause);
                None
            }
        }
    }

    /// Tells what was asked and taken back. Whether it is still the agent.
    pub(super) fn tell(&mut self, display: &DisplayHandle) -> bool {
        let Ok(resource) = XxClientAuthAgentV1::from_id(display, self.id.clone()) else { return false };
        if !may_administrate(&self.auth) {
            resource.finished(agent::Cause::NotPermitted);
            return false;
        }
        let Papers { questions, withdrawn } = std::mem::take(&mut *self.desk.papers());
        for (question, reply) in questions {
            // What was withdrawn before it was told was never asked.
            if withdrawn.contains(&question.id) {
                continue;
            }
            let Some(number) = self.last.checked_add(1) else { return false };
            self.last = number;
            tell_question(&resource, number, &question);
            self.open.insert(number, reply);
        }
        for id in withdrawn {
            let number = self.open.iter().find(|(_, reply)| reply.question() == id).map(|(number, _)| *number);
            if let Some(number) = number {
                self.open.remove(&number);
                resource.withdrawn(number);
            }
        }
        true
    }

    /// Takes an answer, unless the question is not open any more.
    pub(super) fn answer(&mut self, number: u32, decision: agent::Decision) {
        // An agent that may not be one any more says no, whatever it says.
        let may = may_administrate(&self.auth);
        if let Some(reply) = self.open.remove(&number) {
            reply.answer(match decision {
                agent::Decision::Once if may => Decision::ONCE,
                agent::Decision::Connection if may => Decision::CONNECTION,
                agent::Decision::Session if may => Decision::SESSION,
                agent::Decision::Always if may => Decision::ALWAYS,
                _ => Decision::DENY,
            });
        }
    }
}

fn tell_question(resource: &XxClientAuthAgentV1, number: u32, question: &Question) {
    let left = question.deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(999);
    let grantee = &question.grantee;
    // Whom an answer will be about; who could have written that stands in the identity.
    let Names { instance_id, provenance, .. } = Names::of(&question.identity);
    resource.question(
        number,
        grantee.engine.as_str().to_owned(),
        grantee.app_id.as_str().to_owned(),
        instance_id,
        provenance,
        bounded(&question.capability, MAX_ID),
        bounded(question.description.unwrap_or_default(), MAX_TEXT),
        u32::try_from(left.as_secs()).unwrap_or(u32::MAX),
    );
}
