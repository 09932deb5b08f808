//! The diagnosis of a run and of each of its mappings.

use std::collections::BTreeMap;

use super::columns::Columns;
use super::evidence::{Example, TopExplanations, example};
use super::location::Locations;
use super::moment::Moment;
use super::swaps::Swaps;
use super::window::MIN_FINDINGS;

use crate::event::Event;
use crate::finding::{Disposition, DivergenceKind, Finding, FindingPlace, Hint, MappingRecord};
use crate::plan::MappingPlan;
use crate::row::Group;
use crate::schema::Side;

/// The most hints of a mapping.
const MAX_HINTS: usize = 12;
/// The most groups whose findings are counted at a time.
const MAX_GROUPS: usize = 64;

/// Explains the findings of a run, mapping by mapping.
#[derive(Debug)]
pub struct Diagnosis(BTreeMap<String, MappingDiagnosis>);

/// Explains the findings of one mapping.
#[derive(Debug)]
struct MappingDiagnosis {
    plan: MappingPlan,
    /// The pairs' places in the plan, by name.
    places: BTreeMap<String, u16>,
    columns: Columns,
    swaps: Swaps,
    /// The side whose row was changed earlier, of mismatches that name both times.
    behind: TopExplanations<Side, 2>,
    /// Mismatches that name both times.
    dated: u64,
    groups: TopExplanations<Group, MAX_GROUPS>,
    kinds: BTreeMap<DivergenceKind, Locations>,
}

impl Diagnosis {
    /// Makes the diagnosis of a run with these plans.
    pub fn new<'p>(plans: impl IntoIterator<Item = &'p MappingPlan>) -> Diagnosis {
        let case = |plan: &MappingPlan| (plan.name.clone(), MappingDiagnosis::new(plan.clone()));
        Diagnosis(plans.into_iter().map(case).collect())
    }

    /// Counts a finding; adds the hints to the record of a mapping that is done.
    pub fn add_event(&mut self, event: &mut Event) {
        match event {
            Event::Finding { finding, .. } => {
                if let Some(case) = self.0.get_mut(&finding.mapping) {
                    case.add_finding(finding);
                }
            }
            Event::MappingFinished { record, .. } => {
                if let Some(case) = self.0.remove(&record.mapping) {
                    record.hints = case.hints(record);
                }
            }
            _ => {}
        }
    }
}

impl MappingDiagnosis {
    fn new(plan: MappingPlan) -> MappingDiagnosis {
        let places = plan.pairs.iter().enumerate();
        let places = places
            .filter_map(|(place, pair)| Some((pair.name.clone(), u16::try_from(place).ok()?)));
        MappingDiagnosis {
            places: places.collect(),
            plan,
            columns: Columns::default(),
            swaps: Swaps::default(),
            behind: TopExplanations::default(),
            dated: 0,
            groups: TopExplanations::default(),
            kinds: BTreeMap::new(),
        }
    }

    fn add_finding(&mut self, finding: &Finding) {
        if finding.disposition() != Disposition::Confirmed {
            return;
        }
        let key = match &finding.place {
            FindingPlace::Key(key) | FindingPlace::Duplicate(_, _, key) => example(key),
            FindingPlace::Range(..) | FindingPlace::NullKey(..) => None,
        };
        if let Some(group) = &finding.group {
            self.groups.add(|known| known == group, || group.clone(), &key);
        }
        self.kinds.entry(finding.kind).or_default().add(finding, &key);
        if finding.kind == DivergenceKind::Mismatch {
            self.add_mismatch(finding, &key);
        }
    }

    fn add_mismatch(&mut self, finding: &Finding, key: &Example) {
        let pairs = &self.plan.pairs;
        let columns = finding.columns.0.iter().filter_map(|(name, values)| {
            let place = *self.places.get(name)?;
            Some((place, values))
        });
        // A redacted value is a hash, which explains nothing.
        let is_visible =
            |place: u16| !finding.keys_only && !pairs[usize::from(place)].settings.redact;
        let visible =
            columns.clone().map(|(place, values)| (place, is_visible(place).then_some(values)));
        self.columns.add(visible, key);
        self.swaps.add(columns, key);
        let moment = |side: Side| Moment::parse(finding.changed_at[side].as_deref()?);
        let (Some(source), Some(target)) = (moment(Side::Source), moment(Side::Target)) else {
            return;
        };
        if source.is_comparable(target) {
            self.dated += 1;
            let behind = match source.nanos.cmp(&target.nanos) {
                std::cmp::Ordering::Less => Side::Source,
                std::cmp::Ordering::Equal => return,
                std::cmp::Ordering::Greater => Side::Target,
            };
            self.behind.add(|side| *side == behind, || behind, key);
        }
    }

    /// Returns the hints, those that explain the most findings first.
    fn hints(&self, record: &MappingRecord) -> Vec<Hint> {
        let name = |place: u16| {
            let pair = self.plan.pairs.get(usize::from(place));
            pair.map_or(String::new(), |pair| pair.name.clone())
        };
        let mut hints = self.columns.hints(name);
        hints.extend(self.older_state());
        let mismatches = self.kinds.get(&DivergenceKind::Mismatch).map_or(0, Locations::findings);
        hints.extend(self.swaps.hint(mismatches));
        hints.extend(self.one_group(record));
        for (kind, places) in &self.kinds {
            hints.extend(places.hints(*kind, &self.plan, record));
        }
        hints.sort_by_key(|hint| std::cmp::Reverse(hint.fit));
        hints.truncate(MAX_HINTS);
        hints
    }

    /// Returns the hint that one side's row was changed earlier: its second write was lost, or came
    /// first.
    fn older_state(&self) -> Option<Hint> {
        let (side, evidence) = self.behind.first(|_, _| true)?;
        let other = side.other();
        let says =
            format!("the {side}'s row was changed before the {other}'s: it is an older state");
        let kind = Some(DivergenceKind::Mismatch);
        let mut hint = Hint::new("older_state", kind, says, evidence.fit, self.dated)?;
        hint.examples = evidence.examples();
        Some(hint)
    }

    /// Returns the hint that one group has most of the differences, but not most of the rows.
    fn one_group(&self, record: &MappingRecord) -> Option<Hint> {
        let groups = record.groups.as_ref().filter(|groups| groups.len() > 1)?;
        let of: u64 = groups.iter().map(|group| group.divergent()).sum();
        let worst = groups.iter().max_by_key(|group| group.divergent())?;
        let rows = |group: &crate::finding::GroupRecord| group.rows.source.max(group.rows.target);
        let all: u64 = groups.iter().map(rows).sum();
        let share = rows(worst) as f64 / all.max(1) as f64;
        if of < MIN_FINDINGS || share > 0.5 {
            return None;
        }
        let group = worst.group.as_deref().unwrap_or("NULL");
        let says = format!("group {group:?}, which has {:.1}% of the rows", share * 100.0);
        let mut hint = Hint::new("one_group", None, says, worst.divergent(), of)?;
        hint.columns = record.group_by.iter().cloned().collect();
        let known = self.groups.iter().find(|(group, _)| *group == worst.group);
        hint.examples = known.map(|(_, evidence)| evidence.examples()).unwrap_or_default();
        Some(hint)
    }
}
