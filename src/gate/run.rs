//! One run of the past, with what a gate asks of it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::clocks::Clocks;
use super::reason::{Condition, Reason};
use crate::event::Event;
use crate::finding::{
    Disposition, Finding, FindingPlace, GroupRecord, MappingRecord, PastRun, SummaryRecord, Verdict,
};
use crate::row::Group;
use crate::schema::BySide;
use crate::spec::{GateSettings, Spec};

/// How a run ended.
#[derive(Clone, Debug)]
pub enum RunEnd {
    /// It came to its end.
    Over(SummaryRecord),
    /// It is under way.
    UnderWay,
    /// It was killed.
    Lost,
    /// Stored values do not match their checksums: how it ended is not known.
    Damaged,
}

/// A row that kept changing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsettledRow {
    /// The mapping.
    pub mapping: String,
    /// Which row, as records write it.
    pub place: String,
    /// Its group, where there are groups.
    pub group: Option<Group>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct GateRun {
    /// Its id.
    pub run: String,
    /// Its number in the ledger.
    pub number: i64,
    /// Whether it only looked again at what an earlier one had found.
    pub recheck: bool,
    /// When it began.
    pub started: Clocks,
    /// When it ended; of a run that has no end, when it began or last went on.
    pub ended: Clocks,
    /// Which part of the keys it was to look at, if not all of them.
    pub part: Option<String>,
    /// Whether it took what had gone unverified for longest: it is judged by what it came to, and how
    /// much of the tables slices have come to by what was verified when.
    pub slice: bool,
    /// How it ended.
    pub end: RunEnd,
    /// Findings that nobody has agreed to.
    pub found: u64,
    /// Of a run under way the groups in which it differs already; nothing for what concerns every group.
    pub differs_in: BTreeSet<Option<Group>>,
    /// What each mapping came to.
    pub mappings: Vec<MappingRecord>,
    /// Rows that kept changing.
    pub unsettled: BTreeSet<UnsettledRow>,
}

