//! Names of systemd units, out of paths of cgroups.

use wayland_auth::fuzzing;
use wayland_auth::identity::{AppId, UnitName};

/// A path, or the name of a unit.
pub(super) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let unit = UnitName::new(text);
        assert_eq!(unit.is_some(), is_unit(data), "{text:?}");
        if let Some(unit) = &unit {
            assert_eq!((unit.as_str(), unit.to_string()), (text, text.to_owned()));
            assert_eq!(unit.is_service(), text.ends_with(".service"));
            claim(text, unit.app_id());
        }
    }
    let unit = UnitName::of_path(data);
    assert_eq!(unit.as_ref().map(|unit| unit.as_str().as_bytes()), unit_of(data), "{:?}", data.escape_ascii());
    // What a process makes below its unit does not change the unit.
    if unit.is_some() {
        for deeper in ["/a.service", "/payload", "/x.slice/b.scope"] {
            let path = [data, deeper.as_bytes()].concat();
            assert_eq!(UnitName::of_path(&path), unit, "{:?}", path.escape_ascii());
        }
    }
}

/// What a unit claims is one part of its name, whatever the parts around it are.
fn claim(text: &str, app_id: Option<AppId>) {
    let Some(app_id) = app_id else { return };
    let stem = text.strip_prefix("app-").expect("only such names claim");
    let is_it = |part: &str| fuzzing::unescape_unit(part).as_deref() == Some(app_id.as_str());
    let parts = stem.rsplit_once('.').expect("a suffix").0.split(['-', '@']);
    assert!(parts.into_iter().any(is_it), "{app_id} is not in {text:?}");
}

/// The grammar once more.
fn is_unit(name: &[u8]) -> bool {
    let stem = name.strip_suffix(b".service").or_else(|| name.strip_suffix(b".scope"));
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b":_.\\@-".contains(b);
    stem.is_some_and(|stem| !stem.is_empty() && stem.iter().all(allowed)) && name.len() <= 255
}

/// The outermost name that is no slice, and in the user's manager the one after it.
fn unit_of(path: &[u8]) -> Option<&[u8]> {
    let names: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    let mut names = names.into_iter().filter(|name| !name.is_empty() && !name.ends_with(b".slice"));
    let mut name = names.next()?;
    if name.starts_with(b"user@") && name.ends_with(b".service") {
        name = names.next()?;
    }
    is_unit(name).then_some(name)
}
