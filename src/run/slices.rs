//! The whole key space in slices: each run takes what has gone unverified for longest, as far as its
//! deadline lets it, after it has looked at what the run before had found.
//!
//! ```text
//! Monday    [■■■■■■■■──────────────────────]
//! Tuesday   [────────■■■■■■■■──────────────]   and every key that Monday found
//! Wednesday [────────────────■■■■■■■■──────]   and every key that Tuesday found
//! ```

use tokio::sync::watch;

use super::again::{Memory, recall_if_told};
use super::conduct::{Audience, Begin, What, conduct};
use super::mapping::slice::Slice;
use super::options::{Options, Stop};
use super::prepare::{Prepared, Trouble};
use super::scan::ahead::Later;
use crate::finding::SummaryRecord;
use crate::ledger::Recorder;
use crate::plan::MappingPlan;
use crate::row::{Coverage, CoveredRange, KeyOrder, KeyRange};

/// Compares what has gone unverified for longest, as far as the deadline lets it. `memory` is what the
/// run before found.
///
/// # Errors
/// When a finding is not of this spec, or a server cannot read its key; no row was read then.
pub async fn slice(
    prepared: Prepared,
    memory: Memory,
    run_id: String,
    options: Options,
    audience: Audience<'_>,
    stop: watch::Receiver<Stop>,
) -> Result<SummaryRecord, Trouble> {
    let recalled = recall_if_told(&prepared, memory, &options).await?;
    let scope = prepared.spec.scope();
    let mut slices = Vec::new();
    for (plan, mut again) in prepared.plans.iter().zip(recalled) {
        let coverage = known(plan, &scope, audience.recorder.as_deref()).await;
        let ranges = std::mem::take(&mut again.ranges);
        slices.push(Slice { again, stretches: stretches(coverage, ranges, &plan.order) });
    }
    let begin = Begin::New(run_id);
    Ok(conduct(prepared, What::Slices(slices), begin, options, audience, stop).await)
}

/// Which part of a mapping was verified when, if its keys can be put in order and the ledger says it.
async fn known(plan: &MappingPlan, scope: &str, recorder: Option<&Recorder>) -> Coverage {
    let nothing = || Coverage::nothing(plan.estimated_rows().unwrap_or(0));
    match recorder {
        Some(recorder) if plan.order.is_known() && plan.served() => {
            // What cannot be read has not been verified.
            let known = recorder.coverage(scope, &plan.name, &plan.key_text()).await;
            known.ok().flatten().unwrap_or_else(nothing)
        }
        _ => nothing(),
    }
}

/// The stretches of a slice: first those in which only one side had rows, then by age.
fn stretches(
    mut coverage: Coverage,
    one_sided: Vec<(KeyRange, u64)>,
    order: &KeyOrder,
) -> Vec<Later> {
    for (range, rows) in one_sided {
        coverage.mark(&range, rows, None, order);
    }
    let later = |stretch: &CoveredRange| {
        let CoveredRange { range, rows, verified } = stretch.clone();
        Later { range, rows, verified }
    };
    coverage.oldest_first().into_iter().map(later).collect()
}
