//! What mismatches tell by their columns: which differ together, and why each does.

use std::collections::BTreeMap;

use super::cause::Cause;
use super::evidence::{Example, TopExplanations};
use super::value::causes;
use crate::finding::{DivergenceKind, Hint};
use crate::schema::BySide;

/// Explanations of one column that are counted side by side.
const MOST_CAUSES: usize = 24;
/// Sets of columns that are counted side by side.
const MOST_SETS: usize = 128;
/// So many mismatches have to differ in one and the same column before that is worth a word.
const LEAST_ALONE: u64 = 5;
/// Columns named by one hint.
const MOST_NAMED: usize = 20;

/// The columns of a mapping's mismatches, by the pairs' places.
#[derive(Debug, Default)]
pub(super) struct Columns {
    mismatches: u64,
    sets: TopExplanations<Vec<u16>, MOST_SETS>,
    by_pair: BTreeMap<u16, ColumnCauses>,
}

#[derive(Debug, Default)]
struct ColumnCauses {
    differ: u64,
    causes: TopExplanations<Cause, MOST_CAUSES>,
}

impl Columns {
    /// Takes a mismatch in: the pairs that differ, each with its values if they may be looked into.
    pub(super) fn take<'v>(
        &mut self,
        columns: impl Iterator<Item = (u16, Option<&'v BySide<Option<String>>>)>,
        example: &Example,
    ) {
        self.mismatches += 1;
        let mut set = Vec::new();
        for (pair, values) in columns {
            set.push(pair);
            let column = self.by_pair.entry(pair).or_default();
            column.differ += 1;
            for cause in values.map(causes).unwrap_or_default() {
                let known = column.causes.add(|known| known.is_like(cause), || cause, example);
                *known = known.wider(cause);
            }
        }
        self.sets.add(|known| *known == set, || set.clone(), example);
    }

    /// What is to be said of them; `name` gives a pair's name.
    pub(super) fn hints(&self, name: impl Fn(u16) -> String) -> Vec<Hint> {
        let mut hints: Vec<Hint> = Vec::new();
        for (pair, column) in &self.by_pair {
            let Some(mut hint) = column.hint() else { continue };
            let same = |known: &&mut Hint| {
                (&known.says, known.fit, known.of, &known.examples)
                    == (&hint.says, hint.fit, hint.of, &hint.examples)
            };
            match hints.iter_mut().find(same) {
                Some(known) if known.columns.len() < MOST_NAMED => known.columns.push(name(*pair)),
                _ => {
                    hint.columns.push(name(*pair));
                    hints.push(hint);
                }
            }
        }
        hints.extend(self.together(name));
        hints
    }

    fn together(&self, name: impl Fn(u16) -> String) -> Option<Hint> {
        let (set, evidence) = self.sets.first(|_, _| true)?;
        let (word, says, least) = match set.as_slice() {
            [_] => ("one_column", "no other column differs", LEAST_ALONE),
            _ => ("columns_together", "these columns differ together, and no others", 2),
        };
        let hint = Hint::of(
            word,
            Some(DivergenceKind::Mismatch),
            says.to_owned(),
            evidence.fit,
            self.mismatches,
        );
        let mut hint = hint.filter(|hint| hint.fit >= least)?;
        hint.columns = set.iter().take(MOST_NAMED).map(|pair| name(*pair)).collect();
        hint.examples = evidence.examples();
        Some(hint)
    }
}

impl ColumnCauses {
    fn hint(&self) -> Option<Hint> {
        let (cause, evidence) = self.causes.first(|cause, fit| fit >= cause.least())?;
        let (word, says) = (cause.name(), cause.says());
        let mut hint =
            Hint::of(word, Some(DivergenceKind::Mismatch), says, evidence.fit, self.differ)?;
        hint.examples = evidence.examples();
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(source: &str, target: &str) -> BySide<Option<String>> {
        BySide { source: Some(source.to_owned()), target: Some(target.to_owned()) }
    }

    fn told(columns: &Columns) -> Vec<String> {
        let hints = columns.hints(|pair| format!("c{pair}"));
        let told = |hint: Hint| {
            format!("{}: {}, {} of {}", hint.columns.join(" "), hint.says, hint.fit, hint.of)
        };
        hints.into_iter().map(told).collect()
    }

    fn taken(rows: &[(u16, &str, &str)]) -> Vec<String> {
        let mut columns = Columns::default();
        for (pair, source, target) in rows {
            columns.take([(*pair, Some(&values(source, target)))].into_iter(), &None);
        }
        told(&columns)
    }

    #[test]
    fn nothing_is_claimed_of_less_than_four_in_five() {
        let row = |n: usize| if n < 4 { (0, "a", "a ") } else { (0, "a", "b") };
        let rows: Vec<_> = (0..5).map(row).collect();
        let alone = "c0: no other column differs, 5 of 5";
        let blanks = "c0: the target has blanks around the value, 4 of 5";
        assert_eq!(taken(&rows), [blanks, alone]);
        assert_eq!(taken(&[rows.as_slice(), &[(0, "a", "b")]].concat()), [alone.replace('5', "6")]);
    }

    #[test]
    fn a_shift_has_to_be_constant_and_seen_more_than_once() {
        let shift =
            |hour: u8| (0, "2026-01-01 00:00:00.7", format!("2026-01-01 {hour:02}:00:00.7"));
        let rows = |hours: &[u8]| {
            let rows: Vec<_> = hours.iter().map(|hour| shift(*hour)).collect();
            taken(&rows.iter().map(|(pair, s, t)| (*pair, *s, t.as_str())).collect::<Vec<_>>())
        };
        assert_eq!(rows(&[2, 2]), ["c0: the target is 2h later, 2 of 2"]);
        assert!(rows(&[2]).is_empty() && rows(&[2, 3]).is_empty());
    }

    #[test]
    fn columns_with_one_explanation_share_a_hint_and_places_are_the_widest() {
        let mut columns = Columns::default();
        for (source, target) in [("1.005", "1.01"), ("2.3456", "2.346")] {
            let both = values(source, target);
            columns.take([(1, Some(&both)), (4, Some(&both))].into_iter(), &None);
        }
        let expected = [
            "c1 c4: the target is rounded to 3 decimal places, 2 of 2",
            "c1 c4: these columns differ together, and no others, 2 of 2",
        ];
        assert_eq!(told(&columns), expected);
    }

    #[test]
    fn values_that_may_not_be_seen_explain_nothing() {
        let mut columns = Columns::default();
        columns.take([(0, None)].into_iter(), &None);
        assert!(told(&columns).is_empty());
    }
}
