//! What a client may do: rules over identities.
//!
//! A [`Policy`] is read from a TOML file and answers, for an [`Identity`], with a [`Verdict`]:
//! a set of [capabilities](Capability), each with the reason why it is in the set or not. The
//! globals that every client sees (`core`) are no matter of policy; a table says for each
//! other interface which [capability](Class) it needs, and an interface that is in no table
//! needs `unclassified`.
//!
//! # What a policy cannot do
//!
//! Any process of the user that is not confined can write the user's own labels, name its
//! unit, open a security context. So nothing of this gives more than `[defaults] host`; only a
//! label that root alone could have written does. `[trust] user-evidence = "as-written"`
//! lifts this, and then **any** such process can have what the rules give to anybody.
//!
//! `security-context` is for the host alone; `identity-admin` is never an application's.
//! Clients that could not be identified have at most what every identified one has.
//!
//! # The file
//!
//! ```toml
//! [defaults]                      # a key that is left out: host = ["*"], the others []
//! host = ["*"]                    # proven to be outside any sandbox
//! sandboxed = ["output-info"]     # labelled applications that no rule with `allow` names
//! namespaced = []                 # in a sandbox of an unknown engine, by their namespaces
//! unidentified = []               # everybody else
//!
//! [defaults.internal]             # socket pairs that the compositor made, by their tag
//! xwayland = ["xwayland"]
//!
//! [[rule]]
//! match = { engine = "org.flatpak", app-id = "com.obsproject.Studio" }
//! allow = ["screen-capture", "output-info"]    # instead of [defaults] sandboxed
//!
//! [[rule]]
//! match = { engine = "*", namespaces = "shared" }    # labelled, and not confined at all
//! deny = ["virtual-keyboard", "virtual-pointer", "fake-input"]
//!
//! [[rule]]                        # services only; never more than [defaults] host
//! match = { unit = "xdg-desktop-portal-wlr.service" }
//! allow = ["screen-capture", "output-info"]
//!
//! [capabilities]                  # names of your own, and more interfaces for known names
//! my-experiment = ["xx_my_manager_v1"]
//! idle-notify = ["zwp_idle_inhibit_manager_v1"]
//!
//! [machine]
//! without-kernel-identity = "deny"    # or "as-before"
//!
//! [trust]
//! user-evidence = "capped"        # or "as-written"
//! uids = []
//!
//! [limits]                        # connections open at a time: a number, or "unlimited"
//! connections-per-app = 128       # of one labelled application: one engine and app ID
//! connections-namespaced = 256    # of all clients in sandboxes of an unknown engine
//! connections-unidentified = 64   # of all clients that could not be identified
//! connections-host = "unlimited"  # of all clients on the host
//! ```
//!
//! A rule applies if all keys of its `match` do:
//!
//! | key | value |
//! |---|---|
//! | `engine` | a sandbox engine; `"unknown"`: no label, but namespaces of its own; `"*"`: any application |
//! | `app-id`, `instance-id` | this ID; only together with `engine` |
//! | `provenance` | `"system"`: root alone could have written the label; `"user"`: others could |
//! | `unit` | a systemd service. Without `engine` or `provenance`, its `allow` is not for labels inside it |
//! | `namespaces` | `"own"`: at least one of user, mount and pid namespace is not the compositor's; `"shared"`: none |
//! | `uid` | a user ID or a list of some: the user as whom the client connected, by the kernel. Alone it means all of his clients, applications too |
//! | `internal` | the name that the compositor gave to a socket pair of its own, such as `"xwayland"` |
//! | `extra` | a table: further xattrs that the compositor reads, each with what it must say; only together with `engine` |
//! | `any`, `all` | a list of tables like `match`: at least one of them applies, or all do |
//! | `not` | a table like `match`, which does not apply |
//!
//! Engines, IDs and units are whole names. In a name, `*` stands for any text between two dots, and `**` for one or more
//! parts between dots: `org.gnome.*` is `org.gnome.Maps`, not `org.gnome.Maps.Devel`; `org.gnome.**` is both.
//!
//! Beside `match`, a rule has
//!
//! | key | value |
//! |---|---|
//! | `allow` | what these clients may use |
//! | `ask` | what they see, while each use waits for an answer; denied to clients whose engine gives no app ID |
//! | `deny` | what they may not use |
//! | `when-denied` | `"hide"` (if left out), or `"empty"`: what this rule denies, and what is asked for and refused, is seen and gives nothing |
//! | `until` | a moment (`2027-01-31T18:00:00Z`) from which on it allows nothing, and denies what it asked for |
//!
//! The name of a capability may be `interface:NAME`: one interface, whatever capability it is of. Lists that name that
//! capability, or `*`, still mean it too, so that `deny` can take one out, and `allow` can give one alone.
//!
//! The rules that apply to a labelled application and have an `allow` or an `ask` replace
//! `[defaults] sandboxed` for it, together; `allow = []` thus leaves it nothing. To host
//! processes, rules only add (with `as-written`) and take. A `deny` beats every `ask`, and that every `allow`;
//! `*` in a `deny` is everything. Where a fact is missing, `deny` counts and `allow` does not.
//!
//! So that nobody gains by hiding who he is, what a rule denies to anybody, and what an
//! `allow` leaves out, is taken from `namespaced` and `unidentified` as well;
//! [`Policy::warnings`] says when that happens.
//!
//! # Warnings
//!
//! [`Policy::warnings`] says what a policy seems to say and does not do, with the place and the reason:
//!
//! * a rule that says nothing, that is repeated, or that follows from others which apply to all of its clients;
//! * a word in `allow` or `ask` that a `deny` or `ask` for all of these clients beats; not one that `*` stands for;
//! * a `match` that contradicts itself, `ask` where there is no application ID that an answer could hold for, `until` in the past;
//! * what a rule gives and `[defaults] host` does not have, unless it is for `provenance = "system"`;
//! * a `deny` by `unit` that a program on the host evades by starting itself again in another unit. To fail to be identified
//!   evades nothing: see above;
//! * `interface:NAME` that no known protocol has, unless `[capabilities]` names it or it begins with `xx_`, as drafts do.
//!
//! No warning is given of a rule because of a file that is included later: it is there to take something back. What would take
//! too long to prove is not warned of.
//!
//! # More than one file
//!
//! ```toml
//! include = ["policy.d/*.toml"]
//! ```
//!
//! The rules of included files follow those of the main file, in the order in which `include` names them and then in that of
//! their names. They hold `[[rule]]` and `[capabilities]` only, and include nothing: what is for all clients stands in one place.
//! Names are relative to the main file; a `*` in the last part of one stands for any text, except for hidden files. What is
//! named without it has to be there, and so has the directory that is searched. [`Policy::from_path`] opens each like the main
//! file, and its directory may be written by root and us only; [`Policy::files`] says what a compositor has to watch.
//!
//! [`Policy::json_schema`] lets editors complete and check all of this.

