//! What a client's rights follow from, so that another policy can be asked about it.

use super::authenticator::decide_sandboxed;
use super::{ClientAuth, SandboxContext};
use crate::identity::{Evidence, HostIdentity, Identity, Reason, Resolver, Trust};
use crate::policy::{Policy, Verdict, WithoutKernelIdentity};

/// What is asked for a client's rights.
#[derive(Debug)]
pub(super) enum Basis {
    /// Nothing: they stay.
    Fixed,
    /// Its identity.
    Kernel {
        /// It is only taken for the host because this machine can identify nobody.
        as_before: bool,
    },
    /// What its security context says, and what the kernel does.
    Context {
        by_kernel: Box<Identity>,
        /// As above.
        as_before: bool,
        context: Box<SandboxContext>,
    },
}

/// Decides by one policy.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) policy: &'a Policy,
    pub(super) trust: &'a Trust,
    pub(super) resolver: &'a Resolver,
}

impl Judge<'_> {
    /// What a client may do by this policy, without any grants.
    pub(super) fn verdict(&self, client: &ClientAuth) -> Verdict {
        self.verdict_with(client, |_, verdict| verdict)
    }

    /// The same with what else counts for whoever it is. Its identity stays, but for what the policy has a say in; who its
    /// labels say it is by now limits it.
    pub(super) fn verdict_with(&self, client: &ClientAuth, add: impl Fn(&Identity, Verdict) -> Verdict) -> Verdict {
        let evidence = client.evidence();
        let (by_kernel, context) = match client.basis() {
            Basis::Fixed => return Verdict::clone(&client.verdict()),
            Basis::Kernel { as_before } => (self.identity_now(client.identity(), *as_before, evidence), None),
            Basis::Context { by_kernel, as_before, context } => {
                (self.identity_now(by_kernel, *as_before, evidence), Some(context))
            }
        };
        let of = |by_kernel: &Identity| {
            let (identity, verdict) = match context {
                Some(context) => self.sandboxed(by_kernel.clone(), evidence, context),
                None => (by_kernel.clone(), self.policy.evaluate(by_kernel)),
            };
            if self.resolver.trusts(by_kernel, evidence, self.trust) {
                return add(&identity, verdict);
            }
            let stranger = Identity::unidentified(Reason::ForeignUid(evidence.credentials.uid));
            add(&identity, verdict.intersect(&self.policy.evaluate(&stranger), "the users whom [trust] lists"))
        };
        let further = client.further_identities();
        further.iter().fold(of(&by_kernel), |verdict, now| verdict.intersect(&of(now), "the label that it has now"))
    }

    /// Who a client of a security context is, and what it may do.
    pub(super) fn sandboxed(
        &self,
        by_kernel: Identity,
        evidence: &Evidence,
        context: &SandboxContext,
    ) -> (Identity, Verdict) {
        decide_sandboxed(self.policy, by_kernel, evidence, context, &self.verdict(&context.creator))
    }

    fn identity_now(&self, identity: &Identity, as_before: bool, evidence: &Evidence) -> Identity {
        if !as_before {
            return identity.clone();
        }
        match self.policy.machine().without_kernel_identity {
            WithoutKernelIdentity::AsBefore => self.as_before(evidence.credentials.uid),
            WithoutKernelIdentity::Deny => Identity::unidentified(Reason::KernelUnsupported),
        }
    }

    /// Who a client with this uid counts as where nobody can be identified.
    pub(super) fn as_before(&self, uid: Option<u32>) -> Identity {
        if self.resolver.is_one_of_us(uid, self.trust) {
            Identity::Host(HostIdentity { uid, ..HostIdentity::default() })
        } else {
            Identity::unidentified(Reason::ForeignUid(uid))
        }
    }
}
