//! All keys in slices: each run compares what has not been verified for the longest time, as far as its
//! deadline permits, after it has rechecked what the prior run found.
//!
//! ```text
//! Monday    [■■■■■■■■──────────────────────]
//! Tuesday   [────────■■■■■■■■──────────────]   and every key that Monday found
//! Wednesday [────────────────■■■■■■■■──────]   and every key that Tuesday found
//! ```

use tokio::sync::watch;

use super::recheck_prior::{PriorResults, read_prior_if_known};
use super::run_loop::{RunKind, RunObservers, RunStart, run};
use crate::candidates::SlicePlan;
use crate::chunks::ScanRange;
use crate::finding::SummaryRecord;
use crate::ledger::Recorder;
use crate::plan::MappingPlan;
use crate::prepare::{Options, Prepared, Stop, Trouble};
use crate::row::{Coverage, KeyOrder, KeyRange, Stretch};

/// Compares what has not been verified for the longest time, as far as the deadline permits.
/// `results` is what the prior run found.
///
/// # Errors
/// When a finding does not belong to this spec, or a server cannot read its key. No row was read
/// then.
pub async fn slice(
    prepared: Prepared,
    results: PriorResults,
    run_id: String,
    options: Options,
    observers: RunObservers<'_>,
    stop: watch::Receiver<Stop>,
) -> Result<SummaryRecord, Trouble> {
    let recalled = read_prior_if_known(&prepared, results, &options).await?;
    let scope = prepared.spec.scope();
    let mut slices = Vec::new();
    for (plan, mut prior) in prepared.plans.iter().zip(recalled) {
        let coverage = known(plan, &scope, observers.recorder.as_deref()).await;
        let ranges = std::mem::take(&mut prior.ranges);
        let ranges = scan_ranges(coverage, ranges, &plan.order);
        slices.push(SlicePlan { prior, ranges });
    }
    let begin = RunStart::New(run_id);
    Ok(run(prepared, RunKind::Slices(slices), begin, options, observers, stop).await)
}

/// Reads which part of a mapping was verified when, if its keys can be ordered and the ledger has
/// it.
async fn known(plan: &MappingPlan, scope: &str, recorder: Option<&Recorder>) -> Coverage {
    let nothing = || Coverage::nothing(plan.estimated_rows().unwrap_or(0));
    match recorder {
        Some(recorder) if plan.order.is_known() && plan.served() => {
            // What cannot be read counts as not verified.
            let known = recorder.coverage(scope, &plan.name, &plan.key_text()).await;
            known.ok().flatten().unwrap_or_else(nothing)
        }
        _ => nothing(),
    }
}

/// Returns the ranges of a slice: first those in which only one side had rows, then by age.
fn scan_ranges(
    mut coverage: Coverage,
    one_sided: Vec<(KeyRange, u64)>,
    order: &KeyOrder,
) -> Vec<ScanRange> {
    for (range, rows) in one_sided {
        coverage.mark(&range, rows, None, order);
    }
    let later = |stretch: &Stretch| {
        let Stretch { range, rows, verified } = stretch.clone();
        ScanRange { range, rows, verified }
    };
    coverage.oldest_first().into_iter().map(later).collect()
}
