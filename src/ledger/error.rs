//! Why a ledger cannot be used.

use std::fmt;

use crate::problem::Problem;

/// Why a ledger cannot be used: lowercase, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerError(pub(super) String);

impl LedgerError {
    /// There was no time to wait for it any longer.
    pub fn no_answer() -> LedgerError {
        LedgerError("it did not answer, and the run had to stop".to_owned())
    }

    /// A mapping whose key is redacted cannot be stored without a secret.
    pub(super) fn redacted(mapping: &str) -> LedgerError {
        LedgerError(format!("the key of \"{mapping}\" is redacted, and nothing encrypts it"))
    }

    /// A run whose stored values do not match their checksums.
    pub fn damaged(run: &str) -> LedgerError {
        LedgerError(format!("run {run} is damaged: stored values do not match their checksums"))
    }

    /// A mapping that no plan has.
    pub fn unknown_mapping(name: &str) -> LedgerError {
        LedgerError(format!("it has a part of \"{name}\", which is not in the spec"))
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LedgerError {}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        Problem::new(error.0)
    }
}

impl From<std::io::Error> for LedgerError {
    fn from(error: std::io::Error) -> LedgerError {
        LedgerError(error.to_string())
    }
}

impl From<serde_json::Error> for LedgerError {
    fn from(error: serde_json::Error) -> LedgerError {
        LedgerError(format!("a record in it is not understood: {error}"))
    }
}
