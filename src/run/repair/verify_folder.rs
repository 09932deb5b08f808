//! Verifies a folder that was reviewed: its files, the database, the tables, and what the role lacks.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use super::written_tables::{catalog, read_identity, read_relation};
use crate::plan::MappingPlan;
use crate::prepare::{Prepared, retry};
use crate::problem::Problem;
use crate::repair::{Manifest, RepairPart, RepairStage};
use crate::repair_folder::{
    ChangeFileReader, CheckedFolder, Journal, SealedFile, check_folder, check_server,
};
use crate::repair_plan::{find_missing_privilege, unmovable_sequence};
use crate::schema::Side;

/// A folder that was verified and may be applied.
pub struct VerifiedFolder<'p> {
    /// What the role lacks, if it lacks anything: then the repair can be shown, and not applied.
    pub lacks: Option<Problem>,
    /// The side that is written, if its server was started since the repair was made.
    pub restarted: Option<Side>,
    pub(super) prepared: &'p Prepared,
    folder: CheckedFolder,
    /// The index of the plan of each stage of each part.
    plans: Vec<usize>,
}

/// Verifies a folder: its files, the spec, the database, the tables.
///
/// # Errors
/// The first thing that is not as it was when the scripts were made.
pub async fn verify_folder<'p>(
    prepared: &'p Prepared,
    folder: &Path,
) -> Result<VerifiedFolder<'p>, Problem> {
    let folder = check_folder(folder, &prepared.spec, Timestamp::now())?;
    let (manifest, written) = (&folder.manifest, folder.written);
    let is_restarted = check_server(manifest, written, &prepared.servers[written])?;
    let sequences = folder.sequences()?;
    let checked = retry(async || check_tables(prepared, manifest, written, &sequences).await);
    let (plans, lacks) = checked.await?;
    let restarted = is_restarted.then_some(written);
    Ok(VerifiedFolder { lacks, restarted, prepared, folder, plans })
}

/// Checks that each table is the one for which the script was made, and is defined as it was. Returns the
/// plan of each stage, and what the role lacks.
async fn check_tables(
    prepared: &Prepared,
    manifest: &Manifest,
    written: Side,
    sequences: &BTreeSet<String>,
) -> Result<(Vec<usize>, Option<Problem>), Problem> {
    let at_written = |error| Problem::from((Some(written), error));
    let connection = prepared.pools[written].acquire().await.map_err(at_written)?;
    let catalog = catalog(prepared, &connection, written);
    let server = &prepared.servers[written];
    let (mut plans, mut lacks) = (Vec::new(), None);
    for RepairStage { mapping, kind, table, .. } in
        manifest.parts.iter().flat_map(|part| &part.stages)
    {
        let index = prepared.plans.iter().position(|plan| plan.name == *mapping);
        let Some(index) = index else {
            return Err(Problem::new(format!("the spec has no mapping \"{mapping}\"")));
        };
        let relation = read_relation(&prepared.plans[index], written, &catalog).await?;
        let now = read_identity(&table.table, &relation, &catalog).await.map_err(at_written)?;
        if let Some(what) = table.list_changes(&now) {
            let message =
                format!("table {} was changed since the repair was made: {what}", table.table);
            return Err(Problem::new(message).with_hint("Make a new one: compare, then repair."));
        }
        let rights = catalog.read_privileges(table.oid, server).await.map_err(at_written)?;
        lacks = lacks.or_else(|| {
            find_missing_privilege(manifest.mode, &table.table, *kind, &rights, server)
        });
        plans.push(index);
    }
    let sequences: Vec<&str> = sequences.iter().map(String::as_str).collect();
    let unmovable = catalog.find_unmovable_sequences(&sequences).await.map_err(at_written)?;
    lacks = lacks.or_else(|| Some(unmovable_sequence(unmovable.first()?, &server.role)));
    connection.give_back().await;
    Ok((plans, lacks))
}

impl VerifiedFolder<'_> {
    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.folder.manifest
    }

    /// Reads which batches were applied before.
    ///
    /// # Errors
    /// A journal that cannot be read, or belongs to another repair.
    pub fn journal(&self) -> Result<Journal, Problem> {
        Journal::read(&self.folder.directory, &self.manifest().checksum)
    }

    /// Returns the side that is written.
    pub(super) fn written(&self) -> Side {
        self.folder.written
    }

    /// Returns the parts, each with its number, from 1, and its changes.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, &RepairPart, &SealedFile)> {
        let parts = self.manifest().parts.iter().zip(&self.folder.changes).enumerate();
        parts.map(|(at, (part, changes))| (at + 1, part, changes))
    }

    /// Returns the plans of the mappings of a part's stages.
    pub(super) fn plans_of(&self, part: usize) -> Vec<&MappingPlan> {
        let parts = &self.manifest().parts;
        let before = parts.iter().take(part - 1).map(|part| part.stages.len()).sum();
        let stages = parts.get(part - 1).map_or(0, |part| part.stages.len());
        let plans = self.plans.iter().skip(before).take(stages);
        plans.map(|index| &self.prepared.plans[*index]).collect()
    }

    /// Opens the changes of a part.
    pub(super) fn open_changes<'v>(
        &self,
        part: &RepairPart,
        changes: &'v SealedFile,
    ) -> Result<ChangeFileReader<'v>, Problem> {
        self.folder.open_changes(part, changes)
    }
}
