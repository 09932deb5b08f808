//! Writes the three files of a script, batch by batch: the script, its undo, and the changes for `apply`.
//! Batches of the undo run in the opposite order, so they are kept in a temporary file until the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::change_file::{BatchHeader, ChangeFileHeader};
use super::folder_draft::{FileWriter, FolderDraft};
use crate::files::unnamed;
use crate::problem::Problem;
use crate::repair::plan::{ChangeSet, OrderedScript, spool_problem};
use crate::repair::{
    self, Batch, ChangeShape, Manifest, PLAIN_ROWS, RepairPart, RepairStage, RowChange,
    ScriptHeader, TableIdentity,
};
use crate::spec::escape_json;

/// A script that is to be written.
pub(crate) struct PartPlan<'p> {
    /// The number of the script, from 1.
    pub(crate) number: usize,
    /// The rows of a batch.
    pub(crate) batch: usize,
    /// For each change set: the name of the mapping, and the table.
    pub(crate) tables: Vec<(&'p str, &'p TableIdentity)>,
    /// For each change set: the names of the pairs.
    pub(crate) pairs: Vec<Vec<&'p str>>,
}

/// Writes the three files.
struct PartWriter<'p> {
    manifest: &'p Manifest,
    /// The table of each stage.
    tables: Vec<&'p TableIdentity>,
    forward: Vec<ChangeShape>,
    back: Vec<ChangeShape>,
    /// Whether rows are written as INSERT statements, else as COPY.
    plain: bool,
    script: FileWriter,
    changes: FileWriter,
    undo: FileWriter,
    /// The batches of the undo, in the order of the script, and where each begins.
    undo_batches: File,
    undo_starts: Vec<u64>,
}

/// Writes the files of a script.
pub(crate) fn write_part(
    folder: &FolderDraft,
    part: &PartPlan<'_>,
    ordered: &mut OrderedScript,
    manifest: &Manifest,
) -> Result<RepairPart, Problem> {
    let stem = escape_file_stem(part, &ordered.sets);
    let names = [".sql", ".undo.sql", ".jsonl"].map(|end| format!("{stem}{end}"));
    let forward: Vec<ChangeShape> = ordered.sets.iter().map(|set| set.shape.clone()).collect();
    let back: Vec<ChangeShape> = forward.iter().map(ChangeShape::inverse).collect();
    let rows: Vec<u64> = ordered.sets.iter().map(|set| set.spool.rows).collect();
    let total = rows.iter().sum();
    let differing: Vec<BTreeMap<String, u64>> = ordered
        .sets
        .iter()
        .zip(&part.pairs)
        .map(|(set, names)| differing_rows(set, names))
        .collect();
    let (batches, largest) = ordered.sizes(part.batch);
    let head = |undo: bool| ScriptHeader {
        file: &names[usize::from(undo)],
        counterpart: &names[usize::from(!undo)],
        undo,
        spec: &manifest.spec,
        run: &manifest.run,
        authority: &manifest.authority,
        written: &manifest.written,
        mode: manifest.mode,
        created: &manifest.created_at,
        expires: (!undo).then_some(manifest.expires_at.as_str()),
        unseen: manifest
            .unseen
            .iter()
            .filter(|unseen| part.tables.iter().any(|(name, _)| *name == unseen.mapping))
            .map(|unseen| unseen.reason.as_str())
            .collect(),
        differ: differing
            .iter()
            .filter(|_| !undo)
            .flatten()
            .map(|(name, rows)| (name.as_str(), *rows))
            .collect(),
        stages: stages(part, if undo { &back } else { &forward }, &rows),
        batches,
        batch: largest,
    };
    let mut writer = PartWriter {
        manifest,
        tables: part.tables.iter().map(|(_, table)| *table).collect(),
        forward: forward.clone(),
        back: back.clone(),
        plain: total <= PLAIN_ROWS,
        script: folder.create_file(&names[0])?,
        undo: folder.create_file(&names[1])?,
        changes: folder.create_file(&names[2])?,
        undo_batches: unnamed().map_err(spool_problem)?,
        undo_starts: vec![0],
    };
    writer.script.write(&repair::write_header(&head(false)))?;
    let header = ChangeFileHeader { version: 1, rows: total, stages: forward.clone() };
    let header = serde_json::to_string(&header).map_err(spool_problem)?;
    writer.changes.write(&format!("{}\n", escape_json(&header)))?;
    ordered.each_batch(part.batch, |changes, lines| writer.write_batch(changes, lines))?;
    writer.script.write(&repair::write_footer(&stages(part, &forward, &rows)))?;
    writer.undo.write(&repair::write_header(&head(true)))?;
    writer.write_undo_batches()?;
    writer.undo.write(&repair::write_footer(&stages(part, &back, &rows)))?;
    let tables = part.tables.iter().zip(&forward).zip(&rows).zip(differing);
    Ok(RepairPart {
        stages: tables
            .map(|((((mapping, table), shape), rows), differing)| RepairStage {
                mapping: (*mapping).to_owned(),
                kind: shape.operation,
                rows: *rows,
                table: (*table).clone(),
                differ: differing,
            })
            .collect(),
        rows: total,
        batch: largest,
        script: writer.script.finish()?,
        undo: writer.undo.finish()?,
        changes: writer.changes.finish()?,
    })
}

