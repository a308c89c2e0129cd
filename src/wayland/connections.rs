//! How many connections are open, and of whom.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::{AppId, Identity, SandboxEngine};
use crate::policy::Limits;

/// A connection that is one too many, by the policy's `[limits]`.
///
/// Whoever accepted it should close it; [`AuthenticatedSocket`](crate::source::AuthenticatedSocket) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverLimit {
    /// How many there may be.
    pub limit: NonZeroU32,
    /// Whether it was logged.
    pub(crate) told: bool,
}

/// Who is counted together.
///
/// An application by what its engine calls it, not by its instance or its cgroup: it may be able to make more of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    App(SandboxEngine, Option<AppId>),
    Namespaced,
    Unidentified,
    Host,
}

impl Who {
    /// `None` is a socket pair that the compositor made itself: it knows how many.
    fn of(identity: &Identity) -> Option<Self> {
        match identity {
            Identity::App(app) => Some(match &app.engine {
                Some(engine) => Self::App(engine.clone(), app.app_id.clone()),
                None => Self::Namespaced,
            }),
            Identity::Host(_) => Some(Self::Host),
            Identity::Internal(_) => None,
            Identity::Unidentified(_) => Some(Self::Unidentified),
        }
    }

    fn limit(&self, limits: &Limits) -> Option<NonZeroU32> {
        match self {
            Self::App(..) => limits.per_app,
            Self::Namespaced => limits.namespaced,
            Self::Unidentified => limits.unidentified,
            Self::Host => limits.host,
        }
    }
}

/// The open connections. There are no more entries than connections.
///
/// All are counted, those without a limit too: the next policy may have one.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    open: Arc<Mutex<HashMap<Who, u32>>>,
}

/// The place that one connection takes until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    who: Who,
    connections: Connections,
}

impl Connections {
    /// Counts one more, if there is room; `None` if its kind is not counted.
    pub(super) fn admit(&self, identity: &Identity, limits: &Limits) -> Result<Option<Place>, OverLimit> {
        let Some(who) = Who::of(identity) else { return Ok(None) };
        let limit = who.limit(limits);
        match self.lock().entry(who.clone()) {
            Entry::Occupied(mut entry) => {
                let open = entry.get_mut();
                if let Some(limit) = limit.filter(|limit| *open >= limit.get()) {
                    return Err(OverLimit { limit, told: false });
                }
                *open = open.saturating_add(1);
            }
            Entry::Vacant(entry) => {
                entry.insert(1);
            }
        }
        Ok(Some(Place { who, connections: self.clone() }))
    }

    /// Nothing is called under the lock that could panic half-way or take another.
    fn lock(&self) -> MutexGuard<'_, HashMap<Who, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{HostIdentity, InternalTag, Reason};
    use crate::policy::Policy;

    fn limits(text: &str) -> Limits {
        Policy::parse("p", &format!("[limits]\n{text}")).unwrap().limits()
    }

    fn host() -> Identity {
        Identity::Host(HostIdentity::default())
    }

    #[test]
    fn t29_a_place_is_free_again_when_it_is_dropped_and_nothing_is_left_of_it() {
        let connections = Connections::default();
        let limits = limits("connections-host = 2");
        for _ in 0..3 {
            let first = connections.admit(&host(), &limits).unwrap();
            let second = connections.admit(&host(), &limits).unwrap();
            assert!(connections.admit(&host(), &limits).is_err());
            drop(first);
            let third = connections.admit(&host(), &limits).unwrap();
            assert_eq!(connections.admit(&host(), &limits).unwrap_err().limit.get(), 2);
            drop((second, third));
            assert!(connections.lock().is_empty());
        }
    }

    #[test]
    fn t29_one_kind_at_its_limit_leaves_the_others_alone() {
        let connections = Connections::default();
        let limits = limits("connections-host = 1\nconnections-unidentified = 1");
        let unidentified = |reason| Identity::unidentified(reason);
        let _host = connections.admit(&host(), &limits).unwrap();
        let _nobody = connections.admit(&unidentified(Reason::PeerGone), &limits).unwrap();
        // All that are unidentified are counted together, whatever the reason.
        assert!(connections.admit(&unidentified(Reason::Moved), &limits).is_err());
        assert!(connections.admit(&host(), &limits).is_err());
        // What the compositor made itself is not counted.
        let internal = Identity::Internal(InternalTag::new("xwayland"));
        assert!(connections.admit(&internal, &limits).unwrap().is_none());
    }

    #[test]
    fn t35_a_limit_that_is_lowered_counts_those_who_came_before() {
        let connections = Connections::default();
        let unlimited = limits("connections-host = 'unlimited'");
        let before: Vec<_> = (0..5).map(|_| connections.admit(&host(), &unlimited).unwrap()).collect();
        let narrow = limits("connections-host = 2");
        assert!(connections.admit(&host(), &narrow).is_err());
        drop(before);
        assert!(connections.admit(&host(), &narrow).is_ok());
    }
}
