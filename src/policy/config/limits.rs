//! `[limits]`: how many connections may be open at a time.

use std::num::NonZeroU32;

use toml::Spanned;
use toml::de::DeValue;

use super::{Parser, in_file_order};
use crate::policy::diagnostics::{did_you_mean, quoted};
use crate::policy::settings::Limits;

/// No process can have more file descriptors than this (`fs.nr_open` as the kernel sets it).
pub(in crate::policy) const MAX: u32 = 1 << 20;

pub(in crate::policy) const KEYS: &[&str] =
    &["connections-host", "connections-namespaced", "connections-per-app", "connections-unidentified"];

impl Parser<'_> {
    pub(super) fn limits(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(value) else { return };
        self.known_keys(table, KEYS, "[limits]");
        let mut limits = Limits::default();
        for (key, value) in in_file_order(table) {
            let limit = match key.name {
                "connections-per-app" => &mut limits.per_app,
                "connections-namespaced" => &mut limits.namespaced,
                "connections-unidentified" => &mut limits.unidentified,
                "connections-host" => &mut limits.host,
                _ => continue,
            };
            if let Some(read) = self.limit(value) {
                *limit = read;
            }
        }
        self.policy.limits = limits;
    }

    /// A number of connections; `Some(None)` is no limit.
    fn limit(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Option<NonZeroU32>> {
        const HELP: &str = "write a number from 1, or \"unlimited\"";
        match value.get_ref() {
            DeValue::Integer(integer) => {
                let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| *n <= MAX);
                match number.map(NonZeroU32::new) {
                    Some(Some(limit)) => return Some(Some(limit)),
                    Some(None) => {
                        let help = "to let them connect and see the core globals only, use [defaults]";
                        self.sink.error(value.span(), "0 would turn all of them away", Some(help.into()));
                    }
                    None => {
                        let message = format!("this is not a number of connections from 1 to {MAX}");
                        self.sink.error(value.span(), message, Some(HELP.into()));
                    }
                }
            }
            DeValue::String(word) if word == "unlimited" => return Some(None),
            DeValue::String(word) => {
                let help = did_you_mean(word, ["unlimited"]).unwrap_or_else(|| HELP.into());
                self.sink.error(value.span(), format!("unknown value {}", quoted(word)), Some(help));
            }
            _ => self.wrong_type(value, "a number of connections", Some(HELP.into())),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    /// The message and the help of the one error of `[limits]` with this in it.
    fn error(text: &str) -> (String, String) {
        let errors = Policy::parse("policy.toml", &format!("[limits]\n{text}\n")).unwrap_err();
        let all: Vec<_> = errors.iter().collect();
        assert_eq!(all.len(), 1, "{errors}");
        (all[0].message.clone(), all[0].help.clone().unwrap_or_default())
    }

    #[test]
    fn each_limit_is_read_and_what_is_left_out_is_the_default() {
        let text = "[limits]\nconnections-per-app = 3\nconnections-unidentified = 0x10\nconnections-host = 1_048_576";
        let limits = Policy::parse("p", text).unwrap().limits();
        assert_eq!(limits.per_app, NonZeroU32::new(3));
        assert_eq!(limits.unidentified, NonZeroU32::new(16));
        assert_eq!(limits.host, NonZeroU32::new(MAX));
        assert_eq!(limits.namespaced, Limits::default().namespaced);
        assert!(Limits::default().namespaced.is_some() && Limits::default().host.is_none());
    }

    #[test]
    fn unlimited_takes_a_limit_away() {
        for key in KEYS {
            let text = format!("[limits]\n{key} = \"unlimited\"");
            let limits = Policy::parse("p", &text).unwrap().limits();
            let all = [limits.per_app, limits.namespaced, limits.unidentified, limits.host];
            // The host has none to begin with.
            let without = if *key == "connections-host" { 1 } else { 2 };
            assert_eq!(all.iter().filter(|limit| limit.is_none()).count(), without, "{key}");
        }
    }

    #[test]
    fn what_is_no_limit_is_an_error() {
        let (message, help) = error("connections-per-app = 0");
        assert!(message.contains("0 would turn all of them away") && help.contains("[defaults]"), "{message} {help}");
        for huge in ["1048577", "-1", "4294967297", "9223372036854775807", "99999999999999999999999"] {
            let (message, help) = error(&format!("connections-host = {huge}"));
            assert!(message.contains("from 1 to 1048576") && help.contains("unlimited"), "{huge}: {message} {help}");
        }
        assert_eq!(error("connections-host = \"unlimitd\"").1, "did you mean `unlimited`?");
        assert!(error("connections-host = \"many\"").1.contains("or \"unlimited\""));
        assert!(error("connections-host = [1]").0.contains("expected a number of connections"));
        assert_eq!(error("connection-per-app = 1").1, "did you mean `connections-per-app`?");
        assert!(error("ask = 1").0.contains("unknown key"));
    }
}
