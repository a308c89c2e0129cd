//! What is wrong with a policy file, and where.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::file::PolicyFiles;

/// How many errors a policy is told of; further ones are only counted.
const MAX_DIAGNOSTICS: usize = 100;

/// The longest source line that is shown, in bytes.
const MAX_SHOWN_LINE: usize = 2048;

/// The longest text out of a file that is quoted in a message, in characters.
const MAX_QUOTED: usize = 64;

/// Whether a policy is refused because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted, but some of it does not do what it seems to say.
    Warning,
}

/// One thing to say about one place in a policy file.
///
/// [`fmt::Display`] shows it with the line, a caret and the help; nothing out of the file
/// reaches the output with a control character or a change of writing direction in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether it is an error.
    pub severity: Severity,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    file: Arc<str>,
    /// The line in the file as it is shown; `None` if it is too long for that.
    source: Option<Box<str>>,
    /// What the caret points at, in bytes of `source`.
    span: Range<usize>,
}

impl Diagnostic {
    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = harmless(&self.file);
        let title = level.primary_title(self.message.as_str());
        // "did you mean" stands beside the caret; longer advice gets a line of its own.
        let (label, footer) = match self.help.as_deref() {
            Some(help) if help.starts_with("did you mean") => (Some(help), None),
            other => (None, other),
        };
        let mut group = match &self.source {
            Some(source) => title.element(
                Snippet::source(&**source)
                    .line_start(self.line)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(self.span.clone()).label(label)),
            ),
            None => title.element(Origin::path(path).line(self.line).char_column(self.column)),
        };
        let unshown = self.source.is_none().then_some(label).flatten();
        for help in footer.into_iter().chain(unshown) {
            group = group.element(Level::HELP.message(help));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

/// All errors of one policy: of its file and of those that it includes, in this order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    diagnostics: Vec<Diagnostic>,
    more: usize,
    files: PolicyFiles,
}

impl PolicyErrors {
    /// The errors, in the order of the files and of what stands in them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter()
    }

    /// The same errors, of a policy that was read from these.
    pub(super) fn of(self, files: PolicyFiles) -> Self {
        Self { files, ..self }
    }

    /// What was read, or tried to be: when one of these changes, it is worth another try.
    #[must_use]
    pub fn files(&self) -> &PolicyFiles {
        &self.files
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// A place in one of the files of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The number of the file.
    file: usize,
    /// In bytes of its text.
    span: Range<usize>,
}

/// Collects what there is to say about the files of one policy. Spans are of the current one.
#[derive(Debug, Default)]
pub(super) struct Sink<'t> {
    texts: Vec<Text<'t>>,
    /// The number of the current file, and its name.
    current: usize,
    file: Arc<str>,
    /// Each with the number of its file.
    errors: Vec<(usize, Diagnostic)>,
    more: usize,
    warnings: Vec<(usize, Diagnostic)>,
}

/// The text of one file.
#[derive(Debug)]
struct Text<'t> {
    file: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Sink<'t> {
    /// For the main file, which is the current one.
    pub(super) fn new(file: Arc<str>, text: &'t str) -> Self {
        Self { texts: vec![Text::new(file.clone(), text)], file, ..Self::default() }
    }

    /// Takes a further file, and says its number. The main one has the number 0.
    pub(super) fn add(&mut self, file: Arc<str>, text: &'t str) -> usize {
        self.texts.push(Text::new(file, text));
        self.texts.len() - 1
    }

    /// Makes the file of this number the current one.
    pub(super) fn select(&mut self, file: usize) {
        self.current = file;
        self.file = self.texts.get(file).map(|text| text.file.clone()).unwrap_or_default();
    }

    /// The name of the current file.
    pub(super) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The line, counted from 1, of the byte at `offset` of the current file.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.texts.get(self.current).map_or(1, |text| text.line(offset))
    }

    /// Where `span` of the current file is, for when another one is.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.current, span }
    }

    /// Whether there is no error so far.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.more == 0
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let room = self.errors.len() < MAX_DIAGNOSTICS;
        let told = room.then(|| self.diagnostic(Severity::Error, self.place(span), message.into(), help)).flatten();
        match told {
            Some(error) => self.errors.push(error),
            None => self.more += 1,
        }
    }

    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>, help: Option<String>) {
        if self.warnings.len() < MAX_DIAGNOSTICS {
            self.warnings.extend(self.diagnostic(Severity::Warning, place, message.into(), help));
        }
    }

    /// The warnings, or the errors if there are any.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, PolicyErrors> {
        if self.is_clean() { Ok(in_order(self.warnings)) } else { Err(self.into_errors()) }
    }

    /// The errors, in the order of their places.
    pub(super) fn into_errors(self) -> PolicyErrors {
        PolicyErrors { diagnostics: in_order(self.errors), more: self.more, files: PolicyFiles::default() }
    }

    fn diagnostic(
        &self,
        severity: Severity,
        place: Place,
        message: String,
        help: Option<String>,
    ) -> Option<(usize, Diagnostic)> {
        let diagnostic = self.texts.get(place.file)?.diagnostic(severity, place.span, message, help);
        Some((place.file, diagnostic))
    }
}

