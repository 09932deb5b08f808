//! `[[mapping.accept]]`: divergence that a team has agreed to live with, until a date.
//!
//! A rule says of which rows it speaks (`where`, on one side), why, and until when; an agreement
//! without an end would be forgotten, so there is none. Which side the condition means is found by
//! trying when a plan is made.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::diagnostic::{Diagnostic, Placed, Span};
use super::fragment::Fragment;
use super::params::read_fragment;
use super::problems::Problems;
use super::reader::Reader;
use crate::finding::DivergenceKind;

/// One rule, checked as far as the file alone allows.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Where it stands.
    pub span: Span,
    /// Which rows it speaks of, as a condition on the row of one side.
    pub condition: Fragment,
    /// Kinds of divergence that it covers.
    pub kinds: Vec<DivergenceKind>,
    /// The pairs that may differ; any, if none are named.
    pub columns: Option<Vec<Placed<String>>>,
    /// Why it was agreed to.
    pub reason: String,
    /// The last day on which it counts, in UTC.
    pub until: Date,
}

const NEEDED: &str = "An accept rule has \"where\", \"reason\" and \"until\".";

/// What a rule can cover: a condition speaks of one row a side, which keys that stand twice or hold
/// a NULL do not have.
const KINDS: [DivergenceKind; 3] =
    [DivergenceKind::OnlyInSource, DivergenceKind::OnlyInTarget, DivergenceKind::Mismatch];

pub(super) fn read_accepts(mapping: &mut Reader<'_>, params: &BTreeSet<String>) -> Vec<Accept> {
    let tables = mapping.tables("accept", "[[mapping.accept]]");
    tables.into_iter().filter_map(|table| read_accept(table, params)).collect()
}

fn read_accept(mut table: Reader<'_>, params: &BTreeSet<String>) -> Option<Accept> {
    let problems = table.problems();
    let condition = needed(&mut table, "where");
    let reason = needed(&mut table, "reason");
    let until = needed(&mut table, "until");
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

fn needed(table: &mut Reader<'_>, key: &'static str) -> Option<Placed<String>> {
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
    // A longer text could hold a time or a zone, of which a day knows nothing.
    let date = (text.value.len() == 10).then(|| text.value.parse::<Date>().ok()).flatten();
    if date.is_none() {
        let message = "\"until\" is not a date";
        let hint = "Write the last day on which the rule counts, for example \"2027-01-31\".";
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
        // A row that stands on one side only has no column that differs: naming columns speaks of
        // mismatches, and must never cover a missing row.
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
                format!("\"columns\" says nothing of \"{}\"", word.value),
                "A row that stands on one side only has no column that differs.".to_owned(),
            ),
            Some(kind) => return Some(*kind),
            None if refused.iter().any(|kind| kind.name() == word.value) => (
                format!("\"{}\" cannot be accepted", word.value),
                "A condition speaks of one row; mend the key, or choose another.".to_owned(),
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

    /// What reading a rule gives, or the messages.
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
    fn a_rule_covers_rows_of_one_side_and_mismatches_unless_it_says_otherwise() {
        let read = rule(WHOLE).unwrap();
        assert_eq!((read.kinds, read.until.to_string()), (KINDS.to_vec(), "2027-01-31".to_owned()));
        let read = rule(&format!("{WHOLE}columns = [\"a\"]")).unwrap();
        assert_eq!(read.kinds, [DivergenceKind::Mismatch]);
    }

    #[test]
    fn what_cannot_be_agreed_to_is_refused() {
        let refused = |lines: &str| rule(lines).unwrap_err();
        for (lines, message) in [
            ("kinds = [\"duplicate_key\"]", "\"duplicate_key\" cannot be accepted"),
            ("kinds = [\"null_key\"]", "\"null_key\" cannot be accepted"),
            ("kinds = [\"mismach\"]", "unknown kind \"mismach\""),
            ("kinds = []", "\"kinds\" is empty"),
            ("columns = []", "\"columns\" is empty"),
            (
                "columns = [\"a\"]\nkinds = [\"only_in_source\"]",
                "\"columns\" says nothing of \"only_in_source\"",
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
