//! Reads changed rows again and counts which agree: at the end of `apply`, and before it skips a batch that
//! was applied before.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use super::read_rows::{Connections, KEYS_AT_ONCE};
use super::verify_folder::VerifiedFolder;
use super::written_tables::{acquire_both, sessions};
use crate::compare::KeyRows;
use crate::pg::Retries;
use crate::plan::MappingPlan;
use crate::prepare::SideError;
use crate::problem::Problem;
use crate::repair::{ChangeShape, RowChange};
use crate::row::{Key, Redactor};
use crate::run::work::rows;
use crate::run::work::task_context::TaskContext;
use crate::schema::{BySide, Side};
use crate::sql::{self, LookupLayout};

/// How many rows differ, by mapping and pair.
pub type DifferingRows = BTreeMap<(String, String), u64>;

/// How many rows of a mapping agree.
#[derive(Default)]
struct RowAgreement {
    agree: u64,
    /// How many rows differ in each pair.
    differing: BTreeMap<usize, u64>,
}

/// The result of reading every changed row again.
#[derive(Default)]
pub(super) struct AppliedState {
    /// The keys that were read.
    pub(super) keys: u64,
    /// How many of them agree.
    pub(super) agree: u64,
    /// How many rows differ in which pair.
    pub(super) differing: DifferingRows,
}

impl VerifiedFolder<'_> {
    /// Reads the rows of all changes again.
    pub(super) async fn verify_applied(&self) -> Result<AppliedState, Problem> {
        let mut state = AppliedState::default();
        for (number, part, changes) in self.parts() {
            let plans = self.plans_of(number);
            let mut changes = self.open_changes(part, changes)?;
            while let Some(batch) = changes.next()? {
                let stages = changes.header.stages.iter().zip(&plans).zip(&batch);
                for ((shape, plan), batch) in stages {
                    state.keys += batch.len() as u64;
                    for batch in batch.chunks(KEYS_AT_ONCE) {
                        let agreement = self.read_agreement(plan, shape, batch).await?;
                        state.agree += agreement.agree;
                        for (pair, rows) in agreement.differing {
                            let pair = (plan.name.clone(), plan.pairs[pair].name.clone());
                            *state.differing.entry(pair).or_default() += rows;
                        }
                    }
                }
            }
        }
        Ok(state)
    }

    /// Returns whether no row of a batch agrees any more.
    pub(super) async fn is_undone(
        &self,
        plans: &[&MappingPlan],
        shapes: &[ChangeShape],
        batch: &[Vec<RowChange>],
    ) -> Result<bool, Problem> {
        for ((shape, plan), batch) in shapes.iter().zip(plans).zip(batch) {
            for batch in batch.chunks(KEYS_AT_ONCE) {
                if self.read_agreement(plan, shape, batch).await?.agree > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Reads the rows of changes on both sides and counts which agree; retries what may pass.
    async fn read_agreement(
        &self,
        plan: &MappingPlan,
        shape: &ChangeShape,
        batch: &[RowChange],
    ) -> Result<RowAgreement, Problem> {
        let sessions = sessions(self.prepared);
        let (redactor, groups) = (Redactor::of_process(), AtomicUsize::new(0));
        let mut faults = Retries::against_faults();
        loop {
            let connections = acquire_both(self.prepared).await?;
            let session_context = Connections {
                connections: &connections,
                sessions: &sessions,
                redactor: &redactor,
                groups_seen: &groups,
            };
            let context = session_context.context(plan);
            let result = read_agreement(&context, self.written(), shape, batch).await;
            let BySide { source, target } = connections;
            tokio::join!(source.give_back(), target.give_back());
            let (side, error) = match result {
                Ok(agreement) => return Ok(agreement),
                Err(failed) => failed,
            };
            let Some(pause) = faults.pause().filter(|_| error.is_transient()) else {
                let hint = "Batches that were applied stand. Started again it looks again.";
                return Err(Problem::from((side, error)).with_hint(hint));
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Reads the rows of changes on both sides and counts which agree.
async fn read_agreement(
    context: &TaskContext<'_>,
    written: Side,
    shape: &ChangeShape,
    batch: &[RowChange],
) -> Result<RowAgreement, SideError> {
    let plan: &MappingPlan = context.plan;
    let texts: Vec<Vec<String>> = batch
        .iter()
        .filter_map(|change| {
            let image = change.key_image()?;
            Some(shape.key.iter().map(|at| image[*at].clone().unwrap_or_default()).collect())
        })
        .collect();
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    let keys = rows::keys_of_texts(context, written, &texts).await?;
    let queried: Vec<&Key> = keys.iter().collect();
    let rows = context.query_both(|side| sql::look_up(plan, side, &queried)).await?;
    let layout = LookupLayout::of(plan);
    let mut compared =
        KeyRows::new(layout, &plan.pairs, plan.key_width, context.redactor, queried.into_iter());
    for (side, rows) in [(Side::Source, rows.source), (Side::Target, rows.target)] {
        rows.into_iter().for_each(|row| compared.add_row(side, row));
    }
    let mut agreement = RowAgreement::default();
    for row in compared.finish() {
        agreement.agree += u64::from(row.kind.is_none());
        for (pair, _) in row.columns {
            *agreement.differing.entry(pair).or_default() += 1;
        }
    }
    Ok(agreement)
}
