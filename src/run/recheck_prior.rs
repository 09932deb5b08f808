//! Rechecks what a prior run found: its findings, with their keys and ranges in the form of this run's
//! plan.
//!
//! A finding holds display texts. The side that wrote them reads them back; a key that only the other side
//! can read is read there. Keys become candidates after a first recheck, as if a scan had seen them. Ranges
//! are scanned as chunks, with a break between them, since what lies there is not known.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;
use tokio::sync::watch;

use super::run_loop::{RunKind, RunObservers, RunStart, run};
use super::work::rows;
use super::work::task_context::{TaskContext, with_task_context};
use crate::candidates::PriorFindings;
use crate::finding::{
    DivergenceKind, Finding, FindingPlace, NamedValues, NotRecalled, RangeText, SummaryRecord,
};
use crate::pg::Remedy;
use crate::plan::MappingPlan;
use crate::prepare::{Options, Prepared, SideError, Stop, Transient, Trouble};
use crate::row::{Bound, Key, KeyRange};
use crate::schema::{BySide, Side};
use crate::spec::Diagnostic;

/// The number of keys that one query reads.
const KEYS_PER_QUERY: usize = 1_000;

/// What a prior run found, by mapping.
#[derive(Debug, Default)]
pub struct PriorResults(BTreeMap<String, MappingFindings>);

#[derive(Debug, Default)]
struct MappingFindings {
    /// The display texts of keys. Several runs may have found the same.
    keys: BySide<BTreeSet<NamedValues<String>>>,
    ranges: Vec<(RangeText, Side, u64)>,
    null_keys: bool,
}

impl MappingFindings {
    /// Returns the number of findings. The groups and rules of one range count once.
    fn findings(&self) -> u64 {
        let keys = self.keys.source.len() + self.keys.target.len();
        (keys + self.ranges.len() + usize::from(self.null_keys)) as u64
    }
}

impl PriorResults {
    /// Adds a finding.
    pub fn add(&mut self, finding: &Finding) {
        let found = self.0.entry(finding.mapping.clone()).or_default();
        let side = match finding.kind {
            DivergenceKind::OnlyInTarget => Side::Target,
            _ => Side::Source,
        };
        match &finding.place {
            FindingPlace::Key(key) => drop(found.keys[side].insert(key.clone())),
            FindingPlace::Duplicate(side, _, key) => drop(found.keys[*side].insert(key.clone())),
            FindingPlace::NullKey(..) => found.null_keys = true,
            FindingPlace::Range(range, rows) => {
                let rows = finding.range_rows.unwrap_or(*rows);
                // Groups and rules of one range are findings of their own.
                if !found.ranges.iter().any(|(known, ..)| known == range) {
                    found.ranges.push((range.clone(), side, rows));
                }
            }
        }
    }
}

/// Rechecks what a prior run found, and nothing else.
///
/// # Errors
/// When a finding does not belong to this spec, or a server cannot read its key. No row was read
/// then.
pub async fn recheck(
    mut prepared: Prepared,
    results: PriorResults,
    run_id: String,
    options: Options,
    observers: RunObservers<'_>,
    stop: watch::Receiver<Stop>,
) -> Result<SummaryRecord, Trouble> {
    let prior = read_prior(&mut prepared, results, &options).await?;
    let begin = RunStart::New(run_id);
    Ok(run(prepared, RunKind::Recheck(prior), begin, options, observers, stop).await)
}

/// Reads what the prior run found of every mapping. Of a mapping with a redacted key, or whose key
/// order only the servers know, only the number of findings is returned.
///
/// # Errors
/// When a server cannot read a key.
pub(super) async fn read_prior_if_known(
    prepared: &Prepared,
    mut results: PriorResults,
    options: &Options,
) -> Result<Vec<PriorFindings>, Trouble> {
    let mut all = Vec::new();
    for plan in &prepared.plans {
        let found = results.0.remove(&plan.name);
        let why_not = if plan.redacted_key().is_some() {
            Some("their key is redacted")
        } else if !plan.order.is_known() {
            Some("the order of the keys is known to the servers only")
        } else {
            None
        };
        all.push(match (found, why_not) {
            (Some(found), None) => read_back(prepared, plan, found, options).await?,
            (Some(found), Some(why)) => {
                let (findings, why) = (found.findings(), why.to_owned());
                let not_recalled = Some(NotRecalled { findings, why });
                PriorFindings { not_recalled, ..PriorFindings::default() }
            }
            (None, _) => PriorFindings::default(),
        });
    }
    Ok(all)
}

