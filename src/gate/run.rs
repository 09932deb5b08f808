//! One past run, as the gate judges it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::clocks::Clocks;
use super::reason::{Condition, Reason};
use crate::event::Event;
use crate::finding::{
    Disposition, Finding, FindingPlace, GroupRecord, MappingRecord, PastRun, SummaryRecord, Verdict,
};
use crate::problem::Problem;
use crate::row::Group;
use crate::schema::BySide;
use crate::spec::{GateSettings, Spec};

/// How a run ended.
#[derive(Clone, Debug)]
pub enum RunEnd {
    /// It came to its end.
    Over(SummaryRecord),
    /// It is running.
    UnderWay,
    /// It was killed.
    Lost,
    /// Stored values do not match their checksums: how it ended is not known.
    Damaged,
}

/// An unsettled row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsettledRow {
    /// The mapping.
    pub mapping: String,
    /// Which row, as records write it.
    pub place: String,
    /// Its group, if there are groups.
    pub group: Option<Group>,
}

/// A past run with its findings.
#[derive(Clone, Debug)]
pub struct GateRun {
    /// Its id.
    pub run: String,
    /// Its number in the ledger.
    pub number: i64,
    /// Whether it was a recheck of an earlier run's findings.
    pub recheck: bool,
    /// When it started.
    pub started: Clocks,
    /// When it ended, or if it has no end, when it was started or last resumed.
    pub ended: Clocks,
    /// Which part of the keys it was to compare, if not all of them.
    pub part: Option<String>,
    /// Whether it was a slice: its own findings are judged, and how much slices cover is judged by
    /// what was verified when.
    pub slice: bool,
    /// How it ended.
    pub end: RunEnd,
    /// Findings that no accept rule matches.
    pub found: u64,
    /// The groups in which a running run already differs; `None` for a finding that concerns every
    /// group.
    pub differs_in: BTreeSet<Option<Group>>,
    /// The record of each mapping.
    pub mappings: Vec<MappingRecord>,
    /// Unsettled rows.
    pub unsettled: BTreeSet<UnsettledRow>,
}

impl GateRun {
    /// Makes a run of its history. The events of a finished one are added by
    /// [`GateRun::add_event`].
    ///
    /// # Errors
    /// When its start cannot be parsed.
    pub fn new(past: &PastRun, under_way: bool) -> Result<GateRun, Problem> {
        let accepted = past.findings.get(Disposition::Accepted.name()).copied().unwrap_or(0);
        let parse = |text: &str| -> Result<Timestamp, Problem> {
            text.parse().map_err(|_| Problem::new(format!("run {} has no moment", past.run)))
        };
        let started = Clocks::of_record(parse(&past.started_at)?, &past.clocks);
        let resumed = past.resumed_at.last().map(|resumed| parse(resumed)).transpose()?;
        Ok(GateRun {
            run: past.run.clone(),
            number: past.number,
            recheck: past.verb != "compare",
            ended: end_of(past.summary.as_ref(), &started, resumed),
            started,
            part: past.sample.clone().or(past.since.clone()),
            slice: past.slice,
            end: match &past.summary {
                _ if past.damaged => RunEnd::Damaged,
                Some(summary) => RunEnd::Over(summary.clone()),
                None if under_way => RunEnd::UnderWay,
                None => RunEnd::Lost,
            },
            found: past.finding_count().saturating_sub(accepted),
            differs_in: BTreeSet::new(),
            mappings: Vec::new(),
            unsettled: BTreeSet::new(),
        })
    }

    /// Adds an event of the run.
    pub fn add_event(&mut self, event: Event) {
        match event {
            Event::MappingFinished { record, .. } => self.mappings.push(*record),
            Event::Finding { finding, .. } if finding.disposition() == Disposition::Unsettled => {
                let Finding { mapping, group, .. } = &finding;
                let (mapping, group) = (mapping.clone(), group.clone());
                self.unsettled.insert(UnsettledRow {
                    mapping,
                    place: format_place(&finding),
                    group,
                });
            }
            _ => {}
        }
    }

    /// Adds a finding of a run that is still running. A row that moved from one group to another
    /// concerns both, but a finding names only one.
    pub fn add_current_finding(&mut self, finding: Finding, spec: &Spec) {
        if finding.disposition() != Disposition::Confirmed {
            return;
        }
        let mapping = spec.mappings.iter().find(|mapping| mapping.name == finding.mapping);
        let group_by = mapping.and_then(|mapping| mapping.group_by.as_ref());
        let moved = |pair: &String| finding.columns.0.iter().any(|(name, _)| name == pair);
        let moved = group_by.is_some_and(|pair| moved(&pair.value));
        self.differs_in.insert(finding.group.filter(|_| !moved));
    }

