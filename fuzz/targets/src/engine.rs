//! What engines leave: `.flatpak-info`, bubblewrap's record, `.linyaps`, names of cgroups, labels of AppArmor (T25).

use wayland_auth::fuzzing;
use wayland_auth::identity::{AppId, EngineStanding, InstanceId, MAX_LEN};

/// A file, a name or a label: all parsers read it.
pub(super) fn run(data: &[u8]) {
    flatpak(data);
    record(data);
    linyaps(data);
    cgroup(data);
    security(data);
    if let Ok(text) = std::str::from_utf8(data) {
        unescaped(text);
    }
}

fn flatpak(data: &[u8]) {
    let Some((app_id, instance_id)) = fuzzing::flatpak_info(data) else { return };
    let (Some(app_id), Some(instance_id)) = (app_id, instance_id) else { panic!("only half of a name") };
    // It becomes part of a path.
    assert!(instance_id.as_str().len() <= 20 && instance_id.as_str().bytes().all(|b| b.is_ascii_digit()));
    let text = std::str::from_utf8(data).expect("it is a key file");
    assert!(text.contains(app_id.as_str()) && text.contains(instance_id.as_str()));
    // A second value is one too many, wherever it stands.
    for more in ["\n[Instance]\ninstance-id=1\n", "\n[Application]\nname=org.other.App\n[Application]\nname=a\n"] {
        let (behind, before) = (format!("{text}{more}"), format!("{}\n{text}", more.trim_start()));
        assert_eq!(fuzzing::flatpak_info(behind.as_bytes()), None, "{behind:?}");
        assert_eq!(fuzzing::flatpak_info(before.as_bytes()), None, "{before:?}");
    }
    // Other groups mean nothing.
    let more = format!("[Context]\nname=org.other.App\ninstance-id=7\n{text}");
    assert_eq!(fuzzing::flatpak_info(more.as_bytes()), Some((Some(app_id), Some(instance_id))));
}

fn record(data: &[u8]) {
    let Some((first, mounts, pids)) = fuzzing::bwrap_record(data) else { return };
    let again = format!(r#"{{"child-pid": {first}, "mnt-namespace": {mounts}, "pid-namespace": {pids}}}"#);
    assert_eq!(fuzzing::bwrap_record(again.as_bytes()), Some((first, mounts, pids)));
    let text = std::str::from_utf8(data).expect("it is JSON").trim();
    let twice = format!(r#"{{"mnt-namespace": 1, {}"#, &text[1..]);
    assert_eq!(fuzzing::bwrap_record(twice.as_bytes()), None, "{twice:?}");
}

fn linyaps(data: &[u8]) {
    let (app_id, instance_id) = fuzzing::linyaps_info(data);
    assert_eq!(app_id.is_some(), instance_id.is_some(), "only half of a name");
    if let (Some(app_id), Ok(text)) = (app_id, std::str::from_utf8(data)) {
        assert!(text.contains(app_id.as_str()));
        let twice = format!("{text}\n[Application]\nId=other\n");
        assert_eq!(fuzzing::linyaps_info(twice.as_bytes()), (None, None));
    }
}

fn cgroup(data: &[u8]) {
    let said = fuzzing::engine_of_cgroup(data);
    // Only the last name says something of its directory.
    let path = [b"/user.slice/libpod-x/", data].concat();
    let last = data.rsplit(|&b| b == b'/').next().unwrap_or_default();
    assert_eq!(fuzzing::engine_of_cgroup(&path), said, "{:?}", path.escape_ascii());
    assert_eq!(fuzzing::engine_of_cgroup(last), said);
    let Some(said) = said else { return };
    assert!(said.engine.as_str().contains('.'), "{}", said.engine);
    assert!(last.iter().all(|&b| b != b'/') && std::str::from_utf8(last).is_ok());
    names(said.app_id.as_ref(), said.instance_id.as_ref());
    let below = [data, b"/payload"].concat();
    assert_eq!(fuzzing::engine_of_cgroup(&below), None);
}

fn security(data: &[u8]) {
    for said in fuzzing::security_label(data, b"unconfined") {
        names(said.app_id.as_ref(), said.instance_id.as_ref());
        match &said.standing {
            EngineStanding::Error(why) => assert!(super::is_harmless(why) && said.app_id.is_none(), "{why:?}"),
            EngineStanding::Match => assert!(said.app_id.is_some() && data.windows(5).any(|w| w == b"snap.")),
            other => panic!("{other:?}"),
        }
    }
    // What we are labelled with ourselves tells nothing.
    for said in fuzzing::security_label(data, data) {
        assert!(said.standing == EngineStanding::Shared && said.app_id.is_none());
    }
}

fn names(app_id: Option<&AppId>, instance_id: Option<&InstanceId>) {
    for name in [app_id.map(AppId::as_str), instance_id.map(InstanceId::as_str)].into_iter().flatten() {
        assert!((1..=MAX_LEN).contains(&name.len()) && !name.contains(['/', '\\', '\n', '\0']), "{name:?}");
    }
}

/// Undoing systemd's escapes gives back what was escaped.
fn unescaped(text: &str) {
    let escaped: String = text
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("\\x{b:02x}") })
        .collect();
    assert_eq!(fuzzing::unescape_unit(&escaped).as_deref(), Some(text));
    if !text.contains('\\') {
        assert_eq!(fuzzing::unescape_unit(text).as_deref(), Some(text));
    }
}
