//! What was found, and what it comes to.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// The application can rewrite, strip or leave its label.
    Unsafe,
    /// This could not be looked at. Nothing is safe then.
    Unknown,
    /// It cannot, but one layer fewer keeps it from it, or another door is open.
    Weak,
    /// Good to know.
    Note,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Unsafe => "unsafe",
            Self::Unknown => "not known",
            Self::Weak => "weak",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// A stable name.
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What was seen.
    pub(super) seen: String,
    /// What to do about it.
    pub(super) remedy: &'static str,
}

/// What all findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Safe,
    Unsafe,
    NotKnown,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
            Self::NotKnown => "not known",
        }
    }
}

/// All findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, id: &'static str, severity: Severity, seen: impl Into<String>, remedy: &'static str) {
        self.0.push(Finding { id, severity, seen: seen.into(), remedy });
    }

    /// Adds something that could not be looked at.
    pub(super) fn unknown(&mut self, id: &'static str, what: impl std::fmt::Display, why: &std::io::Error) {
        const REMEDY: &str = "look at it as root, or as the user who started the sandbox";
        self.add(id, Severity::Unknown, format!("{what}: {why}"), REMEDY);
    }

    /// Adds those of somebody else, each once.
    pub(super) fn append(&mut self, other: Self) {
        for finding in other.0 {
            if !self.0.contains(&finding) {
                self.0.push(finding);
            }
        }
    }

    /// The worst first.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|finding| finding.severity);
        self
    }

    /// Safe only if everything was looked at and nothing was found.
    pub(super) fn verdict(&self) -> Verdict {
        match self.0.iter().map(|finding| finding.severity).min() {
            Some(Severity::Unsafe) => Verdict::Unsafe,
            Some(Severity::Unknown) => Verdict::NotKnown,
            Some(Severity::Weak | Severity::Note) | None => Verdict::Safe,
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            let _ = writeln!(text, "{:>9}  {}: {}", finding.severity.word(), finding.id, finding.seen);
            let _ = writeln!(text, "           to do: {}", finding.remedy);
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "id": finding.id,
                "severity": finding.severity.word().replace(' ', "-"),
                "seen": finding.seen,
                "remedy": finding.remedy,
            })
        };
        self.0.iter().map(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_at_is_never_safe() {
        let mut findings = Findings::default();
        assert_eq!(findings.verdict(), Verdict::Safe);
        findings.add("a", Severity::Weak, "x", "y");
        assert_eq!(findings.verdict(), Verdict::Safe);
        findings.unknown("b", "x", &std::io::Error::from_raw_os_error(13));
        assert_eq!(findings.verdict(), Verdict::NotKnown);
        findings.add("c", Severity::Unsafe, "x", "y");
        assert_eq!(findings.verdict(), Verdict::Unsafe);
        assert!(findings.sorted().to_text().starts_with("   unsafe  c: x\n           to do: y\n"));
    }
}
