//! The systemd unit that a cgroup path names: a claim, never proof.

use std::fmt;

use super::engine::unescape;
use super::ids::AppId;

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
        Self::with_dir(path).map(|(unit, _)| unit)
    }

    /// The same, and the path of the unit's own directory.
    pub(super) fn with_dir(path: &[u8]) -> Option<(Self, &[u8])> {
        let mut end = 0;
        let parts = path.split_inclusive(|&b| b == b'/').map(|part| {
            end += part.len();
            (part.strip_suffix(b"/").unwrap_or(part), end)
        });
        let mut parts = parts.filter(|(part, _)| !part.is_empty() && !part.ends_with(b".slice"));
        let first = parts.next()?;
        let manager = first.0.starts_with(b"user@") && first.0.ends_with(b".service");
        let (unit, end) = if manager { parts.next()? } else { first };
        let dir = path.get(..end)?;
        let unit = std::str::from_utf8(unit).ok().and_then(Self::new)?;
        Some((unit, dir.strip_suffix(b"/").unwrap_or(dir)))
    }

    /// The application that the unit claims to be: `app[-<launcher>]-<ID>-<random>.scope`,
    /// `app[-<launcher>]-<ID>[@<random>].service` and the older `app-<launcher>-<ID>-<random>.service`.
    ///
    /// # References
    ///
    /// * <https://systemd.io/DESKTOP_ENVIRONMENTS/>
    #[must_use]
    pub fn app_id(&self) -> Option<AppId> {
        app_id_of(&self.0)
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

fn app_id_of(unit: &str) -> Option<AppId> {
    let (stem, suffix) = unit.strip_prefix("app-")?.rsplit_once('.')?;
    let is_service = suffix == "service";
    if !is_service && !matches!(suffix, "scope" | "slice") {
        return None;
    }
    let (stem, has_instance) = match stem.split_once('@') {
        Some((stem, _)) if is_service => (stem, true),
        Some(_) => return None,
        None => (stem, false),
    };
    // A hyphen inside a part is escaped, so each one here is between two.
    let parts: Vec<&str> = stem.split('-').collect();
    let id = match parts[..] {
        [id] | [_, id] if is_service => id,
        [_, id, _] if is_service && !has_instance => id,
        [id, _] | [_, id, _] if !is_service => id,
        _ => return None,
    };
    AppId::new(unescape(id)?).ok()
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
    fn units_of_applications_name_them() {
        for (unit, app_id) in [
            (r"app-gnome-org.gnome.Evolution\x2dalarm\x2dnotify-2437.scope", Some("org.gnome.Evolution-alarm-notify")),
            ("app-gnome-org.gnome.Epiphany-182352.scope", Some("org.gnome.Epiphany")),
            (r"app-glib-spice\x2dvdagent-1839.scope", Some("spice-vdagent")),
            ("app-KDE-org.kde.okular@12345.service", Some("org.kde.okular")),
            ("app-firefox.service", Some("firefox")),
            ("app-org.kde.amarok.service", Some("org.kde.amarok")),
            ("app-gnome-firefox.service", Some("firefox")),
            ("app-org.kde.amarok@autostart.service", Some("org.kde.amarok")),
            (
                "app-gnome-org.gnome.SettingsDaemon.DiskUtilityNotify-autostart.service",
                Some("org.gnome.SettingsDaemon.DiskUtilityNotify"),
            ),
            ("app-gnome-org.gnome.Terminal-92502.slice", Some("org.gnome.Terminal")),
            ("app-com.obsproject.Studio-d70acc38b5154a3a8b4a60accc4b15f4.scope", Some("com.obsproject.Studio")),
            ("app-firefox-jcfppqx.scope", Some("firefox")),
            ("app-flatpak-org.example.App-140.scope", Some("org.example.App")),
            ("app-not-a-well-formed-unit-name", None),
            ("app-not-a-well-formed-unit-name.scope", None),
            ("app-firefox.scope", None),
            ("app-.service", None),
            ("app-a@1-b.scope", None),
            ("app-gnome-org.example.App@1.scope", None),
            ("app-a-b-1@2.service", None),
            (r"app-a\x20b-1.scope", None),
            (r"app-a\x-1.scope", None),
            ("app-a-b.timer", None),
            ("vte-spawn-6c5a.scope", None),
        ] {
            assert_eq!(app_id_of(unit).as_ref().map(|id| id.as_str()), app_id, "{unit}");
            if let Some(unit) = UnitName::new(unit) {
                assert_eq!(unit.app_id().as_ref().map(|id| id.as_str()), app_id, "{unit}");
            }
        }
    }

    #[test]
    fn a_units_directory_ends_with_its_name() {
        let dir = |path: &'static str| UnitName::with_dir(path.as_bytes()).map(|(_, dir)| dir);
        assert_eq!(dir("/a.slice/b.service/c"), Some(&b"/a.slice/b.service"[..]));
        assert_eq!(dir("/user@1.service/x.scope"), Some(&b"/user@1.service/x.scope"[..]));
        assert_eq!(dir("/a.slice"), None);
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

    #[test]
    fn a_unit_has_a_plain_name_and_a_suffix() {
        let longest = format!("{}.service", "x".repeat(MAX_LEN - 8));
        for name in ["a.service", "a.scope", "app-A:b_c.d\\x2d@1.service", &longest] {
            let unit = UnitName::new(name).unwrap();
            assert_eq!((unit.as_str(), unit.to_string()), (name, name.to_owned()));
            assert_eq!(format!("{unit:?}"), format!("{name:?}"));
            assert_eq!(unit.is_service(), name.ends_with(".service"), "{name}");
        }
        for none in ["", "a", ".service", ".scope", "a.slice", "a b.service", "\u{e9}.scope", &format!("x{longest}")] {
            assert_eq!(UnitName::new(none), None, "{none:?}");
        }
    }

    #[test]
    fn only_a_users_manager_is_passed_over() {
        assert_eq!(unit("/user@x.scope/a.service").as_deref(), Some("user@x.scope"));
        assert_eq!(unit("/other.service/a.service").as_deref(), Some("other.service"));
    }
}
