//! The manifest: what a folder of scripts was made from, for which tables, until when it may be
//! applied, and the checksum of each file and of the manifest itself.
//!
//! Checksums detect accidents: an edit, an incomplete copy. They contain no secret, so they do not
//! stop somebody who edits a file and computes new ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::change::{ApplyMode, Operation};
use crate::row::Sealer;
use crate::schema::{Instance, TableName};
use crate::spec::escape_json;

/// The database that a repair writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenDatabase {
    /// `source` or `target`.
    pub side: String,
    /// The database's name.
    pub database: String,
    /// The cluster's identifier, if the role may read it.
    pub system_identifier: Option<String>,
    /// The start of the server, and the end of its WAL: a file copy of the cluster differs in them.
    pub instance: Instance,
}

/// A table as it was when the repair was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIdentity {
    /// Its name.
    pub table: TableName,
    /// Its OID.
    pub oid: u32,
    /// Its columns, foreign keys to and from it, unique indexes, triggers and rules, each with a hash
    /// of its definition. The guards of the scripts depend on them.
    pub definition: BTreeMap<String, String>,
}

impl TableIdentity {
    /// Returns the names of what has changed in the table; `None` if nothing has.
    pub fn list_changes(&self, now: &TableIdentity) -> Option<String> {
        if self.oid != now.oid {
            return Some("it is another table".to_owned());
        }
        let (was, is) = (&self.definition, &now.definition);
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let changed = names.into_iter().filter(|name| was.get(*name) != is.get(*name));
        let changed: Vec<&str> = changed.map(String::as_str).collect();
        (!changed.is_empty()).then(|| changed.join(", "))
    }
}

/// A file and the BLAKE3 hash of its bytes, as `b3sum` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChecksum {
    /// Its name within the folder.
    pub file: String,
    /// The hash.
    pub blake3: String,
}

/// What a script does to one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairStage {
    /// The mapping.
    pub mapping: String,
    /// The operation.
    pub kind: Operation,
    /// The number of rows.
    pub rows: u64,
    /// The table that is written.
    pub table: TableIdentity,
    /// The number of rows that still differ afterwards, by pair: the server computes the pair's column
    /// and the result differs from the other side.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub differ: BTreeMap<String, u64>,
}

/// A part of a repair: one script, its undo, and the same changes in machine-readable form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairPart {
    /// One stage, or several if tables refer to each other in a cycle.
    pub stages: Vec<RepairStage>,
    /// The number of rows of all stages.
    pub rows: u64,
    /// The number of rows of the largest batch. A batch is one transaction.
    pub batch: usize,
    /// The script for psql.
    pub script: FileChecksum,
    /// The undo script for psql.
    pub undo: FileChecksum,
    /// The changes for `apply`.
    pub changes: FileChecksum,
}

/// Rows with findings that the repair leaves out, by reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// The mapping.
    pub mapping: String,
    /// The reason.
    pub reason: String,
    /// The number of rows.
    pub rows: u64,
}

/// A mapping that the run did not compare completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteMapping {
    /// The mapping.
    pub mapping: String,
    /// The reason.
    pub reason: String,
}

/// The manifest of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's version.
    pub version: u32,
    /// The program that made the repair, with its version.
    pub tool: String,
    /// The spec's name.
    pub spec: String,
    /// The BLAKE3 hash of the spec's file.
    pub spec_hash: String,
    /// The spec's name with its parameters.
    pub scope: String,
    /// The run whose findings are repaired.
    pub run: String,
    /// The side that is the source of truth.
    pub authority: String,
    /// The database that is written.
    #[serde(rename = "place")]
    pub written: WrittenDatabase,
    /// How batches are applied.
    #[serde(rename = "manner")]
    pub mode: ApplyMode,
    /// When the repair was made, in UTC.
    pub created_at: String,
    /// Until when it may be applied, in UTC.
    pub expires_at: String,
    /// The scripts, in the order in which they run.
    pub parts: Vec<RepairPart>,
    /// What is not repaired.
    pub left_out: Vec<Exclusion>,
    /// The mappings that the run did not compare completely.
    pub unseen: Vec<IncompleteMapping>,
    /// The BLAKE3 hash of all other fields, written without blanks. [`Manifest::write`] computes it.
    #[serde(rename = "seal")]
    pub checksum: String,
}

/// Why a text is not a valid manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// It has another form.
    Unreadable,
    /// It has no checksum: early versions wrote none.
    Unsealed,
    /// Its checksum does not match its fields.
    Broken,
}

/// Returns the checksum of a manifest's fields.
fn checksum(mut fields: Map<String, Value>) -> String {
    let _ = fields.shift_remove(CHECKSUM);
    let mut sealer = Sealer::default();
    sealer.update(Value::Object(fields).to_string().as_bytes());
    sealer.finish()
}

/// The JSON field of the manifest's own checksum.
const CHECKSUM: &str = "seal";

impl Manifest {
    /// The current version of the format.
    pub const VERSION: u32 = 1;
    /// The name of its file.
    pub const FILE: &'static str = "manifest.json";

    /// Returns its text, with the checksum.
    ///
    /// # Errors
    /// Returns serde's error if a field cannot be written, which is not known to happen.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(self)?)?;
        fields.insert(CHECKSUM.to_owned(), checksum(fields.clone()).into());
        Ok(escape_json(&serde_json::to_string_pretty(&fields)?).into_owned())
    }

    /// Reads a text. The checksum covers unknown fields, too.
    ///
    /// # Errors
    /// Returns why the text is not a valid manifest.
    pub fn read(text: &str) -> Result<Manifest, ManifestError> {
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| ManifestError::Unreadable)?;
        match fields.get(CHECKSUM) {
            None => return Err(ManifestError::Unsealed),
            Some(found) if *found != checksum(fields.clone()) => return Err(ManifestError::Broken),
            Some(_) => {}
        }
        serde_json::from_value(Value::Object(fields)).map_err(|_| ManifestError::Unreadable)
    }

    /// Returns why the manifest does not belong to a spec; `None` if it does.
    pub fn find_mismatch(&self, spec: &str, hash: &str, scope: &str) -> Option<String> {
        if self.version != Self::VERSION {
            return Some(format!(
                "it is of version {}, which this program does not read",
                self.version
            ));
        }
        if self.spec != spec {
            return Some(format!("it was made for spec \"{}\"", self.spec));
        }
        if self.spec_hash != hash {
            return Some("the spec was changed since it was made".to_owned());
        }
        (self.scope != scope).then(|| "it was made with other parameters".to_owned())
    }
}
