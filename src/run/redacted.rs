//! Runs of mappings with a redacted key or column: what they cannot do without PGRECONCILE_REDACT_KEY, or
//! under another one than before.
//!
//! The ledger stores bounds of a redacted key encrypted or not at all. A run that is to be resumed
//! compares such a mapping again. A slice, and a run of many processes, are nothing but stored bounds.
//! Hashes of rows with a redacted column are stored like that, too: chunks that differ are compared again
//! where they are missed, but what processes have seen in buckets is nothing but such hashes.

use super::blocked::Blocked;
use super::options::Options;
use super::prepare::Prepared;
use super::terms;
use crate::ledger::Interrupted;
use crate::plan::{MappingPlan, Partition};

/// The variable that holds the secret.
const VARIABLE: &str = "PGRECONCILE_REDACT_KEY";

/// Returns why a run cannot do what a flag asks for, if it cannot: it has to store bounds of a redacted
/// key, and nothing encrypts them.
pub fn unstorable(prepared: &Prepared, options: &Options, flag: &str) -> Option<Blocked> {
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
    Some(Blocked::new(message).hinted(hint))
}

/// Returns why a process cannot share a run whose redacted keys another secret encrypts.
pub(super) fn other_secret(options: &Options, begun: &Interrupted) -> Option<Blocked> {
    let run = &begun.record.run;
    terms::has_other_secret(options, begun).then(|| {
        Blocked::new(format!("run {run} was begun under another {VARIABLE}"))
            .hinted("Give every process of a run the same one.")
    })
}

/// Returns what to say of each mapping that a run has to compare from its start when it is resumed.
pub fn read_from_start(
    prepared: &Prepared,
    options: &Options,
    interrupted: &Interrupted,
) -> Vec<String> {
    let Some(why) = terms::starts_over(options, interrupted) else { return Vec::new() };
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
