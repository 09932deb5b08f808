//! `[[mapping.accept]]`: divergence that a team accepts, until a date.
//!
//! A rule has a condition on the rows of one side (`where`), a reason and an end; a rule without an end
//! would be forgotten, so every rule has one. The side of the condition is found when a plan is made.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::diagnostic::{Diagnostic, Placed, Span};
use super::fragment::Fragment;
use super::params::read_fragment;
use super::problems::Problems;
use super::reader::Reader;
use crate::finding::DivergenceKind;

/// An accept rule, checked as far as the file alone allows.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The place of the rule.
    pub span: Span,
    /// The rows that it accepts, as a condition on the row of one side.
    pub condition: Fragment,
    /// The kinds of divergence that it accepts.
    pub kinds: Vec<DivergenceKind>,
    /// The pairs that may differ; `None` for all.
    pub columns: Option<Vec<Placed<String>>>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which the rule applies, in UTC.
    pub until: Date,
}

const NEEDED: &str = "An accept rule has \"where\", \"reason\" and \"until\".";

/// The kinds that a rule can accept. A condition is about one row of a side, and duplicate and NULL keys
/// have none.
const KINDS: [DivergenceKind; 3] =
    [DivergenceKind::OnlyInSource, DivergenceKind::OnlyInTarget, DivergenceKind::Mismatch];

pub(super) fn read_accepts(mapping: &mut Reader<'_>, params: &BTreeSet<String>) -> Vec<Accept> {
    let tables = mapping.tables("accept", "[[mapping.accept]]");
    tables.into_iter().filter_map(|table| read_accept(table, params)).collect()
}

fn read_accept(mut table: Reader<'_>, params: &BTreeSet<String>) -> Option<Accept> {
    let problems = table.problems();
    let condition = read_required(&mut table, "where");
    let reason = read_required(&mut table, "reason");
    let until = read_required(&mut table, "until");
    let kinds = table.strings("kinds");
    let columns = table.strings("columns");
    let span = table.span.clone();
    table.finish();
    let condition = condition.and_then(|text| read_fragment(&text, "where", params, problems));
    let until = until.and_then(|text| read_date(&text, problems));
    let kinds = read_kinds(kinds, columns.is_some(), problems);
    let columns = columns.map(|columns| {
        if columns.value.is_empty() {
            let hint = "Name the columns that may differ, or leave \"columns\" out.";
            problems.push(Diagnostic::error(&columns.span, "\"columns\" is empty").with_hint(hint));
        }
        columns.value
    });
    Some(Accept {
        span,
        condition: condition?,
        kinds: kinds?,
        columns,
        reason: reason?.value,
        until: until?,
    })
}

/// Reads a text that must be there and not be empty.
fn read_required(table: &mut Reader<'_>, key: &'static str) -> Option<Placed<String>> {
    let Some(text) = table.string(key) else {
        if table.value(key).is_none() {
            table.missing(key, NEEDED);
        }
        return None;
    };
    if text.value.trim().is_empty() {
        let message = format!("\"{key}\" is empty");
        table.problems().push(Diagnostic::error(&text.span, message).with_hint(NEEDED));
        return None;
    }
    Some(text)
}

fn read_date(text: &Placed<String>, problems: &Problems) -> Option<Date> {
    // A longer text could have a time or a zone, which a date lacks.
    let date = (text.value.len() == 10).then(|| text.value.parse::<Date>().ok()).flatten();
    if date.is_none() {
        let message = "\"until\" is not a date";
        let hint = "Write the last day on which the rule applies, for example \"2027-01-31\".";
        problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
    }
    date
}

