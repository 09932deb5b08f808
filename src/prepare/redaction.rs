//! Runs of mappings with a redacted key or column: what they cannot do without PGRECONCILE_REDACT_KEY, or
//! with another one than before.
//!
//! The ledger stores bounds of a redacted key encrypted or not at all. A resumed run compares such a mapping
//! from its start. A slice, and a run of many processes, consist of stored bounds.
//! Hashes of rows with a redacted column are stored in the same way: without a secret, a resumed run compares
//! the chunks that differ again, and many processes cannot share hash buckets, which consist of such hashes.

use super::fingerprint;
use super::options::Options;
use super::preparation::Prepared;
use crate::ledger::InterruptedRun;
use crate::plan::{MappingPlan, Partition};
use crate::problem::Problem;

/// The environment variable with the secret.
const VARIABLE: &str = "PGRECONCILE_REDACT_KEY";

/// Returns why a run cannot do what a flag requests: it has to store bounds of a redacted key, and
/// nothing encrypts them.
pub fn unstorable(prepared: &Prepared, options: &Options, flag: &str) -> Option<Problem> {
    if options.cipher.is_some() {
        return None;
    }
    let what = |plan: &MappingPlan| match plan.redacted_key() {
        Some(pair) => Some(("key ranges", "key pair", pair.name.clone())),
        None if !options.slice && plan.partition == Partition::Buckets => {
            let pair = plan.pairs.iter().find(|pair| pair.settings.redact)?;
            Some(("hashes of rows", "pair", pair.name.clone()))
        }
        None => None,
    };
    let found = prepared.plans.iter().find_map(|plan| Some((plan, what(plan)?)));
    let (plan, (stored, pair, name)) = found?;
    let message = format!(
        "{flag} stores {stored} of mapping \"{}\", whose {pair} \"{name}\" is redacted, and \
         {VARIABLE} is not set",
        plan.name
    );
    let hint = format!("Set {VARIABLE}, which encrypts them, or leave {flag} out.");
    Some(Problem::new(message).with_hint(hint))
}

/// Returns why a process cannot take part in a run whose redacted keys another secret encrypts.
pub(crate) fn other_secret(options: &Options, begun: &InterruptedRun) -> Option<Problem> {
    let run = &begun.record.run;
    fingerprint::has_other_secret(options, begun).then(|| {
        Problem::new(format!("run {run} was started with another {VARIABLE}"))
            .with_hint("Give every process of a run the same one.")
    })
}

/// Returns a message for each mapping that a resumed run has to compare from its start.
pub fn read_from_start(
    prepared: &Prepared,
    options: &Options,
    interrupted: &InterruptedRun,
) -> Vec<String> {
    let Some(why) = fingerprint::starts_over(options, interrupted) else { return Vec::new() };
    let say = |plan: &MappingPlan| {
        format!(
            "mapping \"{}\" is compared from its start: its key is redacted, and {why}",
            plan.name
        )
    };
    redacted(prepared).map(say).collect()
}

fn redacted(prepared: &Prepared) -> impl Iterator<Item = &MappingPlan> {
    prepared.plans.iter().filter(|plan| plan.redacted_key().is_some())
}
