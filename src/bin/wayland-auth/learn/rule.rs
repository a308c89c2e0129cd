//! The smallest rule that gives an application what it used.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use wayland_auth::Policy;
use wayland_auth::identity::{AppId, SandboxEngine};
use wayland_auth::policy::Capability;

use super::record::{Record, Seen};

/// What no rule gives to an application.
const NEVER: [Capability; 2] = [Capability::SECURITY_CONTEXT, Capability::IDENTITY_ADMIN];

/// Whom the rule is about. Where that was not said, it is for the user to fill in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whom<'a> {
    pub(super) engine: Option<&'a SandboxEngine>,
    pub(super) app_id: Option<&'a AppId>,
}

impl Whom<'_> {
    const ENGINE: &'static str = "ENGINE";
    const APP_ID: &'static str = "APP-ID";

    fn keys(self) -> (String, Option<String>) {
        match self.engine {
            Some(engine) => (engine.to_string(), self.app_id.map(ToString::to_string)),
            None => (Self::ENGINE.to_owned(), Some(Self::APP_ID.to_owned())),
        }
    }
}

/// A word of the rule's `allow`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    word: String,
    /// The interfaces that were used, and that the word gives.
    used: Vec<String>,
    /// The other interfaces that it gives.
    more: Vec<String>,
}

/// What was seen, and the rule that follows.
#[derive(Debug)]
pub(super) struct Lesson<'a> {
    whom: Whom<'a>,
    record: &'a Record,
    policy: &'a Policy,
    allow: Vec<Entry>,
    never: Vec<String>,
}

impl<'a> Lesson<'a> {
    /// Draws the conclusion. The policy says which capability an interface needs.
    pub(super) fn of(whom: Whom<'a>, record: &'a Record, policy: &'a Policy) -> Self {
        let mut by_capability = BTreeMap::<Capability, Vec<(&str, Seen)>>::new();
        for (interface, seen) in record.interfaces() {
            if let Some(capability) = policy.class_of(interface).capability() {
                by_capability.entry(capability).or_default().push((interface, seen));
            }
        }
        let (mut allow, mut never) = (Vec::new(), Vec::new());
        for (capability, announced) in by_capability {
            let used: Vec<String> =
                announced.iter().filter(|(_, seen)| seen.used()).map(|(name, _)| (*name).to_owned()).collect();
            if used.is_empty() {
                continue;
            }
            if NEVER.contains(&capability) {
                never.extend(used);
                continue;
            }
            // What nobody knows has nothing in common.
            let whole = used.len() == announced.len() && capability != Capability::UNCLASSIFIED;
            if whole {
                let more = policy.interfaces_of(capability).chain(announced.iter().map(|(name, _)| *name));
                let mut more: Vec<String> = more.map(str::to_owned).filter(|name| !used.contains(name)).collect();
                more.sort();
                more.dedup();
                allow.push(Entry { word: policy.capability_name(capability).to_owned(), used, more });
            } else {
                let entry =
                    |name: String| Entry { word: format!("interface:{name}"), used: vec![name], more: Vec::new() };
                allow.extend(used.into_iter().map(entry));
            }
        }
        Self { whom, record, policy, allow, never }
    }

    /// The rule, in TOML, with what was seen in comments.
    pub(super) fn toml(&self) -> String {
        let mut text = self.rule();
        self.write_remarks(&mut text);
        text
    }

    fn rule(&self) -> String {
        let (engine, app_id) = self.whom.keys();
        let app_id = app_id.map_or_else(String::new, |app_id| format!(", app-id = \"{app_id}\""));
        let mut text = format!("[[rule]]\nmatch = {{ engine = \"{engine}\"{app_id} }}\n");
        if self.allow.is_empty() {
            text.push_str("allow = []    # it needs nothing that is not open to everyone\n");
            return text;
        }
        text.push_str("allow = [\n");
        for entry in &self.allow {
            let word = format!("\"{}\",", entry.word);
            let _ = write!(text, "    {word:<24} # for {}", entry.used.join(", "));
            match entry.more.len() {
                0 => {}
                1..=3 => {
                    let _ = write!(text, "; where there are any, also {}", entry.more.join(", "));
                }
                more => {
                    let _ = write!(text, "; where there are any, also {more} more interfaces");
                }
            }
            text.push('\n');
        }
        text.push_str("]\n");
        text
    }

