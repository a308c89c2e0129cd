//! What a changed policy says otherwise than the one before it.

use super::Policy;
use super::rule::Rule;
use super::settings::{Defaults, Listed};
use super::verdict::Location;

/// What differs between two policies.
///
/// Rules are compared by what they say, not by where they stand: one that only moved to another line, or before another, is
/// no difference, since the order of rules means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyDiff {
    /// Rules of the new policy for clients that no rule was about in these words.
    pub added: Vec<Location>,
    /// Rules of the old policy that are no more.
    pub removed: Vec<Location>,
    /// Rules for the same clients that give or take something else: where each was, and where it is.
    pub changed: Vec<(Location, Location)>,
    /// The other parts that differ, by their names in the file: `defaults.host`, `limits`, ...
    pub sections: Vec<&'static str>,
}

impl PolicyDiff {
    /// Whether both policies say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.sections.is_empty()
    }
}

impl Policy {
    /// What `newer` says otherwise than this one.
    #[must_use]
    pub fn diff(&self, newer: &Self) -> PolicyDiff {
        let mut removed: Vec<&Rule> = self.rules.iter().collect();
        let mut added: Vec<&Rule> = newer.rules.iter().collect();
        let _same = take_pairs(&mut removed, &mut added, Rule::says_the_same);
        let changed = take_pairs(&mut removed, &mut added, |old, new| old.matcher == new.matcher);
        let at = |rule: &Rule| rule.at.clone();
        PolicyDiff {
            added: added.into_iter().map(at).collect(),
            removed: removed.into_iter().map(at).collect(),
            changed: changed.into_iter().map(|(old, new)| (at(old), at(new))).collect(),
            sections: self.differing_sections(newer),
        }
    }

    fn differing_sections(&self, newer: &Self) -> Vec<&'static str> {
        // Whatever a policy comes to have more of is either compared here or said not to be.
        let Self {
            names,
            interfaces,
            singles: _,
            defaults,
            rules: _,
            machine,
            trust,
            limits,
            warnings: _,
            files: _,
            computed: _,
        } = self;
        let Defaults { host, sandboxed, namespaced, unidentified, internal } = defaults;
        let said = |listed: &Listed| (listed.set, listed.star);
        let others = &newer.defaults;
        let same_internal = internal
            .iter()
            .map(|(tag, listed)| (tag, said(listed)))
            .eq(others.internal.iter().map(|(tag, listed)| (tag, said(listed))));
        [
            ("capabilities", *names == newer.names && *interfaces == newer.interfaces),
            ("defaults.host", said(host) == said(&others.host)),
            ("defaults.sandboxed", said(sandboxed) == said(&others.sandboxed)),
            ("defaults.namespaced", said(namespaced) == said(&others.namespaced)),
            ("defaults.unidentified", said(unidentified) == said(&others.unidentified)),
            ("defaults.internal", same_internal),
            ("machine", *machine == newer.machine),
            ("trust", *trust == newer.trust),
            ("limits", *limits == newer.limits),
        ]
        .into_iter()
        .filter_map(|(section, same)| (!same).then_some(section))
        .collect()
    }
}

