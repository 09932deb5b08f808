//! The fingerprint of a run: what it compares, and in which databases. A resumed run has to compare the
//! same, or its halves would answer two questions.
//!
//! How a run compares (jobs, the size of chunks, how long it settles) may change meanwhile. How its rows
//! are partitioned may not, whatever statistics or the size of chunks would suggest now: the result of a
//! hash bucket means nothing for a range. So a resumed run takes the partition of the fingerprint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::Options;
use super::preparation::Prepared;
use crate::gate::CatalogChange;
use crate::ledger::{self, Cipher, InterruptedRun, Recorder, Redaction, Resumable};
use crate::plan::{MappingPlan, Partition};
use crate::problem::Problem;
use crate::schema::{BySide, Shape, Side};
use crate::spec::Spec;

/// What a run compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RunFingerprint {
    /// The name and version of the program. Checkpoints are read by no other.
    tool: String,
    spec_hash: String,
    /// The spec and its parameters.
    scope: String,
    /// The mappings that are compared, if not all.
    mappings: Vec<String>,
    sample: Option<String>,
    /// Whether the run compares a slice.
    #[serde(default)]
    slice: bool,
    /// The moments since which rows have to have changed, one for each side.
    #[serde(default)]
    since: Option<BySide<String>>,
    /// The strategy of each mapping. A checkpoint of one strategy means nothing to another.
    strategies: BTreeMap<String, String>,
    /// The key of each mapping with its order. A range of one key means nothing to another.
    keys: BTreeMap<String, String>,
    /// How each mapping's rows are partitioned.
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
    /// What each mapping's sides are read from.
    shapes: BTreeMap<String, BySide<Shape>>,
    /// Which secret encrypts redacted keys and hashes of rows, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redact_key: Option<String>,
}

impl RunFingerprint {
    fn of(spec: &Spec, plans: &[MappingPlan], options: &Options) -> RunFingerprint {
        let shapes = plans.iter().map(|plan| {
            let shapes = plan.sides.as_ref().map(|side| side.shape.clone());
            (plan.name.clone(), shapes)
        });
        let strategies =
            plans.iter().map(|plan| (plan.name.clone(), plan.strategy.name().to_owned()));
        let keys = plans.iter().map(|plan| (plan.name.clone(), plan.key_text()));
        let partitions = plans.iter().map(|plan| (plan.name.clone(), plan.partition));
        let redacts = plans.iter().any(MappingPlan::redacts);
        let mut mappings = options.mappings.clone();
        mappings.sort();
        RunFingerprint {
            tool: concat!("pgreconcile ", env!("CARGO_PKG_VERSION")).to_owned(),
            spec_hash: spec.hash.clone(),
            scope: spec.scope(),
            mappings,
            sample: options.sample.map(|share| share.to_string()),
            since: plans.first().and_then(moments),
            slice: options.slice,
            strategies: strategies.collect(),
            keys: keys.collect(),
            partitions: partitions.collect(),
            shapes: shapes.collect(),
            redact_key: options.cipher.as_ref().filter(|_| redacts).map(Cipher::id),
        }
    }

    /// Returns what differs now, as a clause; `None` if the fingerprints are equal.
    fn difference(&self, now: &RunFingerprint) -> Option<String> {
        if self.tool != now.tool {
            return Some(format!("it was started by {}, and this is {}", self.tool, now.tool));
        }
        if self.spec_hash != now.spec_hash {
            return Some("the spec has changed since".to_owned());
        }
        if self.scope != now.scope {
            return Some("its parameters (--param) were others".to_owned());
        }
        if self.mappings != now.mappings {
            return Some("it compares other mappings (--mapping)".to_owned());
        }
        if self.sample != now.sample {
            return Some("it takes another sample (--sample)".to_owned());
        }
        if self.slice != now.slice {
            return Some("it was a slice (--slice)".to_owned());
        }
        if self.since != now.since {
            return Some("it compares what changed since another time (--since)".to_owned());
        }
        let other = now.strategies.iter().find_map(|(name, now)| {
            let before = self.strategies.get(name).filter(|before| *before != now)?;
            Some(format!("\"{name}\" was compared by {before} and would be by {now} (--strategy)"))
        });
        let other = other.or_else(|| self.other_key(now));
        other.or_else(|| self.other_partition(now)).or_else(|| self.other_tables(now))
    }

