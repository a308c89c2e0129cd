//! Who connects.

use super::stage::{ENGINE, Launch};

/// One kind of peer, and what the demo expects of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What it is, in the table.
    pub(crate) name: &'static str,
    /// How its programs are started.
    pub(crate) launch: Launch,
    /// Who the compositor must take it for.
    pub(crate) identity: Expected,
    /// The privileged globals that it must see; everything else that is privileged must be hidden from it.
    pub(crate) sees: &'static [&'static str],
    /// Why, for the legend.
    pub(crate) why: &'static str,
}

/// An identity.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Proven to be outside any sandbox.
    Host,
    /// An application with this ID, of the demo's engine.
    App(&'static str),
    /// An application of an engine that nobody knows.
    UnknownEngine,
    /// Nothing is certain, for the reason of this code.
    Unidentified(&'static str),
}

/// Who may see the screen.
pub(crate) const RECORDER: &str = "org.example.Recorder";

/// The globals of the demo compositor that a policy decides about.
pub(crate) const PRIVILEGED: &[&str] = &[
    "ext_data_control_manager_v1",
    "ext_foreign_toplevel_list_v1",
    "ext_idle_notifier_v1",
    "wp_security_context_manager_v1",
    "zwlr_data_control_manager_v1",
    "zwlr_layer_shell_v1",
    SCREENCOPY,
    "zwp_virtual_keyboard_manager_v1",
    OUTPUT_INFO,
];

/// Where the outputs are: every application with an identity may know that.
const OUTPUT_INFO: &str = "zxdg_output_manager_v1";

/// What grim needs.
const SCREENCOPY: &str = "zwlr_screencopy_manager_v1";

/// All five.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "host program",
        launch: Launch::Host,
        identity: Expected::Host,
        sees: PRIVILEGED,
        why: "it shares the compositor's namespaces and no cgroup above it is labelled: proven unconfined, so \
              [defaults] host = [\"*\"] gives it everything",
    },
    Peer {
        name: "sandboxed app, allowed to capture",
        launch: Launch::Confined(Some(RECORDER)),
        identity: Expected::App(RECORDER),
        sees: &[SCREENCOPY, OUTPUT_INFO],
        why: "the label of its cgroup names the app, and the policy has a rule for exactly that app of that engine: \
              screen-capture, and the output-info that all apps have",
    },
    Peer {
        name: "sandboxed app without a rule",
        launch: Launch::Confined(Some("org.example.Game")),
        identity: Expected::App("org.example.Game"),
        sees: &[OUTPUT_INFO],
        why: "labelled just the same, but no rule names it: [defaults] sandboxed = [\"output-info\"]",
    },
    Peer {
        name: "sandboxed app without a label",
        launch: Launch::Confined(None),
        identity: Expected::UnknownEngine,
        sees: &[OUTPUT_INFO],
        why: "nobody labelled it, but its namespaces are not the compositor's: [defaults] namespaced = \
              [\"output-info\"]",
    },
    Peer {
        name: "program with a broken label",
        launch: Launch::Malformed,
        identity: Expected::Unidentified("malformed-label"),
        sees: &[],
        why: "its cgroup names an instance but no engine. What cannot be read is never taken for harmless: \
              [defaults] unidentified = []",
    },
];

impl Peer {
    /// Whether it tries to get rid of its label.
    pub(crate) fn strips(&self) -> bool {
        matches!(self.launch, Launch::Confined(_))
    }

    /// Whether it is the one with a rule.
    pub(crate) fn is_the_allowed_one(&self) -> bool {
        matches!(self.launch, Launch::Confined(Some(RECORDER)))
    }

    /// Whether `interface` must be among its globals.
    pub(crate) fn must_see(&self, interface: &str) -> bool {
        self.sees.contains(&interface)
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::App(app_id) => write!(f, "{app_id} of {ENGINE}"),
            Self::UnknownEngine => f.write_str("an app of an unknown engine"),
            Self::Unidentified(code) => write!(f, "unidentified ({code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_sees_only_what_is_privileged_and_one_may_capture() {
        assert!(PEERS.iter().all(|peer| peer.sees.iter().all(|name| PRIVILEGED.contains(name))));
        assert_eq!(PEERS.iter().filter(|peer| peer.is_the_allowed_one()).count(), 1);
        assert_eq!(PEERS.iter().filter(|peer| peer.must_see(SCREENCOPY)).count(), 2);
    }

    #[test]
    fn the_policy_names_the_allowed_app_and_its_engine() {
        let policy = include_str!("../../demo-policy.toml");
        assert!(policy.contains(RECORDER) && policy.contains(ENGINE));
    }
}
