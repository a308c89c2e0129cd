//! Names in rules: whole ones, and patterns over their segments.
//!
//! A pattern is matched segment by segment, the segments being what stands between the dots of a name. `*` stands for any
//! text inside one segment, `**` as a whole segment for one or more segments. So `org.gnome.*` is `org.gnome.Maps` and neither
//! `org.gnome` nor `org.gnome.Maps.Devel` nor `org.gnomex.Maps`.

use std::fmt;

/// A whole name, or a pattern over names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Whole(Box<str>),
    Wild(Vec<Segment>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text, with `*` for any.
    Text(Box<str>),
    /// One segment or more.
    Several,
}

/// `**` stands beside other text in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeveralInside;

impl fmt::Display for SeveralInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("has `**` beside other text; it stands for whole segments between dots")
    }
}

impl Pattern {
    /// Reads a pattern. Whether its text, but for the `*`, can be in a name is for the caller to check.
    pub(super) fn new(text: &str) -> Result<Self, SeveralInside> {
        if !text.contains('*') {
            return Ok(Self::Whole(text.into()));
        }
        let segment = |segment: &str| match segment {
            "**" => Ok(Segment::Several),
            _ if segment.contains("**") => Err(SeveralInside),
            _ => Ok(Segment::Text(segment.into())),
        };
        text.split('.').map(segment).collect::<Result<_, _>>().map(Self::Wild)
    }

    /// Whether `name` is one that it stands for.
    pub(super) fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Whole(whole) => **whole == *name,
            Self::Wild(segments) => {
                matches(segments, &name.split('.').collect::<Vec<_>>(), |text, part| segment_matches(text, part))
            }
        }
    }

    /// Whether this is known to stand for every name that `other` stands for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Whole(name)) => self.is_match(name),
            (Self::Whole(_), Self::Wild(_)) => false,
            (Self::Wild(wide), Self::Wild(narrow)) => matches(wide, narrow, |text, segment| match segment {
                // What fits a `*` of the other as if it were a letter fits whatever stands there.
                Segment::Text(other) => segment_matches(text, other),
                Segment::Several => false,
            }),
        }
    }

    /// Whether no name is known to be one that both stand for.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(name), pattern) | (pattern, Self::Whole(name)) => !pattern.is_match(name),
            (Self::Wild(one), Self::Wild(other)) => {
                let fixed = |segments: &[Segment]| !segments.contains(&Segment::Several);
                let apart = |(one, other): (&Segment, &Segment)| match (one, other) {
                    (Segment::Text(one), Segment::Text(other)) => Some(segments_exclude(one, other)),
                    _ => None,
                };
                (fixed(one) && fixed(other) && one.len() != other.len())
                    || one.iter().zip(other).map_while(apart).any(|apart| apart)
                    || one.iter().rev().zip(other.iter().rev()).map_while(apart).any(|apart| apart)
            }
        }
    }

    /// About how many steps it takes to compare both.
    pub(super) fn steps(&self, other: &Self) -> usize {
        match (self, other) {
            (Self::Whole(_), Self::Whole(_)) => 1,
            _ => self.size().saturating_mul(other.size()),
        }
    }

    fn size(&self) -> usize {
        let of_segment = |segment: &Segment| match segment {
            Segment::Text(text) => 1 + text.len(),
            Segment::Several => 1,
        };
        match self {
            Self::Whole(name) => 1 + name.len(),
            Self::Wild(segments) => segments.iter().map(of_segment).sum(),
        }
    }
}

/// Whether no text is one that both stand for, as far as their ends say.
fn segments_exclude(one: &str, other: &str) -> bool {
    if !one.contains('*') {
        return !segment_matches(other, one);
    }
    if !other.contains('*') {
        return !segment_matches(one, other);
    }
    let head = |text: &str| text.split('*').next().unwrap_or_default().to_owned();
    let tail = |text: &str| text.rsplit('*').next().unwrap_or_default().to_owned();
    let (heads, tails) = ((head(one), head(other)), (tail(one), tail(other)));
    !(heads.0.starts_with(&heads.1) || heads.1.starts_with(&heads.0))
        || !(tails.0.ends_with(&tails.1) || tails.1.ends_with(&tails.0))
}

/// One pass over the name for each segment of the pattern, whatever they are. `fits` says whether a text with `*` stands for
/// a part of the name.
fn matches<T>(pattern: &[Segment], name: &[T], fits: impl Fn(&str, &T) -> bool) -> bool {
    // Whether the pattern so far can stand for the first so many segments of the name.
    let mut so_far = vec![false; name.len() + 1];
    so_far[0] = true;
    for segment in pattern {
        let mut next = vec![false; name.len() + 1];
        for (at, part) in name.iter().enumerate() {
            next[at + 1] = match segment {
                Segment::Text(text) => so_far[at] && fits(text, part),
                Segment::Several => so_far[at] || next[at],
            };
        }
        so_far = next;
    }
    so_far.last() == Some(&true)
}

