//! The systemd unit that a cgroup path names: a claim, never proof.

use std::fmt;

/// The name of a systemd unit, such as `xdg-desktop-portal-wlr.service`.
///
/// Below `user@UID.service` the user's own manager names the units, and any unconfined
/// process of the user can make a cgroup of any name there: this is a claim.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct UnitName(Box<str>);

/// The longest name of a unit, in bytes.
const MAX_LEN: usize = 255;

impl UnitName {
    /// Takes `text` as a unit's name if it is one: a known suffix (`.service`, `.scope`), and
    /// nothing but `A-Z a-z 0-9 : _ . \ @ -` before it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(".service").or_else(|| text.strip_suffix(".scope"))?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b":_.\\@-".contains(&b);
        (!stem.is_empty() && text.len() <= MAX_LEN && stem.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The unit of a process whose cgroup has this path (from the root of the hierarchy).
    ///
    /// Slices are passed over, and so is `user@UID.service`, whose own manager runs the units
    /// inside it; what a unit makes below itself is not a unit.
    #[must_use]
    pub fn of_path(path: &[u8]) -> Option<Self> {
        let mut parts = path.split(|&b| b == b'/').filter(|p| !p.is_empty() && !p.ends_with(b".slice"));
        let first = parts.next()?;
        let manager = first.starts_with(b"user@") && first.ends_with(b".service");
        let unit = if manager { parts.next()? } else { first };
        std::str::from_utf8(unit).ok().and_then(Self::new)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a service, which its manager started, and not a scope, which the
    /// process itself asked for.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0.ends_with(".service")
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(path: &str) -> Option<String> {
        UnitName::of_path(path.as_bytes()).map(|u| u.as_str().to_owned())
    }

    #[test]
    fn the_unit_is_the_outermost_one_that_is_no_slice() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        let cases = [
            ("/", None),
            ("/system.slice/sshd.service", Some("sshd.service")),
            ("/user.slice/user-1000.slice/session-2.scope", Some("session-2.scope")),
            (user, None),
            (&format!("{user}/app.slice/a.service"), Some("a.service")),
            (&format!("{user}/app.slice/a.service/inner.service"), Some("a.service")),
            (&format!("{user}/app.slice/app-x-1.scope/payload"), Some("app-x-1.scope")),
            (&format!("{user}/init.scope"), Some("init.scope")),
            ("/not-a-unit/b.service", None),
            ("/machine.slice/bad name.service", None),
        ];
        for (path, expected) in cases {
            assert_eq!(unit(path).as_deref(), expected, "{path}");
        }
    }
}
