//! Reads from the ledger where a mapping stood when its run was interrupted.
//!
//! The ledger stores what the scan returned; everything else follows from that. Candidates of chunks
//! that were compared before an interruption are rechecked as if they had just been seen, so that
//! differences that have healed since are not reported. Chunks are not read twice; keys that differ are.

use super::run_context::RunContext;
use crate::candidates::{
    Checkpoints, FIRST_BLOCK_RESULT, MappingState, PartRecord, StoredMapping, StoredScan,
    UnreadOutcome,
};
use crate::chunks::{PriorChunk, PriorChunkState, StoredOutcome};
use crate::ledger::{Recorder, StoredBlockScan, StoredChunks};
use crate::plan::MappingPlan;
use crate::problem::Problem;
use crate::row::{Key, KeyRange};

impl Checkpoints for Option<&mut Recorder> {
    fn are_stored(&self) -> bool {
        self.as_ref().is_some_and(|recorder| recorder.is_resumable())
    }

    fn are_due(&self) -> bool {
        self.as_ref().is_some_and(|recorder| recorder.is_due())
    }

    fn store_chunk(
        &mut self,
        mapping: &str,
        chunk: (u64, &KeyRange, u64),
        outcome: StoredOutcome<'_>,
    ) {
        if let Some(recorder) = self {
            recorder.record_chunk(mapping, chunk, outcome);
        }
    }

    fn store_scan(&mut self, mapping: &str, scan: &StoredScan) {
        if let Some(recorder) = self {
            recorder.record_block_scan(mapping, scan);
        }
    }

    fn store_part(&mut self, mapping: &str, after: &Option<Key>, part: &PartRecord<'_>) {
        if let Some(recorder) = self {
            recorder.record_ruling(mapping, after, part);
        }
    }

    fn forget_chunk(&mut self, mapping: &str, place: i64) {
        if let Some(recorder) = self {
            recorder.delete_chunk(mapping, place);
        }
    }

    fn forget_mapping(&mut self, mapping: &str) {
        if let Some(recorder) = self {
            recorder.delete_checkpoints(mapping);
        }
    }
}

/// Restores how far a mapping had come. `whole` is set when a run of many processes is completed: what
/// could not be compared is reported then, and otherwise compared now.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn restore(
    mapping: &mut MappingState,
    whole: bool,
    context: &mut RunContext<'_>,
) -> Result<(), Problem> {
    let plan = &mapping.result.plan;
    if context.starts_over(&plan.name) {
        context.of_mappings().checkpoints.forget_mapping(&plan.name);
        return Ok(());
    }
    let stored = read_stored(plan, whole, context).await?;
    mapping.restore(stored, &mut context.of_mappings());
    Ok(())
}

/// Reads the checkpoints of a mapping, and counts the damaged ones.
async fn read_stored(
    plan: &MappingPlan,
    whole: bool,
    context: &RunContext<'_>,
) -> Result<StoredMapping, Problem> {
    let StoredChunks { sound, damaged: mut places } = context.kept(&plan.name).await?;
    let (confirmed, damaged_parts) = context.rulings(&plan.name).await?;
    let scan = context.kept_pass::<StoredScan>(&plan.name).await?;
    let shards = if whole { context.damaged_shards(&plan.name).await? } else { 0 };
    let (sound, unfit): (Vec<PriorChunk>, Vec<PriorChunk>) =
        sound.into_iter().partition(|chunk| plan.fits(&chunk.range));
    places.extend(unfit.iter().map(|chunk| chunk.chunk.cast_signed()));
    let mut damaged = places.len() as u64 + damaged_parts + shards;
    let counts = |chunk: &PriorChunk| whole || chunk.state != PriorChunkState::Undecided;
    let (mut results, chunks): (Vec<PriorChunk>, Vec<PriorChunk>) =
        sound.into_iter().filter(counts).partition(|chunk| chunk.chunk >= FIRST_BLOCK_RESULT);
    let (block_results, phase) = match scan {
        StoredBlockScan::Sound(StoredScan { block_results, phase }) => (block_results, Some(phase)),
        // The results of a process of many count if they are all there are.
        StoredBlockScan::Nothing if whole => (results.len() as u64, None),
        // How far a process of many had come with its table scan is not stored.
        StoredBlockScan::Nothing => (0, None),
        StoredBlockScan::Damaged => {
            damaged += 1;
            (results.len() as u64 + 1, None)
        }
    };
    results.retain(|result| result.chunk < FIRST_BLOCK_RESULT.saturating_add(block_results));
    Ok(StoredMapping { chunks, results, block_results, phase, confirmed, damaged, places, shards })
}

/// Reads one stored outcome of a mapping from the ledger.
pub(super) async fn read_outcome(mapping: &mut MappingState, context: &mut RunContext<'_>) {
    let name = mapping.result.plan.name.clone();
    match mapping.next_unread() {
        Some(UnreadOutcome::BlockResult(chunk)) => {
            let compared = context.outcome(&name, chunk).await;
            let compared = compared.map_err(|error| error.to_string());
            mapping.take_stored_result(compared, &mut context.of_mappings());
        }
        Some(UnreadOutcome::Reason(chunk)) => {
            let reason = context.reason(&name, chunk).await;
            let reason = reason.unwrap_or_else(|error| error.to_string());
            mapping.take_stored_reason(chunk, reason, &mut context.of_mappings());
        }
        Some(UnreadOutcome::Chunk(chunk)) => {
            let compared = context.outcome(&name, chunk).await;
            mapping.take_stored_chunk(chunk, compared.ok(), &mut context.of_mappings());
        }
        None => {}
    }
}