/// Whether the parts of `pattern` between its `*` stand in `text` in this order, the first and last at its ends.
fn segment_matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(text) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else { return false };
    let mut left = Some(text);
    for part in middle.split('*') {
        left = left.and_then(|text| text.find(part).map(|at| &text[at + part.len()..]));
    }
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().is_match(name)
    }

    #[test]
    fn names_are_matched_whole() {
        assert!(is("org.foo", "org.foo"));
        for other in ["orgxfoo", "org.foo.bar", "org", "xorg.foo", "org.foox", "ORG.foo", ""] {
            assert!(!is("org.foo", other), "{other}");
        }
    }

    #[test]
    fn a_star_stays_inside_its_segment() {
        assert!(is("org.gnome.*", "org.gnome.Maps"));
        for other in ["org.gnome", "org.gnome.Maps.Devel", "org.gnomex.Maps", "xorg.gnome.Maps"] {
            assert!(!is("org.gnome.*", other), "{other}");
        }
        assert!(is("*", "firefox") && !is("*", "org.firefox"));
        assert!(is("org.*.Maps", "org.gnome.Maps") && !is("org.*.Maps", "org.a.b.Maps"));
        assert!(is("a*b*c", "aXbYc") && is("a*b*c", "abc") && is("a*b*b", "abb"));
        assert!(!is("a*b*c", "acb") && !is("ab*ba", "aba") && !is("a*b*b", "ab"));
        assert!(is("a*", "a") && is("*a", "a"));
    }

    #[test]
    fn two_stars_cross_segments_and_stand_for_at_least_one() {
        assert!(is("org.gnome.**", "org.gnome.Maps") && is("org.gnome.**", "org.gnome.Maps.Devel"));
        assert!(!is("org.gnome.**", "org.gnome"));
        assert!(is("**", "a") && is("**", "a.b.c"));
        assert!(is("**.Maps", "a.b.Maps") && !is("**.Maps", "Maps"));
        assert!(is("a.**.z", "a.b.z") && is("a.**.z", "a.b.c.z") && !is("a.**.z", "a.z"));
    }

    #[test]
    fn patterns_that_would_surprise_are_none() {
        assert_eq!(Pattern::new("org.a**"), Err(SeveralInside));
        assert_eq!(Pattern::new("***"), Err(SeveralInside));
    }

    /// Names and patterns over few letters, all of them up to three segments.
    fn small_world() -> (Vec<String>, Vec<Pattern>) {
        let over = |segments: &[&str]| {
            let mut all: Vec<String> = segments.iter().map(|s| (*s).to_owned()).collect();
            for at in 0.. {
                let Some(name) = all.get(at).cloned() else { break };
                if name.split('.').count() < 3 {
                    all.extend(segments.iter().map(|s| format!("{name}.{s}")));
                }
            }
            all
        };
        let patterns =
            over(&["a", "ab", "*", "a*", "*b", "**"]).iter().map(|text| Pattern::new(text).unwrap()).collect();
        (over(&["a", "b", "ab", "ba", "abb"]), patterns)
    }

    #[test]
    fn what_is_said_of_two_patterns_holds_for_every_name() {
        let (names, patterns) = small_world();
        let stands_for: Vec<Vec<bool>> =
            patterns.iter().map(|p| names.iter().map(|name| p.is_match(name)).collect()).collect();
        let (mut covered, mut excluded) = (0, 0);
        for (one, of_one) in patterns.iter().zip(&stands_for) {
            for (other, of_other) in patterns.iter().zip(&stands_for) {
                let both = || of_one.iter().zip(of_other);
                if one.covers(other) {
                    covered += 1;
                    assert!(both().all(|(one, other)| *one || !*other), "{one:?} {other:?}");
                }
                if one.excludes(other) {
                    excluded += 1;
                    assert!(both().all(|(one, other)| !(*one && *other)), "{one:?} {other:?}");
                }
            }
        }
        assert!(covered > 1000 && excluded > 1000, "{covered} {excluded}");
    }

    /// Many `**` against a long name come to an end soon.
    #[test]
    fn the_worst_pattern_is_cheap() {
        let name = vec!["a"; 127].join(".");
        assert!(!is(&format!("{}.b", ["**"; 60].join(".")), &name));
        assert!(!is(&format!("{}b", "*a".repeat(100)), &"a".repeat(255)));
    }
}
