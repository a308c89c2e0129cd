//! From a policy's verdict and the grants to what holds now.

use std::time::SystemTime;

use super::{Answer, ClientSerial, Grant, Grantee, Grants};
use crate::identity::{AppIdentity, Identity, InstanceId, SandboxEngine};
use crate::policy::capability::CapabilitySet;
use crate::policy::eval::NEVER_FOR_APPS;
use crate::policy::verdict::{Because, Builder, Verdict};
use crate::policy::{Capability, Policy};

impl Policy {
    /// What holds for the connection `serial` of a client that is `identity`, with the grants that hold at `now`.
    ///
    /// `verdict` is what [`evaluate`](Self::evaluate) says of it, with all
    /// [intersections](Verdict::intersect) done.
    ///
    /// * A grant that **denies** always counts: for its grantee, wherever on the path of labels it is named; for labels
    ///   that may be its own, if they say less; and for clients whose engine is unknown or that could not be identified,
    ///   so that nobody gets around it by being one of them. Where a rule has it so, the client still sees the globals,
    ///   which give nothing ([`Verdict::when_refused`]).
    /// * A grant that **allows** counts for its grantee only, if that is the outermost label, and only where the policy
    ///   left the matter open: by a default, because a rule leaves it out, because it is to be asked for. It gives
    ///   nothing over what a rule denies or may deny, over a cap, over a nested label, over whatever else limited the
    ///   verdict; nothing above `[defaults] host` for evidence that any process of the user can produce, unless
    ///   `[trust] user-evidence` says so; and neither `security-context` nor `identity-admin`.
    #[must_use]
    pub fn decide(
        &self,
        identity: &Identity,
        verdict: Verdict,
        grants: &Grants,
        serial: ClientSerial,
        now: SystemTime,
    ) -> Verdict {
        if grants.is_empty() {
            return verdict.closed_to_grants();
        }
        let in_force: Vec<_> = grants
            .list()
            .filter(|grant| !grant.has_expired(now) && grant.lifetime.covers(serial))
            .filter_map(|grant| Some((grant, self.capability(&grant.capability)?)))
            .collect();
        let mut builder = Builder::default();
        for (grant, capability) in in_force.iter().filter(|(grant, _)| grant.answer == Answer::Deny) {
            if grant.grantee.may_be(identity) {
                builder.decide(one(*capability), verdict.when_refused(*capability), || because(grant));
            }
        }
        for (grant, capability) in in_force.iter().filter(|(grant, _)| grant.answer == Answer::Allow) {
            if grant.grantee.is(identity) {
                let open = verdict.open_to_grants(&grant.grantee).difference(NEVER_FOR_APPS);
                builder.allow(one(*capability).intersection(open), || because(grant));
            }
        }
        builder.base(&verdict);
        builder.finish()
    }
}

fn one(capability: Capability) -> CapabilitySet {
    CapabilitySet::of([capability])
}

fn because(grant: &Grant) -> Because {
    Because::Grant { id: grant.id, answer: grant.answer, lifetime: grant.lifetime }
}

impl Grantee {
    /// Whether `identity` is this application, or may be it, or is of those that it could have become to be another.
    fn may_be(&self, identity: &Identity) -> bool {
        match identity {
            Identity::App(app) => self.may_be_app(app),
            Identity::Unidentified(_) => true,
            Identity::Host(_) | Identity::Internal(_) => false,
        }
    }

    fn may_be_app(&self, app: &AppIdentity) -> bool {
        let Some(engine) = &app.engine else { return true };
        let labels = app.nested.iter().map(|l| (&l.engine, l.app_id.as_ref(), l.instance_id.as_ref()));
        std::iter::once((engine, app.app_id.as_ref(), app.instance_id.as_ref()))
            .chain(labels)
            .any(|(engine, app_id, instance)| self.may_be_label(engine, app_id.map(|id| *id == self.app_id), instance))
    }

    fn may_be_label(&self, engine: &SandboxEngine, same_app: Option<bool>, instance: Option<&InstanceId>) -> bool {
        let same_instance = match (&self.instance_id, instance) {
            (Some(own), Some(other)) => own == other,
            (None, _) | (_, None) => true,
        };
        *engine == self.engine && same_app != Some(false) && same_instance
    }
}
