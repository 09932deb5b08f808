//! Writes all scripts of a repair.

use std::collections::BTreeMap;

use super::folder_draft::FolderDraft;
use super::part_writer::{PartPlan, write_part};
use crate::plan::MappingPlan;
use crate::repair::plan::{MappingProblem, OrderedScript, RepairError, WrittenTable};
use crate::repair::{Manifest, RepairOptions, fields, find_cascades};

/// The maximum of columns of a table, also of the temporary table of a batch (`MaxHeapAttributeNumber`).
const MOST_COLUMNS: usize = 1_600;

/// Writes the scripts and adds them to the manifest. Returns what is to be known before they are applied.
pub(crate) fn write_parts(
    folder: &FolderDraft,
    scripts: Vec<OrderedScript>,
    (plans, tables): (&[MappingPlan], &BTreeMap<usize, WrittenTable>),
    options: &RepairOptions,
    manifest: &mut Manifest,
) -> Result<Vec<String>, RepairError> {
    let mut notes = Vec::new();
    for mut script in scripts {
        check_width(&script)?;
        let names = |mapping: usize| plans[mapping].pairs.iter().map(|pair| pair.name.as_str());
        let plan = PartPlan {
            number: manifest.parts.len() + 1,
            batch: options.batch,
            tables: script
                .sets
                .iter()
                .map(|set| (plans[set.mapping].name.as_str(), &tables[&set.mapping].identity))
                .collect(),
            pairs: script.sets.iter().map(|set| names(set.mapping).collect()).collect(),
        };
        let part = write_part(folder, &plan, &mut script, manifest)?;
        if options.allow_cascade && options.triggers {
            let reached = script.sets.iter().flat_map(|set| find_cascades(&set.shape));
            notes.extend(reached.map(|reached| {
                let file = &part.script.file;
                format!("{file} reaches {reached}: its undo does not bring these rows back")
            }));
        }
        manifest.parts.push(part);
    }
    Ok(notes)
}

/// Checks that the rows of a script fit into a table.
fn check_width(script: &OrderedScript) -> Result<(), RepairError> {
    let is_too_wide = |count: usize| count > MOST_COLUMNS;
    let Some(set) = script.sets.iter().find(|set| is_too_wide(fields(&set.shape).count())) else {
        return Ok(());
    };
    let kind = set.shape.operation.name();
    let reason = format!(
        "its {kind}s hold more values a row than the {MOST_COLUMNS} columns that a table has"
    );
    let hint = "Leave them out with --kinds, or set fewer columns at once.";
    Err(RepairError::Mappings(vec![MappingProblem::new(set.mapping, reason, hint)]))
}
