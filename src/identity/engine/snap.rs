//! Snaps: the names of their cgroups, and their label in AppArmor.
//!
//! The application's ID is the name of the snap (with its instance key, `name_key`): that is what a user installs and
//! connects to interfaces, and what portals use. Its apps and hooks are not told apart.
//!
//! # References
//!
//! * snapd, `sandbox/cgroup` and `snap.SecurityTag`

use super::{Answer, Ids, Unknown, unescape};
use crate::identity::ids::{AppId, InstanceId};

/// The longest name of a snap, with its instance key.
const NAME_MAX: usize = 40 + 1 + 10;

/// `snap.<pkg>.<app>-<uuid>.scope`, `snap.<pkg>.hook.<hook>-<uuid>.scope`, `snap.<pkg>.<app>.service` and the older
/// `snap.<pkg>.<app>.<uuid>.scope`.
pub(super) fn directory(name: &str) -> Answer<Ids> {
    let Some(rest) = name.strip_prefix("snap.") else { return Answer::NotMine };
    let (tag, instance) = if let Some(tag) = rest.strip_suffix(".service") {
        (tag, None)
    } else if let Some(stem) = rest.strip_suffix(".scope") {
        let Some((tag, uuid)) = split_uuid(stem) else { return unreadable(name) };
        (tag, InstanceId::new(uuid).ok())
    } else {
        return Answer::NotMine;
    };
    match unescape(tag).as_deref().and_then(snap_of_tag) {
        Some(app_id) => Answer::Match(Ids { app_id: Some(app_id), instance_id: instance }),
        None => unreadable(name),
    }
}

/// `snap.<pkg>.<app> (mode)`, also in a stack of labels or a policy namespace.
pub(super) fn security(label: &[u8]) -> Answer<Ids> {
    let Ok(label) = std::str::from_utf8(label) else { return Answer::NotMine };
    let label = label.trim_end_matches('\0');
    let label = label.strip_suffix(')').and_then(|l| l.rsplit_once(" (")).map_or(label, |(label, _mode)| label);
    let mut found: Option<AppId> = None;
    for part in label.split("//&") {
        // `:namespace://profile` and `:namespace:profile`; below a profile, `profile//child`.
        let profile = match part.strip_prefix(':').map(|p| p.split_once(':')) {
            Some(Some((_, profile))) => profile.trim_start_matches("//"),
            Some(None) => part,
            None => part,
        };
        let Some(tag) = profile.split("//").next().and_then(|p| p.strip_prefix("snap.")) else { continue };
        match (snap_of_tag(tag), &found) {
            (Some(app_id), None) => found = Some(app_id),
            (Some(app_id), Some(before)) if app_id == *before => {}
            _ => return unreadable(label),
        }
    }
    found.map_or(Answer::NotMine, |app_id| Answer::Match(Ids { app_id: Some(app_id), instance_id: None }))
}

fn unreadable(name: &str) -> Answer<Ids> {
    Answer::Error(Unknown::Unreadable(format!("{:?} is a snap's, but names none", name.escape_debug().to_string())))
}

/// Cuts `-<uuid>` or `.<uuid>` off.
fn split_uuid(stem: &str) -> Option<(&str, &str)> {
    let at = stem.len().checked_sub(36)?;
    let (tag, uuid) = (stem.get(..at)?, stem.get(at..)?);
    let dashes = [8, 13, 18, 23];
    let is_uuid = uuid
        .bytes()
        .enumerate()
        .all(|(i, b)| if dashes.contains(&i) { b == b'-' } else { b.is_ascii_digit() || (b'a'..=b'f').contains(&b) });
    let tag = tag.strip_suffix('-').or_else(|| tag.strip_suffix('.'))?;
    is_uuid.then_some((tag, uuid))
}

