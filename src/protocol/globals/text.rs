//! Strings that may be sent: bounded, in one line, and harmless on a terminal.

use crate::identity::{Identity, Provenance};
use crate::policy::Standing;

use crate::protocol::server::xx_client_auth_manager_v1 as manager;

/// The longest text for a person, in bytes.
pub(super) const MAX_TEXT: usize = 1024;

/// The longest reason, of which there is one for each capability.
pub(super) const MAX_REASON: usize = 512;

/// The longest name of a capability, in bytes.
pub(super) const MAX_ID: usize = 255;

/// What a text ends in that was cut.
const CUT: char = '\u{2026}';

/// `text` as it may be sent: escaped, and at most `max` bytes long.
pub(super) fn bounded(text: &str, max: usize) -> String {
    let mut sent = String::new();
    // Where it has to end if more comes than there is room for.
    let mut end = 0;
    for c in text.chars() {
        if is_harmless(c) {
            sent.push(c)
        } else {
            sent.extend(c.escape_unicode())
        }
        if sent.len() <= max.saturating_sub(CUT.len_utf8()) {
            end = sent.len();
        }
        if sent.len() > max {
            sent.truncate(end);
            sent.push(CUT);
            return sent;
        }
    }
    sent
}

/// Neither a control character, nor one that formats text: direction, joining, separation, invisible tags.
fn is_harmless(c: char) -> bool {
    let formats = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !formats
}

/// The arguments that name a client.
pub(super) struct Names {
    pub(super) kind: manager::Kind,
    pub(super) engine: Option<String>,
    pub(super) app_id: Option<String>,
    pub(super) instance_id: Option<String>,
    pub(super) provenance: manager::Provenance,
}

impl Names {
    pub(super) fn of(identity: &Identity) -> Self {
        let kind = match identity {
            Identity::App(_) => manager::Kind::App,
            Identity::Host(_) => manager::Kind::Host,
            Identity::Internal(_) => manager::Kind::Internal,
            Identity::Unidentified(_) => manager::Kind::Unidentified,
        };
        let nobody =
            Self { kind, engine: None, app_id: None, instance_id: None, provenance: manager::Provenance::None };
        let Identity::App(app) = identity else { return nobody };
        let Some(engine) = &app.engine else { return nobody };
        Self {
            kind,
            engine: Some(engine.as_str().to_owned()),
            app_id: app.app_id.as_ref().map(|id| id.as_str().to_owned()),
            instance_id: app.instance_id.as_ref().map(|id| id.as_str().to_owned()),
            provenance: provenance(app.provenance),
        }
    }
}

fn provenance(provenance: Provenance) -> manager::Provenance {
    match provenance {
        Provenance::User => manager::Provenance::User,
        Provenance::System => manager::Provenance::System,
    }
}

pub(super) fn standing(standing: Standing) -> manager::Standing {
    match standing {
        Standing::Denied => manager::Standing::Denied,
        Standing::Empty => manager::Standing::Empty,
        Standing::Ask => manager::Standing::Ask,
        Standing::Allowed => manager::Standing::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(bounded("abcdef", 5), "ab\u{2026}");
        // Four bytes each: one fits beside the mark, and none is torn.
        assert_eq!(bounded("\u{1f600}\u{1f600}\u{1f600}", 9), "\u{1f600}\u{2026}");
        for max in 3..40 {
            assert!(bounded(&"\u{20ac}\n\u{1f600}x".repeat(20), max).len() <= max, "{max}");
        }
    }

    #[test]
    fn t26_no_text_that_is_sent_can_move_a_cursor_or_hide() {
        let sent = bounded("a\u{1b}[31mb\nc\0\u{202e}\u{200b}\u{9b}\u{e0041}", 1024);
        assert_eq!(sent, "a\\u{1b}[31mb\\u{a}c\\u{0}\\u{202e}\\u{200b}\\u{9b}\\u{e0041}");
        assert!(bounded(&"\u{1b}".repeat(1024), 1024).len() <= 1024);
    }
}
