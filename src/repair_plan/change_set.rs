//! The changes of one mapping and one operation, and the values by which their rows depend on each other:
//! those of foreign keys and unique indexes, as hashes.

use std::collections::BTreeMap;

use super::draft_facts::{ANY_VALUE, IndexValue};
use super::spool::Spool;
use crate::problem::Problem;
use crate::repair::{ChangeShape, Operation, RowChange, ValueHash, ValueHasher, WritableMapping};
use crate::schema::{ColumnName, ForeignKey, UniqueIndex};

/// The changes of one mapping and one operation.
pub(crate) struct ChangeSet {
    /// The index of the mapping.
    pub(crate) mapping: usize,
    /// What the changes have in common.
    pub(crate) shape: ChangeShape,
    /// The changes.
    pub(crate) spool: Spool,
    /// The values that a row provides: other rows may require them.
    pub(crate) provides: Vec<ValueSource>,
    /// The values that a row requires of other rows.
    pub(crate) requires: Vec<ValueSource>,
    /// The values of a foreign key without `ON UPDATE` to which a row ceases to refer.
    pub(crate) unrefers: Vec<ValueSource>,
    /// The values of such a foreign key that a row gives up: no row may refer to them by then.
    pub(crate) gives_up: Vec<ValueSource>,
}

/// Where the hash of a row's value is taken from.
#[derive(Clone)]
pub(crate) struct ValueSource {
    /// Only values of one space are compared with each other.
    space: ValueSpace,
    /// The columns of the value, as indexes into the images.
    columns: Vec<usize>,
    /// For an opaque index: its index among these.
    opaque: Option<usize>,
    /// Whether the value before the change is taken, else the one after it.
    old: bool,
    /// Whether rows that do not change the value have none.
    changed: bool,
}

/// Which values can be equal to each other: those of a foreign key by its root, of a foreign key that is
/// given up, or of a unique index by its table and name.
#[derive(Clone, Hash)]
enum ValueSpace {
    ForeignKey(u32),
    GivenUp(u32),
    UniqueIndex(u32, String),
}

impl ChangeSet {
    /// Makes a set without value sources.
    pub(crate) fn new(mapping: usize, shape: ChangeShape, spool: Spool) -> ChangeSet {
        let (provides, requires, unrefers, gives_up) = Default::default();
        ChangeSet { mapping, shape, spool, provides, requires, unrefers, gives_up }
    }

    /// Removes all value sources.
    pub(crate) fn clear_sources(&mut self) {
        for sources in
            [&mut self.provides, &mut self.requires, &mut self.unrefers, &mut self.gives_up]
        {
            sources.clear();
        }
    }