/// Reads what a prior run found, and drops the mappings of which it found nothing.
///
/// # Errors
/// When a mapping or key does not belong to this spec, or a server cannot read it.
async fn read_prior(
    prepared: &mut Prepared,
    mut results: PriorResults,
    options: &Options,
) -> Result<Vec<PriorFindings>, Trouble> {
    let plans = std::mem::take(&mut prepared.plans);
    let mut all = Vec::new();
    for plan in plans {
        let Some(found) = results.0.remove(&plan.name) else { continue };
        all.push(read_back(prepared, &plan, found, options).await?);
        prepared.plans.push(plan);
    }
    Ok(all)
}

async fn read_back(
    prepared: &Prepared,
    plan: &MappingPlan,
    found: MappingFindings,
    options: &Options,
) -> Result<PriorFindings, Trouble> {
    if plan.redacted_key().is_some() {
        let message = format!("the key of \"{}\" is redacted: its findings name no row", plan.name);
        return Err(of_spec(prepared, message, "Compare prior."));
    }
    let prior =
        with_task_context(prepared, plan, options, async |context| read_all(context, &found).await)
            .await;
    prior.map_err(|failed| match failed {
        UnreadKey::Name => {
            let message = format!("findings of \"{}\" name another key than the spec", plan.name);
            of_spec(prepared, message, "Compare prior.")
        }
        UnreadKey::Server((side, error)) => {
            Trouble::Server(side.unwrap_or(Side::Source), error, Vec::new())
        }
    })
}

fn of_spec(prepared: &Prepared, message: String, hint: &str) -> Trouble {
    let problem = Diagnostic::error(&prepared.spec.name_span, message).with_hint(hint);
    Trouble::Spec(vec![problem])
}

enum UnreadKey {
    Name,
    Server(SideError),
}

impl From<SideError> for UnreadKey {
    fn from(failed: SideError) -> UnreadKey {
        UnreadKey::Server(failed)
    }
}

impl Transient for UnreadKey {
    fn remedy(&self) -> Remedy {
        match self {
            UnreadKey::Server(failed) => failed.remedy(),
            UnreadKey::Name => Remedy::GiveUp,
        }
    }

    fn with_advice(self, advice: &str) -> UnreadKey {
        match self {
            UnreadKey::Server(failed) => UnreadKey::Server(failed.with_advice(advice)),
            UnreadKey::Name => self,
        }
    }
}

async fn read_all(
    context: &TaskContext<'_>,
    found: &MappingFindings,
) -> Result<PriorFindings, UnreadKey> {
    let mut prior = PriorFindings { null_keys: found.null_keys, ..PriorFindings::default() };
    let mut seen = HashSet::new();
    for side in Side::BOTH {
        let texts: Vec<Vec<String>> = found.keys[side]
            .iter()
            .map(|key| fields(context.plan, key))
            .collect::<Result<_, _>>()?;
        for texts in texts.chunks(KEYS_PER_QUERY) {
            let keys = keys_of(context, side, texts).await.map_err(UnreadKey::Server)?;
            prior.keys.extend(keys.into_iter().filter(|key| seen.insert(key.clone())));
        }
    }
    for (range, side, rows) in &found.ranges {
        let after = bound(context, *side, range.after.as_ref()).await?;
        let through = bound(context, *side, range.through.as_ref()).await?;
        prior.ranges.push((KeyRange { after, through }, *rows));
    }
    let order = &context.plan.order;
    prior.ranges.sort_by(|(a, _), (b, _)| match (&a.after, &b.after) {
        (Some(a), Some(b)) => order.compare(&a.key, &b.key),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    Ok(prior)
}

/// Returns the display texts of a key in the order of the plan.
fn fields(plan: &MappingPlan, key: &NamedValues<String>) -> Result<Vec<String>, UnreadKey> {
    let named = |name: &str| key.0.iter().find(|(known, _)| known == name);
    let texts: Option<Vec<String>> =
        plan.key().iter().map(|pair| named(&pair.name).map(|(_, text)| text.clone())).collect();
    texts.filter(|texts| texts.len() == key.0.len()).ok_or(UnreadKey::Name)
}

async fn bound(
    context: &TaskContext<'_>,
    side: Side,
    key: Option<&NamedValues<String>>,
) -> Result<Option<Bound>, UnreadKey> {
    let Some(key) = key else { return Ok(None) };
    let texts = fields(context.plan, key)?;
    let keys =
        keys_of(context, side, std::slice::from_ref(&texts)).await.map_err(UnreadKey::Server)?;
    Ok(keys.into_iter().next().map(|key| Bound { key, text: texts.into() }))
}

/// Reads keys from their display texts: as this side reads them, or the other.
async fn keys_of(
    context: &TaskContext<'_>,
    side: Side,
    texts: &[Vec<String>],
) -> Result<Vec<Key>, SideError> {
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    match rows::keys_of_texts(context, side, &texts).await {
        Ok(keys) => Ok(keys),
        Err(error) => rows::keys_of_texts(context, side.other(), &texts).await.map_err(|_| error),
    }
}
