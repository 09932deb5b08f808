//! The settings of a pair: its comparison rule, its tolerance, and whether its values are redacted.
//!
//! Values are compared exactly unless the spec says otherwise. `plan`, which has the types of a pair,
//! decides what a rule or a tolerance means for them.

use std::fmt;

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Placed};
use super::reader::Reader;
use crate::problem::Problem;

/// The names of the rules.
const RULES: [&str; 6] =
    ["exact", "json", "trimmed", "case_insensitive", "precision", "null_as_empty"];

/// A comparison rule: how two values may differ and still be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    #[default]
    Exact,
    /// As texts of the same JSON value.
    Json,
    /// In whitespace at both ends.
    Trimmed,
    /// In the case of letters.
    CaseInsensitive,
    /// In digits beyond this precision.
    Precision(Precision),
    /// NULL for an empty text.
    NullAsEmpty,
}

/// The digits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Milliseconds of a time, which is truncated.
    Milliseconds,
    /// Seconds of a time, which is truncated.
    Seconds,
    /// This many places of a numeric, which is rounded.
    Places(u16),
}

/// As the spec writes it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Exact => f.write_str("exact"),
            Rule::Json => f.write_str("json"),
            Rule::Trimmed => f.write_str("trimmed"),
            Rule::CaseInsensitive => f.write_str("case_insensitive"),
            Rule::Precision(Precision::Milliseconds) => f.write_str("precision(ms)"),
            Rule::Precision(Precision::Seconds) => f.write_str("precision(s)"),
            Rule::Precision(Precision::Places(places)) => write!(f, "precision({places})"),
            Rule::NullAsEmpty => f.write_str("null_as_empty"),
        }
    }
}

/// What the spec says about a pair besides its columns or expressions.
#[derive(Clone, Debug, Default)]
pub struct PairSettings {
    /// The rule, where one is written.
    pub rule: Option<Placed<Rule>>,
    /// How far the two values may differ, as written.
    pub tolerance: Option<Placed<String>>,
    /// Whether outputs show a keyed hash instead of the values.
    pub redact: bool,
}

impl PairSettings {
    /// Returns the rule in effect.
    pub fn rule(&self) -> Rule {
        self.rule.as_ref().map_or(Rule::Exact, |rule| rule.value)
    }
}

/// As a plan shows them: `rule trimmed; redacted`. Empty without settings.
impl fmt::Display for PairSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = Some(self.rule()).filter(|rule| *rule != Rule::Exact);
        let parts = [
            rule.map(|rule| format!("rule {rule}")),
            self.tolerance.as_ref().map(|tolerance| format!("tolerance {}", tolerance.value)),
            self.redact.then(|| "redacted".to_owned()),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

/// Reads `rule`, `tolerance` and `redact` of a column's table.
pub(super) fn read_pair_settings(column: &mut Reader<'_>) -> PairSettings {
    let problems = column.problems();
    let rule = column.string("rule").and_then(|text| match parse_rule(&text.value) {
        Ok(value) => Some(Placed { value, span: text.span }),
        Err(problem) => {
            problems.push(Diagnostic::of_problem(&text.span, problem));
            None
        }
    });
    let tolerance =
        match column.value("tolerance").map(|(_, value)| (value.span(), value.get_ref())) {
            Some((span, DeValue::Integer(_) | DeValue::Float(_))) => {
                let message = "\"tolerance\" must be a string, not a number";
                let hint = "Put it in quotes, for example \"0.005\": it is read exactly.";
                problems.push(Diagnostic::error(&span, message).with_hint(hint));
                None
            }
            _ => column.string("tolerance"),
        };
    let redact = column.boolean("redact").unwrap_or(false);
    if let (Some(rule), Some(tolerance)) = (&rule, &tolerance)
        && rule.value != Rule::Exact
    {
        let message = format!("a tolerance and the rule \"{}\" exclude each other", rule.value);
        let hint = "A tolerance is measured between the two values as they are: keep one of the two settings.";
        problems.push(Diagnostic::error(&tolerance.span, message).with_hint(hint));
    }
    PairSettings { rule, tolerance, redact }
}

/// Parses a rule.
///
/// # Errors
/// If there is no such rule.
fn parse_rule(text: &str) -> Result<Rule, Problem> {
    let (word, argument) = match text.split_once('(') {
        Some((word, rest)) => (word, rest.strip_suffix(')').or(Some(""))),
        None => (text, None),
    };
    let rule = match (word, argument) {
        ("exact", None) => Some(Rule::Exact),
        ("json", None) => Some(Rule::Json),
        ("trimmed", None) => Some(Rule::Trimmed),
        ("case_insensitive", None) => Some(Rule::CaseInsensitive),
        ("null_as_empty", None) => Some(Rule::NullAsEmpty),
        ("precision", Some(argument)) => parse_precision(argument).map(Rule::Precision),
        _ => None,
    };
    rule.ok_or_else(|| {
        let hint = match super::did_you_mean(word, RULES) {
            Some("precision") => "Write precision(ms), precision(s) or precision(2).".to_owned(),
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("Rules are {}.", RULES.join(", ")),
        };
        Problem::new(format!("unknown rule \"{text}\"")).with_hint(hint)
    })
}

fn parse_precision(text: &str) -> Option<Precision> {
    match text {
        "ms" => Some(Precision::Milliseconds),
        "s" => Some(Precision::Seconds),
        _ if text.starts_with('+') => None,
        _ => text.parse().ok().filter(|places| *places <= 1000).map(Precision::Places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_parsed_exactly_and_written_alike() {
        for rule in [
            "exact",
            "json",
            "trimmed",
            "case_insensitive",
            "null_as_empty",
            "precision(ms)",
            "precision(s)",
            "precision(0)",
            "precision(2)",
        ] {
            assert_eq!(parse_rule(rule).unwrap().to_string(), rule);
        }
        for rule in [
            "jsn",
            "precision",
            "precision(h)",
            "precision(2",
            "precision()",
            "precision(+2)",
            "precision(-2)",
            "precision(1001)",
            "json()",
            "Exact",
            "",
        ] {
            assert!(parse_rule(rule).is_err(), "{rule}");
        }
    }

    #[test]
    fn settings_are_shown_in_one_order() {
        let placed = |value: &str| Some(Placed { value: value.to_owned(), span: 0..0 });
        let rule = |value| Some(Placed { value, span: 0..0 });
        let settings =
            |rule, tolerance, redact| PairSettings { rule, tolerance, redact }.to_string();
        assert_eq!(settings(rule(Rule::Exact), None, false), "");
        assert_eq!(settings(rule(Rule::Trimmed), None, true), "rule trimmed; redacted");
        assert_eq!(settings(None, placed("0.5"), true), "tolerance 0.5; redacted");
    }

    #[test]
    fn the_hint_suggests_a_similar_rule() {
        let hint = |rule: &str| parse_rule(rule).unwrap_err().hint.unwrap();
        assert_eq!(hint("trimed"), "Did you mean \"trimmed\"?");
        assert!(hint("precision(h)").contains("precision(ms)"));
        assert!(hint("nearly").contains("null_as_empty"));
    }
}