    /// Returns whether it was to compare all keys of these mappings. A run without an end counts as
    /// such.
    pub(super) fn is_whole<'m>(&self, mut mappings: impl Iterator<Item = &'m str>) -> bool {
        let known = |name: &str| self.mapping(name).is_some();
        let all = |record: &MappingRecord| !record.complete || record.coverage >= 1.0 || self.slice;
        let over = matches!(self.end, RunEnd::Over(_));
        let compared_all = !over || mappings.all(known) && self.mappings.iter().all(all);
        !self.recheck && self.part.is_none() && compared_all
    }

    /// Returns the record of a mapping.
    pub(super) fn mapping(&self, name: &str) -> Option<&MappingRecord> {
        self.mappings.iter().find(|record| record.mapping == name)
    }

    /// Returns whether what it has verified counts: it started within the window, and is no
    /// recheck.
    pub fn has_verified(&self, now: &Clocks, policy: &GateSettings) -> bool {
        !self.recheck && now.since(&self.started) <= window(policy)
    }

    /// Returns whether it ended within the window.
    pub fn ended_within_window(&self, now: &Clocks, policy: &GateSettings) -> bool {
        now.since(&self.ended) <= window(policy)
    }

    /// Describes the run in a message.
    pub(super) fn describe(&self) -> String {
        let GateRun { run, started, .. } = self;
        let kind = if self.recheck { "recheck" } else { "run" };
        format!("{kind} {run} of {}", started.machine.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }

    /// Returns the reasons why it is not complete and clean: as a whole, or in these groups.
    pub(super) fn reasons(&self, groups: &[String]) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = match &self.end {
            RunEnd::UnderWay if self.found == 0 => Vec::new(),
            RunEnd::UnderWay if groups.is_empty() => {
                let message = format!("{} is under way and differs already", self.describe());
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::UnderWay => {
                let of = |group: &String| {
                    let here = [None, Some(Some(group.clone()))];
                    here.iter().any(|here| self.differs_in.contains(here)).then(|| {
                        let run = self.describe();
                        let message =
                            format!("{run} is under way and differs already in group \"{group}\"");
                        Reason::new(Condition::CleanRuns, message).of_group(Some(group))
                    })
                };
                groups.iter().filter_map(of).collect()
            }
            RunEnd::Lost => {
                let message = format!(
                    "{} has no end: it was killed, or left before its end was written down",
                    self.describe()
                );
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::Damaged => {
                let message = format!(
                    "{} is damaged in the ledger: stored values do not match their checksums",
                    self.describe()
                );
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::Over(summary) => {
                let of_mapping = |record| self.mapping_reasons(record, groups);
                let mut reasons: Vec<Reason> = self.mappings.iter().flat_map(of_mapping).collect();
                if reasons.is_empty() && groups.is_empty() && summary.verdict != Verdict::Clean {
                    let message = format!("{} is {}", self.describe(), summary.verdict.name());
                    reasons.push(Reason::new(Condition::CleanRuns, message));
                }
                reasons
            }
        };
        reasons.iter_mut().for_each(|reason| reason.run = Some(self.run.clone()));
        reasons
    }

    fn mapping_reasons(&self, record: &MappingRecord, groups: &[String]) -> Vec<Reason> {
        let name = &record.mapping;
        let why = record.reason.as_deref().unwrap_or("not everything was compared");
        let incomplete = || {
            let message = format!("{} is incomplete: mapping \"{name}\": {why}", self.describe());
            Reason::new(Condition::CleanRuns, message).of_mapping(name)
        };
        let (Some(records), false) = (&record.groups, groups.is_empty()) else {
            if !record.complete {
                return vec![incomplete()];
            }
            let rows = divergent(record);
            return differs(self, name, "", rows).into_iter().collect();
        };
        if !record.complete {
            return groups.iter().map(|group| incomplete().of_group(Some(group))).collect();
        }
        let of_group = |group: &String| {
            let found = records.iter().find(|record| is_group(record, group))?;
            let of = format!("group \"{group}\" of ");
            Some(differs(self, name, &of, found.divergent())?.of_group(Some(group)))
        };
        groups.iter().filter_map(of_group).collect()
    }
}

fn window(policy: &GateSettings) -> SignedDuration {
    SignedDuration::try_from(policy.window).unwrap_or(SignedDuration::MAX)
}

/// Returns when a run ended, or if it has no end, when it was started or last resumed. If neither
/// server's clock could be read at the end, those of the start are used.
fn end_of(summary: Option<&SummaryRecord>, started: &Clocks, resumed: Option<Timestamp>) -> Clocks {
    let began = resumed.unwrap_or(started.machine);
    match summary {
        Some(summary) => {
            let ended =
                Clocks::of_record(summary.ended_at(began).unwrap_or(began), &summary.clocks);
            let known = ended.servers.any(Option::is_some);
            Clocks { servers: if known { ended.servers } else { started.servers }, ..ended }
        }
        // The servers' clocks are not recorded when a run is resumed.
        None if resumed.is_some() => Clocks::of_record(began, &BySide::default()),
        None => started.clone(),
    }
}

/// Returns whether a record is that of the group with this name.
pub(super) fn is_group(record: &GroupRecord, group: &str) -> bool {
    record.group.as_deref() == Some(group)
}

/// Returns the reason of a run's differences in a mapping or group.
fn differs(run: &GateRun, mapping: &str, of: &str, rows: u64) -> Option<Reason> {
    let word = if rows == 1 { "row" } else { "rows" };
    let message =
        format!("{} differs in {rows} {word} of {of}mapping \"{mapping}\"", run.describe());
    (rows > 0).then(|| Reason::new(Condition::CleanRuns, message).of_mapping(mapping))
}

/// Returns the rows of confirmed differences.
fn divergent(record: &MappingRecord) -> u64 {
    let MappingRecord { only_in_source, only_in_target, mismatch, books, .. } = record;
    let faults = |side: &crate::finding::SideCounts| side.duplicate + side.null_key;
    only_in_source + only_in_target + mismatch + faults(&books.source) + faults(&books.target)
}

/// Formats which rows a finding is about, as records do.
fn format_place(finding: &Finding) -> String {
    let json = |key| serde_json::to_string(key).unwrap_or_default();
    match &finding.place {
        FindingPlace::Key(key) | FindingPlace::Duplicate(_, _, key) => json(key),
        FindingPlace::Range(range, _) => serde_json::to_string(range).unwrap_or_default(),
        FindingPlace::NullKey(side, _) => format!("NULL in the {side}"),
    }
}
