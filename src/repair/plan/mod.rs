//! Decides which rows are changed, how, and in which order: everything of a repair that needs neither a
//! server nor an asynchronous task.
//!
//! ```text
//! rows of both sides ─▶ drafts ─▶ facts of the server ─▶ changes ─▶ excluded, ordered ─▶ batches
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `repair_options`, `selection`, `mapping_problem` | which findings are repaired, and which mappings cannot be |
//! | `change_builder`, `draft_change` | changes of rows that still differ |
//! | `cast_check`, `index_values`, `key_conflicts`, `generated_columns`, `foreign_keys` | what the server is queried about drafts: statements, and what follows from the answers |
//! | `draft_facts`, `spool` | these answers, and changes in a temporary file |
//! | `stability` | which rows of a range two reads found alike |
//! | `change_set`, `exclusion`, `dependency_order`, `batches` | which changes depend on each other |
//! | `written_table`, `privileges` | whether a table can be written, and what the role lacks |

mod batches;
mod cast_check;
mod change_builder;
mod change_set;
mod dependency_order;
mod draft_change;
mod draft_facts;
mod exclusion;
mod foreign_keys;
mod generated_columns;
mod index_values;
mod key_conflicts;
mod mapping_problem;
mod privileges;
mod repair_options;
mod selection;
mod spool;
mod stability;
mod written_table;

pub(crate) use batches::OrderedScript;
pub(crate) use cast_check::CastCheck;
pub(crate) use change_builder::{ChangeBuilder, Found};
pub(crate) use change_set::ChangeSet;
pub(crate) use dependency_order::order_changes;
pub(crate) use draft_change::DraftChange;
pub(crate) use draft_facts::{DraftFacts, ForeignKeyFacts, KeyConflict};
pub(crate) use foreign_keys::ForeignKeyQuery;
pub(crate) use generated_columns::GeneratedColumnQuery;
pub(crate) use index_values::{IndexValueCheck, IndexValueRow};
pub(crate) use key_conflicts::KeyConflictQuery;
pub(crate) use mapping_problem::{
    MappingProblem, RepairError, check_findings, excluded_rows, name_mappings,
};
pub(crate) use privileges::{find_missing_privilege, list_missing_privileges, unmovable_sequence};
pub use repair_options::RepairOptions;
pub(crate) use selection::{Selection, select};
pub(crate) use spool::{SpoolWriter, spool_problem};
pub(crate) use stability::FirstRead;
pub(crate) use written_table::{WrittenTable, check_table};
