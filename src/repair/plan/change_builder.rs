//! Builds changes of rows that were read again on both sides. A row that still differs becomes a change, a
//! row that agrees by now is counted.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;

use super::cast_check::is_converted;
use super::draft_change::DraftChange;
use super::draft_facts::DraftFacts;
use super::spool::SpoolWriter;
use crate::compare::{agree, elements};
use crate::plan::MappingPlan;
use crate::problem::Problem;
use crate::repair::{FilledColumn, Image, Operation, RowChange, WritableMapping};
use crate::row::{Fingerprint, Fingerprinter, Key, Record};
use crate::schema::{Builtin, BySide, PgType, Side};
use crate::sql::LookupLayout;

/// What a finding says of the rows that are read again.
#[derive(Clone, Copy)]
pub(crate) struct Found<'f> {
    /// The operation that repairs them.
    pub(crate) operation: Operation,
    /// For rows of a range: those that the first read found.
    pub(crate) first_read: Option<&'f HashSet<Fingerprint>>,
}

/// Builds the changes of one mapping.
pub(crate) struct ChangeBuilder<'r> {
    plan: &'r MappingPlan,
    /// What can be written.
    pub(crate) scope: &'r WritableMapping,
    authority: Side,
    kinds: &'r [Operation],
    /// For each stored column, its index among the readable ones.
    readable: Vec<Option<usize>>,
    /// For each pair, whether its values come from another type.
    converted: Vec<bool>,
    fingerprinter: Fingerprinter,
    /// The changes.
    pub(crate) spools: BTreeMap<Operation, SpoolWriter>,
    /// Rows that agree by now.
    pub(crate) agreed: u64,
    /// Rows that become no change, by reason.
    pub(crate) excluded: BTreeMap<String, u64>,
}

/// A row on each side: of the source of truth, and of the written side.
struct RowPair<'d, R> {
    right: Option<&'d R>,
    stored: Option<&'d R>,
}

