//! `include`, and what an included file may hold.

use toml::de::DeTable;

use super::keys::SECTIONS;
use super::{Parser, in_file_order};
use crate::policy::diagnostics::quoted;
use crate::policy::include::{Included, Includer, MAX_FILES};

/// What an included file may hold.
pub(super) const INCLUDED: &[&str] = &["capabilities", "rule"];

impl Parser<'_> {
    /// The files that `include` of the main one names, in their order.
    pub(super) fn include(&mut self, main: &DeTable<'_>, includer: Option<&mut Includer>) -> Vec<Included> {
        let Some((key, value)) = main.get_key_value("include") else { return Vec::new() };
        let patterns = self.strings(value, "names of files");
        let Some(includer) = includer else {
            let help = "its names are relative to a file, and this text is none; `Policy::from_path` reads one";
            self.sink.error(key.span(), "`include` has no meaning here", Some(help.into()));
            self.names_are_missing = true;
            return Vec::new();
        };
        if patterns.len() > MAX_FILES {
            self.sink.error(value.span(), format!("more than {MAX_FILES} names of files"), None);
            self.names_are_missing = true;
            return Vec::new();
        }
        let mut included = Vec::new();
        for (pattern, span) in patterns {
            for file in includer.read(&pattern) {
                match file {
                    Ok(file) => included.push(file),
                    Err(refused) => {
                        self.sink.error(span.clone(), refused.message, refused.help);
                        self.names_are_missing = true;
                    }
                }
            }
        }
        included
    }

    /// Refuses what an included file may not hold.
    pub(super) fn known_in_included(&mut self, document: &DeTable<'_>) {
        for (key, _) in in_file_order(document) {
            match key.name {
                name if INCLUDED.contains(&name) => {}
                "include" => {
                    let help = "name its files in the main file, which alone says what belongs to a policy";
                    self.sink.error(key.span, "an included file may not include others", Some(help.into()));
                }
                name if SECTIONS.contains(&name) => {
                    let message = format!("{} may not stand in an included file", quoted(name));
                    let help = "it holds `[[rule]]` and `[capabilities]`; what is for all clients stands in one place";
                    self.sink.error(key.span, message, Some(help.into()));
                }
                _ => self.unknown_key(key, INCLUDED, "an included file"),
            }
        }
    }
}
