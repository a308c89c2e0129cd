//! The one object that a compositor keeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::basis::{Basis, Judge};
use super::connections::{Connections, Place};
use super::live::{Cause, Event, GRACE, Live, next_serial};
use super::throttle::Throttle;
use super::{ClientAuth, SandboxContext};
use crate::identity::label::XattrNames;
use crate::identity::{
    AppId, AppIdentity, EngineEvidence, EngineStanding, Evidence, Identified, Identity, InstanceId, InternalTag,
    InvalidId, Namespaces, Provenance, Reason, Resolver, ResolverBuilder, ResolverError, SandboxEngine, Trust,
};
use crate::kernel::Support;
use crate::policy::{Capability, CapabilitySet, Policy, Verdict, WithoutKernelIdentity};

/// Identifies clients and decides what each may see. Cheap to clone; the clones are one.
#[derive(Clone, Debug)]
pub struct Authenticator {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    resolver: Resolver,
    pub(super) snapshot: RwLock<Snapshot>,
    connections: Connections,
    pub(super) live: Arc<Live>,
    /// What the compositor can hold at use.
    pub(super) holds: CapabilitySet,
    /// What is said of clients that are turned away.
    refusals: Mutex<Throttle>,
}

/// What one connection is decided by, from its start to its end.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) policy: Arc<Policy>,
    trust: Arc<Trust>,
    /// What held when it was taken holds no more if this is not the present one.
    epoch: u64,
}

impl Snapshot {
    pub(super) fn new(policy: Policy) -> Self {
        let trust = Trust::uids(policy.trust().uids.clone());
        Self { policy: Arc::new(policy), trust: Arc::new(trust), epoch: 0 }
    }
}

/// Makes an [`Authenticator`].
#[derive(Debug)]
#[must_use]
pub struct AuthenticatorBuilder {
    policy: Option<Policy>,
    resolver: ResolverBuilder,
    grace: Duration,
    holds: CapabilitySet,
}

/// Why an [`Authenticator`] could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The [`Resolver`] could not be made.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
}

/// A policy was refused because its `[capabilities]` differ from those that the globals were made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the section [capabilities] has changed; that takes effect when the compositor starts again")]
#[non_exhaustive]
pub struct CapabilitiesChanged;

impl AuthenticatorBuilder {
    /// Decides by this policy; without it by [`Policy::built_in`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Reads labels under other names than the usual ones, or further ones.
    pub fn xattr_names(mut self, names: XattrNames) -> Self {
        self.resolver = self.resolver.xattr_names(names);
        self
    }

    /// Takes the namespaces of this process for those of the host:
    /// see [`ResolverBuilder::host_reference`].
    pub fn host_reference(mut self, pidfd: OwnedFd) -> Self {
        self.resolver = self.resolver.host_reference(pidfd);
        self
    }

    /// Takes this directory for the user's `XDG_RUNTIME_DIR`: see [`ResolverBuilder::runtime_dir`].
    pub fn runtime_dir(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.resolver = self.resolver.runtime_dir(path);
        self
    }