    fn write_remarks(&self, text: &mut String) {
        if self.whom.engine.is_none() {
            text.push_str("# Whom it is about was not said: --engine and --app-id.\n");
        }
        let mut list = |what: &str, names: Vec<&str>| {
            if !names.is_empty() {
                let _ = writeln!(text, "# {what}: {}", names.join(", "));
            }
        };
        let named = |wanted: fn(Seen) -> bool| -> Vec<&str> {
            self.record.interfaces().filter(|(_, seen)| wanted(*seen)).map(|(name, _)| name).collect()
        };
        let core = |name: &&str| self.policy.class_of(name).capability().is_none();
        let (open, _): (Vec<&str>, Vec<&str>) = named(Seen::used).into_iter().partition(core);
        list("Used, and open to everyone", open);
        list("Used, and never an application's", self.never.iter().map(String::as_str).collect());
        list("Bound, but not used", named(|seen| seen.bound && !seen.used()));
        list("Hidden from it", named(|seen| seen.hidden));
        let _ = writeln!(text, "# {}", self.connections());
    }

    fn connections(&self) -> String {
        let Record { connections, ended, last_end, unreachable, .. } = self.record;
        let mut text = format!("{connections} connection{}", if *connections == 1 { "" } else { "s" });
        if let Some(why) = last_end {
            let _ = write!(text, ", {ended} of them ended by wayland-auth: {why}");
        }
        if let Some(why) = unreachable {
            let _ = write!(text, "; the compositor could not be reached: {why}");
        }
        text
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let (engine, app_id) = self.whom.keys();
        let allow = |entry: &Entry| json!({"word": entry.word, "used": entry.used, "more": entry.more});
        let interface = |(name, seen): (&str, Seen)| {
            let capability = self.policy.class_of(name).capability().map(|c| self.policy.capability_name(c));
            json!({
                "interface": name, "capability": capability, "hidden": seen.hidden, "bound": seen.bound,
                "asked": seen.asked, "told": seen.told, "used": seen.used(),
            })
        };
        json!({
            "engine": engine,
            "app-id": app_id,
            "allow": self.allow.iter().map(allow).collect::<Vec<_>>(),
            "never": self.never,
            "toml": self.rule(),
            "interfaces": self.record.interfaces().map(interface).collect::<Vec<_>>(),
            "connections": self.record.connections,
            "ended": self.record.ended,
            "why-ended": self.record.last_end,
            "unreachable": self.record.unreachable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A compositor with globals of these interfaces, each with whether it was used.
    fn record(globals: &[(&str, bool)]) -> Record {
        let mut record = Record::default();
        for (interface, used) in globals {
            record.announced(interface, false).unwrap();
            record.note(interface, |seen| (seen.bound, seen.asked) = (true, *used));
        }
        record
    }

    fn words(globals: &[(&str, bool)]) -> Vec<String> {
        let (record, policy) = (record(globals), Policy::built_in());
        let lesson = Lesson::of(Whom { engine: None, app_id: None }, &record, &policy);
        Policy::parse("rule", &lesson.toml()).unwrap_or_else(|e| panic!("{e}\n{}", lesson.toml()));
        lesson.allow.into_iter().map(|entry| entry.word).collect()
    }

    #[test]
    fn what_is_open_to_everyone_needs_no_word() {
        assert_eq!(words(&[("wl_compositor", true), ("xdg_wm_base", true)]), [""; 0]);
    }

    #[test]
    fn what_was_bound_alone_is_not_given() {
        assert_eq!(words(&[("zwlr_screencopy_manager_v1", false), ("zwlr_layer_shell_v1", true)]), ["layer-shell"]);
    }

    #[test]
    fn what_is_used_in_part_is_given_by_the_interfaces_name() {
        let (one, twin) = ("zwlr_data_control_manager_v1", "ext_data_control_manager_v1");
        assert_eq!(words(&[(one, true)]), ["clipboard-manager"]);
        assert_eq!(words(&[(one, true), (twin, true)]), ["clipboard-manager"]);
        assert_eq!(words(&[(one, true), (twin, false)]), ["interface:zwlr_data_control_manager_v1"]);
        // What nobody knows has nothing in common: `unclassified` would give all of it.
        assert_eq!(words(&[("xx_one_v1", true), ("xx_two_v1", true)]), ["interface:xx_one_v1", "interface:xx_two_v1"]);
    }

    #[test]
    fn no_rule_gives_what_is_the_hosts_alone() {
        let record = record(&[("wp_security_context_manager_v1", true)]);
        let policy = Policy::built_in();
        let lesson = Lesson::of(Whom { engine: None, app_id: None }, &record, &policy);
        assert_eq!((lesson.allow.len(), lesson.never.len()), (0, 1));
        assert!(lesson.toml().contains("# Used, and never an application's: wp_security_context_manager_v1\n"));
    }

    #[test]
    fn the_rule_says_what_else_it_would_give() {
        let record = record(&[("zwlr_data_control_manager_v1", true)]);
        let policy = Policy::built_in();
        let toml = Lesson::of(Whom { engine: None, app_id: None }, &record, &policy).toml();
        assert!(
            toml.contains("# for zwlr_data_control_manager_v1; where there are any, also ext_data_control"),
            "{toml}"
        );
    }
}