/// Returns the stages of a script as its head and its foot list them: mapping, shape and rows.
fn stages<'s>(
    part: &PartPlan<'s>,
    shapes: &'s [ChangeShape],
    rows: &[u64],
) -> Vec<(&'s str, &'s ChangeShape, u64)> {
    let names = part.tables.iter().map(|(name, _)| *name);
    names.zip(shapes).zip(rows).map(|((name, shape), rows)| (name, shape, *rows)).collect()
}

/// Returns how many rows will differ after the repair, by pair.
fn differing_rows(set: &ChangeSet, names: &[&str]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    let pairs = set.spool.facts.differing.values().flatten();
    for name in pairs.filter_map(|pair| names.get(*pair)) {
        *rows.entry((*name).to_owned()).or_default() += 1;
    }
    rows
}

/// Returns the names of the files without their ends: `003-orders-update`, or
/// `003-orders+lines-insert` for several mappings.
fn escape_file_stem(part: &PartPlan<'_>, sets: &[ChangeSet]) -> String {
    let mappings = part.tables.iter().map(|(name, _)| repair::escape_file_stem(name));
    let kinds = sets.iter().map(|set| set.shape.operation.name().to_owned());
    stem_of(part.number, mappings.collect(), kinds.collect())
}

fn stem_of(number: usize, mut mappings: Vec<String>, mut kinds: Vec<String>) -> String {
    mappings.dedup();
    kinds.dedup();
    let mut names = mappings.join("+");
    // A file name has at most 255 bytes; long ones are distinguished by the number.
    if names.len() > 160 {
        names.truncate(160);
        names.push('~');
    }
    format!("{number:03}-{names}-{}", kinds.join("+"))
}

impl PartWriter<'_> {
    /// Writes a batch to the script and the changes, and keeps its undo.
    fn write_batch(&mut self, changes: Vec<Vec<RowChange>>, lines: &str) -> Result<(), Problem> {
        let text = self.batch_text(&self.forward, &changes, Some(&self.manifest.expires_at));
        self.script.write(&text)?;
        let batch = changes.iter().map(Vec::len).sum();
        let line = serde_json::to_string(&BatchHeader { batch }).map_err(spool_problem)?;
        self.changes.write(&format!("{line}\n{lines}"))?;
        let inverse =
            |changes: Vec<RowChange>| changes.into_iter().map(RowChange::inverse).collect();
        let changes: Vec<Vec<RowChange>> = changes.into_iter().map(inverse).collect();
        let text = self.batch_text(&self.back, &changes, None);
        self.undo_batches.write_all(text.as_bytes()).map_err(spool_problem)?;
        let start = self.undo_starts.last().copied().unwrap_or(0);
        self.undo_starts.push(start + text.len() as u64);
        Ok(())
    }

    /// Writes the batches of the undo, the last one first.
    fn write_undo_batches(&mut self) -> Result<(), Problem> {
        for ends in self.undo_starts.windows(2).rev() {
            self.undo_batches.seek(SeekFrom::Start(ends[0])).map_err(spool_problem)?;
            let mut text = String::new();
            let mut batch = Read::by_ref(&mut self.undo_batches).take(ends[1] - ends[0]);
            batch.read_to_string(&mut text).map_err(spool_problem)?;
            self.undo.write(&text)?;
        }
        Ok(())
    }

    /// Returns the statements of a batch.
    fn batch_text(
        &self,
        shapes: &[ChangeShape],
        changes: &[Vec<RowChange>],
        expires: Option<&str>,
    ) -> String {
        let stages = || {
            let stages = shapes.iter().zip(&self.tables).zip(changes);
            stages.filter(|(_, changes)| !changes.is_empty())
        };
        let batch = Batch {
            written: &self.manifest.written,
            expires,
            mode: self.manifest.mode,
            stages: stages()
                .map(|((shape, table), changes)| (shape, *table, changes.len()))
                .collect(),
        };
        let changes: Vec<&[RowChange]> = stages().map(|(_, changes)| changes.as_slice()).collect();
        repair::write_batch(&batch, &changes, self.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::stem_of;

    #[test]
    fn files_are_named_by_number_mappings_and_operations() {
        let stem = |mappings: &[&str], kinds: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            stem_of(3, owned(mappings), owned(kinds))
        };
        assert_eq!(stem(&["orders"], &["update"]), "003-orders-update");
        assert_eq!(stem(&["orders", "orders"], &["insert", "update"]), "003-orders-insert+update");
        assert_eq!(stem(&["orders", "lines"], &["insert", "insert"]), "003-orders+lines-insert");
        let long = stem(&["x".repeat(200).as_str()], &["delete"]);
        assert_eq!(long, format!("003-{}~-delete", "x".repeat(160)));
    }
}
