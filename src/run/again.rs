//! Rows of an earlier run, to be looked at again: its findings with their keys and ranges as this
//! run's plan knows them.
//!
//! A finding is told in texts. The side that told it reads them back; of a key that only the other
//! side can read, the other one does. Keys become candidates after a first look, as if a scan had met
//! them; ranges are scanned as chunks, with a break between them, since nothing is known of what
//! lies there.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;
use tokio::sync::watch;

use super::conduct::{Audience, Begin, What, conduct};
use super::mapping::again::Again;
use super::options::{Options, Stop};
use super::prepare::{Prepared, Trouble};
use super::retried::MayPass;
use super::work::hands::{Failed, Hands, with_hands};
use super::work::steps;
use crate::finding::{
    DivergenceKind, Finding, FindingPlace, NamedValues, NotRecalled, RangeText, SummaryRecord,
};
use crate::pg::Remedy;
use crate::plan::MappingPlan;
use crate::row::{Bound, Key, KeyRange};
use crate::schema::{BySide, Side};
use crate::spec::Diagnostic;

/// Keys that are read back at once.
const AT_ONCE: usize = 1_000;

/// What an earlier run found, by mapping.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<String, Found>);

#[derive(Debug, Default)]
struct Found {
    /// Several runs may have found one.
    keys: BySide<BTreeSet<NamedValues<String>>>,
    ranges: Vec<(RangeText, Side, u64)>,
    null_keys: bool,
}

impl Found {
    /// How many there are; groups and rules of one range are one.
    fn findings(&self) -> u64 {
        let keys = self.keys.source.len() + self.keys.target.len();
        (keys + self.ranges.len() + usize::from(self.null_keys)) as u64
    }
}

impl Memory {
    /// Takes a finding in.
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

/// Looks again at what an earlier run found, and at nothing else.
///
/// # Errors
/// When a finding is not of this spec, or a server cannot read its key; no row was read then.
pub async fn recheck(
    mut prepared: Prepared,
    memory: Memory,
    run_id: String,
    options: Options,
    audience: Audience<'_>,
    stop: watch::Receiver<Stop>,
) -> Result<SummaryRecord, Trouble> {
    let again = recall(&mut prepared, memory, &options).await?;
    let begin = Begin::New(run_id);
    Ok(conduct(prepared, What::Again(again), begin, options, audience, stop).await)
}

/// Reads back what the run before found of every mapping; of one whose findings name no row, or whose
/// keys cannot be found again among those of a chunk, for their order is the servers' own, only how much
/// it was.
///
/// # Errors
/// When a server cannot read a key.
pub(super) async fn recall_if_told(
    prepared: &Prepared,
    mut memory: Memory,
    options: &Options,
) -> Result<Vec<Again>, Trouble> {
    let mut all = Vec::new();
    for plan in &prepared.plans {
        let found = memory.0.remove(&plan.name);
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
                Again { not_recalled, ..Again::default() }
            }
            (None, _) => Again::default(),
        });
    }
    Ok(all)
}

/// Reads back what an earlier run found, and leaves out the mappings of which it found nothing.
///
/// # Errors
/// When a mapping or key is not this spec's, or a server cannot read it.
async fn recall(
    prepared: &mut Prepared,
    mut memory: Memory,
    options: &Options,
) -> Result<Vec<Again>, Trouble> {
    let plans = std::mem::take(&mut prepared.plans);
    let mut all = Vec::new();
    for plan in plans {
        let Some(found) = memory.0.remove(&plan.name) else { continue };
        all.push(read_back(prepared, &plan, found, options).await?);
        prepared.plans.push(plan);
    }
    Ok(all)
}

