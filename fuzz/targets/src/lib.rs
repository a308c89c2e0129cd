//! What the fuzz targets check.
//!
//! Each target is a function of bytes that panics where a property does not hold. Two drivers call them: cargo-fuzz
//! (`cargo xtask fuzz`), which looks for bytes that lead to new places, and the test `seeds`, which needs no fuzzer: it
//! feeds every seed and many mutations of it.

mod engine;
mod label;
mod never_widens;
mod policy;
mod proc_files;
mod registry;
pub mod source;
mod unit;

pub use never_widens::check_one_policy;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. Their seeds are in the directory of the same name below `fuzz/seeds`.
pub const TARGETS: &[Target] = &[
    ("label", label::run),
    ("proc_files", proc_files::run),
    ("unit", unit::run),
    ("engine", engine::run),
    ("policy", policy::run),
    ("never_widens", never_widens::run),
    ("registry", registry::run),
];

/// The target of this name.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(own, _)| *own == name);
    found.unwrap_or_else(|| panic!("there is no fuzz target `{name}`")).1
}

/// Whether a text can be shown: nothing in it moves the cursor, turns the writing round or is not seen at all.
fn is_harmless(text: &str) -> bool {
    let hidden = |c: char| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !text.chars().any(|c| c.is_control() && c != '\t' || hidden(c))
}