    /// Returns how a mapping's rows are partitioned, if it is known. Older versions stored only in
    /// which file the rows lie, if that was read by blocks.
    fn partition(&self, name: &str) -> Option<Partition> {
        let by_blocks = || {
            let shapes = self.shapes.get(name)?;
            shapes.any(|shape| shape.filenode.is_some()).then_some(Partition::Buckets)
        };
        self.partitions.get(name).copied().or_else(by_blocks)
    }

    /// Sets the plans to partition rows in the same way, where they can.
    fn partition_as(&self, plans: &mut [MappingPlan]) {
        for plan in plans {
            if let Some(partition) = self.partition(&plan.name) {
                plan.partition_as(partition);
            }
        }
    }

    /// Returns what cannot be partitioned in the same way. Only the proof of the key may be lost.
    fn other_partition(&self, now: &RunFingerprint) -> Option<String> {
        now.partitions.iter().find_map(|(name, now)| {
            let before = self.partition(name).filter(|before| before != now)?;
            Some(format!(
                "\"{name}\" was compared in {} and would be in {}, for no unique index proves its \
                 key any more",
                before.name(),
                now.name()
            ))
        })
    }

    /// Returns what would be compared by another key: without a key in the spec, the catalog
    /// decides.
    fn other_key(&self, now: &RunFingerprint) -> Option<String> {
        now.keys.iter().find_map(|(name, now)| {
            let before = self.keys.get(name).filter(|before| *before != now)?;
            Some(format!("\"{name}\" was compared by the key ({before}) and would be by ({now})"))
        })
    }

    /// Returns what is no longer read from where it was.
    fn other_tables(&self, now: &RunFingerprint) -> Option<String> {
        now.shapes.iter().find_map(|(name, now)| {
            let before = self.shapes.get(name)?;
            let differs = |side: Side| Some((side, before[side].difference(&now[side])?));
            let (side, why) = Side::BOTH.into_iter().find_map(differs)?;
            Some(format!("the {side} of \"{name}\" is not what it was: {why}"))
        })
    }
}

fn moments(plan: &MappingPlan) -> Option<BySide<String>> {
    let moment = |side: Side| plan.sides[side].since.as_ref().map(|since| since.moment.clone());
    Some(BySide { source: moment(Side::Source)?, target: moment(Side::Target)? })
}

/// Returns what differs from what the mappings were read from when the run with this fingerprint
/// compared them. Where the blocks of a table lie does not matter once they were read.
pub fn changes(prepared: &Prepared, run: &str, terms: Option<&str>) -> Vec<CatalogChange> {
    let change = |mapping: &str, message: String| CatalogChange {
        mapping: Some(mapping.to_owned()),
        message,
    };
    let before = terms.and_then(read);
    let changes = prepared.plans.iter().flat_map(|plan| {
        let name = &plan.name;
        let Some(before) = before.as_ref().and_then(|terms| terms.shapes.get(name)) else {
            let message = format!("run {run} does not say what mapping \"{name}\" was read from");
            return vec![change(name, message)];
        };
        let difference = |side: Side| {
            let before = Shape { filenode: None, ..before[side].clone() };
            let now = &plan.sides[side].shape;
            let why = before.difference(now).or_else(|| before.copied(now))?;
            let message =
                format!("the {side} of mapping \"{name}\" is not what run {run} compared: {why}");
            Some(change(name, message))
        };
        Side::BOTH.into_iter().filter_map(difference).collect()
    });
    changes.collect()
}

/// Checks that the servers are not file copies of those in the fingerprint of a run. Returns the
/// sides whose server was restarted since: a copy that has been written to cannot be distinguished
/// from it.
///
/// # Errors
/// A server that is a copy, or was restored to an earlier time.
pub fn same_servers(prepared: &Prepared, run: &str, terms: &str) -> Result<Vec<Side>, Problem> {
    let Some(before) = read(terms) else { return Ok(Vec::new()) };
    let mut restarted = Vec::new();
    for side in Side::BOTH {
        let shapes = prepared.plans.iter().filter_map(|plan| {
            let before = before.shapes.get(&plan.name)?;
            Some((&before[side], &plan.sides[side].shape))
        });
        if let Some(why) = shapes.clone().find_map(|(before, now)| before.copied(now)) {
            let message = format!("the {side} is not the server that run {run} read: {why}");
            return Err(Problem::new(message).with_hint("Check url in the spec, or compare again."));
        }
        if shapes.clone().any(|(before, now)| before.was_restarted(now)) {
            restarted.push(side);
        }
    }
    Ok(restarted)
}

