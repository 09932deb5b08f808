//! Whether rows that were changed agree now: what `apply` looks at in the end, and before it passes over
//! what it has applied before.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use super::ready::Ready;
use super::repairing::{KEYS_AT_ONCE, Reach};
use super::target::{lease_both, sessions};
use crate::compare::KeyRows;
use crate::pg::Retries;
use crate::plan::MappingPlan;
use crate::prepare::{Blocked, SideError};
use crate::repair::{Change, Shape};
use crate::row::{Key, Veil};
use crate::run::work::rows;
use crate::run::work::task_context::TaskContext;
use crate::schema::{BySide, Side};
use crate::sql::{self, LookupLayout};

/// How many rows differ, by mapping and pair.
pub type Differing = BTreeMap<(String, String), u64>;

/// What rows that were changed are now.
#[derive(Default)]
struct RowDiff {
    /// How many agree.
    agree: u64,
    /// How many differ in each pair.
    differing: BTreeMap<usize, u64>,
}

impl Ready<'_> {
    /// Reads every key again: how many there are, how many agree, and in which pairs of which mapping
    /// how many rows differ.
    pub(in crate::run) async fn look(&self) -> Result<(u64, u64, Differing), Blocked> {
        let (mut keys, mut agree, mut differing) = (0, 0, Differing::new());
        for (place, part, verified) in self.parts() {
            let plans = self.plans_of(place);
            let mut changes = self.changes(part, verified)?;
            while let Some(batch) = changes.next()? {
                let stages = changes.heading.stages.iter().zip(&plans).zip(&batch);
                for ((shape, plan), batch) in stages {
                    keys += batch.len() as u64;
                    for batch in batch.chunks(KEYS_AT_ONCE) {
                        let looked = self.agreeing(plan, shape, batch).await?;
                        agree += looked.agree;
                        for (pair, rows) in looked.differing {
                            let place = (plan.name.clone(), plan.pairs[pair].name.clone());
                            *differing.entry(place).or_default() += rows;
                        }
                    }
                }
            }
        }
        Ok((keys, agree, differing))
    }

    /// Whether not one row of a batch agrees any more.
    pub(in crate::run) async fn is_undone(
        &self,
        plans: &[&MappingPlan],
        shapes: &[Shape],
        batch: &[Vec<Change>],
    ) -> Result<bool, Blocked> {
        for ((shape, plan), batch) in shapes.iter().zip(plans).zip(batch) {
            for batch in batch.chunks(KEYS_AT_ONCE) {
                if self.agreeing(plan, shape, batch).await?.agree > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// How many of these rows agree on both sides now.
    async fn agreeing(
        &self,
        plan: &MappingPlan,
        shape: &Shape,
        batch: &[Change],
    ) -> Result<RowDiff, Blocked> {
        let sessions = sessions(self.prepared);
        let (veil, groups) = (Veil::of_process(), AtomicUsize::new(0));
        let mut faults = Retries::against_faults();
        loop {
            let leases = lease_both(self.prepared).await?;
            let reach =
                Reach { leases: &leases, sessions: &sessions, veil: &veil, groups_seen: &groups };
            let result = agreeing(&reach.hands(plan), self.written, shape, batch).await;
            let BySide { source, target } = leases;
            tokio::join!(source.give_back(), target.give_back());
            let (side, error) = match result {
                Ok(agree) => return Ok(agree),
                Err(failed) => failed,
            };
            let Some(pause) = faults.pause().filter(|_| error.may_pass()) else {
                let hint = "Batches that were applied stand. Started again it looks again.";
                return Err(Blocked::from((side, error)).with_hint(hint));
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// How many of these rows agree on both sides now.
async fn agreeing(
    hands: &TaskContext<'_>,
    written: Side,
    shape: &Shape,
    batch: &[Change],
) -> Result<RowDiff, SideError> {
    let plan: &MappingPlan = hands.plan;
    let texts: Vec<Vec<String>> = batch
        .iter()
        .filter_map(|change| {
            let image = change.keyed()?;
            Some(shape.key.iter().map(|at| image[*at].clone().unwrap_or_default()).collect())
        })
        .collect();
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    let keys = rows::keys_of_texts(hands, written, &texts).await?;
    let asked: Vec<&Key> = keys.iter().collect();
    let rows = hands.query_both(|side| sql::look_up(plan, side, &asked)).await?;
    let layout = LookupLayout::of(plan);
    let mut looked =
        KeyRows::new(layout, &plan.pairs, plan.key_width, hands.veil, asked.into_iter());
    for (side, rows) in [(Side::Source, rows.source), (Side::Target, rows.target)] {
        rows.into_iter().for_each(|row| looked.add_row(side, row));
    }
    let mut found = RowDiff::default();
    for row in looked.finish() {
        found.agree += u64::from(row.kind.is_none());
        for (pair, _) in row.columns {
            *found.differing.entry(pair).or_default() += 1;
        }
    }
    Ok(found)
}
