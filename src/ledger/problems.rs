//! The problems of a ledger that several files report. Most are shown behind the name of the ledger, as
//! in `ledger x.db: it is damaged`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Returns the problem of a ledger that did not answer before the run had to stop.
pub fn no_answer() -> Problem {
    Problem::new("it did not answer, and the run had to stop")
}

/// Returns the problem of a run whose stored values do not match their checksums.
pub fn damaged_run(run: &str) -> Problem {
    Problem::new(format!("run {run} is damaged: stored values do not match their checksums"))
}

/// Returns the problem of a shard whose mapping is not in the spec.
pub fn unknown_mapping(name: &str) -> Problem {
    Problem::new(format!("it has a part of \"{name}\", which is not in the spec"))
}

/// Returns the problem of a mapping with a redacted key whose bounds would be stored unencrypted.
pub(super) fn unencrypted_key(mapping: &str) -> Problem {
    Problem::new(format!("the key of \"{mapping}\" is redacted, and nothing encrypts it"))
}

/// Returns the problem of a checkpoint that cannot be decoded.
pub(super) fn unreadable_checkpoint() -> Problem {
    Problem::new("a checkpoint in it is not understood")
}

/// Returns the problem of a record that cannot be read, for this reason.
pub(super) fn unreadable_record(why: impl std::fmt::Display) -> Problem {
    Problem::new(format!("a record in it is not understood: {why}"))
}

/// Reads a record from its JSON.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(unreadable_record)
}

/// Returns the JSON of a record.
pub(super) fn to_json(record: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(record).map_err(unreadable_record)
}
