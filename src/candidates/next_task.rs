//! Which task of a mapping is carried out next.

use std::time::Instant;

use super::context::Context;
use super::mapping::MappingState;
use super::queue::{OpenCandidate, keys_per_recheck};
use super::task::{ChunkScan, KeyBatch, Probe, Task};
use crate::chunks::{BlockStep, ScanStep};
use crate::event::Event;
use crate::finding::Subject;

impl MappingState {
    /// Returns the next small task. While the queue is full, tasks that add candidates wait.
    pub(crate) fn next_small_task(&mut self, context: &mut Context<'_>) -> Option<Task> {
        let is_full = context.queue.is_full();
        let adds = |task: &Task| matches!(task, Task::ReadKeys(_) | Task::Rescan(_));
        let place = self.tasks.iter().position(|task| !(is_full && adds(task)))?;
        let task = self.tasks.remove(place)?;
        self.start(context);
        Some(task)
    }

    /// Returns the next task of the scan. Keys of a prior run come first.
    pub(crate) fn next_scan_task(&mut self, context: &mut Context<'_>) -> Option<Task> {
        if let Some(keys) = self.mode.start_batch() {
            self.start(context);
            return Some(Task::RecheckPrior(keys));
        }
        if self.mode.holds_scan() {
            return None;
        }
        if let Some(blocks) = &mut self.scan.blocks {
            let step = blocks.next_step()?;
            self.start(context);
            return Some(self.block_task(step, context));
        }
        let step = self.scan.chunks.next_step()?;
        self.start(context);
        Some(self.chunk_task(step, context))
    }

    /// Reports the start of the mapping with its first task.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        let result = &mut self.result;
        if result.started.is_none() {
            result.started = Some(Instant::now());
            context.report(Event::MappingStarted {
                mapping: result.index,
                name: result.plan.name.clone(),
                estimated_rows: result.plan.expected_rows(),
            });
        }
    }

    fn chunk_task(&self, step: ScanStep, context: &mut Context<'_>) -> Task {
        match step {
            ScanStep::Histogram { side } => Task::ReadHistogram(side),
            ScanStep::Probe { side, range, rows } => Task::Probe(Probe { side, range, rows }),
            ScanStep::Scan { chunk, range, expected, smallest } => {
                context.report(Event::ChunkStarted { mapping: self.result.index, chunk });
                Task::ScanChunk(ChunkScan { chunk, range, expected, smallest })
            }
        }
    }

    fn block_task(&self, step: BlockStep, context: &mut Context<'_>) -> Task {
        match step {
            BlockStep::Count => Task::CountBlocks,
            BlockStep::Read(read) => {
                let (mapping, chunk) = (self.result.index, read.number);
                context.report(Event::ChunkStarted { mapping, chunk });
                Task::ReadBlocks(read)
            }
        }
    }

    /// Returns the recheck of candidates that are due; `batch` is the number of the last batch of keys.
    pub(crate) fn next_recheck(&self, batch: &mut u64, context: &mut Context<'_>) -> Option<Task> {
        let (now, most) = (context.clock.now(), keys_per_recheck(&self.result.plan));
        let mut candidates: Vec<OpenCandidate> =
            context.queue.take_due(self.result.index, now, most);
        Some(match &candidates.first()?.difference.subject {
            Subject::Range(..) => Task::RecheckRange(candidates.pop()?),
            Subject::NullKeys(_) => Task::RecheckNullKeys(candidates.pop()?),
            Subject::Key(_) => {
                *batch += 1;
                let count = candidates.len() as u64;
                context.report(Event::RecheckStarted { batch: *batch, candidates: count });
                Task::RecheckKeys(KeyBatch { batch: *batch, candidates })
            }
        })
    }
}
