//! What one client may do now, so that filters and requests can ask without waiting for anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::policy::{Capability, CapabilitySet, Verdict};

/// The rights of a client. One at a time changes them; anybody reads.
#[derive(Debug)]
pub(in crate::wayland) struct Rights {
    /// What a use asks.
    allowed: AtomicU64,
    /// What a filter asks.
    visible: AtomicU64,
    /// What was visible and can still be bound: a client may have asked for it before it was told.
    grace: AtomicU64,
    /// When that ends at the latest, even if nobody ends it: in milliseconds of [`clock`].
    grace_ends: AtomicU64,
    verdict: RwLock<Arc<Verdict>>,
}

/// How much longer than promised what was taken back can be bound if nobody drives the clock.
const SLACK: u32 = 2;

impl Rights {
    pub(in crate::wayland) fn new(verdict: Verdict) -> Self {
        Self {
            allowed: AtomicU64::new(verdict.allowed().bits()),
            visible: AtomicU64::new(verdict.visible().bits()),
            grace: AtomicU64::new(0),
            grace_ends: AtomicU64::new(0),
            verdict: RwLock::new(Arc::new(verdict)),
        }
    }

    /// A client that sees these capabilities, may use none, and never changes.
    pub(in crate::wayland) fn that_see(visible: CapabilitySet) -> Self {
        Self { visible: AtomicU64::new(visible.bits()), ..Self::new(Verdict::default()) }
    }

    pub(in crate::wayland) fn allowed(&self) -> CapabilitySet {
        CapabilitySet::from_bits(self.allowed.load(Ordering::Acquire))
    }

    pub(in crate::wayland) fn visible(&self) -> CapabilitySet {
        CapabilitySet::from_bits(self.visible.load(Ordering::Acquire))
    }

    /// Also what was taken back a moment ago. One load where the answer is yes.
    pub(in crate::wayland) fn sees(&self, capability: Capability) -> bool {
        self.visible().contains(capability) || self.is_in_grace(capability)
    }

    #[cold]
    fn is_in_grace(&self, capability: Capability) -> bool {
        CapabilitySet::from_bits(self.grace.load(Ordering::Acquire)).contains(capability)
            && clock(Instant::now()) < self.grace_ends.load(Ordering::Acquire)
    }

    /// All that a filter says yes to.
    pub(super) fn seen(&self) -> CapabilitySet {
        let grace = CapabilitySet::from_bits(self.grace.load(Ordering::Acquire));
        self.visible().union(grace)
    }

    pub(in crate::wayland) fn verdict(&self) -> Arc<Verdict> {
        Arc::clone(&self.verdict.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the client these rights: what it loses it cannot use from now on, but bind for `grace`. Returns what was.
    ///
    /// What is taken goes first, so that nobody ever reads more than the greater of both.
    pub(super) fn replace(&self, verdict: Arc<Verdict>, now: Instant, grace: Duration) -> Arc<Verdict> {
        let (allowed, visible) = (verdict.allowed(), verdict.visible());
        self.allowed.fetch_and(allowed.bits(), Ordering::AcqRel);
        let taken = self.visible().difference(visible);
        if !taken.is_empty() {
            let latest = clock(now.checked_add(grace.saturating_mul(SLACK)).unwrap_or(now));
            self.grace_ends.fetch_max(latest, Ordering::AcqRel);
            self.grace.fetch_or(taken.bits(), Ordering::AcqRel);
        }
        let before = {
            let mut current = self.verdict.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, verdict)
        };
        self.visible.store(visible.bits(), Ordering::Release);
        self.allowed.store(allowed.bits(), Ordering::Release);
        self.end_grace(visible);
        before
    }

    /// These cannot be bound any more, unless they are visible.
    pub(super) fn end_grace(&self, of: CapabilitySet) {
        self.grace.fetch_and(!of.bits(), Ordering::AcqRel);
    }
}

/// Milliseconds since somebody asked for the first time, and one.
fn clock(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let passed = at.saturating_duration_since(*START.get_or_init(Instant::now));
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{HostIdentity, Identity};
    use crate::policy::Policy;

    const HOUR: Duration = Duration::from_secs(3600);

    fn verdict(host: &str) -> Verdict {
        let policy = Policy::parse("p", &format!("[defaults]\nhost = [{host}]")).unwrap();
        policy.evaluate(&Identity::Host(HostIdentity::default()))
    }

    fn may(rights: &Rights) -> (bool, bool) {
        (rights.allowed().contains(Capability::LAYER_SHELL), rights.sees(Capability::LAYER_SHELL))
    }

    #[test]
    fn t35_what_is_taken_cannot_be_used_at_once_and_be_bound_for_a_while() {
        let rights = Rights::new(verdict("'layer-shell'"));
        assert_eq!(may(&rights), (true, true));
        let before = rights.replace(Arc::new(verdict("")), Instant::now(), HOUR);
        assert!(before.allows(Capability::LAYER_SHELL));
        assert_eq!(may(&rights), (false, true));
        assert!(!rights.visible().contains(Capability::LAYER_SHELL));
        assert!(!rights.verdict().allows(Capability::LAYER_SHELL));
        rights.end_grace(CapabilitySet::of([Capability::LAYER_SHELL]));
        assert_eq!(may(&rights), (false, false));
    }

    #[test]
    fn t35_what_nobody_ends_ends_by_itself() {
        let rights = Rights::new(verdict("'layer-shell'"));
        rights.replace(Arc::new(verdict("")), Instant::now(), Duration::ZERO);
        assert_eq!(may(&rights), (false, false));
    }

    #[test]
    fn what_comes_back_is_no_longer_on_its_way_out() {
        let rights = Rights::new(verdict("'layer-shell'"));
        rights.replace(Arc::new(verdict("")), Instant::now(), HOUR);
        rights.replace(Arc::new(verdict("'layer-shell'")), Instant::now(), HOUR);
        assert_eq!(may(&rights), (true, true));
        rights.end_grace(CapabilitySet::of([Capability::LAYER_SHELL]));
        assert_eq!(may(&rights), (true, true));
        rights.replace(Arc::new(verdict("")), Instant::now(), HOUR);
        assert_eq!(may(&rights), (false, true));
    }
}
