//! `xx_client_auth_explanation_v1`: why a client may do what it may.

use super::text::{MAX_ID, MAX_TEXT, bounded, standing};
use crate::policy::{CapabilitySet, Policy, RuleMatch};
use crate::protocol::server::xx_client_auth_explanation_v1::XxClientAuthExplanationV1;
use crate::wayland::ClientAuth;

/// So many lines are told.
const MAX_LINES: usize = 64;

pub(super) fn tell(
    answer: &XxClientAuthExplanationV1,
    policy: &Policy,
    client: Option<&ClientAuth>,
    name: Option<&str>,
) {
    let Some(client) = client else { return answer.done() };
    let verdict = client.verdict();
    let mut lines: Vec<String> = policy.rules_for(client.identity()).iter().map(|rule| of_rule(policy, rule)).collect();
    if lines.is_empty() {
        lines.push("no rule is about it".to_owned());
    }
    if let Some(name) = name {
        // What decides stands first: there may be many rules.
        let shown = bounded(name, MAX_ID);
        let decision = match policy.needed_for(name) {
            None => format!("{shown}: every client sees it, whatever the policy says"),
            Some(capability) => {
                let needed = policy.capability_name(capability);
                let stands = verdict.standing(capability);
                answer.verdict(bounded(needed, MAX_ID), standing(stands));
                let needs = if needed == name { String::new() } else { format!(" (needs {needed})") };
                if let Some(remedy) = policy.remedy(client.identity(), &verdict, capability) {
                    lines.extend(format!("what would change it: {remedy}").lines().map(str::to_owned));
                }
                format!("{shown}{needs}: {}: {}", stands.as_str(), verdict.reason(capability))
            }
        };
        lines.insert(0, decision);
    }
    for line in lines.iter().take(MAX_LINES) {
        answer.line(bounded(line, MAX_TEXT));
    }
    answer.done();
}

fn of_rule(policy: &Policy, rule: &RuleMatch) -> String {
    let verb = if rule.certain { "applies" } else { "may apply; a fact is missing" };
    let whom = rule.label.as_ref().map_or_else(String::new, |label| format!(" to {label}, inside"));
    let mut line = format!("the rule at {} {verb}{whom}", rule.at);
    let sets = [("allows", rule.allow), ("denies", Some(rule.deny).filter(|deny| !deny.is_empty()))];
    for (verb, set) in sets.iter().filter_map(|(verb, set)| set.map(|set| (verb, set))) {
        line.push_str(&format!("; {verb} {}", names(policy, set)));
    }
    line
}

fn names(policy: &Policy, set: CapabilitySet) -> String {
    let named: Vec<_> = policy.capabilities().filter(|c| set.contains(*c)).map(|c| policy.capability_name(c)).collect();
    match named.len() {
        0 => "nothing".to_owned(),
        all if all == policy.capabilities().count() => "everything".to_owned(),
        _ => named.join(", "),
    }
}