pub mod capability;
mod compare;
mod config;
mod diagnostics;
mod diff;
mod effect;
mod eval;
mod explain;
mod file;
mod grant;
mod include;
mod interfaces;
#[cfg(test)]
mod invariants;
mod pattern;
mod rule;
mod schema;
mod settings;
mod verdict;
mod whom;

use std::collections::BTreeMap;
use std::sync::Arc;

use capability::BUILT_IN;
pub use capability::{Capability, CapabilitySet};
pub use diagnostics::{Diagnostic, PolicyErrors, Severity};
pub use diff::PolicyDiff;
pub use explain::RuleMatch;
pub use file::{PolicyError, PolicyFiles};
pub use grant::{
    Answer, ClientSerial, Grant, GrantError, GrantId, Grantee, Grants, Lifetime, MAX_GRANTS, NewGrant, StateError,
    StateFile,
};
#[cfg(feature = "wayland")]
pub(crate) use interfaces::class_beside;
pub use interfaces::{Class, built_in_class, built_in_interfaces};
pub use rule::WhenDenied;
pub use settings::{Limits, Machine, TrustSettings, UserEvidence, WithoutKernelIdentity};
pub use verdict::{Because, DefaultClass, Effect, Location, Reduction, Standing, Verdict};

#[cfg(doc)]
use crate::identity::Identity;

/// The interfaces that a policy names itself, each with its capability.
pub(crate) type Interfaces = BTreeMap<Box<str>, Capability>;

/// Who may do what. Immutable; a changed file is a new policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The names of the policy's own capabilities, in the order of their numbers.
    names: Vec<Box<str>>,
    /// What the policy says of interfaces, beside the table.
    interfaces: Arc<Interfaces>,
    /// Capabilities of one interface, each with the one that it was taken out of.
    singles: Vec<(Capability, Capability)>,
    defaults: settings::Defaults,
    rules: Vec<rule::Rule>,
    machine: Machine,
    trust: TrustSettings,
    limits: Limits,
    warnings: Vec<Diagnostic>,
    files: PolicyFiles,
    computed: eval::Computed,
}

