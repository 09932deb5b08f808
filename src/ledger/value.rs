//! What goes into a ledger and comes out of it, the same for both stores.

use super::problems::unreadable_record;
use crate::problem::Problem;

/// A value of one of the few types that the ledger's tables have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<u64> for Value {
    /// No count of ours comes near the end of the range.
    fn from(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

/// Values in a row: `values![run, "a", bytes]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::ledger::value::Value::from($value)),*]
    };
}
pub(super) use values;

/// A statement that changes something.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) statement: &'static str,
    pub(super) params: Vec<Value>,
}

/// A query that finds a row as long as no other process has taken a lease over.
#[derive(Debug)]
pub(super) struct Fence(pub(super) Change);

/// One row of an answer.
#[derive(Clone, Debug)]
pub(super) struct Record(pub(super) Vec<Value>);

impl Record {
    pub(super) fn int(&self, at: usize) -> Result<i64, Problem> {
        match self.0.get(at) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(other_type(at)),
        }
    }

    pub(super) fn count(&self, at: usize) -> Result<u64, Problem> {
        u64::try_from(self.int(at)?).map_err(|_| other_type(at))
    }

    pub(super) fn text(&self, at: usize) -> Result<&str, Problem> {
        match self.0.get(at) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(other_type(at)),
        }
    }

    pub(super) fn maybe_int(&self, at: usize) -> Result<Option<i64>, Problem> {
        match self.0.get(at) {
            Some(Value::Null) => Ok(None),
            _ => self.int(at).map(Some),
        }
    }

    pub(super) fn bytes(&self, at: usize) -> Result<&[u8], Problem> {
        match self.0.get(at) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(other_type(at)),
        }
    }
}

fn other_type(at: usize) -> Problem {
    unreadable_record(format!("field {} has another type", at + 1))
}