fn read_kinds(
    words: Option<Placed<Vec<Placed<String>>>>,
    has_columns: bool,
    problems: &Problems,
) -> Option<Vec<DivergenceKind>> {
    let Some(words) = words else {
        // A row on one side only has no column that differs: a rule with columns is about mismatches, and
        // must never accept a missing row.
        return Some(if has_columns { vec![DivergenceKind::Mismatch] } else { KINDS.to_vec() });
    };
    if words.value.is_empty() {
        let hint = "Name kinds of divergence, or leave \"kinds\" out.";
        problems.push(Diagnostic::error(&words.span, "\"kinds\" is empty").with_hint(hint));
        return None;
    }
    let read = |word: &Placed<String>| {
        let known = KINDS.iter().find(|kind| kind.name() == word.value);
        let refused = [DivergenceKind::DuplicateKey, DivergenceKind::NullKey];
        let (message, hint) = match known {
            Some(DivergenceKind::OnlyInSource | DivergenceKind::OnlyInTarget) if has_columns => (
                format!("\"columns\" has no meaning for \"{}\"", word.value),
                "A row on one side only has no column that differs.".to_owned(),
            ),
            Some(kind) => return Some(*kind),
            None if refused.iter().any(|kind| kind.name() == word.value) => (
                format!("\"{}\" cannot be accepted", word.value),
                "A condition is about one row; correct the key, or choose another.".to_owned(),
            ),
            None => {
                let names = KINDS.map(DivergenceKind::name);
                let hint = match super::did_you_mean(&word.value, names) {
                    Some(near) => format!("Did you mean \"{near}\"?"),
                    None => format!("Kinds are {}.", names.join(", ")),
                };
                (format!("unknown kind \"{}\"", word.value), hint)
            }
        };
        problems.push(Diagnostic::error(&word.span, message).with_hint(hint));
        None
    };
    words.value.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{self, SpecText};

    /// Reads a rule. Returns it, or the messages.
    fn rule(lines: &str) -> Result<Accept, Vec<String>> {
        let text = format!(
            "version = 1\nname = \"s\"\n[source]\nurl = \"a\"\n[target]\nurl = \"b\"\n[[mapping]]\n\
             [mapping.source]\ntable = \"a.b\"\n[mapping.target]\ntable = \"a.b\"\n\
             [[mapping.accept]]\n{lines}"
        );
        let text = SpecText { path: "s.toml".into(), text };
        let spec = spec::read(text, &BTreeMap::new(), &|_| None);
        let spec = spec.map_err(|found| found.first.into_iter().map(|problem| problem.message));
        let mut spec = spec.map_err(Iterator::collect::<Vec<_>>)?;
        Ok(spec.mappings.remove(0).accepts.remove(0))
    }

    const WHOLE: &str = "where = \"source.a = 1\"\nreason = \"r\"\nuntil = \"2027-01-31\"\n";

    #[test]
    fn a_rule_accepts_one_sided_rows_and_mismatches_by_default() {
        let read = rule(WHOLE).unwrap();
        assert_eq!((read.kinds, read.until.to_string()), (KINDS.to_vec(), "2027-01-31".to_owned()));
        let read = rule(&format!("{WHOLE}columns = [\"a\"]")).unwrap();
        assert_eq!(read.kinds, [DivergenceKind::Mismatch]);
    }

    #[test]
    fn what_cannot_be_accepted_is_refused() {
        let refused = |lines: &str| rule(lines).unwrap_err();
        for (lines, message) in [
            ("kinds = [\"duplicate_key\"]", "\"duplicate_key\" cannot be accepted"),
            ("kinds = [\"null_key\"]", "\"null_key\" cannot be accepted"),
            ("kinds = [\"mismach\"]", "unknown kind \"mismach\""),
            ("kinds = []", "\"kinds\" is empty"),
            ("columns = []", "\"columns\" is empty"),
            (
                "columns = [\"a\"]\nkinds = [\"only_in_source\"]",
                "\"columns\" has no meaning for \"only_in_source\"",
            ),
        ] {
            assert_eq!(refused(&format!("{WHOLE}{lines}")), [message]);
        }
        for until in ["2027-02-30", "31.01.2027", "2027-01-31T00:00", "20270131"] {
            let lines = WHOLE.replace("2027-01-31", until);
            assert_eq!(refused(&lines), ["\"until\" is not a date"]);
        }
        assert_eq!(refused("until = \"2027-01-31\"\nreason = \" \"\n").len(), 2);
        let lines = WHOLE.replace("source.a = 1", "a = 1) or (true");
        assert_eq!(refused(&lines).len(), 1);
    }
}