    /// How long a client can still bind what was taken from it; without this two seconds.
    ///
    /// It may have asked before it was told, and a bind that is refused kills it. Nothing that it binds then can be used.
    pub fn grace_time(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Says of which capabilities the compositor checks each use with [`Asker::authorize`](crate::ask::Asker::authorize), so
    /// that what rules `ask` for can be held, and a denial can look empty. Without this there are none.
    ///
    /// Of all others, what is to be asked for or to look empty is hidden: its globals would work as soon as they are seen.
    pub fn holds(mut self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.holds = CapabilitySet::of(capabilities);
        self
    }

    /// Looks up as on a kernel without `PIDFD_GET_INFO` (before Linux 6.13). For tests.
    pub fn without_pidfd_info(mut self) -> Self {
        self.resolver = self.resolver.without_pidfd_info();
        self
    }

    /// Asks the kernel what it can do, and makes the authenticator.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says why. A kernel that can identify nobody is no error: the policy's
    /// `[machine]` section says what becomes of the clients, and a warning is logged.
    pub fn build(self) -> Result<Authenticator, BuildError> {
        let resolver = self.resolver.build()?;
        let snapshot = Snapshot::new(self.policy.unwrap_or_else(Policy::built_in));
        for check in resolver.support().checks().iter().filter(|c| c.remedy.is_some()) {
            tracing::warn!(
                name = check.name,
                finding = %check.finding,
                remedy = check.remedy.as_deref().unwrap_or_default(),
                "this machine cannot prove everything",
            );
        }
        warn_of_inability(resolver.support(), &snapshot.policy);
        let interfaces = Arc::clone(snapshot.policy.own_interfaces());
        Ok(Authenticator {
            inner: Arc::new(Inner {
                resolver,
                snapshot: RwLock::new(snapshot),
                connections: Connections::default(),
                live: Arc::new(Live::new(self.grace, interfaces)),
                holds: self.holds,
                refusals: Mutex::default(),
            }),
        })
    }
}

impl Inner {
    /// Who a client with this evidence would be by what its directories say now.
    pub(super) fn identity_now(
        &self,
        evidence: &Evidence,
        snapshot: &Snapshot,
        each: &mut dyn FnMut(BorrowedFd<'_>) -> std::io::Result<()>,
    ) -> Result<Option<Identity>, String> {
        self.resolver.look_again(evidence, &snapshot.trust, each)
    }
}

impl Authenticator {
    /// Starts making one.
    pub fn builder() -> AuthenticatorBuilder {
        AuthenticatorBuilder { policy: None, resolver: Resolver::builder(), grace: GRACE, holds: CapabilitySet::EMPTY }
    }

    /// What this machine can prove.
    #[must_use]
    pub fn support(&self) -> &Support {
        self.inner.resolver.support()
    }

    /// The policy that decides now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.snapshot().policy
    }

    /// Finds out who connected `stream`, and what that client may do.
    ///
    /// Call it between `accept` and `insert_client`, and put the result into the client's data.
    /// Never fails: who could not be identified gets the rights of `[defaults] unidentified`, as
    /// far as nobody is denied them. Bounded; never blocks on the client.
    ///
    /// A client beyond the policy's `[limits]` gets nothing: see [`ClientAuth::over_limit`].
    #[must_use]
    pub fn identify(&self, stream: impl AsFd) -> ClientAuth {
        let snapshot = self.snapshot();
        let (identified, as_before) = self.look_up(stream, &snapshot);
        let verdict = snapshot.policy.evaluate(&identified.identity);
        self.admit(identified, verdict, Basis::Kernel { as_before }, &snapshot)
    }

    /// Finds out who connected to a socket that was opened as a security context, and what that
    /// client may do: what its context allows, *and* what its cgroup allows, *and* what the client that
    /// opened the context may do itself.
    #[must_use]
    pub fn identify_sandboxed(&self, stream: impl AsFd, context: &SandboxContext) -> ClientAuth {
        let snapshot = self.snapshot();
        let (Identified { identity: by_kernel, evidence }, as_before) = self.look_up(stream, &snapshot);
        let (identity, verdict) = self.judge(&snapshot).sandboxed(by_kernel.clone(), &evidence, context);
        let basis = Basis::Context { by_kernel: Box::new(by_kernel), as_before, context: Box::new(context.clone()) };
        self.admit(Identified { identity, evidence }, verdict, basis, &snapshot)
    }

    /// The identity of the other end of a socket pair that the compositor itself made, such as Xwayland's.
    ///
    /// The kernel cannot tell who holds that end, so whoever makes the pair names it; what it may do stands in
    /// the policy's `[defaults.internal]`, and without an entry there it is nothing.
    #[must_use]
    pub fn internal(&self, tag: &'static str) -> ClientAuth {
        let identity = Identity::Internal(InternalTag::new(tag));
        let snapshot = self.snapshot();
        let verdict = snapshot.policy.evaluate(&identity);
        let identified = Identified { identity, evidence: Evidence::default() };
        self.finish(identified, verdict, Basis::Kernel { as_before: false }, None, &snapshot)
    }

