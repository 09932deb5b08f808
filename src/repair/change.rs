//! A change of one row with its guard, and the shape that the changes of one file share.
//!
//! The images are the guard: `old` is what the row has to be, `new` what it is to become. To undo a
//! change is to exchange them.

use serde::{Deserialize, Serialize};

use super::quote::one_line;
use crate::schema::{ColumnName, ForeignKey, TableName};

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
    /// Whether values of different bytes may be equal in it while compare tells them apart.
    #[serde(default)]
    pub coarse: bool,
    /// Whether reports show hashes of its values; a script cannot.
    pub redacted: bool,
}

/// What stands in a column of a unique index while its value changes hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standin {
    /// NULL, which is like no other.
    Null,
    /// Numbers behind the highest that is not beyond this one, which leaves room behind it.
    Number(String),
    /// Days behind the last.
    Day,
    /// Times, a day apart, behind the last.
    Time,
    /// Texts that no other row has, of at most so many characters.
    Text(Option<i32>),
    /// Random UUIDs.
    Uuid,
}

/// A unique index whose values rows of one batch may hand to each other: a row that gives one up does
/// so before another takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The index's columns among those of the images; none if the index has expressions, and nobody
    /// but the server knows its values.
    pub index: Vec<usize>,
    /// The column whose value is given up, and what stands there meanwhile.
    pub column: usize,
    /// That.
    pub standin: Standin,
    /// The index's columns that updates set: whoever changes one of them frees its value.
    pub moved: Vec<usize>,
}

/// What the changes of one kind and one table have in common.
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
    /// Unique indexes whose values change hands.
    pub exchanges: Vec<Exchange>,
    /// The tables that it refers to.
    pub parents: Vec<ForeignKey>,
    /// The tables that refer to it.
    pub referrers: Vec<ForeignKey>,
    /// The tables that could be reached through these, each with those that refer to it in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<(TableName, Vec<ForeignKey>)>,
    /// Whether a DELETE or UPDATE may reach them.
    pub cascade: bool,
}

impl Shape {
    /// The shape of what takes the changes back.
    #[must_use]
    pub fn inverse(&self) -> Shape {
        // A sequence that has moved on stays there: its numbers may be in use.
        Shape { act: self.act.inverse(), sequences: Vec::new(), ..self.clone() }
    }

    /// Where a column stands among those of the images.
    pub fn place(&self, name: &ColumnName) -> Option<usize> {
        self.columns.iter().position(|column| column.name == *name)
    }

    /// The places of a foreign key's columns that an update sets.
    pub fn moved(&self, link: &ForeignKey) -> Vec<usize> {
        let places = link.columns.iter().filter_map(|(own, _)| self.place(own));
        places.filter(|place| self.set.contains(place)).collect()
    }

    /// What becomes of rows that refer to those that change, where the server does more than refuse.
    pub fn action<'l>(&self, link: &'l ForeignKey) -> Option<&'l str> {
        match self.act {
            Act::Insert => None,
            Act::Update if link.generated || !self.moved(link).is_empty() => {
                link.on_update.as_deref()
            }
            Act::Update => None,
            Act::Delete => link.on_delete.as_deref(),
        }
    }

    /// Whether a change is what this shape says.
    pub fn fits(&self, change: &Change) -> bool {
        let (old, new) = (self.act != Act::Insert, self.act != Act::Delete);
        let width = |image: &Option<Image>, wanted: bool| match image {
            Some(image) => wanted && image.len() == self.columns.len(),
            None => !wanted,
        };
        width(&change.old, old) && width(&change.new, new)
    }

    /// The table's name where people read it.
    pub fn table_name(&self) -> String {
        format!("{}.{}", one_line(&self.table.schema.0), one_line(&self.table.name))
    }
}

/// How every batch of a repair is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// Whether triggers fire, those that watch foreign keys among them.
    pub triggers: bool,
    /// Whether rows wait in temporary tables; otherwise in settings of the transaction, which needs
    /// no privilege.
    pub temporary: bool,
}