/// By file, line and column.
fn in_order(mut diagnostics: Vec<(usize, Diagnostic)>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|(file, diagnostic)| (*file, diagnostic.line, diagnostic.column));
    diagnostics.into_iter().map(|(_, diagnostic)| diagnostic).collect()
}

impl<'t> Text<'t> {
    fn new(file: Arc<str>, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts }
    }

    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).max(1)
    }

    fn diagnostic(&self, severity: Severity, span: Range<usize>, message: String, help: Option<String>) -> Diagnostic {
        let line = self.line(span.start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let rest = self.text.get(line_start..).unwrap_or_default();
        let text = rest.split('\n').next().unwrap_or_default();
        let text = text.strip_suffix('\r').unwrap_or(text);
        let start = floor_char(text, span.start.saturating_sub(line_start));
        let end = floor_char(text, span.end.saturating_sub(line_start)).max(start);
        let column = text[..start].chars().count() + 1;
        let (source, span) = if text.len() <= MAX_SHOWN_LINE {
            let (before, marked) = (harmless(&text[..start]), harmless(&text[start..end]));
            let span = before.len()..before.len() + marked.len();
            (Some(format!("{before}{marked}{}", harmless(&text[end..])).into()), span)
        } else {
            (None, 0..0)
        };
        Diagnostic { severity, line, column, message, help, file: self.file.clone(), source, span }
    }
}

/// The last boundary between characters that is not behind `at`.
fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// `text` with every control character, and every character that changes the direction of
/// writing or is not seen at all, replaced by one that is seen; so columns stay what they are.
pub(super) fn harmless(text: &str) -> String {
    let visible = |c: char| match c {
        '\t' => '\t',
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(visible).collect()
}

/// A text out of the file, in backquotes, for a message.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = harmless(text).chars().take(MAX_QUOTED).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// "did you mean", if one of `candidates` is close to `word`.
pub(super) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    closest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The one of `candidates` that `word` was probably meant to be.
pub(super) fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > MAX_QUOTED {
        return None;
    }
    let normal = word.to_ascii_lowercase().replace(['_', ' '], "-");
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&normal, &candidate.replace('_', "-")), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= (candidate.len().min(word.len()) / 3).max(1))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, span: Range<usize>, message: &str, help: Option<&str>) -> PolicyErrors {
        let mut sink = Sink::new("policy.toml".into(), text);
        sink.error(span, message, help.map(str::to_owned));
        sink.finish().unwrap_err()
    }

    #[test]
    fn an_error_shows_file_line_column_source_caret_and_help() {
        let text = "[[rule]]\nallow = [\"layer_shell\"]\n";
        let shown =
            error(text, 18..31, "unknown capability `layer_shell`", Some("did you mean `layer-shell`?")).to_string();
        let expected = "error: unknown capability `layer_shell`
 --> policy.toml:2:10
  |
2 | allow = [\"layer_shell\"]
  |          ^^^^^^^^^^^^^ did you mean `layer-shell`?";
        assert_eq!(shown, expected);
    }

    #[test]
    fn t26_control_characters_of_the_file_never_reach_the_output() {
        let text = "a = \"\x1b[31m\u{202e}\u{9b}\x07\x7f\u{feff}\"\r\n";
        let errors = error(text, 4..10, &format!("bad value {}", quoted(&text[5..])), None);
        let shown = errors.to_string();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!shown.contains(['\u{202e}', '\u{feff}']), "{shown:?}");
        assert!(shown.contains("\u{241b}[31m"), "{shown}");
    }

    #[test]
    fn any_span_is_survived() {
        let text = "ä = 1\n\u{1f980}\r\n";
        for start in 0..=text.len() + 2 {
            for end in 0..=text.len() + 2 {
                assert!(error(text, start..end, "m", None).to_string().contains("policy.toml"), "{start}..{end}");
            }
        }
        assert!(error("", 0..0, "m", None).to_string().contains("policy.toml:1:1"));
    }

    #[test]
    fn a_line_that_is_too_long_is_not_shown_but_named() {
        let text = format!("a = \"{}\"", "x".repeat(MAX_SHOWN_LINE));
        let shown = error(&text, 4..9, "m", Some("did you mean `y`?")).to_string();
        assert!(shown.contains("policy.toml:1:5") && shown.contains("did you mean `y`?"), "{shown}");
        assert!(shown.len() < 200);
    }

    #[test]
    fn further_errors_are_counted() {
        let mut sink = Sink::new("p".into(), "x\n");
        for _ in 0..MAX_DIAGNOSTICS + 7 {
            sink.error(0..1, "m", None);
        }
        let errors = sink.finish().unwrap_err();
        assert_eq!(errors.iter().count(), MAX_DIAGNOSTICS);
        assert!(errors.to_string().ends_with("and 7 more"));
    }

    #[test]
    fn only_what_is_close_is_suggested() {
        let names = ["screen-capture", "layer-shell", "unit"];
        assert_eq!(closest("layer_shell", names), Some("layer-shell"));
        assert_eq!(closest("Screen Capture", names), Some("screen-capture"));
        assert_eq!(closest("unti", names), Some("unit"));
        assert_eq!(closest("frobnicate", names), None);
        assert_eq!(closest("", names), None);
    }
}
