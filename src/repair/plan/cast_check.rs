//! Checks what the written side's columns make of values that come from other types, so that nothing is
//! rounded, truncated or rejected when the repair is applied. The server casts the values, and its results
//! are compared with the values of the source of truth.

use std::collections::BTreeSet;
use std::ops::Range;

use super::draft_change::DraftChange;
use crate::compare::agree;
use crate::plan::{MappingPlan, Pair};
use crate::row::Record;
use crate::schema::{BySide, PgType, Side};
use crate::sql::{self, Statement};

/// Checks the converted values of drafts.
pub(crate) struct CastCheck<'c, 'd, R> {
    plan: &'c MappingPlan,
    written: Side,
    drafts: &'c mut [DraftChange<'d, R>],
    refused: Vec<Option<String>>,
    open: Vec<CastQuery>,
}

/// A query for the values of some pairs of some drafts.
#[derive(Debug)]
pub(crate) struct CastQuery {
    drafts: Range<usize>,
    pairs: Vec<usize>,
}

impl CastQuery {
    /// Returns how many pairs it has.
    pub(crate) fn width(&self) -> usize {
        self.pairs.len()
    }
}

/// Returns whether a column of one side may hold another value than that of the other side. Columns of
/// one built-in type with one modifier hold the same values, unless the encodings differ.
pub(crate) fn is_converted(pair: &Pair, recodes: bool) -> bool {
    let BySide { source, target } = &pair.sides;
    let (source, target) = (&source.column_type, &target.column_type);
    let builtin = matches!(source.pg_type, PgType::Builtin(_));
    recodes || !(builtin && source.pg_type == target.pg_type && source.display == target.display)
}

impl<'c, 'd, R: Record> CastCheck<'c, 'd, R> {
    /// Begins a check.
    pub(crate) fn new(
        plan: &'c MappingPlan,
        written: Side,
        drafts: &'c mut [DraftChange<'d, R>],
    ) -> CastCheck<'c, 'd, R> {
        let converted = drafts.iter().flat_map(|draft| &draft.converted);
        let pairs: BTreeSet<usize> = converted.map(|(_, pair)| *pair).collect();
        let (refused, all) = (vec![None; drafts.len()], 0..drafts.len());
        let mut open = vec![CastQuery { drafts: all, pairs: pairs.into_iter().collect() }];
        open.retain(|query| !query.pairs.is_empty());
        CastCheck { plan, written, drafts, refused, open }
    }

    /// Returns the next query.
    pub(crate) fn next(&mut self) -> Option<CastQuery> {
        self.open.pop()
    }

    /// Writes the statement of a query. It returns a row for each draft: a field for each pair, then a
    /// text for each pair.
    pub(crate) fn statement(&self, query: &CastQuery) -> Statement {
        let drafts = &self.drafts[query.drafts.clone()];
        let texts = |pair: &usize| drafts.iter().map(|draft| draft.converted_text(*pair)).collect();
        let values: Vec<Vec<Option<&str>>> = query.pairs.iter().map(texts).collect();
        sql::cast_values(self.plan, self.written, &query.pairs, &values)
    }

    /// Divides a query that the server rejected, which does not say because of which value. A draft is
    /// refused if one value of it alone is rejected.
    pub(crate) fn divide(&mut self, CastQuery { drafts, pairs }: CastQuery) {
        let middle = drafts.start + drafts.len() / 2;
        match (drafts.len(), pairs.as_slice()) {
            (0 | 1, [pair]) => self.refuse(drafts.start, *pair),
            (0 | 1, _) => {
                let single = |pair| CastQuery { drafts: drafts.clone(), pairs: vec![pair] };
                self.open.extend(pairs.into_iter().map(single));
            }
            _ => {
                let pairs_again = pairs.clone();
                self.open.push(CastQuery { drafts: middle..drafts.end, pairs: pairs_again });
                self.open.push(CastQuery { drafts: drafts.start..middle, pairs });
            }
        }
    }

    /// Replaces the values by what the columns make of them. Refuses drafts with a value that differs more
    /// than the pair tolerates.
    pub(crate) fn apply(&mut self, query: CastQuery, rows: &[R], texts: Vec<Vec<Option<String>>>) {
        for ((place, row), texts) in query.drafts.zip(rows).zip(texts) {
            for ((at, pair), text) in query.pairs.iter().enumerate().zip(texts) {
                let draft = &mut self.drafts[place];
                let Some(index) = draft.converted_index(*pair) else { continue };
                let right = draft.right.and_then(|row| row.field(*pair));
                if !agree(&self.plan.pairs[*pair], right, row.field(at)) {
                    self.refuse(place, *pair);
                } else if let Some(new) = &mut draft.change.new {
                    new[index] = text;
                }
            }
        }
    }

    /// Returns the reason for each draft that is refused.
    pub(crate) fn finish(self) -> Vec<Option<String>> {
        self.refused
    }

    fn refuse(&mut self, draft: usize, pair: usize) {
        let (written, pair) = (self.written, &self.plan.pairs[pair]);
        let type_name = &pair.sides[written].column_type.display;
        self.refused[draft] = Some(format!(
            "whose value of pair \"{}\" the {written}'s {type_name} does not hold",
            pair.name
        ));
    }
}
