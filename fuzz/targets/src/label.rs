//! IDs, labels, and text from outside (T25, T26).

use wayland_auth::fuzzing::{self, Stated, Value};
use wayland_auth::identity::label::XattrNames;
use wayland_auth::identity::{AppId, InstanceId, InvalidId, MAX_LEN, SandboxEngine};

/// The values of a label, in the order of `XattrNames`, with `|` between them. One that is empty is not there; `~` is
/// there and empty, and `^` is too long.
pub(super) fn run(data: &[u8]) {
    id(data);
    shown(data);
    let mut names = XattrNames::default();
    names.extra.push("user.extra".to_owned());
    let values: Vec<Value> = data.split(|&b| b == b'|').take(5).map(value).collect();
    match fuzzing::label(&values, &names) {
        Ok(stated) => assert_eq!(Some(stated_as_text(&stated)), expected(&values), "{values:?}"),
        Err(why) => {
            assert_eq!(expected(&values), None, "{values:?}: {why}");
            assert!(super::is_harmless(&why.to_string()), "{why}");
        }
    }
    values.iter().for_each(|value| {
        if let Value::Bytes(bytes) = value {
            id(bytes);
        }
    });
}

fn value(bytes: &[u8]) -> Value {
    match bytes {
        b"" => Value::Absent,
        b"~" => Value::Bytes(Vec::new()),
        b"^" => Value::TooLong,
        bytes => Value::Bytes(bytes.to_vec()),
    }
}

/// The grammar once more.
fn is_id(bytes: &[u8]) -> bool {
    const ALLOWED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.-";
    (1..=255).contains(&bytes.len()) && bytes.iter().all(|b| ALLOWED.contains(b))
}

fn id(bytes: &[u8]) {
    let app = AppId::new(bytes);
    assert_eq!(app.is_ok(), is_id(bytes), "{bytes:?}");
    assert_eq!(InstanceId::new(bytes).map(|id| id.to_string()), app.clone().map(|id| id.to_string()));
    assert_eq!(SandboxEngine::new(bytes).map(|id| id.written().to_owned()), app.clone().map(|id| id.to_string()));
    match app {
        Ok(id) => {
            assert_eq!(id.as_str().as_bytes(), bytes);
            assert_eq!(AppId::new(id.to_string()), Ok(id));
            let engine = SandboxEngine::new(bytes).expect("it is an ID");
            assert_eq!(SandboxEngine::new(engine.as_str()), Ok(engine.clone()), "an engine is what its full name is");
            assert!(is_id(engine.as_str().as_bytes()));
        }
        Err(InvalidId::Byte(byte, at)) => {
            assert_eq!(bytes[at], byte);
            assert!(at == 0 || is_id(&bytes[..at]) && !is_id(&bytes[..=at]));
        }
        Err(InvalidId::Empty) => assert!(bytes.is_empty()),
        Err(why) => assert!(why == InvalidId::TooLong && bytes.len() > MAX_LEN),
    }
}

fn shown(bytes: &[u8]) {
    let text = fuzzing::escaped(bytes);
    assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text:?}");
    if bytes.iter().all(|b| matches!(b, b' '..=b'~')) {
        assert_eq!(text.as_bytes(), bytes, "what can be shown is shown as it is");
    }
}

/// What the format says, written down once more: engine, app ID, instance ID, extra; `None` if it is malformed.
type Text = (Option<String>, Option<String>, Option<String>, Option<String>);

fn expected(values: &[Value]) -> Option<Text> {
    let mut texts = [const { None }; 5];
    for (index, value) in values.iter().enumerate() {
        texts[index] = match value {
            Value::Absent => None,
            // Without an engine, a further name means nothing.
            _ if index == 4 && texts[0].is_none() => None,
            Value::TooLong => return None,
            Value::Bytes(bytes) if is_id(bytes) => Some(String::from_utf8(bytes.clone()).expect("ASCII")),
            Value::Bytes(_) => return None,
        };
    }
    let [engine, app_id, alias, instance_id, extra] = texts;
    let disagree = app_id.is_some() && alias.is_some() && app_id != alias;
    let orphan = engine.is_none() && (alias.is_some() || instance_id.is_some());
    (!disagree && !orphan).then(|| (engine, app_id.or(alias), instance_id, extra))
}

fn stated_as_text(stated: &Stated) -> Text {
    match stated {
        Stated::Nothing => (None, None, None, None),
        Stated::Claim(app_id) => (None, Some(app_id.to_string()), None, None),
        Stated::Sandbox(label) => (
            Some(label.engine.written().to_owned()),
            label.app_id.as_ref().map(ToString::to_string),
            label.instance_id.as_ref().map(ToString::to_string),
            label.extra.first().map(|(_, value)| value.clone()),
        ),
    }
}
