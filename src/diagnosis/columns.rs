//! Explanations of mismatches by their columns: which differ together, and why each does.

use std::collections::BTreeMap;

use super::cause::Cause;
use super::evidence::{Example, TopExplanations};
use super::value::find_causes;
use crate::finding::{DivergenceKind, Hint};
use crate::schema::BySide;

/// The most causes of one column that are counted at a time.
const MAX_CAUSES: usize = 24;
/// The most sets of columns that are counted at a time.
const MAX_SETS: usize = 128;
/// The fewest mismatches in the same single column that make a hint.
const MIN_ONE_COLUMN: u64 = 5;
/// The most columns that one hint names.
const MAX_NAMED: usize = 20;

/// Counts the columns of a mapping's mismatches, by the pairs' places in the plan.
#[derive(Debug, Default)]
pub(super) struct Columns {
    mismatches: u64,
    sets: TopExplanations<Vec<u16>, MAX_SETS>,
    by_pair: BTreeMap<u16, ColumnCauses>,
}

#[derive(Debug, Default)]
struct ColumnCauses {
    differ: u64,
    causes: TopExplanations<Cause, MAX_CAUSES>,
}

impl Columns {
    /// Counts a mismatch: the pairs that differ, each with its values if they are visible.
    pub(super) fn add<'v>(
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
            for cause in values.map(find_causes).unwrap_or_default() {
                let known = column.causes.add(|known| known.is_like(cause), || cause, example);
                *known = known.wider(cause);
            }
        }
        self.sets.add(|known| *known == set, || set.clone(), example);
    }

    /// Returns the hints; `name` returns a pair's name.
    pub(super) fn hints(&self, name: impl Fn(u16) -> String) -> Vec<Hint> {
        let mut hints: Vec<Hint> = Vec::new();
        for (pair, column) in &self.by_pair {
            let Some(mut hint) = column.hint() else { continue };
            let same = |known: &&mut Hint| {
                (&known.says, known.fit, known.of, &known.examples)
                    == (&hint.says, hint.fit, hint.of, &hint.examples)
            };
            match hints.iter_mut().find(same) {
                Some(known) if known.columns.len() < MAX_NAMED => known.columns.push(name(*pair)),
                _ => {
                    hint.columns.push(name(*pair));
                    hints.push(hint);
                }
            }
        }
        hints.extend(self.together(name));
        hints
    }

    /// Returns the hint that most mismatches differ in the same columns.
    fn together(&self, name: impl Fn(u16) -> String) -> Option<Hint> {
        let (set, evidence) = self.sets.first(|_, _| true)?;
        let (hint, says, least) = match set.as_slice() {
            [_] => ("one_column", "no other column differs", MIN_ONE_COLUMN),
            _ => ("columns_together", "these columns differ together, and no others", 2),
        };
        let hint = Hint::new(
            hint,
            Some(DivergenceKind::Mismatch),
            says.to_owned(),
            evidence.fit,
            self.mismatches,
        );
        let mut hint = hint.filter(|hint| hint.fit >= least)?;
        hint.columns = set.iter().take(MAX_NAMED).map(|pair| name(*pair)).collect();
        hint.examples = evidence.examples();
        Some(hint)
    }
}

impl ColumnCauses {
    fn hint(&self) -> Option<Hint> {
        let (cause, evidence) = self.causes.first(|cause, fit| fit >= cause.least())?;
        let (name, says) = (cause.name(), cause.describe());
        let mut hint =
            Hint::new(name, Some(DivergenceKind::Mismatch), says, evidence.fit, self.differ)?;
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

    fn texts(columns: &Columns) -> Vec<String> {
        let hints = columns.hints(|pair| format!("c{pair}"));
        let text = |hint: Hint| {
            format!("{}: {}, {} of {}", hint.columns.join(" "), hint.says, hint.fit, hint.of)
        };
        hints.into_iter().map(text).collect()
    }

    fn added(rows: &[(u16, &str, &str)]) -> Vec<String> {
        let mut columns = Columns::default();
        for (pair, source, target) in rows {
            columns.add([(*pair, Some(&values(source, target)))].into_iter(), &None);
        }
        texts(&columns)
    }

    #[test]
    fn a_hint_needs_four_in_five() {
        let row = |n: usize| if n < 4 { (0, "a", "a ") } else { (0, "a", "b") };
        let rows: Vec<_> = (0..5).map(row).collect();
        let alone = "c0: no other column differs, 5 of 5";
        let blanks = "c0: the target has blanks around the value, 4 of 5";
        assert_eq!(added(&rows), [blanks, alone]);
        assert_eq!(added(&[rows.as_slice(), &[(0, "a", "b")]].concat()), [alone.replace('5', "6")]);
    }

    #[test]
    fn a_shift_must_be_constant_and_repeated() {
        let shift =
            |hour: u8| (0, "2026-01-01 00:00:00.7", format!("2026-01-01 {hour:02}:00:00.7"));
        let rows = |hours: &[u8]| {
            let rows: Vec<_> = hours.iter().map(|hour| shift(*hour)).collect();
            added(&rows.iter().map(|(pair, s, t)| (*pair, *s, t.as_str())).collect::<Vec<_>>())
        };
        assert_eq!(rows(&[2, 2]), ["c0: the target is 2h later, 2 of 2"]);
        assert!(rows(&[2]).is_empty() && rows(&[2, 3]).is_empty());
    }

    #[test]
    fn columns_with_the_same_cause_share_a_hint() {
        let mut columns = Columns::default();
        for (source, target) in [("1.005", "1.01"), ("2.3456", "2.346")] {
            let both = values(source, target);
            columns.add([(1, Some(&both)), (4, Some(&both))].into_iter(), &None);
        }
        let expected = [
            "c1 c4: the target is rounded to 3 decimal places, 2 of 2",
            "c1 c4: these columns differ together, and no others, 2 of 2",
        ];
        assert_eq!(texts(&columns), expected);
    }

    #[test]
    fn hidden_values_explain_nothing() {
        let mut columns = Columns::default();
        columns.add([(0, None)].into_iter(), &None);
        assert!(texts(&columns).is_empty());
    }
}
