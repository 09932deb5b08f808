//! Reads from the ledger where a mapping stood when its run was interrupted.
//!
//! The ledger stores what the scan returned; everything else follows from that. Candidates of chunks
//! that were compared before an interruption are rechecked as if they had just been seen, so that
//! differences that have healed since are not reported. Chunks are not read twice; keys that differ are.

use super::desk::Desk;
use crate::candidates::{
    Checkpoints, FIRST_OF_PASS, MappingState, PassState, RulingRecord, Stored, ToRead,
};
use crate::chunks::{Checked, Kept, KeptState};
use crate::ledger::{LedgerError, Recorder, StoredChunks, StoredPass};
use crate::plan::MappingPlan;
use crate::row::{Key, KeyRange};

impl Checkpoints for Option<&mut Recorder> {
    fn are_stored(&self) -> bool {
        self.as_ref().is_some_and(|recorder| recorder.keeps())
    }

    fn are_due(&self) -> bool {
        self.as_ref().is_some_and(|recorder| recorder.is_time())
    }

    fn store_chunk(&mut self, mapping: &str, chunk: (u64, &KeyRange, u64), outcome: Checked<'_>) {
        if let Some(recorder) = self {
            recorder.keep_chunk(mapping, chunk, outcome);
        }
    }

    fn store_pass(&mut self, mapping: &str, state: &PassState) {
        if let Some(recorder) = self {
            recorder.keep_pass(mapping, state);
        }
    }

    fn store_ruling(&mut self, mapping: &str, after: &Option<Key>, ruling: &RulingRecord<'_>) {
        if let Some(recorder) = self {
            recorder.keep_ruling(mapping, after, ruling);
        }
    }

    fn forget_chunk(&mut self, mapping: &str, place: i64) {
        if let Some(recorder) = self {
            recorder.forget_chunk(mapping, place);
        }
    }

    fn forget_mapping(&mut self, mapping: &str) {
        if let Some(recorder) = self {
            recorder.forget_checkpoints(mapping);
        }
    }
}

/// Restores where a mapping stood. `whole` is set when the run of many processes is completed: what
/// could not be compared is reported then, and otherwise compared now.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn restore(
    mapping: &mut MappingState,
    whole: bool,
    desk: &mut Desk<'_>,
) -> Result<(), LedgerError> {
    let plan = &mapping.account.plan;
    if desk.starts_over(&plan.name) {
        desk.context().checkpoints.forget_mapping(&plan.name);
        return Ok(());
    }
    let stored = read_stored(plan, whole, desk).await?;
    mapping.restore(stored, &mut desk.context());
    Ok(())
}

/// Reads what the ledger has of a mapping, and counts what of it is damaged.
async fn read_stored(
    plan: &MappingPlan,
    whole: bool,
    desk: &Desk<'_>,
) -> Result<Stored, LedgerError> {
    let StoredChunks { sound, damaged: mut places } = desk.kept(&plan.name).await?;
    let (ruled, rulings) = desk.rulings(&plan.name).await?;
    let pass = desk.kept_pass::<PassState>(&plan.name).await?;
    let shards = if whole { desk.damaged_shards(&plan.name).await? } else { 0 };
    let (sound, strange): (Vec<Kept>, Vec<Kept>) =
        sound.into_iter().partition(|kept| plan.fits(&kept.range));
    places.extend(strange.iter().map(|kept| kept.chunk.cast_signed()));
    let mut damaged = places.len() as u64 + rulings + shards;
    let counts = |kept: &Kept| whole || kept.state != KeptState::Undecided;
    let (mut of_pass, chunks): (Vec<Kept>, Vec<Kept>) =
        sound.into_iter().filter(counts).partition(|kept| kept.chunk >= FIRST_OF_PASS);
    let (booked, state) = match pass {
        StoredPass::Sound(PassState { booked, stand }) => (booked, Some(stand)),
        // What a process of many had compared counts if it is all of it.
        StoredPass::Nothing if whole => (of_pass.len() as u64, None),
        // A part of a pass that a process of many had in hand: how it went on is not known.
        StoredPass::Nothing => (0, None),
        StoredPass::Damaged => {
            damaged += 1;
            (of_pass.len() as u64 + 1, None)
        }
    };
    of_pass.retain(|kept| kept.chunk < FIRST_OF_PASS.saturating_add(booked));
    Ok(Stored { chunks, of_pass, booked, state, ruled, damaged, places, shards })
}

/// Reads one stored outcome of a mapping from the ledger.
pub(super) async fn recall(mapping: &mut MappingState, desk: &mut Desk<'_>) {
    let name = mapping.account.plan.name.clone();
    match mapping.next_to_read() {
        Some(ToRead::Pass(chunk)) => {
            let compared = desk.outcome(&name, chunk).await;
            let compared = compared.map_err(|error| error.to_string());
            mapping.pass_recalled(compared, &mut desk.context());
        }
        Some(ToRead::Reason(chunk)) => {
            let reason = desk.reason(&name, chunk).await;
            let reason = reason.unwrap_or_else(|error| error.to_string());
            mapping.reason_recalled(chunk, reason, &mut desk.context());
        }
        Some(ToRead::Chunk(chunk)) => {
            let compared = desk.outcome(&name, chunk).await;
            mapping.chunk_recalled(chunk, compared.ok(), &mut desk.context());
        }
        None => {}
    }
}