impl Policy {
    /// Whether both policies mean the same by every capability and put every interface in the same one.
    ///
    /// Filters hold on to capabilities by their number, and globals are made once.
    pub(crate) fn has_the_capabilities_of(&self, other: &Self) -> bool {
        self.names == other.names && self.interfaces == other.interfaces
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Policy {
    /// The policy for where there is no file: the host has everything that `*` contains, all
    /// others have the core globals only.
    #[must_use]
    pub fn built_in() -> Self {
        let built_in = CapabilitySet::of((0..BUILT_IN.len()).filter_map(Capability::from_index));
        let host = settings::Listed { set: built_in.difference(eval::NOT_IN_STAR), star: true, at: None };
        let mut policy = Self {
            names: Vec::new(),
            interfaces: Arc::default(),
            singles: Vec::new(),
            defaults: settings::Defaults { host, ..settings::Defaults::default() },
            rules: Vec::new(),
            machine: Machine::default(),
            trust: TrustSettings::default(),
            limits: Limits::default(),
            warnings: Vec::new(),
            files: PolicyFiles::default(),
            computed: eval::Computed::default(),
        };
        policy.compute();
        policy
    }

    /// The capability of this name, built-in or the policy's own.
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<Capability> {
        let own = || self.names.iter().position(|own| **own == *name);
        Capability::built_in(name).or_else(|| own().and_then(|at| Capability::from_index(BUILT_IN.len() + at)))
    }

    /// The name of a capability; the empty one if this policy does not have it.
    #[must_use]
    pub fn capability_name(&self, capability: Capability) -> &str {
        let own = || capability.index().checked_sub(BUILT_IN.len()).and_then(|at| self.names.get(at));
        capability.built_in_name().or_else(|| own().map(|name| &**name)).unwrap_or_default()
    }

    /// All capabilities, the policy's own last.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> + use<> {
        (0..BUILT_IN.len() + self.names.len()).filter_map(Capability::from_index)
    }

    /// What a client needs in order to see a global of this interface.
    ///
    /// An interface that neither the table nor the policy names needs
    /// [`Capability::UNCLASSIFIED`].
    #[must_use]
    pub fn class_of(&self, interface: &str) -> Class {
        interfaces::class_beside(&self.interfaces, interface)
    }

    /// The interfaces that this policy names itself.
    pub(crate) fn own_interfaces(&self) -> &Arc<Interfaces> {
        &self.interfaces
    }

    /// The known interfaces that need `capability`, the policy's own first.
    pub fn interfaces_of(&self, capability: Capability) -> impl Iterator<Item = &str> {
        let own = self.interfaces.iter().filter(move |(_, c)| **c == capability).map(|(name, _)| &**name);
        let built_in = built_in_interfaces()
            .filter(move |(_, class)| *class == Class::Capability(capability))
            .map(|(name, _)| name)
            .filter(|name| !self.interfaces.contains_key(*name));
        own.chain(built_in)
    }

    /// What holds where the machine as a whole can identify nobody. It is for whoever makes
    /// identities; [`Policy::evaluate`] does not look at it.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Whose word counts. The user IDs are for whoever makes identities.
    #[must_use]
    pub fn trust(&self) -> &TrustSettings {
        &self.trust
    }

    /// How many connections may be open at a time. It is for whoever accepts them; [`Policy::evaluate`] does not look at it.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many rules it has.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// What it was read from. Empty for one that was not read from a file.
    #[must_use]
    pub fn files(&self) -> &PolicyFiles {
        &self.files
    }

    /// What the policy seems to say, but does not do; in the order of the files and of what stands in them.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The TOML block of this module's documentation.
    fn documented() -> String {
        let lines = include_str!("mod.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        lines.take_while(|line| *line != "//! ```").map(|l| l.trim_start_matches("//!").to_owned() + "\n").collect()
    }

    #[test]
    fn the_documented_policy_is_one_and_warns_of_nothing_unexpected() {
        let policy = Policy::parse("documented.toml", &documented()).unwrap();
        assert_eq!(policy.rules.len(), 3);
        assert!(policy.warnings().is_empty(), "{}", policy.warnings()[0]);
        let own = policy.capability("my-experiment").unwrap();
        assert_eq!(policy.capability_name(own), "my-experiment");
        assert_eq!(policy.class_of("xx_my_manager_v1"), Class::Capability(own));
        assert_eq!(policy.capabilities().last(), Some(own));
    }

    #[test]
    fn an_interface_that_nobody_names_is_unclassified() {
        let policy = Policy::built_in();
        assert_eq!(policy.class_of("xx_nobody_v1"), Class::Capability(Capability::UNCLASSIFIED));
        assert_eq!(policy.class_of("wl_compositor"), Class::Core);
        assert_eq!(policy.class_of("zwlr_layer_shell_v1"), Class::Capability(Capability::LAYER_SHELL));
    }

    #[test]
    fn a_moved_interface_belongs_to_its_new_capability_alone() {
        let text =
            "[capabilities]\nidle-notify = [\"zwp_idle_inhibit_manager_v1\"]\nshot = [\"zwlr_screencopy_manager_v1\"]";
        let policy = Policy::parse("p", text).unwrap();
        assert_eq!(policy.class_of("zwp_idle_inhibit_manager_v1"), Class::Capability(Capability::IDLE_NOTIFY));
        let idle: Vec<_> = policy.interfaces_of(Capability::IDLE_NOTIFY).collect();
        assert!(idle.contains(&"zwp_idle_inhibit_manager_v1") && idle.contains(&"org_kde_kwin_idle"), "{idle:?}");
        assert!(!policy.interfaces_of(Capability::SCREEN_CAPTURE).any(|i| i == "zwlr_screencopy_manager_v1"));
        assert_eq!(policy.interfaces_of(policy.capability("shot").unwrap()).collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn a_capability_of_another_policy_has_no_name() {
        assert_eq!(Policy::built_in().capability_name(Capability::from_index(63).unwrap()), "");
        assert_eq!(Policy::built_in().capabilities().count(), BUILT_IN.len());
    }
}