    /// The client, if there may be one more of its kind.
    fn admit(&self, identified: Identified, verdict: Verdict, basis: Basis, snapshot: &Snapshot) -> ClientAuth {
        if identified.identity.is_short_of_resources() {
            return self.finish(identified, verdict, basis, None, snapshot);
        }
        let mut limits = snapshot.policy.limits();
        if !self.support().can_identify() {
            // Here nobody can be told from anybody, and all are not one.
            limits.unidentified = limits.host;
        }
        match self.inner.connections.admit(&identified.identity, &limits) {
            Ok(place) => self.finish(identified, verdict, basis, place, snapshot),
            Err(mut over_limit) => {
                let Identified { identity, evidence } = identified;
                if let Some(not_told) = self.tell_of_refusal() {
                    let limit = over_limit.limit;
                    tracing::warn!(%identity, limit, not_told, "too many connections: a client is turned away");
                    over_limit.told = true;
                }
                let client = ClientAuth::turned_away(identity, evidence, over_limit);
                if over_limit.told {
                    self.inner.live.tell(&Event::TurnedAway(client.clone()));
                }
                client
            }
        }
    }

    fn finish(
        &self,
        identified: Identified,
        verdict: Verdict,
        basis: Basis,
        place: Option<Place>,
        snapshot: &Snapshot,
    ) -> ClientAuth {
        tracing::debug!(
            identity = %identified.identity,
            evidence = %identified.evidence.to_string().replace('\n', "; "),
            allowed = ?verdict.allowed(),
            "a client connected",
        );
        let Identified { identity, evidence } = identified;
        let live = &self.inner.live;
        let serial = next_serial();
        let verdict = self.decide(snapshot, &identity, verdict, serial);
        let client = ClientAuth::connected(serial, identity, evidence, verdict, basis, place, live);
        // What changes reaches those who are connected. If it changed before this one was, it did not reach it.
        if live.epoch() != snapshot.epoch {
            let _turn = live.turn();
            self.reconsider_one(&client, &Cause::Policy);
        }
        client
    }

    /// Whether a client that is turned away is to be told of, and how many were not since the last.
    pub(crate) fn tell_of_refusal(&self) -> Option<u64> {
        self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner).tell(Instant::now())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let epoch = self.inner.live.epoch();
        let snapshot = self.inner.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone();
        Snapshot { epoch, ..snapshot }
    }

    pub(super) fn judge<'a>(&'a self, snapshot: &'a Snapshot) -> Judge<'a> {
        Judge { policy: &snapshot.policy, trust: &snapshot.trust, resolver: &self.inner.resolver }
    }

    /// Who it is, and whether that only stands in for what the machine cannot tell.
    fn look_up(&self, stream: impl AsFd, snapshot: &Snapshot) -> (Identified, bool) {
        let mut identified = self.inner.resolver.identify(stream, &snapshot.trust);
        // Only what the machine cannot do is made good for, not what went wrong with this client.
        let inability =
            matches!(&identified.identity, Identity::Unidentified(u) if u.reason == Reason::KernelUnsupported);
        let as_before = snapshot.policy.machine().without_kernel_identity == WithoutKernelIdentity::AsBefore;
        let as_before = as_before && inability && !self.support().can_identify();
        if as_before {
            identified.identity = self.judge(snapshot).as_before(identified.evidence.credentials.uid);
        }
        (identified, as_before)
    }
}

pub(super) fn warn_of_inability(support: &Support, policy: &Policy) {
    if !support.can_identify() {
        let consequence = match policy.machine().without_kernel_identity {
            WithoutKernelIdentity::Deny => "every client is unidentified",
            WithoutKernelIdentity::AsBefore => "EVERY client of the ordinary socket counts as the host",
        };
        tracing::warn!(consequence, "nobody can be identified on this machine");
    }
}

