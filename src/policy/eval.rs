//! From an identity to a verdict.
//!
//! Missing facts never help a client: a rule's `allow` counts only if the rule certainly
//! applies, its `deny` already if it may. The same holds for the rights that an application
//! loses because a rule names it: if it is not known whether that rule applies, it gets only
//! what it would have either way.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use super::Policy;
use super::capability::{Capability, CapabilitySet};
use super::grant::Grantee;
use super::rule::{Applies, Facts, Gives, Rule, WhenDenied};
use super::settings::{Listed, UserEvidence};
use super::verdict::{ALL, Because, Builder, DefaultClass, Effect, Reduction, Standing, Verdict};
use crate::identity::{AppIdentity, HostIdentity, Identity};

/// What `*` does not contain.
pub(super) const NOT_IN_STAR: CapabilitySet =
    CapabilitySet::from_bits(1 << Capability::IDENTITY_MONITOR.index() | 1 << Capability::IDENTITY_ADMIN.index());

/// What no application and no unidentified client has.
pub(super) const NEVER_FOR_APPS: CapabilitySet =
    CapabilitySet::from_bits(1 << Capability::SECURITY_CONTEXT.index() | 1 << Capability::IDENTITY_ADMIN.index());

/// What the other end of a socket pair never has.
pub(super) const NEVER_INTERNAL: CapabilitySet = CapabilitySet::from_bits(1 << Capability::SECURITY_CONTEXT.index());

/// The classes whose rights are computed when the policy is loaded.
#[derive(Clone, Debug, Default)]
pub(super) struct Computed {
    pub(super) sandboxed: Verdict,
    pub(super) namespaced: Verdict,
    pub(super) unidentified: Verdict,
}

impl Policy {
    /// What a client of this identity may do, and why.
    ///
    /// * **Host**: `[defaults] host`, less what matching rules deny. No claim of a host process
    ///   to an app ID counts; its unit does.
    /// * **App**: what the matching rules allow, together; `[defaults] sandboxed` (without a
    ///   label: `namespaced`) if none of them has an `allow`. Less what any matching rule
    ///   denies, or might deny if more were known. Nothing that any process of the user could
    ///   have claimed gives more than `[defaults] host`, unless `[trust] user-evidence` says so.
    ///   Each nested label is evaluated as an application of its own, and can only take.
    /// * **Internal**: what `[defaults.internal]` has for its tag, and what rules about it add or deny.
    /// * **Unidentified**: `[defaults] unidentified`, reduced to what every identified client
    ///   has, so that nobody gains by evading identification.
    ///
    /// What a matching rule asks for is neither allowed nor denied, if the client is an application of an engine with an
    /// ID of its own; for all others it is denied. Where rules differ, `deny` beats `ask`, and `ask` beats `allow`.
    ///
    /// Rules with `until` count as of now: see [`Policy::next_change`].
    #[must_use]
    pub fn evaluate(&self, identity: &Identity) -> Verdict {
        self.evaluate_at(identity, SystemTime::now())
    }

    /// The same, at another time.
    #[must_use]
    pub fn evaluate_at(&self, identity: &Identity, now: SystemTime) -> Verdict {
        match identity {
            Identity::App(app) => self.evaluate_app(app, now),
            Identity::Host(host) => self.evaluate_host(host, now),
            Identity::Internal(tag) => self.evaluate_internal(tag.as_str(), now),
            Identity::Unidentified(_) => self.computed.unidentified.clone(),
        }
    }

