//! A change of one row with its guard, and the shape that the changes of one file share.
//!
//! The images are the guard: `old` is what the row has to be, `new` what it is to become. To undo a
//! change is to exchange them.

use serde::{Deserialize, Serialize};

use crate::schema::{ColumnName, TableName};

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A row that is missing is put in.
    Insert,
    /// Columns of a row are set.
    Update,
    /// A row that is too many is taken out.
    Delete,
}

impl Act {
    /// The word in flags, file names and records.
    pub fn name(self) -> &'static str {
        match self {
            Act::Insert => "insert",
            Act::Update => "update",
            Act::Delete => "delete",
        }
    }

    /// What takes it back.
    #[must_use]
    pub fn inverse(self) -> Act {
        match self {
            Act::Insert => Act::Delete,
            Act::Update => Act::Update,
            Act::Delete => Act::Insert,
        }
    }
}

/// The values of a row, in the order of the shape's columns; none is NULL.
pub type Image = Vec<Option<String>>;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What the row is; nothing if there is to be none.
    pub old: Option<Image>,
    /// What it becomes; nothing if it goes.
    pub new: Option<Image>,
}

impl Change {
    /// What takes it back.
    #[must_use]
    pub fn inverse(self) -> Change {
        Change { old: self.new, new: self.old }
    }

    /// The image that holds the row's key.
    pub fn keyed(&self) -> Option<&Image> {
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
}

/// Rows of another table that a DELETE would reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// The other table.
    pub table: TableName,
    /// What would happen to them.
    pub action: String,
    /// Its columns, each with the column that it refers to.
    pub columns: Vec<(ColumnName, ColumnName)>,
}

/// What the changes of one file have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// What is done.
    pub act: Act,
    /// To which table.
    pub table: TableName,
    /// The columns of the images.
    pub columns: Vec<ImageColumn>,
    /// Which of them make the key.
    pub key: Vec<usize>,
    /// Which of them an update sets.
    pub set: Vec<usize>,
    /// Whether unique indexes keep two writers of one key apart at every moment: otherwise nobody
    /// else may insert meanwhile.
    pub proven: bool,
    /// Sequences that must not fall behind, each with the column that it fills.
    pub sequences: Vec<(usize, String)>,
    /// Tables that a DELETE must not reach.
    pub cascades: Vec<Cascade>,
}

impl Shape {
    /// The shape of what takes the changes back.
    #[must_use]
    pub fn inverse(&self) -> Shape {
        // A sequence that has moved on stays there: its numbers may be in use.
        Shape { act: self.act.inverse(), sequences: Vec::new(), ..self.clone() }
    }

    /// Whether a file of changes holds what this shape says.
    pub fn fits(&self, change: &Change) -> bool {
        let (old, new) = (self.act != Act::Insert, self.act != Act::Delete);
        let width = |image: &Option<Image>, wanted: bool| match image {
            Some(image) => wanted && image.len() == self.columns.len(),
            None => !wanted,
        };
        width(&change.old, old) && width(&change.new, new)
    }
}
