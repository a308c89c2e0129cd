//! Capabilities: the words in which rights are given.

use std::fmt;

/// Something that a client may be allowed to do, such as `screen-capture`.
///
/// The built-in ones are constants here; a policy's `[capabilities]` section adds its own
/// (`Policy::capability` finds them by name). A capability is a number
/// below [`Capability::MAX`], so asking for one costs one bit test.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(u8);

impl Capability {
    /// How many capabilities there can be, the built-in ones included.
    pub const MAX: usize = 64;

    /// The capability with this number, if it can exist.
    #[must_use]
    pub const fn from_index(index: usize) -> Option<Self> {
        if index < Self::MAX { Some(Self(index as u8)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn bit(self) -> u64 {
        1 << self.0
    }

    /// The built-in capability of this name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().position(|c| c.name == name).and_then(Self::from_index)
    }

    /// Its name, if it is a built-in one.
    #[must_use]
    pub fn built_in_name(self) -> Option<&'static str> {
        BUILT_IN.get(self.index()).map(|c| c.name)
    }

    /// What it lets a client do, if it is a built-in one.
    #[must_use]
    pub fn description(self) -> Option<&'static str> {
        BUILT_IN.get(self.index()).map(|c| c.description)
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.built_in_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "capability {}", self.0),
        }
    }
}

pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $constant:ident = $index:literal, $name:literal, $description:literal;)*) => {
        /// The built-in capabilities.
        impl Capability {
            $(
                #[doc = $description]
                pub const $constant: Self = Self($index);
            )*
        }

        pub(crate) const BUILT_IN: &[BuiltIn] = &[$(BuiltIn { name: $name, description: $description }),*];
    };
}

capabilities! {
    SCREEN_CAPTURE = 0, "screen-capture", "Read the contents of the screen or of other windows.";
    LAYER_SHELL = 1, "layer-shell", "Place panels, docks, wallpapers and overlays.";
    CLIPBOARD_MANAGER = 2, "clipboard-manager", "Read and set the clipboard without having the focus.";
    VIRTUAL_KEYBOARD = 3, "virtual-keyboard", "Type into any window.";
    VIRTUAL_POINTER = 4, "virtual-pointer", "Move the pointer and click in any window.";
    INPUT_METHOD = 5, "input-method", "See and compose what is typed.";
    TOPLEVEL_LIST = 6, "toplevel-list", "List the windows of other applications.";
    TOPLEVEL_MANAGEMENT = 7, "toplevel-management", "Activate, minimize and close the windows of other applications.";
    IDLE_NOTIFY = 8, "idle-notify", "Be told of idleness and locking by protocols that ordinary applications do not need.";
    SECURITY_CONTEXT = 9, "security-context", "Open sockets whose clients are named by it. For the host only.";
    SESSION_LOCK = 10, "session-lock", "Lock the session and draw the lock screen.";
    OUTPUT_MANAGEMENT = 11, "output-management", "Change modes, positions and scales of outputs.";
    OUTPUT_POWER = 12, "output-power", "Turn outputs on and off.";
    GAMMA_CONTROL = 13, "gamma-control", "Change the colours of outputs.";
    WORKSPACE_MANAGEMENT = 14, "workspace-management", "List, switch and change workspaces.";
    GLOBAL_SHORTCUTS = 15, "global-shortcuts", "Receive keys while another window has the focus.";
    DRM_LEASE = 16, "drm-lease", "Take over an output, as VR headsets need.";
    INPUT_INHIBIT = 17, "input-inhibit", "Keep input from all other clients.";
    XWAYLAND = 18, "xwayland", "Globals made for Xwayland alone.";
    SHELL_COMPONENT = 19, "shell-component", "Be part of the desktop shell itself.";
    IDENTITY_MONITOR = 20, "identity-monitor", "See who the other clients are. Never part of `*`.";
    IDENTITY_ADMIN = 21, "identity-admin", "Grant, revoke and answer prompts. Never part of `*`.";
    FAKE_INPUT = 22, "fake-input", "Type and click in any window by one and the same global.";
    KEYBOARD_SHORTCUTS_INHIBIT = 23, "keyboard-shortcuts-inhibit", "Ask for the keys that the compositor keeps to itself.";
    OUTPUT_INFO = 24, "output-info", "See the logical layout, the order and the full description of outputs.";
    INPUT_MANAGEMENT = 25, "input-management", "Add seats, choose keyboard layouts and configure input devices.";
    WINDOW_PLACEMENT = 26, "window-placement", "Choose where its own windows are, also above those of others.";
    ACCESSIBILITY = 27, "accessibility", "Watch keys for assistive technology and change what the user sees.";
    COMPOSITOR_CONTROL = 28, "compositor-control", "Command the compositor, or be a part of it.";
    UNCLASSIFIED = 29, "unclassified", "Globals that no table and no policy names.";
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub fn of(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, c| bits | c.bit()))
    }

    /// The set with these bits, one for each capability's number.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One bit for each capability's number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `capability` is in it.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of it is in `other` too.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The capabilities in it, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..Capability::MAX).filter_map(Capability::from_index).filter(move |c| self.contains(*c))
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_have_the_number_of_their_row() {
        for (index, row) in BUILT_IN.iter().enumerate() {
            assert_eq!(Capability::built_in(row.name).map(Capability::index), Some(index), "{}", row.name);
        }
        assert_eq!(Capability::built_in("screen-capture"), Some(Capability::SCREEN_CAPTURE));
        assert_eq!(Capability::built_in("unclassified"), Some(Capability::UNCLASSIFIED));
        assert_eq!(Capability::UNCLASSIFIED.index(), BUILT_IN.len() - 1);
    }

    #[test]
    fn sets_are_sets() {
        let [a, b] = [Capability::LAYER_SHELL, Capability::SCREEN_CAPTURE];
        assert_eq!(CapabilitySet::of([a, a]), CapabilitySet::of([a]));
        assert_eq!(CapabilitySet::of([a, b]).union(CapabilitySet::of([b])), CapabilitySet::of([a, b]));
        assert_eq!(format!("{:?}", CapabilitySet::of([b, a])), "{screen-capture, layer-shell}");
    }

    #[test]
    fn built_in_capabilities_say_what_they_are() {
        for row in BUILT_IN {
            let capability = Capability::built_in(row.name).unwrap();
            assert_eq!(capability.description(), Some(row.description));
            assert_eq!(format!("{capability:?}"), row.name);
        }
        let own = Capability::from_index(BUILT_IN.len()).unwrap();
        assert_eq!(own.description(), None);
        assert_eq!(format!("{own:?}"), format!("capability {}", BUILT_IN.len()));
    }
}