impl GateRun {
    /// What a history knows of it. A run that is over is then told again, see [`GateRun::hear`].
    ///
    /// # Errors
    /// When its start is no moment.
    pub fn new(past: &PastRun, under_way: bool) -> Result<GateRun, String> {
        let agreed = past.findings.get(Disposition::Accepted.name()).copied().unwrap_or(0);
        let moment = |text: &str| -> Result<Timestamp, String> {
            text.parse().map_err(|_| format!("run {} has no moment", past.run))
        };
        let started = Clocks::noted(moment(&past.started_at)?, &past.clocks);
        let resumed = past.resumed_at.last().map(|resumed| moment(resumed)).transpose()?;
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
            found: past.finding_count().saturating_sub(agreed),
            differs_in: BTreeSet::new(),
            mappings: Vec::new(),
            unsettled: BTreeSet::new(),
        })
    }

    /// Takes in what happened in it.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::MappingFinished { record, .. } => self.mappings.push(*record),
            Event::Finding { finding, .. } if finding.disposition() == Disposition::Unsettled => {
                let Finding { mapping, group, .. } = &finding;
                let (mapping, group) = (mapping.clone(), group.clone());
                self.unsettled.insert(UnsettledRow { mapping, place: place_text(&finding), group });
            }
            _ => {}
        }
    }

    /// Takes in what it has found while it is under way. Whoever moved from one group to another
    /// concerns both, and a finding names one.
    pub fn differs_already(&mut self, finding: Finding, spec: &Spec) {
        if finding.disposition() != Disposition::Confirmed {
            return;
        }
        let mapping = spec.mappings.iter().find(|mapping| mapping.name == finding.mapping);
        let group_by = mapping.and_then(|mapping| mapping.group_by.as_ref());
        let moved = |pair: &String| finding.columns.0.iter().any(|(name, _)| name == pair);
        let moved = group_by.is_some_and(|pair| moved(&pair.value));
        self.differs_in.insert(finding.group.filter(|_| !moved));
    }

    /// Whether it was to look at all keys of these mappings. Of a run without an end that is taken
    /// to be so.
    pub(super) fn is_whole<'m>(&self, mut mappings: impl Iterator<Item = &'m str>) -> bool {
        let known = |name: &str| self.mapping(name).is_some();
        let all = |record: &MappingRecord| !record.complete || record.coverage >= 1.0 || self.slice;
        let over = matches!(self.end, RunEnd::Over(_));
        let looked = !over || mappings.all(known) && self.mappings.iter().all(all);
        !self.recheck && self.part.is_none() && looked
    }

    /// What became of a mapping.
    pub(super) fn mapping(&self, name: &str) -> Option<&MappingRecord> {
        self.mappings.iter().find(|record| record.mapping == name)
    }

    /// Whether what it has verified counts: it began within the window, and is no recheck.
    pub fn has_verified(&self, now: &Clocks, policy: &GateSettings) -> bool {
        !self.recheck && now.since(&self.started) <= window(policy)
    }

    /// Whether it ended within the window.
    pub fn ended_within_window(&self, now: &Clocks, policy: &GateSettings) -> bool {
        now.since(&self.ended) <= window(policy)
    }

    /// The run in a message.
    pub(super) fn named(&self) -> String {
        let GateRun { run, started, .. } = self;
        let kind = if self.recheck { "recheck" } else { "run" };
        format!("{kind} {run} of {}", started.machine.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }

    /// Why it was not complete and clean: as a whole, or as far as these groups go.
    pub(super) fn doubts(&self, groups: &[String]) -> Vec<Reason> {
        let mut doubts: Vec<Reason> = match &self.end {
            RunEnd::UnderWay if self.found == 0 => Vec::new(),
            RunEnd::UnderWay if groups.is_empty() => {
                let message = format!("{} is under way and differs already", self.named());
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::UnderWay => {
                let of = |group: &String| {
                    let here = [None, Some(Some(group.clone()))];
                    here.iter().any(|here| self.differs_in.contains(here)).then(|| {
                        let run = self.named();
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
                    self.named()
                );
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::Damaged => {
                let message = format!(
                    "{} is damaged in the ledger: stored values do not match their checksums",
                    self.named()
                );
                vec![Reason::new(Condition::CleanRuns, message)]
            }
            RunEnd::Over(summary) => {
                let doubts = |record| self.doubts_about(record, groups);
                let mut doubts: Vec<Reason> = self.mappings.iter().flat_map(doubts).collect();
                if doubts.is_empty() && groups.is_empty() && summary.verdict != Verdict::Clean {
                    let message = format!("{} is {}", self.named(), summary.verdict.name());
                    doubts.push(Reason::new(Condition::CleanRuns, message));
                }
                doubts
            }
        };
        doubts.iter_mut().for_each(|doubt| doubt.run = Some(self.run.clone()));
        doubts
    }

    fn doubts_about(&self, record: &MappingRecord, groups: &[String]) -> Vec<Reason> {
        let name = &record.mapping;
        let why = record.reason.as_deref().unwrap_or("not everything was compared");
        let incomplete = || {
            let message = format!("{} is incomplete: mapping \"{name}\": {why}", self.named());
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
        let doubt = |group: &String| {
            let found = records.iter().find(|record| is(record, group))?;
            let of = format!("group \"{group}\" of ");
            Some(differs(self, name, &of, found.divergent())?.of_group(Some(group)))
        };
        groups.iter().filter_map(doubt).collect()
    }
}

fn window(policy: &GateSettings) -> SignedDuration {
    SignedDuration::try_from(policy.window).unwrap_or(SignedDuration::MAX)
}

/// Returns when a run ended, or began or last went on if it has no end. One that could ask neither server
/// in the end is as old by their clocks as its beginning.
fn end_of(summary: Option<&SummaryRecord>, started: &Clocks, resumed: Option<Timestamp>) -> Clocks {
    let began = resumed.unwrap_or(started.machine);
    match summary {
        Some(summary) => {
            let noted = Clocks::noted(summary.ended_at(began).unwrap_or(began), &summary.clocks);
            let known = noted.servers.any(Option::is_some);
            Clocks { servers: if known { noted.servers } else { started.servers }, ..noted }
        }
        // Nothing is known of the servers' clocks when it went on.
        None if resumed.is_some() => Clocks::noted(began, &BySide::default()),
        None => started.clone(),
    }
}

/// Whether a group's record is that of the group that people name so.
pub(super) fn is(record: &GroupRecord, group: &str) -> bool {
    record.group.as_deref() == Some(group)
}

fn differs(run: &GateRun, mapping: &str, of: &str, rows: u64) -> Option<Reason> {
    let word = if rows == 1 { "row" } else { "rows" };
    let message = format!("{} differs in {rows} {word} of {of}mapping \"{mapping}\"", run.named());
    (rows > 0).then(|| Reason::new(Condition::CleanRuns, message).of_mapping(mapping))
}

/// Rows that confirmed divergence speaks of.
fn divergent(record: &MappingRecord) -> u64 {
    let MappingRecord { only_in_source, only_in_target, mismatch, books, .. } = record;
    let faults = |side: &crate::finding::SideCounts| side.duplicate + side.null_key;
    only_in_source + only_in_target + mismatch + faults(&books.source) + faults(&books.target)
}

/// Which row it is, as records write it.
fn place_text(finding: &Finding) -> String {
    let json = |key| serde_json::to_string(key).unwrap_or_default();
    match &finding.place {
        FindingPlace::Key(key) | FindingPlace::Duplicate(_, _, key) => json(key),
        FindingPlace::Range(range, _) => serde_json::to_string(range).unwrap_or_default(),
        FindingPlace::NullKey(side, _) => format!("NULL in the {side}"),
    }
}
