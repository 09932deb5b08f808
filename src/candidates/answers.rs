//! What follows from the answer to a task, or from its failure.

use super::context::Context;
use super::mapping::MappingState;
use super::task::{KeyBatch, Probe, Rescan, Split, Task, TaskAnswer};
use crate::chunks::{ReadFailure, ScanStep};
use crate::event::Event;

impl MappingState {
    /// Takes the answer to a task.
    pub(crate) fn take_answer(&mut self, answer: TaskAnswer, context: &mut Context<'_>) {
        match answer {
            TaskAnswer::ReadHistogram(side, bounds) => {
                let rows = self.result.plan.sides[side].estimated_rows.unwrap_or(0);
                self.scan.chunks.set_histogram(bounds, rows);
            }
            TaskAnswer::Probe(Probe { rows, .. }, found) => {
                let again = self.scan.chunks.set_boundary(rows, found);
                if let Some(ScanStep::Probe { side, range, rows }) = again {
                    self.tasks.push_front(Task::Probe(Probe { side, range, rows }));
                }
                self.take_finished(context);
            }
            TaskAnswer::ScanChunk(scan, result) => {
                context.report(Event::ChunkFinished {
                    mapping: self.result.index,
                    chunk: scan.chunk,
                    rows: result.compared.rows,
                    candidates: result.compared.candidates.len() as u64,
                    elapsed: result.statement,
                });
                self.take_scanned(scan.chunk, result, context);
            }
            TaskAnswer::CountBlocks(blocks) => {
                if let Some(scan) = &mut self.scan.blocks {
                    scan.set_blocks(blocks);
                }
            }
            TaskAnswer::ReadBlocks(read, result) => {
                context.report(Event::ChunkFinished {
                    mapping: self.result.index,
                    chunk: read.number,
                    rows: result.rows(),
                    candidates: 0,
                    elapsed: result.took.source.max(result.took.target),
                });
                self.take_blocks(&read, result, context);
            }
            TaskAnswer::Rescan(rescan, result) => {
                self.take_rescanned(rescan.range, result.compared, context);
            }
            TaskAnswer::Split(split, found) => self.take_split(split, found, context),
            TaskAnswer::FindGap(gap) => {
                self.take_gap(gap, context);
                self.take_finished(context);
            }
            TaskAnswer::ReadKeys(range, found) => self.take_keys(&range, found, context),
            TaskAnswer::CountNullKeys(counted) => self.take_null_keys(counted, context),
            TaskAnswer::RecheckPrior(keys, diff) => self.take_prior_keys(keys, diff, context),
            TaskAnswer::RecheckKeys(KeyBatch { batch, candidates }, diff) => {
                self.take_rechecked(candidates, diff, context);
                let open = context.queue.len() as u64;
                context.report(Event::RecheckFinished { batch, open });
            }
            TaskAnswer::RecheckRange(candidate, counted) => {
                self.take_rechecked_range(candidate, counted, context);
            }
            TaskAnswer::RecheckNullKeys(candidate, counted) => {
                self.take_rechecked_null_keys(candidate, counted, context);
            }
            TaskAnswer::NameRange(range, last) => self.report_range(range, last, context),
            TaskAnswer::LocateKey(key, range) => {
                self.close_candidate(&key.candidate);
                let range = range.as_ref().unwrap_or(&key.candidate.parent);
                self.result.report_undecided(range, 1, &key.reason, context);
            }
            TaskAnswer::FindEnds(side, ends) => self.result.set_ends(side, ends),
        }
    }