/// The snap in `<pkg>.<app>`, `<pkg>.hook.<hook>` or `<pkg>+<component>.hook.<hook>`.
fn snap_of_tag(tag: &str) -> Option<AppId> {
    let (package, rest) = tag.split_once('.')?;
    let (name, component) = package.split_once('+').map_or((package, None), |(name, c)| (name, Some(c)));
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let (plain, key) = name.split_once('_').map_or((name, None), |(name, key)| (name, Some(key)));
    let named = word(plain) && key.map(word) != Some(false) && name.len() <= NAME_MAX;
    let parts: Vec<&str> = rest.split('.').collect();
    let app = match parts[..] {
        [app] => word(app) && component.is_none(),
        ["hook", hook] => word(hook) && component.map(word) != Some(false),
        _ => false,
    };
    (named && app).then(|| AppId::new(name).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6c5a4c1e-9f0b-4a1e-8a54-0b1c2d3e4f50";

    fn named(answer: Answer<Ids>) -> Option<(String, bool)> {
        match answer {
            Answer::Match(ids) => Some((ids.app_id.unwrap().as_str().to_owned(), ids.instance_id.is_some())),
            _ => None,
        }
    }

    #[test]
    fn the_names_of_a_snaps_cgroups_name_the_snap() {
        for (name, snap, instance) in [
            (format!("snap.firefox.firefox-{UUID}.scope"), "firefox", true),
            (format!("snap.firefox.firefox.{UUID}.scope"), "firefox", true),
            (format!("snap.hello-world.hook.configure-{UUID}.scope"), "hello-world", true),
            (format!("snap.hello_two.sh-{UUID}.scope"), "hello_two", true),
            (format!("snap.pkg\\x2bcomp.hook.install-{UUID}.scope"), "pkg", true),
            ("snap.lxd.daemon.service".into(), "lxd", false),
            ("snap.lxd.hook.remove.service".into(), "lxd", false),
        ] {
            assert_eq!(named(directory(&name)), Some((snap.to_owned(), instance)), "{name}");
        }
    }

    #[test]
    fn what_is_a_snaps_and_cannot_be_read_is_an_error_and_the_rest_is_not_ours() {
        for name in [
            "snap..scope".into(),
            "snap.firefox.scope".into(),
            "snap.firefox.firefox.scope".into(),
            format!("snap.fire fox.x-{UUID}.scope"),
            format!("snap.a.b.c.d-{UUID}.scope"),
            format!("snap.{}.x-{UUID}.scope", "a".repeat(52)),
            format!("snap.a+b.x-{UUID}.scope"),
            format!("snap.a\\x.x-{UUID}.scope"),
            format!("snap.firefox.firefox-{}.scope", UUID.to_uppercase()),
            "snap.firefox.service".into(),
        ] {
            assert!(matches!(directory(&name), Answer::Error(_)), "{name}");
        }
        for name in ["snapd.service", "snap-firefox-1.mount", "snap.firefox.firefox", "app-snap.a.b.scope", "snap."] {
            assert_eq!(directory(name), Answer::NotMine, "{name}");
        }
    }

    #[test]
    fn the_label_in_apparmor_names_the_snap() {
        for label in [
            "snap.firefox.firefox",
            "snap.firefox.firefox (enforce)",
            "snap.firefox.firefox (complain)\0",
            "snap.firefox.hook.configure (enforce)",
            "snap.firefox.firefox//child (enforce)",
            "snap.firefox.firefox//&unconfined (mixed)",
            ":lxd-a_<var-lib-lxd>:snap.firefox.firefox (enforce)",
            ":ns://snap.firefox.firefox (enforce)",
            "snap.firefox.firefox//&snap.firefox.other (enforce)",
        ] {
            assert_eq!(named(security(label.as_bytes())), Some(("firefox".into(), false)), "{label}");
        }
        for label in ["unconfined", "", "snap-confine", "/usr/lib/snapd/snap-confine (enforce)", "bwrap//&unconfined"] {
            assert_eq!(security(label.as_bytes()), Answer::NotMine, "{label}");
        }
        for label in ["snap.firefox", "snap.a b.c (enforce)", "snap.a.a//&snap.b.b (enforce)"] {
            assert!(matches!(security(label.as_bytes()), Answer::Error(_)), "{label}");
        }
        assert_eq!(security(b"\xff"), Answer::NotMine);
    }
}
