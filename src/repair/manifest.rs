//! The manifest: what a folder of scripts was made of, for which table, until when, and the seal of
//! every file; and its own, over all of that as it is written.
//!
//! Seals tell of slips: an edit, a copy that was cut off. There is no secret in them, so they do not stop
//! whoever edits and makes new ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::change::{Act, Manner};
use crate::row::ChecksumHasher;
use crate::schema::{Instance, TableName};
use crate::spec::escape_json;

/// The database that is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `source` or `target`.
    pub side: String,
    /// The database's name.
    pub database: String,
    /// Which cluster it is, where the role may ask.
    pub system_identifier: Option<String>,
    /// Which run of the server it was, for a file copy of it to be told from it.
    pub instance: Instance,
}

/// A table as it was when the script was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIdentity {
    /// Its name.
    pub table: TableName,
    /// Its OID.
    pub oid: u32,
    /// Its columns, foreign keys to and from it, unique indexes, triggers and rules, each with a digest of
    /// how it is defined: what the guards of its scripts rest on.
    pub definition: BTreeMap<String, String>,
}

impl TableIdentity {
    /// What of a table is not as it was, by name; nothing if it is the same.
    pub fn changed(&self, now: &TableIdentity) -> Option<String> {
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

/// A file and the blake3 of its bytes, as `b3sum` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeal {
    /// Its name within the folder.
    pub file: String,
    /// Its seal.
    pub blake3: String,
}

/// What a script does to one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The mapping.
    pub mapping: String,
    /// What it does.
    pub kind: Act,
    /// To how many rows.
    pub rows: u64,
    /// The table that is written.
    pub table: TableIdentity,
    /// Rows that will differ all the same, by pair: its column is computed by the server, otherwise than
    /// the other side has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub differ: BTreeMap<String, u64>,
}

/// One script with its undo and its machine form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it does: one thing, unless tables refer to each other in a circle.
    pub stages: Vec<Stage>,
    /// To how many rows in all.
    pub rows: u64,
    /// Rows of a batch, which is one transaction; rows that need each other may be more.
    pub batch: usize,
    /// For psql.
    pub script: FileSeal,
    /// What takes it back, for psql.
    pub undo: FileSeal,
    /// For `apply`.
    pub changes: FileSeal,
}

/// Findings that led to no change, by reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The mapping.
    pub mapping: String,
    /// Why.
    pub reason: String,
    /// How many rows.
    pub rows: u64,
}

/// A mapping of which the run did not see everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// The mapping.
    pub mapping: String,
    /// Why.
    pub reason: String,
}

/// The manifest of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's version.
    pub version: u32,
    /// The program that made it.
    pub tool: String,
    /// The spec.
    pub spec: String,
    /// The blake3 of the spec's file.
    pub spec_hash: String,
    /// Spec and parameters together.
    pub scope: String,
    /// The run whose findings it repairs.
    pub run: String,
    /// The side declared right.
    pub authority: String,
    /// What is written.
    pub place: Place,
    /// How.
    pub manner: Manner,
    /// When it was made, in UTC.
    pub created_at: String,
    /// Until when it may be applied, in UTC.
    pub expires_at: String,
    /// The scripts, in the order in which they run.
    pub parts: Vec<Part>,
    /// What is not repaired.
    pub left_out: Vec<Described>,
    /// What the run did not see, and no script repairs: mapping and reason.
    pub unseen: Vec<Unseen>,
    /// The blake3 of all other fields, as they are written without blanks; made when it is written.
    pub seal: String,
}

/// Why a text is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoManifest {
    /// It is none at all.
    Unreadable,
    /// It has no seal: versions before this one made none.
    Unsealed,
    /// Its seal is not that of its fields.
    Broken,
}

/// The seal of a manifest's fields.
fn seal(mut fields: Map<String, Value>) -> String {
    let _ = fields.shift_remove("seal");
    let mut sealer = ChecksumHasher::default();
    sealer.update(Value::Object(fields).to_string().as_bytes());
    sealer.finish()
}

impl Manifest {
    /// The only version there is.
    pub const VERSION: u32 = 1;
    /// Its file's name.
    pub const FILE: &'static str = "manifest.json";

    /// Its text, sealed.
    ///
    /// # Errors
    /// None that anybody has seen; serde's, if a field cannot be written.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(self)?)?;
        fields.insert("seal".to_owned(), seal(fields.clone()).into());
        Ok(escape_json(&serde_json::to_string_pretty(&fields)?).into_owned())
    }

    /// Reads a text. Fields that are none of ours are sealed as well.
    ///
    /// # Errors
    /// Why it is none that can be believed.
    pub fn read(text: &str) -> Result<Manifest, NoManifest> {
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| NoManifest::Unreadable)?;
        match fields.get("seal") {
            None => return Err(NoManifest::Unsealed),
            Some(found) if *found != seal(fields.clone()) => return Err(NoManifest::Broken),
            Some(_) => {}
        }
        serde_json::from_value(Value::Object(fields)).map_err(|_| NoManifest::Unreadable)
    }

    /// Why a manifest is not one of this spec; nothing if it is.
    pub fn stranger(&self, spec: &str, hash: &str, scope: &str) -> Option<String> {
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
