//! What goes into a ledger and comes out of it, the same for both stores: values, rows with the names of
//! their columns, and statements that change something.

use std::sync::Arc;

use crate::ledger::problems::unreadable_record;
use crate::problem::Problem;

/// A value of one of the few types that the ledger's tables have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoredValue {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for StoredValue {
    fn from(number: i64) -> StoredValue {
        StoredValue::Int(number)
    }
}

impl From<u64> for StoredValue {
    /// Converts a count, none of which comes near the end of the range.
    fn from(number: u64) -> StoredValue {
        StoredValue::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for StoredValue {
    fn from(text: &str) -> StoredValue {
        StoredValue::Text(text.to_owned())
    }
}

impl From<String> for StoredValue {
    fn from(text: String) -> StoredValue {
        StoredValue::Text(text)
    }
}

impl From<&[u8]> for StoredValue {
    fn from(bytes: &[u8]) -> StoredValue {
        StoredValue::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for StoredValue {
    fn from(bytes: Vec<u8>) -> StoredValue {
        StoredValue::Bytes(bytes)
    }
}

/// Makes the values of a row: `values![run, "a", bytes]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::ledger::storage::stored_row::StoredValue::from($value)),*]
    };
}
pub(crate) use values;

/// A statement that changes something.
#[derive(Clone, Debug)]
pub(crate) struct LedgerWrite {
    pub(crate) statement: &'static str,
    pub(crate) params: Vec<StoredValue>,
}

/// A query that finds a row as long as no other process has taken a lease over.
#[derive(Debug)]
pub(crate) struct Fence(pub(crate) LedgerWrite);

/// A row that a query returned. Its values are read by the names of their columns.
#[derive(Clone, Debug)]
pub(crate) struct StoredRow {
    columns: Arc<[String]>,
    values: Vec<StoredValue>,
}

impl StoredRow {
    pub(crate) fn new(columns: &Arc<[String]>, values: Vec<StoredValue>) -> StoredRow {
        StoredRow { columns: Arc::clone(columns), values }
    }

    /// Returns its values, in the order of its columns.
    pub(crate) fn values(&self) -> &[StoredValue] {
        &self.values
    }

    /// Returns the columns up to this one.
    pub(crate) fn through(&self, column: &str) -> StoredRow {
        self.part(0, self.behind(column))
    }

    /// Returns the columns behind this one.
    pub(crate) fn after(&self, column: &str) -> StoredRow {
        self.part(self.behind(column), self.values.len())
    }

    fn behind(&self, column: &str) -> usize {
        let place = self.columns.iter().position(|name| name == column);
        place.map_or(self.values.len(), |place| place + 1)
    }

    fn part(&self, start: usize, end: usize) -> StoredRow {
        let within = |place: usize| (start..end).contains(&place);
        let columns = self.columns.iter().enumerate().filter(|(place, _)| within(*place));
        let values = self.values.iter().enumerate().filter(|(place, _)| within(*place));
        StoredRow {
            columns: columns.map(|(_, name)| name.clone()).collect(),
            values: values.map(|(_, value)| value.clone()).collect(),
        }
    }

    /// Returns the value of a column, if there is such a column.
    pub(crate) fn value(&self, column: &str) -> Option<&StoredValue> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.values.get(place)
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, Problem> {
        match self.value(column) {
            Some(StoredValue::Int(number)) => Ok(*number),
            _ => Err(other_type(column)),
        }
    }

    pub(crate) fn count(&self, column: &str) -> Result<u64, Problem> {
        u64::try_from(self.int(column)?).map_err(|_| other_type(column))
    }

    pub(crate) fn text(&self, column: &str) -> Result<&str, Problem> {
        match self.value(column) {
            Some(StoredValue::Text(text)) => Ok(text),
            _ => Err(other_type(column)),
        }
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>, Problem> {
        match self.value(column) {
            Some(StoredValue::Null) => Ok(None),
            _ => self.int(column).map(Some),
        }
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<&[u8], Problem> {
        match self.value(column) {
            Some(StoredValue::Bytes(bytes)) => Ok(bytes),
            _ => Err(other_type(column)),
        }
    }
}

fn other_type(column: &str) -> Problem {
    unreadable_record(format!("\"{column}\" has another type"))
}

#[cfg(test)]
impl StoredRow {
    /// Makes a row whose columns have no names.
    pub(crate) fn unnamed(values: Vec<StoredValue>) -> StoredRow {
        StoredRow { columns: Arc::default(), values }
    }

    /// Returns the row with another value in this place.
    pub(crate) fn with(&self, place: usize, value: StoredValue) -> StoredRow {
        let mut row = self.clone();
        row.values[place] = value;
        row
    }
}