impl<'r> ChangeBuilder<'r> {
    /// Makes a builder without changes. `recodes` says that the encodings of the servers differ.
    pub(crate) fn new(
        plan: &'r MappingPlan,
        scope: &'r WritableMapping,
        authority: Side,
        kinds: &'r [Operation],
        recodes: bool,
    ) -> ChangeBuilder<'r> {
        let mut indexes = 0..;
        let columns = scope.stored.columns.iter();
        let readable = columns.map(|column| column.readable.then(|| indexes.next()).flatten());
        ChangeBuilder {
            plan,
            scope,
            authority,
            kinds,
            readable: readable.collect(),
            converted: plan.pairs.iter().map(|pair| is_converted(pair, recodes)).collect(),
            fingerprinter: Fingerprinter::default(),
            spools: BTreeMap::new(),
            agreed: 0,
            excluded: BTreeMap::new(),
        }
    }

    /// Drafts the changes of the rows of these keys.
    pub(crate) fn draft<'d, R: Record>(
        &mut self,
        keys: &[Key],
        rows: &'d BySide<Vec<R>>,
        found: Found<'_>,
    ) -> Result<Vec<DraftChange<'d, R>>, Problem> {
        let (plan, written) = (self.plan, self.authority.other());
        let by_key = |side: Side| {
            let mut found: HashMap<Key, Vec<&'d R>> = HashMap::new();
            for row in &rows[side] {
                if let Some(key) = Key::of(row, plan.key_width) {
                    found.entry(key).or_default().push(row);
                }
            }
            found
        };
        let (right, stored) = (by_key(self.authority), by_key(written));
        let none = Vec::new();
        let mut drafts = Vec::with_capacity(keys.len());
        for key in keys {
            let right = right.get(key).unwrap_or(&none).as_slice();
            let stored = stored.get(key).unwrap_or(&none).as_slice();
            let (operation, right, stored) = match (right, stored) {
                ([], []) => {
                    self.exclude("gone from both sides");
                    continue;
                }
                ([right], []) => (Operation::Insert, Some(*right), None),
                ([], [stored]) => (Operation::Delete, None, Some(*stored)),
                ([right], [stored]) => (Operation::Update, Some(*right), Some(*stored)),
                _ => {
                    self.exclude("of a key that several rows have");
                    continue;
                }
            };
            drafts.extend(self.draft_row(operation, RowPair { right, stored }, found)?);
        }
        Ok(drafts)
    }

    /// Adds the changes of drafts, except those that are refused.
    pub(crate) fn add<R>(
        &mut self,
        drafts: Vec<DraftChange<'_, R>>,
        refused: &[Option<String>],
        mut facts: DraftFacts,
    ) -> Result<(), Problem> {
        let rows = drafts.len() as u64;
        for (at, (draft, refused)) in drafts.into_iter().zip(refused).enumerate() {
            if let Some(reason) = refused {
                self.exclude(reason);
                continue;
            }
            let spool = match self.spools.entry(draft.operation) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(SpoolWriter::new()?),
            };
            let row = spool.next_row();
            facts.move_row(at, rows, &mut spool.facts, row);
            spool.set.extend(draft.set);
            spool.push(&draft.change)?;
        }
        Ok(())
    }

    /// Counts a row that becomes no change.
    fn exclude(&mut self, reason: &str) {
        *self.excluded.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts rows whose operation is not allowed.
    pub(crate) fn exclude_operation(&mut self, operation: Operation, rows: u64) {
        let reason = format!("to {}, which --kinds leaves out", operation.name());
        *self.excluded.entry(reason).or_default() += rows;
    }

    fn draft_row<'d, R: Record>(
        &mut self,
        operation: Operation,
        pair: RowPair<'d, R>,
        found: Found<'_>,
    ) -> Result<Option<DraftChange<'d, R>>, Problem> {
        let plan = self.plan;
        let RowPair { right, stored } = pair;
        let differs = |pair: usize| match (right, stored) {
            (Some(right), Some(stored)) => {
                !agree(&plan.pairs[pair], right.field(pair), stored.field(pair))
            }
            _ => true,
        };
        let differing: Vec<usize> = (0..plan.pairs.len()).filter(|pair| differs(*pair)).collect();
        if operation == Operation::Update && differing.is_empty() {
            self.agreed += 1;
            return Ok(None);
        }
        // This difference was seen only once: it may be transient.
        if operation != found.operation {
            self.exclude("of another difference than was found: compare again");
            return Ok(None);
        }
        if let (Some(first_read), Some(row)) = (found.first_read, right.or(stored)) {
            let now = self.fingerprinter.of(row, 0..plan.pairs.len());
            if !first_read.contains(&now) {
                self.exclude("not yet settled: recheck");
                return Ok(None);
            }
        }
        if operation == Operation::Update {
            self.exclude_compared_only(&differing);
        }
        if !self.kinds.contains(&operation) {
            self.exclude_operation(operation, 1);
            return Ok(None);
        }
        match self.build(operation, (right, stored), &differing)? {
            Ok(draft) => Ok(Some(draft)),
            Err(reason) => {
                self.exclude(&reason);
                Ok(None)
            }
        }
    }

    /// Builds the images of a change; the inner error is the reason why the row becomes none.
    fn build<'d, R: Record>(
        &self,
        operation: Operation,
        (right, stored): (Option<&'d R>, Option<&'d R>),
        differing: &[usize],
    ) -> Result<Result<DraftChange<'d, R>, String>, Problem> {
        let (plan, written) = (self.plan, self.authority.other());
        let (mut old, mut new, mut set): (Image, Image, Vec<usize>) = Default::default();
        let mut converted = Vec::new();
        // The texts of a row are one array.
        let texts = |row: Option<&'d R>, field: usize| -> Vec<Option<&'d [u8]>> {
            elements(row.and_then(|row| row.field(field)).unwrap_or_default()).collect()
        };
        let stored_texts = texts(stored, plan.pairs.len());
        let text = |index: &Option<usize>| index.and_then(|index| *stored_texts.get(index)?);
        let columns = self.readable.iter().map(|index| text(index).map(utf8).transpose());
        let stored: Vec<Option<&'d str>> = columns.collect::<Result<_, _>>()?;
        let right_texts = texts(right, LookupLayout::of(plan).texts);
        for (at, (column, pair)) in self.scope.image(operation).into_iter().enumerate() {
            let before = stored[column].map(str::to_owned);
            let settable = self.scope.filled.iter().any(|f| Some(f.pair) == pair && f.settable);
            let is_set = |pair: usize| match operation {
                Operation::Insert => true,
                Operation::Update => settable && differing.contains(&pair),
                Operation::Delete => false,
            };
            let after = match pair.filter(|pair| is_set(*pair) && right.is_some()) {
                Some(pair) => {
                    if operation == Operation::Update {
                        set.push(at);
                    }
                    if self.converted[pair] {
                        converted.push((at, pair));
                    }
                    let text = right_texts.get(pair).copied().flatten().map(utf8).transpose()?;
                    let text = self.text_for_column(text.map(str::to_owned), pair, column);
                    if text.is_none() && self.scope.stored.columns[column].not_null {
                        return Ok(Err(format!(
                            "whose value of pair \"{}\" is NULL, which the {written}'s column refuses",
                            plan.pairs[pair].name
                        )));
                    }
                    text
                }
                None => before.clone(),
            };
            old.push(before);
            new.push(after);
        }
        if operation == Operation::Update && set.is_empty() {
            return Ok(Err(self.nothing_to_set(differing)));
        }
        let change = RowChange {
            old: (operation != Operation::Insert).then_some(old),
            new: (operation != Operation::Delete).then_some(new),
        };
        Ok(Ok(DraftChange { operation, change, set, converted, right, stored }))
    }

    /// Returns why an update sets nothing, as the words behind a number of rows.
    fn nothing_to_set(&self, differing: &[usize]) -> String {
        let is_generated = |pair: &&usize| {
            let mut filled = self.scope.filled.iter().filter(|filled| filled.pair == **pair);
            filled.any(|filled| self.scope.stored.columns[filled.column].generated)
        };
        let names = differing.iter().filter(is_generated).map(|pair| &self.plan.pairs[*pair].name);
        let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        match names.is_empty() {
            true => "that differ only where nothing can be written".to_owned(),
            false => format!(
                "that differ only in {}, which the {} computes from other columns",
                names.join(", "),
                self.authority.other()
            ),
        }
    }

    /// Counts differing pairs that no update can repair: these are compared only. Generated columns change
    /// with the columns from which they are computed.
    fn exclude_compared_only(&mut self, differing: &[usize]) {
        for pair in differing {
            let generated = |column: usize| self.scope.stored.columns[column].generated;
            let is_written =
                |f: &FilledColumn| f.pair == *pair && (f.settable || generated(f.column));
            if !self.scope.filled.iter().any(is_written) {
                let name = &self.plan.pairs[*pair].name;
                self.exclude(&format!("whose pair \"{name}\" is compared only"));
            }
        }
    }

    /// Returns the text that a column is to have: the value of the source of truth, written for the
    /// column's type.
    fn text_for_column(&self, text: Option<String>, pair: usize, column: usize) -> Option<String> {
        let stored = &self.scope.stored.columns[column];
        // A column that rejects NULL gets the text that its rule treats as equal to NULL.
        let equal_to_null = self.plan.pairs[pair].form.text_equal_to_null();
        let equal_to_null = equal_to_null.filter(|_| stored.not_null);
        let text = text.or_else(|| equal_to_null.map(str::to_owned));
        let from = self.plan.pairs[pair].sides[self.authority].column_type.pg_type.base();
        text.map(|text| convert_text(text, from, stored.pg_type.base()))
    }
}

/// Removes from a text what only its own type writes, if the other type differs.
fn convert_text(text: String, from: &PgType, to: &PgType) -> String {
    match from {
        _ if from == to => text,
        // -$1,234.50
        PgType::Builtin(Builtin::Money) => text.replace(['$', ','], ""),
        PgType::Builtin(Builtin::Bpchar) => text.trim_end_matches(' ').to_owned(),
        _ => text,
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|_| Problem::new("a value is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_what_only_their_own_type_writes() {
        let [money, bpchar, text, numeric] =
            [Builtin::Money, Builtin::Bpchar, Builtin::Text, Builtin::Numeric].map(PgType::Builtin);
        let convert = |value: &str, from, to| convert_text(value.to_owned(), from, to);
        assert_eq!(convert("-$1,234.50", &money, &numeric), "-1234.50");
        assert_eq!(convert("-$1,234.50", &money, &money), "-$1,234.50");
        assert_eq!(convert("a  ", &bpchar, &text), "a");
        assert_eq!(convert("a  ", &bpchar, &bpchar), "a  ");
        assert_eq!(convert("a, ", &text, &bpchar), "a, ");
    }
}