    /// Takes the failure of a task: smaller tasks take its place, or its rows are undecided. Returns
    /// whether the mapping has to be given up.
    pub(crate) fn take_failure(
        &mut self,
        task: Task,
        failure: ReadFailure,
        reason: &str,
        context: &mut Context<'_>,
    ) -> bool {
        let can_be_less = matches!(failure, ReadFailure::TooLarge | ReadFailure::BadRow);
        match task {
            Task::ScanChunk(scan) => {
                let ends = self.scan.chunks.set_failed(scan.chunk, failure, reason);
                self.take_finished(context);
                ends
            }
            Task::CountBlocks => self.take_block_failure(None, failure, context),
            Task::ReadBlocks(read) => self.take_block_failure(Some(&read), failure, context),
            Task::Rescan(Rescan { range, rows, smallest: true })
                if failure == ReadFailure::TooLarge =>
            {
                self.give_up_rescan(&range, rows, reason, context)
            }
            Task::Rescan(Rescan { range, rows, .. }) if can_be_less => {
                let (least, reason) = (failure.least_rows(), reason.to_owned());
                self.tasks.push_front(Task::Split(Split { range, rows, least, reason }));
                false
            }
            Task::RecheckPrior(mut keys) if keys.len() > 1 && can_be_less => {
                let half = keys.split_off(keys.len() / 2);
                self.mode.add_batches([keys, half]);
                false
            }
            Task::RecheckKeys(KeyBatch { batch, mut candidates })
                if candidates.len() > 1 && can_be_less =>
            {
                // Halves, until the one key is found that is the cause.
                let half = candidates.split_off(candidates.len() / 2);
                for candidates in [half, candidates] {
                    self.tasks.push_front(Task::RecheckKeys(KeyBatch { batch, candidates }));
                }
                false
            }
            Task::RecheckKeys(KeyBatch { candidates, .. }) => {
                self.take_unreadable(candidates, reason, can_be_less, context);
                !can_be_less
            }
            Task::RecheckRange(candidate) | Task::RecheckNullKeys(candidate) => {
                self.close_candidate(&candidate);
                let rows = candidate.difference.image.map(|digest| digest.rows);
                let rows = rows.source.max(rows.target);
                self.result.report_undecided(&candidate.parent, rows, reason, context);
                self.settle_part(candidate.part, None);
                !can_be_less
            }
            // Without statistics boundaries are probed for.
            Task::ReadHistogram(_) if failure != ReadFailure::NoServer => {
                self.scan.chunks.set_histogram(Vec::new(), 0);
                false
            }
            Task::ReadHistogram(_) | Task::Probe(_) | Task::FindGap(_) => true,
            // Only a hint is missing.
            Task::FindEnds(_) => false,
            task => {
                self.abandon_task(task, reason, context);
                !can_be_less
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::context::sample::SampleRun;
    use super::super::mode::Mode;
    use super::super::prior_keys::{PriorFindings, SlicePlan};
    use super::super::task::ScanResult;
    use super::*;
    use crate::chunks::ScanRange;
    use crate::compare::{CandidateKey, RangeComparison, RowDiff};
    use crate::finding::DivergenceKind;
    use crate::plan::{MappingPlan, sample};
    use crate::row::{Digest, Fingerprint, Key, KeyRange};
    use crate::schema::{Builtin, BySide};

    fn plan() -> Arc<MappingPlan> {
        Arc::new(sample::same(&[("id", Builtin::Int4, true)], &["id"]))
    }

    fn key(number: i32) -> Key {
        Key::new([&number.to_be_bytes()[..]])
    }

    /// Returns the digests of a row that only the source has.
    fn only_in_source() -> BySide<Digest> {
        let mut image = BySide::<Digest>::default();
        image.source.add(Fingerprint::of_row_hash(1));
        image
    }

    /// Carries out the scan, in which these keys exist only on the source.
    fn scan(state: &mut MappingState, run: &mut SampleRun, keys: &[i32]) {
        loop {
            let context = &mut run.context();
            let task = state.next_small_task(context).or_else(|| state.next_scan_task(context));
            let answer = match task {
                Some(Task::ReadHistogram(side)) => TaskAnswer::ReadHistogram(side, Vec::new()),
                Some(Task::Probe(probe)) => TaskAnswer::Probe(probe, None),
                Some(Task::ScanChunk(scan)) => {
                    let differing =
                        |number| CandidateKey { key: key(number), image: only_in_source() };
                    let candidates: Vec<CandidateKey> =
                        keys.iter().copied().map(differing).collect();
                    let rows = BySide { source: keys.len() as u64 + 1, target: 1 };
                    let compared = RangeComparison {
                        rows,
                        matched: 1,
                        candidates,
                        ..RangeComparison::default()
                    };
                    TaskAnswer::ScanChunk(scan, ScanResult { compared, statement: Duration::ZERO })
                }
                other => return assert!(other.is_none(), "{other:?}"),
            };
            state.take_answer(answer, context);
        }
    }

    fn diff(kind: Option<DivergenceKind>) -> RowDiff {
        let image = if kind.is_some() { only_in_source() } else { BySide::default() };
        RowDiff { kind, image, key: vec!["1".to_owned()], ..RowDiff::default() }
    }

    fn findings(run: &SampleRun) -> usize {
        run.events.iter().filter(|event| matches!(event, Event::Finding { .. })).count()
    }

    #[test]
    fn a_key_that_still_differs_is_a_finding_and_others_healed() {
        let mut run = SampleRun::start();
        let mut state = MappingState::new(0, &plan(), &run.settings);
        scan(&mut state, &mut run, &[1, 2]);
        assert!(!state.is_done());
        let context = &mut run.context();
        let Some(Task::RecheckKeys(batch)) = state.next_recheck(&mut 0, context) else { panic!() };
        assert_eq!(batch.candidates.len(), 2);
        let diff = vec![diff(Some(DivergenceKind::OnlyInSource)), diff(None)];
        state.take_answer(TaskAnswer::RecheckKeys(batch, diff), context);
        assert!(state.is_done());
        assert_eq!(findings(&run), 1);
        let record = state.result.to_record(0);
        assert!(record.complete && state.result.is_sound());
        assert_eq!((record.only_in_source, record.healed), (1, 1));
    }

    #[test]
    fn a_batch_is_halved_until_the_bad_row_is_found() {
        let mut run = SampleRun::start();
        let mut state = MappingState::new(0, &plan(), &run.settings);
        scan(&mut state, &mut run, &[1, 2]);
        let context = &mut run.context();
        let task = state.next_recheck(&mut 0, context).unwrap();
        assert!(!state.take_failure(task, ReadFailure::BadRow, "cannot be read", context));
        for _ in 0..2 {
            let Some(task @ Task::RecheckKeys(_)) = state.next_small_task(context) else {
                panic!()
            };
            assert!(!state.take_failure(task, ReadFailure::BadRow, "cannot be read", context));
            let Some(Task::LocateKey(key)) = state.next_small_task(context) else { panic!() };
            state.take_answer(TaskAnswer::LocateKey(key, None), context);
        }
        assert!(state.is_done());
        let record = state.result.to_record(0);
        assert_eq!((record.complete, record.reason.as_deref()), (false, Some("cannot be read")));
    }

    #[test]
    fn a_slice_scans_after_the_recheck_of_prior_keys() {
        let mut run = SampleRun::start();
        let prior = PriorFindings { keys: vec![key(1)], ..PriorFindings::default() };
        let range = ScanRange { range: KeyRange::everything(), rows: 1, verified: None };
        let slice = SlicePlan { prior, ranges: vec![range] };
        let mut state = MappingState::slice(0, &plan(), &run.settings, slice);
        let context = &mut run.context();
        let Some(Task::RecheckPrior(keys)) = state.next_scan_task(context) else { panic!() };
        assert!(state.next_scan_task(context).is_none(), "the scan waits");
        state.mode.end_batch();
        state.take_answer(TaskAnswer::RecheckPrior(keys, vec![diff(None)]), context);
        scan(&mut state, &mut run, &[]);
        assert!(state.is_done() && matches!(state.mode, Mode::Recheck(_)));
        assert_eq!(state.result.to_record(0).healed, 1);
    }
}
