//! The problems that a refused call reports, each with its place and its remedy.

use super::program::Outcome;

/// The first lines of every spec.
pub const HEAD: &str = "version = 1\nname = \"test\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
                        [target]\nurl = \"${TARGET_URL}\"\n";
/// A mapping of `public.t`; more of its target may follow.
pub const MAPPING: &str = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
                           [mapping.target]\ntable = \"public.t\"\n";

/// A problem as the program reports it.
#[derive(Debug, Default)]
pub struct Problem {
    pub headline: String,
    pub place: String,
    pub hint: String,
}

/// Returns the problems of a call that was refused.
pub fn refused(outcome: &Outcome) -> Vec<Problem> {
    outcome.exits(2);
    assert_eq!(outcome.stdout, "", "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    harmless(&outcome.stderr);
    let mut told: Vec<Problem> = Vec::new();
    let mut about_error = false;
    for line in outcome.stderr.lines() {
        if let Some(headline) = line.strip_prefix("error: ") {
            told.push(Problem { headline: headline.to_owned(), ..Problem::default() });
            about_error = true;
        } else if line.starts_with("warning: ") {
            about_error = false;
        } else if about_error && let Some(last) = told.last_mut() {
            if let Some(place) = line.trim_start().strip_prefix("--> ") {
                last.place = place.to_owned();
            } else if let Some((_, hint)) = line.split_once("hint: ") {
                last.hint = hint.to_owned();
            }
        }
    }
    told
}

/// Asserts that a terminal shows a text and does nothing else.
pub fn harmless(text: &str) {
    let hostile = |c: &char| {
        c.is_control() && *c != '\n'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(text.chars().find(hostile), None, "{text:?}");
}

/// Returns `line:column` of a text in a file. What comes before a `^` only serves to find it.
fn place_of(text: &str, part: &str) -> String {
    let (context, part) = part.split_once('^').unwrap_or(("", part));
    let at = text.find(&format!("{context}{part}"));
    let at = at.unwrap_or_else(|| panic!("{context}{part} in {text}")) + context.len();
    let line_start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    format!("{}:{}", text[..at].matches('\n').count() + 1, text[line_start..at].chars().count() + 1)
}

/// A text, and of each problem: words of the headline, what the caret points at, words of the hint.
pub type Case<'c> = (String, &'c [(&'c str, &'c str, &'c str)]);

pub fn hold(cases: &[Case<'_>], problems: impl Fn(&str) -> Vec<Problem>) {
    for (text, expected) in cases {
        let told = problems(text);
        assert_eq!(told.len(), expected.len(), "{text}\n{told:#?}");
        for (told, (headline, at, hint)) in told.iter().zip(*expected) {
            assert!(told.headline.contains(headline), "{text}\n{headline}: {told:#?}");
            assert!(
                told.place.ends_with(&format!("spec.toml:{}", place_of(text, at))),
                "{text}\n{told:#?}"
            );
            assert!(told.hint.contains(hint), "{text}\n{hint}: {told:#?}");
        }
    }
}