    /// Returns the indexes of columns in the images; `None` if one of them is not there.
    pub(crate) fn places<'n>(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> Option<Vec<usize>> {
        scopes[&self.mapping].places(self.shape.operation, names)
    }

    /// Returns whether these are updates that set one of these columns.
    pub(crate) fn sets<'n>(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> bool {
        let places = self.places(scopes, names).unwrap_or_default();
        self.shape.operation == Operation::Update
            && places.iter().any(|at| self.shape.set.contains(at))
    }

    /// Returns whether these are updates that set one of an index's columns. All of the columns have to
    /// be in the images, unless the index is opaque.
    pub(crate) fn sets_unique(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        unique: &UniqueIndex,
    ) -> bool {
        let mut each = unique.columns.iter();
        match unique.value_sql {
            None => self.sets(scopes, each),
            Some(_) => each.any(|column| self.sets(scopes, [column].into_iter())),
        }
    }

    /// Adds the value sources of a foreign key: of its child table, or of its parent table.
    pub(crate) fn add_foreign_key(
        &mut self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        link: &ForeignKey,
        is_child: bool,
    ) {
        let is_delete = self.shape.operation == Operation::Delete;
        let Some(source) = self.foreign_key_source(scopes, link, is_delete) else { return };
        if source.changed && link.on_update.is_none() {
            let space = ValueSpace::GivenUp(link.root);
            let given_up = ValueSource { space, old: true, ..source.clone() };
            if is_child { self.unrefers.push(given_up) } else { self.gives_up.push(given_up) }
        }
        if is_child { self.requires.push(source) } else { self.provides.push(source) }
    }

    /// Returns the source of a foreign key's values before the change (`old`), or after it.
    pub(crate) fn foreign_key_source(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        link: &ForeignKey,
        old: bool,
    ) -> Option<ValueSource> {
        let own = || link.columns.iter().map(|(own, _)| own);
        let changed = self.shape.operation == Operation::Update;
        let columns =
            self.places(scopes, own()).filter(|_| !changed || self.sets(scopes, own()))?;
        let space = ValueSpace::ForeignKey(link.root);
        Some(ValueSource { space, columns, opaque: None, old, changed })
    }

    /// Adds the value sources of a unique index whose values pass from row to row.
    pub(crate) fn add_unique(
        &mut self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        unique: &UniqueIndex,
    ) {
        let Some(source) = self.unique_source(scopes, unique) else { return };
        let source = |old: bool| ValueSource { old, ..source.clone() };
        if self.shape.operation != Operation::Insert {
            self.provides.push(source(true));
        }
        if self.shape.operation != Operation::Delete {
            self.requires.push(source(false));
        }
    }

    /// Passes the values of a unique index to `take` that the rows free (`old`), or take.
    pub(crate) fn each_value(
        &mut self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        unique: &UniqueIndex,
        marker: &ValueHasher,
        old: bool,
        mut take: impl FnMut(ValueHash),
    ) -> Result<(), Problem> {
        let Some(source) = self.unique_source(scopes, unique) else { return Ok(()) };
        let source = ValueSource { old, ..source };
        self.spool.each(|change, values| {
            source.value(marker, change, values).into_iter().for_each(&mut take);
        })
    }

    /// Returns the hash of a value that may be any.
    pub(crate) fn any_value(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        unique: &UniqueIndex,
        marker: &ValueHasher,
    ) -> Option<ValueHash> {
        self.unique_source(scopes, unique).and_then(|source| source.hash(marker, ANY_VALUE))
    }

    /// Returns the source of the values that the rows take in a unique index.
    fn unique_source(
        &self,
        scopes: &BTreeMap<usize, &WritableMapping>,
        unique: &UniqueIndex,
    ) -> Option<ValueSource> {
        let scope = scopes[&self.mapping];
        let space = ValueSpace::UniqueIndex(scope.stored.oid, unique.name.clone());
        let changed = self.shape.operation == Operation::Update;
        if unique.value_sql.is_some() {
            let opaque = scope.opaque_uniques().position(|(other, _)| other.name == unique.name);
            return Some(ValueSource { space, columns: Vec::new(), opaque, old: false, changed });
        }
        let columns = self.places(scopes, unique.columns.iter())?;
        Some(ValueSource { space, columns, opaque: None, old: false, changed })
    }
}

impl ValueSource {
    /// Returns whether its values consist of these columns only.
    pub(crate) fn is_of(&self, columns: &[usize]) -> bool {
        self.opaque.is_none() && self.columns.iter().all(|column| columns.contains(column))
    }

    /// Returns the hash of a row's value; `None` if the row has none, or does not change it.
    pub(crate) fn value(
        &self,
        marker: &ValueHasher,
        change: &RowChange,
        index_values: &[IndexValue],
    ) -> Option<ValueHash> {
        if let Some(at) = self.opaque {
            let value = index_values.get(at)?[usize::from(!self.old)]?;
            return self.hash(marker, value);
        }
        if self.changed && is_same(change, &self.columns) {
            return None;
        }
        let image = if self.old { &change.old } else { &change.new }.as_ref()?;
        marker.hash(&self.space, self.columns.iter().map(|at| image[*at].as_deref()))
    }

    /// Returns the hash of a value in an opaque index.
    fn hash(&self, marker: &ValueHasher, value: i64) -> Option<ValueHash> {
        marker.hash(&self.space, [Some(value.to_string().as_str())].into_iter())
    }
}

/// Returns whether a change leaves these columns as they are.
fn is_same(change: &RowChange, columns: &[usize]) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => columns.iter().all(|at| old[*at] == new[*at]),
        _ => false,
    }
}
