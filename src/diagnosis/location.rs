//! Where findings of one kind are: in a window of keys, in a window of time, beyond the other side.

use super::evidence::Example;
use super::moment::{Moment, format_moment};
use super::window::{MAX_SHARE, Points, Window};
use crate::finding::{
    DivergenceKind, Finding, FindingPlace, Hint, MappingRecord, NamedValues, RangeText,
};
use crate::plan::MappingPlan;
use crate::schema::{Builtin, BySide, Side};
use crate::text::{format_key, format_number};

/// The fewest histogram bounds that show how rows are distributed over time.
const MIN_BOUNDS: usize = 10;

/// Counts the findings of one kind, with their keys and times.
#[derive(Debug, Default)]
pub(super) struct Locations {
    findings: u64,
    rows: u64,
    keys: Points,
    /// When the row was last changed; if both sides have one, the later change.
    changed: BySide<Points>,
    /// Findings with a time of change.
    dated: u64,
    /// Ranges: after which position, through which, how many rows.
    ranges: Vec<(i128, i128, u64)>,
}

/// The most ranges that are kept.
const MAX_RANGES: usize = 10_000;

impl Locations {
    /// Returns how many findings there are.
    pub(super) fn findings(&self) -> u64 {
        self.findings
    }

    /// Counts a finding.
    pub(super) fn add(&mut self, finding: &Finding, example: &Example) {
        self.findings += 1;
        self.rows += finding.rows();
        match &finding.place {
            FindingPlace::Key(key) => {
                if let Some(at) = position(key) {
                    self.keys.add(at, example);
                }
            }
            FindingPlace::Range(RangeText { after, through }, rows) => {
                let at = |key: &Option<NamedValues<String>>, open| {
                    key.as_ref().map_or(Some(open), position)
                };
                if let (Some(after), Some(through)) = (at(after, i128::MIN), at(through, i128::MAX))
                    && self.ranges.len() < MAX_RANGES
                {
                    self.ranges.push((after, through, *rows));
                }
            }
            FindingPlace::Duplicate(..) | FindingPlace::NullKey(..) => {}
        }
        if finding.keys_only {
            return;
        }
        let moment = |side: Side| Moment::parse(finding.changed_at[side].as_deref()?);
        let last =
            Side::BOTH.into_iter().filter_map(|side| Some((moment(side)?.nanos, side))).max();
        if let Some((at, side)) = last {
            self.dated += 1;
            self.changed[side].add(at, example);
        }
    }

    /// Returns the hints.
    pub(super) fn hints(
        &self,
        kind: DivergenceKind,
        plan: &MappingPlan,
        record: &MappingRecord,
    ) -> Vec<Hint> {
        let rows = record.rows.source.max(record.rows.target);
        let beyond = match kind {
            DivergenceKind::OnlyInSource => self.beyond_other_side(kind, Side::Source, record),
            DivergenceKind::OnlyInTarget => self.beyond_other_side(kind, Side::Target, record),
            _ => None,
        };
        let changed =
            Side::BOTH.into_iter().filter_map(|side| self.change_window(kind, plan, side));
        beyond.into_iter().chain(self.key_window(kind, plan, rows)).chain(changed).collect()
    }

    /// Returns the hint of a window of keys. Keys must be integers: a window of them cannot hold
    /// more rows than numbers.
    fn key_window(&self, kind: DivergenceKind, plan: &MappingPlan, rows: u64) -> Option<Hint> {
        let [pair] = plan.key() else { return None };
        if !matches!(pair.wire(), Builtin::Int2 | Builtin::Int4 | Builtin::Int8) {
            return None;
        }
        let width = |window: &Window| (window.through - window.from + 1) as f64;
        let is_small = |window: &Window| width(window) <= MAX_SHARE * rows as f64;
        let is_dense =
            |window: &Window| window.fit as f64 >= width(window) / 2.0 && window.fit <= rows / 2;
        let window = self.keys.window(|window| is_small(window) || is_dense(window))?;
        let (from, through) = (window.from, window.through);
        let evidence = match is_small(&window) {
            true => {
                let share = (width(&window) / rows as f64 * 1_000.0).ceil() / 10.0;
                format!("where at most {share:.1}% of the rows can be")
            }
            false => {
                format!(
                    "{} of these {} keys",
                    format_number(window.fit),
                    format_number(width(&window) as u64)
                )
            }
        };
        let says = format!("{} from {from} through {through}, {evidence}", pair.name);
        let mut hint = Hint::new("key_window", Some(kind), says, window.fit, self.findings)?;
        hint.columns = vec![pair.name.clone()];
        hint.examples = self.keys.examples(&window);
        Some(hint)
    }

    /// Returns the hint of a window of times at which rows were changed.
    fn change_window(&self, kind: DivergenceKind, plan: &MappingPlan, side: Side) -> Option<Hint> {
        let changed = plan.sides[side].changed_at.as_ref()?;
        let spread: Vec<i128> = changed
            .spread
            .iter()
            .filter_map(|bound| Moment::parse(bound).map(|moment| moment.nanos))
            .collect();
        if spread.len() <= MIN_BOUNDS {
            return None;
        }
        let share = |window: &Window| {
            let meets = |ends: &&[i128]| ends[0] <= window.through && ends[1] >= window.from;
            spread.windows(2).filter(meets).count() as f64 / (spread.len() - 1) as f64
        };
        let window = self.changed[side].window(|window| share(window) <= MAX_SHARE)?;
        let within = match share(&window) {
            0.0 => "none".to_owned(),
            share => format!("{:.1}%", share * 100.0),
        };
        let (from, through) = (format_moment(window.from), format_moment(window.through));
        let says = format!(
            "last changed in the {side} from {from} to {through}, where its statistics see {within} of the rows"
        );
        let mut hint = Hint::new("change_window", Some(kind), says, window.fit, self.dated)?;
        hint.columns = vec![changed.column.0.clone()];
        hint.examples = self.changed[side].examples(&window);
        Some(hint)
    }

    /// Returns the hint that the rows lie behind the other side's last, or before its first: a
    /// backfill that has not come further, or writes that go to one side only.
    fn beyond_other_side(
        &self,
        kind: DivergenceKind,
        only: Side,
        record: &MappingRecord,
    ) -> Option<Hint> {
        let other = only.other();
        let [first, last] = record.ends[other].as_ref()?;
        let (before, behind) = (position(first)?, position(last)?);
        let in_ranges = |is: &dyn Fn(i128, i128) -> bool| -> u64 {
            let ranges = self.ranges.iter().filter(|(after, through, _)| is(*after, *through));
            ranges.map(|(.., rows)| rows).sum()
        };
        let newer = self.keys.count(|at| at > behind) + in_ranges(&|after, _| after >= behind);
        let older = self.keys.count(|at| at < before) + in_ranges(&|_, through| through < before);
        let (rows, word, end) = match newer >= older {
            true => (newer, "behind the last", last),
            false => (older, "before the first", first),
        };
        let says = format!("{word} row of the {other}, {}", format_key(end));
        Hint::new("beyond_the_other_side", Some(kind), says, rows, self.rows)
    }
}

/// Returns the position of a key that is a single number or time.
fn position(key: &NamedValues<String>) -> Option<i128> {
    let [(_, text)] = key.0.as_slice() else { return None };
    let number = text.parse::<i64>().ok().map(i128::from);
    number.or_else(|| Moment::parse(text).map(|moment| moment.nanos))
}
