//! A change of one row with its guard, and what the changes of one operation and table share.
//!
//! The two images are the guard: a change is applied only to a row that is equal to `old`, and
//! afterwards the row has to be equal to `new`. Exchanging them gives the undo.

use serde::{Deserialize, Serialize};

use super::quote::escape_name;
use crate::schema::{ColumnName, Link, TableName};

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A missing row is inserted.
    Insert,
    /// Columns of a row are set.
    Update,
    /// A surplus row is deleted.
    Delete,
}

impl Operation {
    /// Returns the word in flags, file names and records.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }

    /// Returns the operation that undoes it.
    #[must_use]
    pub fn inverse(self) -> Operation {
        match self {
            Operation::Insert => Operation::Delete,
            Operation::Update => Operation::Update,
            Operation::Delete => Operation::Insert,
        }
    }
}

/// The values of a row as texts, in the order of [`ChangeShape::columns`]; `None` is NULL.
pub type Image = Vec<Option<String>>;

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    /// The row before the change; `None` for an insert.
    pub old: Option<Image>,
    /// The row after the change; `None` for a delete.
    pub new: Option<Image>,
}

impl RowChange {
    /// Returns the change that undoes it.
    #[must_use]
    pub fn inverse(self) -> RowChange {
        RowChange { old: self.new, new: self.old }
    }

    /// Returns the image that holds the row's key.
    pub fn key_image(&self) -> Option<&Image> {
        self.old.as_ref().or(self.new.as_ref())
    }
}

/// A column of the images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type without modifier, as SQL writes it.
    pub type_name: String,
    /// Whether `pg_catalog` has an equality and an order for it.
    pub ordered: bool,
    /// Whether the column's equality may hold for two values that differ in a comparison.
    #[serde(default)]
    pub coarse: bool,
    /// Whether reports show hashes of its values. A script holds the values.
    pub redacted: bool,
}

/// A placeholder value: what a column of a unique index holds while its value moves to another row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placeholder {
    /// NULL, which is not equal to any other value.
    Null,
    /// Numbers above the highest existing one up to this limit, which leaves space above it.
    Number(String),
    /// Days after the last one.
    Day,
    /// Times after the last one, a day apart.
    Time,
    /// Texts that no other row has, of at most this many characters.
    Text(Option<i32>),
    /// Random UUIDs.
    Uuid,
}

/// A unique index whose values move between rows of one batch. A row gives its value up, by taking a
/// placeholder, before another row takes the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The index's columns, by their positions in the images; empty if the index has expressions,
    /// because then only the server can compute its values.
    pub index: Vec<usize>,
    /// The column that takes the placeholder.
    pub column: usize,
    /// The placeholder.
    #[serde(rename = "standin")]
    pub placeholder: Placeholder,
    /// The index's columns that updates set: an update of one of them gives its value up.
    pub moved: Vec<usize>,
}

/// What the changes of one operation and one table have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeShape {
    /// The operation.
    #[serde(rename = "act")]
    pub operation: Operation,
    /// The table that is written.
    pub table: TableName,
    /// The columns of the images.
    pub columns: Vec<ImageColumn>,
    /// The columns of the key, by position.
    pub key: Vec<usize>,
    /// The columns that an update sets, by position.
    pub set: Vec<usize>,
    /// Whether a unique index prevents two rows with one key at every moment. Otherwise the table is
    /// locked against other inserts.
    pub proven: bool,
    /// Sequences that must not stay behind the inserted values, each with the column that it fills.
    pub sequences: Vec<(usize, String)>,
    /// Unique indexes whose values move between rows.
    pub exchanges: Vec<Exchange>,
    /// The foreign keys of the table.
    pub parents: Vec<Link>,
    /// The foreign keys that refer to the table.
    pub referrers: Vec<Link>,
    /// Tables that `ON DELETE` and `ON UPDATE` can reach through the referrers, each with the foreign
    /// keys that refer to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<(TableName, Vec<Link>)>,
    /// Whether a DELETE or UPDATE may reach these tables (`--allow-cascade`).
    pub cascade: bool,
}

impl ChangeShape {
    /// Returns the shape of the changes that undo these. Sequences stay where they are, since their
    /// numbers may be in use.
    #[must_use]
    pub fn inverse(&self) -> ChangeShape {
        let operation = self.operation.inverse();
        ChangeShape { operation, sequences: Vec::new(), ..self.clone() }
    }

    /// Returns a column's position in the images.
    pub fn place(&self, name: &ColumnName) -> Option<usize> {
        self.columns.iter().position(|column| column.name == *name)
    }

    /// Returns the positions of a foreign key's columns that an update sets.
    pub fn moved(&self, link: &Link) -> Vec<usize> {
        let places = link.columns.iter().filter_map(|(own, _)| self.place(own));
        places.filter(|place| self.set.contains(place)).collect()
    }

    /// Returns what the server does to rows that refer to the changed ones (`CASCADE`, `SET NULL`,
    /// `SET DEFAULT`); `None` if it only refuses or the foreign key is not affected.
    pub fn action<'l>(&self, link: &'l Link) -> Option<&'l str> {
        match self.operation {
            Operation::Insert => None,
            Operation::Update if link.generated || !self.moved(link).is_empty() => {
                link.on_update.as_deref()
            }
            Operation::Update => None,
            Operation::Delete => link.on_delete.as_deref(),
        }
    }

    /// Returns whether a change has the images that this shape requires.
    pub fn fits(&self, change: &RowChange) -> bool {
        let (old, new) = (self.operation != Operation::Insert, self.operation != Operation::Delete);
        let width = |image: &Option<Image>, wanted: bool| match image {
            Some(image) => wanted && image.len() == self.columns.len(),
            None => !wanted,
        };
        width(&change.old, old) && width(&change.new, new)
    }

    /// Returns the table's name as texts for people show it.
    pub fn table_name(&self) -> String {
        format!("{}.{}", escape_name(&self.table.schema.0), escape_name(&self.table.name))
    }
}

/// How every batch of a repair is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyMode {
    /// Whether triggers fire, including those that check foreign keys.
    pub triggers: bool,
    /// Whether rows are staged in temporary tables. Otherwise they are staged in settings of the
    /// transaction, which needs no privilege.
    pub temporary: bool,
}