/// Sets the fingerprint of a run in the ledger.
pub(crate) fn set(prepared: &Prepared, options: &Options, recorder: &mut Recorder) {
    recorder.set_run_fingerprint(written(&RunFingerprint::of(
        &prepared.spec,
        &prepared.plans,
        options,
    )));
    recorder.set_redaction(redaction(prepared, options));
}

fn redaction(prepared: &Prepared, options: &Options) -> Redaction {
    let names = |redacts: fn(&MappingPlan) -> bool| {
        let plans = prepared.plans.iter().filter(|plan| redacts(plan));
        plans.map(|plan| plan.name.clone()).collect()
    };
    let keys = names(|plan| plan.redacted_key().is_some());
    Redaction::new(keys, names(MappingPlan::redacts), options.cipher.clone())
}

/// Returns whether a run's redacted keys are encrypted with another secret than this process has.
pub(crate) fn has_other_secret(options: &Options, begun: &InterruptedRun) -> bool {
    let of_run = read(&begun.fingerprint).and_then(|terms| terms.redact_key);
    of_run.is_some_and(|of_run| options.cipher.as_ref().is_none_or(|own| own.id() != of_run))
}

/// Returns why mappings with a redacted key are compared from their start when a run is resumed, as
/// a clause; `None` if they are resumed.
pub(crate) fn starts_over(options: &Options, begun: &InterruptedRun) -> Option<&'static str> {
    let had_secret = read(&begun.fingerprint).is_some_and(|terms| terms.redact_key.is_some());
    match &options.cipher {
        None => Some("PGRECONCILE_REDACT_KEY is not set"),
        Some(_) if !had_secret => Some("PGRECONCILE_REDACT_KEY was not set"),
        Some(_) if has_other_secret(options, begun) => {
            Some("PGRECONCILE_REDACT_KEY had another value")
        }
        Some(_) => None,
    }
}

/// Takes over what each process would decide by itself and the process that began the run has
/// decided: how rows are partitioned and, if the time is the same, since which moments rows have to
/// have changed.
pub(crate) fn adopt(prepared: &mut Prepared, options: &Options, begun: &InterruptedRun) {
    let Some(terms) = read(&begun.fingerprint) else { return };
    terms.partition_as(&mut prepared.plans);
    let time = options.since.as_ref().map(|since| &since.text);
    let moments = terms.since;
    let Some(moments) = moments.filter(|_| time == begun.record.since.as_ref()) else { return };
    for plan in &mut prepared.plans {
        for side in Side::BOTH {
            if let Some(since) = &mut plan.sides[side].since {
                since.moment.clone_from(&moments[side]);
            }
        }
    }
}

/// Returns what differs from the run that was begun, as a clause.
pub(crate) fn difference(
    prepared: &Prepared,
    options: &Options,
    begun: &InterruptedRun,
) -> Option<String> {
    let (was, is) = (&begun.record.spec, &prepared.spec.name);
    if was != is {
        return Some(format!("it is of spec \"{was}\", and this is spec \"{is}\""));
    }
    let now = RunFingerprint::of(&prepared.spec, &prepared.plans, options);
    match read(&begun.fingerprint) {
        Some(before) => before.difference(&now),
        None => Some("it was started by another version".to_owned()),
    }
}

fn written(terms: &RunFingerprint) -> String {
    serde_json::to_string(terms).unwrap_or_default()
}

fn read(text: &str) -> Option<RunFingerprint> {
    serde_json::from_str(text).ok()
}