/// Takes out of both lists what belongs together: for each of the first list the first of the second.
fn take_pairs<'p>(
    old: &mut Vec<&'p Rule>,
    new: &mut Vec<&'p Rule>,
    belong: impl Fn(&Rule, &Rule) -> bool,
) -> Vec<(&'p Rule, &'p Rule)> {
    let mut pairs = Vec::new();
    old.retain(|rule| match new.iter().position(|other| belong(rule, other)) {
        Some(at) => {
            pairs.push((*rule, new.remove(at)));
            false
        }
        None => true,
    });
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
[[rule]]
match = { engine = 'org.flatpak', app-id = 'org.example.Recorder' }
allow = ['screen-capture']
[[rule]]
match = { engine = 'org.flatpak', app-id = 'org.example.Game' }
deny = ['layer-shell']
[[rule]]
match = { unit = 'a.service' }
allow = ['layer-shell']
";

    fn diff(before: &str, after: &str) -> PolicyDiff {
        Policy::parse("before", before).unwrap().diff(&Policy::parse("after", after).unwrap())
    }

    /// As `added; removed; changed; sections`, with lines only.
    fn shown(diff: &PolicyDiff) -> String {
        let lines = |at: &[Location]| at.iter().map(|at| at.line.to_string()).collect::<Vec<_>>().join(",");
        let changed: Vec<_> = diff.changed.iter().map(|(old, new)| format!("{}>{}", old.line, new.line)).collect();
        let sections = diff.sections.join(",");
        format!("{};{};{};{sections}", lines(&diff.added), lines(&diff.removed), changed.join(","))
    }

    #[test]
    fn a_policy_that_says_the_same_differs_in_nothing() {
        assert!(diff(BEFORE, BEFORE).is_empty());
        // Other lines, comments, spaces and another order say the same.
        let mut rules: Vec<_> = BEFORE.split_inclusive("\n[[rule]]\n").collect();
        rules.reverse();
        let (first, rest) = BEFORE.split_at(BEFORE.rfind("[[rule]]").unwrap());
        assert!(diff(BEFORE, &format!("# moved\n\n{rest}\n{first}")).is_empty());
        assert!(diff(BEFORE, &BEFORE.replace("[ '", "['")).is_empty());
    }

    #[test]
    fn rules_are_added_removed_and_changed() {
        let more = "[[rule]]\nmatch = { internal = 'xwayland' }\ndeny = ['layer-shell']\n";
        let added = diff(BEFORE, &format!("{more}{BEFORE}"));
        assert_eq!(shown(&added), "1;;;");
        assert_eq!(added.added[0].to_string(), "after:1");
        assert_eq!(shown(&diff(&format!("{more}{BEFORE}"), BEFORE)), ";1;;");
        assert_eq!(
            shown(&diff(BEFORE, &BEFORE.replace("['screen-capture']", "['screen-capture', 'layer-shell']"))),
            ";;1>1;"
        );
        assert_eq!(shown(&diff(BEFORE, &BEFORE.replace("deny =", "allow ="))), ";;4>4;");
        assert_eq!(shown(&diff(BEFORE, &BEFORE.replace("deny = ['layer-shell']", "deny = []"))), ";;4>4;");
        let deny = "deny = ['layer-shell']";
        for other in ["ask = ['layer-shell']", "deny = ['layer-shell']\nwhen-denied = 'empty'"] {
            assert_eq!(shown(&diff(BEFORE, &BEFORE.replace(deny, other))), ";;4>4;", "{other}");
        }
        // About somebody else, it is another rule.
        assert_eq!(shown(&diff(BEFORE, &BEFORE.replace("Game", "Editor"))), "4;4;;");
        // Of two that are the same, one may go.
        assert_eq!(shown(&diff(&format!("{more}{more}"), more)), ";4;;");
    }

    #[test]
    fn each_other_part_is_told_by_its_name() {
        for (text, section) in [
            ("[capabilities]\nmine = ['xx_mine_v1']", "capabilities"),
            ("[defaults]\nhost = ['layer-shell']", "defaults.host"),
            ("[defaults]\nsandboxed = ['layer-shell']", "defaults.sandboxed"),
            ("[defaults]\nnamespaced = ['layer-shell']", "defaults.namespaced"),
            ("[defaults]\nunidentified = ['layer-shell']", "defaults.unidentified"),
            ("[defaults.internal]\nxwayland = ['layer-shell']", "defaults.internal"),
            ("[machine]\nwithout-kernel-identity = 'as-before'", "machine"),
            ("[trust]\nuids = [7]", "trust"),
            ("[limits]\nconnections-host = 7", "limits"),
        ] {
            let diff = diff("", text);
            assert!(diff.sections.contains(&section), "{section}: {diff:?}");
            // A new name is in the `*` of the default.
            assert_eq!(diff.sections.len(), 1 + usize::from(section == "capabilities"), "{section}: {diff:?}");
        }
    }
}