async fn read_back(
    prepared: &Prepared,
    plan: &MappingPlan,
    found: Found,
    options: &Options,
) -> Result<Again, Trouble> {
    if plan.redacted_key().is_some() {
        let message = format!("the key of \"{}\" is redacted: its findings name no row", plan.name);
        return Err(of_spec(prepared, message, "Compare again."));
    }
    let again =
        with_hands(prepared, plan, options, async |hands| read_all(hands, &found).await).await;
    again.map_err(|failed| match failed {
        Unread::Name => {
            let message = format!("findings of \"{}\" name another key than the spec", plan.name);
            of_spec(prepared, message, "Compare again.")
        }
        Unread::Server((side, error)) => {
            Trouble::Server(side.unwrap_or(Side::Source), error, Vec::new())
        }
    })
}

fn of_spec(prepared: &Prepared, message: String, hint: &str) -> Trouble {
    let problem = Diagnostic::error(&prepared.spec.name_span, message).with_hint(hint);
    Trouble::Spec(vec![problem])
}

enum Unread {
    Name,
    Server(Failed),
}

impl From<Failed> for Unread {
    fn from(failed: Failed) -> Unread {
        Unread::Server(failed)
    }
}

impl MayPass for Unread {
    fn remedy(&self) -> Remedy {
        match self {
            Unread::Server(failed) => failed.remedy(),
            Unread::Name => Remedy::GiveUp,
        }
    }

    fn advised(self, advice: &str) -> Unread {
        match self {
            Unread::Server(failed) => Unread::Server(failed.advised(advice)),
            Unread::Name => self,
        }
    }
}

async fn read_all(hands: &Hands<'_>, found: &Found) -> Result<Again, Unread> {
    let mut again = Again { null_keys: found.null_keys, ..Again::default() };
    let mut seen = HashSet::new();
    for side in Side::BOTH {
        let texts: Vec<Vec<String>> =
            found.keys[side].iter().map(|key| fields(hands.plan, key)).collect::<Result<_, _>>()?;
        for texts in texts.chunks(AT_ONCE) {
            let keys = keys_of(hands, side, texts).await.map_err(Unread::Server)?;
            again.keys.extend(keys.into_iter().filter(|key| seen.insert(key.clone())));
        }
    }
    for (range, side, rows) in &found.ranges {
        let after = bound(hands, *side, range.after.as_ref()).await?;
        let through = bound(hands, *side, range.through.as_ref()).await?;
        again.ranges.push((KeyRange { after, through }, *rows));
    }
    let order = &hands.plan.order;
    again.ranges.sort_by(|(a, _), (b, _)| match (&a.after, &b.after) {
        (Some(a), Some(b)) => order.compare(&a.key, &b.key),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    Ok(again)
}

/// A key's texts in the plan's order.
fn fields(plan: &MappingPlan, key: &NamedValues<String>) -> Result<Vec<String>, Unread> {
    let named = |name: &str| key.0.iter().find(|(known, _)| known == name);
    let texts: Option<Vec<String>> =
        plan.key().iter().map(|pair| named(&pair.name).map(|(_, text)| text.clone())).collect();
    texts.filter(|texts| texts.len() == key.0.len()).ok_or(Unread::Name)
}

async fn bound(
    hands: &Hands<'_>,
    side: Side,
    key: Option<&NamedValues<String>>,
) -> Result<Option<Bound>, Unread> {
    let Some(key) = key else { return Ok(None) };
    let texts = fields(hands.plan, key)?;
    let keys = keys_of(hands, side, std::slice::from_ref(&texts)).await.map_err(Unread::Server)?;
    Ok(keys.into_iter().next().map(|key| Bound { key, text: texts.into() }))
}

/// Keys by their texts: as this side reads them, or the other.
async fn keys_of(hands: &Hands<'_>, side: Side, texts: &[Vec<String>]) -> Result<Vec<Key>, Failed> {
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    match steps::told_keys(hands, side, &texts).await {
        Ok(keys) => Ok(keys),
        Err(error) => steps::told_keys(hands, side.other(), &texts).await.map_err(|_| error),
    }
}