/// Sets the fingerprint of a run in the ledger, and finds the run to resume, if there is one:
/// `wanted` is its id, or empty for the newest. Rows are partitioned as they were then.
///
/// # Errors
/// When there is no run to resume, or it compared something else.
pub async fn agree(
    prepared: &mut Prepared,
    options: &Options,
    recorder: &mut Recorder,
    wanted: Option<&str>,
) -> Result<Resumable, Problem> {
    set(prepared, options, recorder);
    let Some(wanted) = wanted else { return Ok(Resumable::Nothing) };
    let same = |text: &str| {
        let Some(before) = read(text) else { return false };
        let mut plans = prepared.plans.clone();
        before.partition_as(&mut plans);
        before.difference(&RunFingerprint::of(&prepared.spec, &plans, options)).is_none()
    };
    let id = Some(wanted).filter(|id| !id.is_empty());
    let found = recorder.store().find_interrupted_run(&prepared.spec.name, id, same).await;
    let found = found.map_err(|error| {
        Problem::new(format!("{recorder}: {error}")).with_hint(
            "A run cannot be resumed without its ledger; leave --resume out to start a new one.",
        )
    })?;
    let found = match (found, id) {
        (Resumable::Run(found), _) => *found,
        (Resumable::Nothing, Some(id)) => {
            let message = format!("{recorder}: no run {id} of this spec was interrupted");
            return Err(Problem::new(message)
                .with_hint("pgreconcile history SPEC --format json lists the runs."));
        }
        (Resumable::Damaged(run), Some(_)) => {
            let message = format!("{recorder}: {}", ledger::damaged_run(&run));
            return Err(Problem::new(message)
                .with_hint("It cannot be resumed; leave --resume out to start a new run."));
        }
        (none, None) => return Ok(none),
    };
    if let Some(before) = read(&found.fingerprint) {
        before.partition_as(&mut prepared.plans);
        set(prepared, options, recorder);
    }
    match difference(prepared, options, &found) {
        None => {
            if starts_over(options, &found).is_some() {
                recorder.set_redaction(redaction(prepared, options).starting_over());
            }
            Ok(Resumable::Run(Box::new(found)))
        }
        Some(why) => {
            Err(Problem::new(format!("run {} cannot be resumed: {why}", found.record.run))
                .with_hint(
                    "Use the same spec and options, or leave --resume out to start a new run.",
                ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint() -> RunFingerprint {
        RunFingerprint {
            tool: "pgreconcile 1".to_owned(),
            spec_hash: "h".to_owned(),
            scope: "s".to_owned(),
            mappings: Vec::new(),
            sample: None,
            since: None,
            slice: false,
            strategies: [("t".to_owned(), "digest".to_owned())].into(),
            keys: [("t".to_owned(), "a, b".to_owned())].into(),
            partitions: [("t".to_owned(), Partition::Buckets)].into(),
            shapes: [("t".to_owned(), BySide::default())].into(),
            redact_key: None,
        }
    }

    #[test]
    fn every_difference_is_named() {
        let moved = |side: Side| {
            let mut shapes = BySide::<Shape>::default();
            shapes[side].database_oid = 7;
            [("t".to_owned(), shapes)].into()
        };
        for (now, said) in [
            (
                RunFingerprint { tool: "pgreconcile 2".into(), ..fingerprint() },
                "and this is pgreconcile 2",
            ),
            (
                RunFingerprint { spec_hash: "i".into(), scope: "t".into(), ..fingerprint() },
                "the spec has",
            ),
            (RunFingerprint { scope: "t".into(), ..fingerprint() }, "--param"),
            (RunFingerprint { mappings: vec!["t".into()], ..fingerprint() }, "--mapping"),
            (RunFingerprint { sample: Some("0.01".into()), ..fingerprint() }, "--sample"),
            (
                RunFingerprint {
                    strategies: [("t".into(), "stream".into())].into(),
                    ..fingerprint()
                },
                "was compared by digest and would be by stream (--strategy)",
            ),
            (
                RunFingerprint { keys: [("t".into(), "b, a".into())].into(), ..fingerprint() },
                "by the key (a, b) and would be by (b, a)",
            ),
            (
                RunFingerprint {
                    partitions: [("t".into(), Partition::Ranges)].into(),
                    ..fingerprint()
                },
                "was compared in buckets and would be in ranges",
            ),
            (
                RunFingerprint { shapes: moved(Side::Target), ..fingerprint() },
                "the target of \"t\" is not",
            ),
        ] {
            let why = fingerprint().difference(&now).unwrap();
            assert!(why.contains(said), "{why}");
        }
        assert_eq!(fingerprint().difference(&fingerprint()), None);
    }

    #[test]
    fn older_fingerprints_without_a_partition_are_read() {
        let mut text = serde_json::to_value(fingerprint()).unwrap();
        text.as_object_mut().unwrap().remove("partitions");
        let mut before = read(&text.to_string()).unwrap();
        assert_eq!((before.partition("t"), before.difference(&fingerprint())), (None, None));
        before.shapes.get_mut("t").unwrap().target.filenode = Some(7);
        assert_eq!(before.partition("t"), Some(Partition::Buckets));
    }
}