/// Who a client of a security context is, of whom the kernel says `by_kernel`, and what it may do.
pub(crate) fn decide_sandboxed(
    policy: &Policy,
    by_kernel: Identity,
    evidence: &Evidence,
    context: &SandboxContext,
    creator: &Verdict,
) -> (Identity, Verdict) {
    let by_context = match identity_of(context, &by_kernel) {
        Ok(app) => app,
        Err((field, why)) => {
            tracing::warn!(field, %why, "a security context has a malformed name: its client may do nothing");
            return (Identity::unidentified(Reason::MalformedContext(field, why)), Verdict::default());
        }
    };
    // A sandbox that only its namespaces show is the one that the context names: flatpak's, say. Anything
    // else that the kernel says stands beside it, and is the identity unless it says the same.
    let (is_context, is_unnamed) = match &by_kernel {
        Identity::App(app) if app.engine.is_none() => {
            let agrees = !evidence.engines.iter().any(|engine| contradicts(engine, &by_context));
            (agrees, agrees)
        }
        Identity::App(app) => (says_the_same(app, &by_context), false),
        Identity::Host(_) => (true, false),
        Identity::Internal(_) | Identity::Unidentified(_) => (false, false),
    };
    let mut verdict = policy.evaluate(&Identity::App(by_context.clone()));
    if !is_unnamed {
        verdict = verdict.intersect(&policy.evaluate(&by_kernel), "the cgroup's own evidence");
    }
    verdict = verdict.intersect(creator, "the client that opened the security context");
    let identity = match by_kernel {
        Identity::App(app) if is_context => {
            Identity::App(AppIdentity { nested: app.nested, extra: app.extra, ..by_context })
        }
        Identity::Host(_) => Identity::App(by_context),
        by_kernel => by_kernel,
    };
    (identity, verdict)
}

/// Whether what an engine left in the process, without proof, is of somebody else than the context names.
fn contradicts(left: &EngineEvidence, context: &AppIdentity) -> bool {
    match left.standing {
        EngineStanding::Shared => false,
        EngineStanding::Error(_) => context.engine.as_ref() != Some(&left.engine),
        // A claim that names nobody is of whoever the context names.
        _ => left.app_id.is_some() && (context.engine.as_ref() != Some(&left.engine) || context.app_id != left.app_id),
    }
}

/// Whether the kernel's evidence names the engine and the application of the context. Root's labels do not need it.
fn says_the_same(app: &AppIdentity, context: &AppIdentity) -> bool {
    let same_instance = app.instance_id.is_none() || app.instance_id == context.instance_id;
    app.provenance == Provenance::User && app.engine == context.engine && app.app_id == context.app_id && same_instance
}

/// Reads a context's names by the grammar of labels; what the kernel says beside the name stays.
fn identity_of(context: &SandboxContext, by_kernel: &Identity) -> Result<AppIdentity, (&'static str, InvalidId)> {
    fn read<T>(
        field: &'static str,
        text: Option<&String>,
        new: impl Fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, (&'static str, InvalidId)> {
        text.map(|text| new(text).map_err(|why| (field, why))).transpose()
    }
    let (namespaces, unit, uid) = match by_kernel {
        Identity::App(app) => (app.namespaces, app.unit.clone(), app.uid),
        Identity::Host(host) => (Some(Namespaces::SHARED), host.unit.clone(), host.uid),
        Identity::Internal(_) | Identity::Unidentified(_) => (None, None, None),
    };
    if context.engine.is_none() && (context.app_id.is_some() || context.instance_id.is_some()) {
        // As in a label: an ID means nothing without the engine that gave it.
        return Err(("sandbox engine", InvalidId::Empty));
    }
    Ok(AppIdentity {
        engine: read("sandbox engine", context.engine.as_ref(), |s| SandboxEngine::new(s))?,
        app_id: read("app ID", context.app_id.as_ref(), |s| AppId::new(s))?,
        instance_id: read("instance ID", context.instance_id.as_ref(), |s| InstanceId::new(s))?,
        extra: Vec::new(),
        provenance: Provenance::User,
        namespaces,
        unit,
        uid,
        nested: Vec::new(),
    })
}
