//! What the server of the written side reported of drafts of changes.

use std::collections::BTreeMap;

use crate::repair::PlaceholderLimits;

/// The values of one row in an opaque index: what the change frees, and what it takes.
pub(crate) type IndexValue = [Option<i64>; 2];

/// A value in an opaque index that may be any, because a default fills it in.
pub(crate) const ANY_VALUE: i64 = i64::MIN;

/// What the server reported of drafts, or of the changes made of them. Rows are given by number.
#[derive(Default)]
pub(crate) struct DraftFacts {
    /// The values in opaque indexes: row after row, each index in turn.
    pub(crate) index_values: Vec<IndexValue>,
    /// Where placeholder values cannot be used.
    pub(crate) limits: PlaceholderLimits,
    /// Inserts whose key another row has.
    pub(crate) key_conflicts: BTreeMap<usize, KeyConflict>,
    /// Pairs in which a row will differ after the change, too.
    pub(crate) differing: BTreeMap<usize, Vec<usize>>,
    /// The foreign keys.
    pub(crate) foreign_keys: ForeignKeyFacts,
}

/// Another row has the key of a row to insert.
pub(crate) struct KeyConflict {
    /// Why the row is left out, as the words behind a number of rows.
    pub(crate) reason: String,
    /// Whether the mapping includes the other row: then this repair may delete it.
    pub(crate) is_mapped: bool,
}

/// Foreign keys of drafts, by the draft's index. A key is given by its index among the keys of the table.
#[derive(Default)]
pub(crate) struct ForeignKeyFacts {
    /// For rows that are inserted or updated: the keys whose parent does not exist.
    pub(crate) missing: BTreeMap<usize, Vec<usize>>,
    /// For rows that are deleted or updated: the keys by which other rows refer to them, and how many do.
    pub(crate) referred: BTreeMap<usize, Vec<(usize, u64)>>,
}

impl DraftFacts {
    /// Returns the values of one of `rows` rows in opaque indexes.
    pub(crate) fn index_values_of(&self, row: usize, rows: u64) -> &[IndexValue] {
        let all = self.index_values.len();
        let width = usize::try_from(rows).ok().and_then(|rows| all.checked_div(rows));
        let width = width.unwrap_or(0);
        self.index_values.get(row * width..(row + 1) * width).unwrap_or_default()
    }

    /// Moves the facts of one of `rows` drafts to `row` of others.
    pub(crate) fn move_row(&mut self, draft: usize, rows: u64, to: &mut DraftFacts, row: usize) {
        to.key_conflicts.extend(self.key_conflicts.remove(&draft).map(|found| (row, found)));
        to.differing.extend(self.differing.remove(&draft).map(|pairs| (row, pairs)));
        let (from, kept) = (&mut self.foreign_keys, &mut to.foreign_keys);
        kept.missing.extend(from.missing.remove(&draft).map(|keys| (row, keys)));
        kept.referred.extend(from.referred.remove(&draft).map(|keys| (row, keys)));
        to.index_values.extend(self.index_values_of(draft, rows));
        to.limits.held.append(&mut self.limits.held);
        to.limits.refused.append(&mut self.limits.refused);
    }
}