    /// The next time after `now` at which a rule's `until` changes what clients may do.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        self.rules.iter().filter_map(|rule| rule.until).filter(|until| *until > now).min()
    }

    fn evaluate_host(&self, host: &HostIdentity, now: SystemTime) -> Verdict {
        let facts = Facts::of_host(host);
        let mut builder = Builder::default();
        self.apply_denials(&mut builder, &facts, now);
        let defaults = &self.defaults.host;
        builder.allow(defaults.set, || default(DefaultClass::Host, defaults, Effect::Allow));
        for (_, rule, Gives { allow, .. }) in self.giving(&facts, now).filter(|(applies, ..)| *applies == Applies::Yes)
        {
            if self.believes_users() {
                builder.allow(allow, || Because::Rule { at: rule.at.clone(), effect: Effect::Allow });
            } else {
                builder.deny(allow, || Because::Capped);
            }
        }
        decide_default(&mut builder, DefaultClass::Host, defaults);
        builder.finish()
    }

    fn evaluate_app(&self, app: &AppIdentity, now: SystemTime) -> Verdict {
        let facts = Facts::of_app(app);
        let grantee = Grantee::of_app(app);
        let outermost = self.evaluate_label(&facts, now).opened_to(grantee, self.limit(facts.is_user_evidence()));
        app.nested.iter().fold(outermost, |verdict, nested| {
            let label: Arc<str> = match &nested.app_id {
                Some(app_id) => format!("{app_id} of {}", nested.engine).into(),
                None => nested.engine.as_str().into(),
            };
            verdict.limit(&self.evaluate_label(&facts.of_nested(nested), now), |because| Because::Nested {
                label: label.clone(),
                because: Box::new(because),
            })
        })
    }

    /// One label, or the lack of one.
    fn evaluate_label(&self, facts: &Facts<'_>, now: SystemTime) -> Verdict {
        let mut builder = Builder::default();
        builder.deny(NEVER_FOR_APPS, || Because::Withheld);
        self.apply_denials(&mut builder, facts, now);

        // Units are named by the user's own manager, so a rule that asks for one is limited too.
        let limit = |rule: &Rule| self.limit(facts.is_user_evidence() || rule.matcher.asks_for_a_unit());
        let mut named_by = None;
        let mut capped = CapabilitySet::EMPTY;
        for (_, rule, Gives { ask, .. }) in self.giving(facts, now).filter(|(applies, ..)| *applies == Applies::Yes) {
            let asked = ask.intersection(limit(rule));
            let because = || Because::Ask { at: rule.at.clone(), when_denied: rule.when_denied };
            builder.decide(asked, Standing::Ask, because);
            capped = capped.union(ask.difference(asked));
        }
        builder.deny(capped, || Because::Capped);
        for (_, rule, Gives { allow, .. }) in self.giving(facts, now).filter(|(applies, ..)| *applies == Applies::Yes) {
            named_by = named_by.or(Some(&rule.at));
            let given = allow.intersection(limit(rule));
            builder.allow(given, || Because::Rule { at: rule.at.clone(), effect: Effect::Allow });
            capped = capped.union(allow.difference(given));
        }
        if let Some(at) = named_by {
            builder.deny(capped, || Because::Capped);
            builder.deny(ALL, || Because::LeftOut { at: at.clone() });
            return builder.finish();
        }

        let base = if facts.is_labelled() { &self.computed.sandboxed } else { &self.computed.namespaced };
        for (_, rule, Gives { allow, .. }) in self.giving(facts, now).filter(|(applies, ..)| *applies == Applies::Maybe)
        {
            let lost = base.allowed().difference(allow.intersection(limit(rule)));
            builder.deny(lost, || Because::Uncertain { at: rule.at.clone() });
        }
        let lost = base.allowed().difference(self.limit(facts.is_user_evidence()));
        builder.deny(lost, || Because::Capped);
        builder.base(base);
        builder.finish()
    }

    fn evaluate_internal(&self, tag: &str, now: SystemTime) -> Verdict {
        let listed = self.defaults.internal.get(tag);
        let because =
            |effect| Because::Internal { tag: tag.into(), at: listed.and_then(|listed| listed.at.clone()), effect };
        let mut builder = Builder::default();
        builder.deny(NEVER_INTERNAL, || Because::Withheld);
        let facts = Facts::of_internal(tag);
        self.apply_denials(&mut builder, &facts, now);
        for (_, rule, Gives { allow, .. }) in self.giving(&facts, now).filter(|(applies, ..)| *applies == Applies::Yes)
        {
            if rule.matcher.asks_for_internal() {
                builder.allow(allow, || Because::Rule { at: rule.at.clone(), effect: Effect::Allow });
            }
        }
        builder.allow(listed.map_or(CapabilitySet::EMPTY, |listed| listed.set), || because(Effect::Allow));
        builder.deny(ALL, || because(Effect::Deny));
        builder.finish()
    }

    /// Denies what the rules deny that apply, or may; and what they ask for, where nobody can be asked about.
    fn apply_denials(&self, builder: &mut Builder, facts: &Facts<'_>, now: SystemTime) {
        let mut empty = Vec::new();
        for rule in &self.rules {
            let (ask, deny) = (rule.gives(now).unwrap_or_default().ask, rule.denies(now));
            match rule.matcher.applies(facts) {
                Applies::Yes => {
                    let given = rule.for_labels.as_ref().is_some_and(|matcher| matcher.applies(facts) == Applies::Yes);
                    if !given || !facts.can_be_asked_for() {
                        builder.deny(ask, || Because::CannotAsk { at: rule.at.clone() });
                    }
                    match rule.when_denied {
                        WhenDenied::Hide => {
                            builder.deny(deny, || Because::Rule { at: rule.at.clone(), effect: Effect::Deny });
                        }
                        WhenDenied::Empty => empty.push((rule, deny)),
                    }
                }
                Applies::Maybe => builder.deny(deny.union(ask), || Because::Uncertain { at: rule.at.clone() }),
                Applies::No if rule.matcher.may_have_been_shed(facts) => {
                    builder.deny(deny.union(ask), || Because::Uncertain { at: rule.at.clone() });
                }
                Applies::No => {}
            }
        }
        // Hidden by one rule is hidden, whichever comes first. What the host does not have is not shown either.
        let because = |rule: &Rule| Because::Rule { at: rule.at.clone(), effect: Effect::Deny };
        for (rule, deny) in &mut empty {
            let shown = deny.intersection(self.limit(facts.is_user_evidence() || rule.matcher.asks_for_a_unit()));
            builder.deny(deny.difference(shown), || because(rule));
            *deny = shown;
        }
        for (rule, shown) in empty {
            builder.decide(shown, Standing::Empty, || because(rule));
        }
    }

    /// The rules that can give something to such a client, each with whether it applies and what it gives.
    fn giving<'p>(&'p self, facts: &'p Facts<'_>, now: SystemTime) -> impl Iterator<Item = (Applies, &'p Rule, Gives)> {
        self.rules.iter().filter_map(move |rule| {
            let matcher = if facts.is_labelled() { rule.for_labels.as_ref() } else { Some(&rule.matcher) };
            Some((matcher?.applies(facts), rule, rule.gives(now)?))
        })
    }

    fn believes_users(&self) -> bool {
        self.trust.user_evidence == UserEvidence::AsWritten
    }

    /// How much evidence can give at most.
    fn limit(&self, by_user: bool) -> CapabilitySet {
        if by_user && !self.believes_users() { self.defaults.host.set } else { ALL }
    }

    /// Computes the classes that depend on all rules. To be called once, at the end of loading.
    pub(super) fn compute(&mut self) {
        let d = &self.defaults;
        let lacking = |class, listed: &Listed| (listed.set, Reduction::LackedBy(class));
        let sandboxed = lacking(DefaultClass::Sandboxed, &d.sandboxed);
        let namespaced = self.reduced(DefaultClass::Namespaced, &d.namespaced, std::slice::from_ref(&sandboxed));
        let unidentified = self.reduced(
            DefaultClass::Unidentified,
            &d.unidentified,
            &[lacking(DefaultClass::Host, &d.host), sandboxed, lacking(DefaultClass::Namespaced, &d.namespaced)],
        );
        let mut builder = Builder::default();
        decide_default(&mut builder, DefaultClass::Sandboxed, &d.sandboxed);
        self.computed = Computed { sandboxed: builder.finish(), namespaced, unidentified };
    }

    /// `listed` without everything that a rule takes from somebody, and that another class lacks.
    fn reduced(&self, class: DefaultClass, listed: &Listed, others: &[(CapabilitySet, Reduction)]) -> Verdict {
        let mut builder = Builder::default();
        builder.deny(NEVER_FOR_APPS, || Because::Withheld);
        let mut reduce = |lost: CapabilitySet, by: Reduction| {
            builder.deny(lost.intersection(listed.set), || Because::Reduced { class, by });
        };
        for rule in &self.rules {
            reduce(rule.deny, Reduction::DeniedByRule(rule.at.clone()));
        }
        for (set, by) in others {
            reduce(ALL.difference(*set), by.clone());
        }
        for rule in &self.rules {
            if let Some(allow) = rule.always_gives() {
                reduce(ALL.difference(allow), Reduction::LeftOutByRule(rule.at.clone()));
            }
        }
        decide_default(&mut builder, class, listed);
        builder.finish()
    }
}

fn default(class: DefaultClass, listed: &Listed, effect: Effect) -> Because {
    Because::Default { class, at: listed.at.clone(), effect }
}

/// Decides everything by a key of `[defaults]`.
fn decide_default(builder: &mut Builder, class: DefaultClass, listed: &Listed) {
    builder.allow(listed.set, || default(class, listed, Effect::Allow));
    if listed.star {
        builder.deny(NOT_IN_STAR, || Because::NotInStar { class });
    }
    builder.deny(ALL, || default(class, listed, Effect::Deny));
}
