//! All that a judgement rests on, and each condition.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};

use super::clocks::Clocks;
use super::reason::{Condition, Reason};
use super::run::{GateRun, RunEnd, UnsettledRow, is};
use super::sequence::Sequence;
use crate::finding::{ExpiredAccept, GroupRecord};
use crate::spec::{GateSettings, Mapping, Spec};

/// A mapping of the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateMapping {
    /// Its name.
    pub name: String,
    /// Its accept rules that have expired.
    pub expired: Vec<ExpiredAccept>,
}

impl GateMapping {
    /// Every mapping of a spec.
    pub fn of(spec: &Spec, now: Timestamp) -> Vec<GateMapping> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let asked = |mapping: &Mapping| {
            let expired = mapping.accepts.iter().filter(|rule| rule.until < today);
            let expired = expired.map(|rule| ExpiredAccept {
                reason: rule.reason.clone(),
                until: rule.until.to_string(),
            });
            GateMapping { name: mapping.name.clone(), expired: expired.collect() }
        };
        spec.mappings.iter().map(asked).collect()
    }
}

/// What has changed in a catalog since the runs that are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogChange {
    /// The mapping, where that is known.
    pub mapping: Option<String>,
    /// What has changed: lowercase, without a full stop.
    pub message: String,
}

impl CatalogChange {
    /// What the spec could once be compared with, it cannot any more.
    pub fn unfit(why: &str) -> CatalogChange {
        CatalogChange {
            mapping: None,
            message: format!("the spec no longer fits both catalogs: {why}"),
        }
    }
}

/// What is known when the gate is asked.
#[derive(Clone, Debug)]
pub struct GateInput {
    /// What was agreed.
    pub policy: GateSettings,
    /// What the clocks show now.
    pub now: Clocks,
    /// The spec's mappings.
    pub mappings: Vec<GateMapping>,
    /// Only these groups are judged, if any are named.
    pub groups: Vec<String>,
    /// Runs of the spec as it is now, with the parameters in effect, the newest first; as many as
    /// [`enough`] asks for.
    pub runs: Vec<GateRun>,
    /// The newest comparison of this spec, if it was of another file.
    pub other_spec: Option<String>,
    /// Comparisons of this spec with other parameters.
    pub other_params: usize,
    /// Of each mapping the share of its table that was verified within the window, 0 to 1.
    pub verified: BTreeMap<String, f64>,
    /// The runs that verified it, by id: their tables have to be those of today.
    pub verified_by: BTreeSet<String>,
    /// Mappings of which it is not known what was verified, with the reason as a clause.
    pub unreadable: BTreeMap<String, String>,
    /// How the catalogs differ from what the runs saw.
    pub changes: Vec<CatalogChange>,
    /// The target's sequences.
    pub sequences: Vec<Sequence>,
}

/// Keys that are named where many kept changing.
const NAMED: usize = 10;

/// Whether these runs, the newest first, are all that a judgement looks at; or if no other has ended within
/// the window, all there is to look at.
pub fn enough(spec: &Spec, runs: &[GateRun], now: &Clocks, others_in_window: bool) -> bool {
    let names = || spec.mappings.iter().map(|mapping| mapping.name.as_str());
    let whole = runs.iter().filter(|run| counts(run, names())).count() as u64;
    let all_verified = || names().all(|name| is_verified(runs, name, now, &spec.gate));
    whole >= spec.gate.clean_runs && (!others_in_window || all_verified())
}

/// Returns of each mapping the largest share that one run has verified within the window, and that run.
pub fn verified<'r>(
    spec: &Spec,
    runs: &'r [GateRun],
    now: &Clocks,
) -> BTreeMap<String, (f64, Option<&'r GateRun>)> {
    let share = |mapping: &Mapping| {
        let found = most_verified(runs, &mapping.name, now, &spec.gate);
        (mapping.name.clone(), found.map_or((0.0, None), |(share, run)| (share, Some(run))))
    };
    spec.mappings.iter().map(share).collect()
}

/// Returns the largest share of a mapping that one of these runs has verified within the window, and the
/// newest run that did.
fn most_verified<'r>(
    runs: &'r [GateRun],
    name: &str,
    now: &Clocks,
    policy: &GateSettings,
) -> Option<(f64, &'r GateRun)> {
    let in_time = runs.iter().filter(|run| run.has_verified(now, policy));
    let found = in_time.filter_map(|run| Some((run.mapping(name)?, run)));
    let shares = found.filter(|(record, _)| record.complete);
    let shares = shares.map(|(record, run)| (record.coverage, run));
    // Of equal ones the last is taken: the runs stand with the newest first.
    shares.rev().max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Whether one of these runs has verified all of a mapping within the window.
fn is_verified(runs: &[GateRun], name: &str, now: &Clocks, policy: &GateSettings) -> bool {
    most_verified(runs, name, now, policy).is_some_and(|(share, _)| share >= 1.0)
}

/// Whether it is one of the last runs: it was to look at everything, and it is not under way.
fn counts<'m>(run: &GateRun, mappings: impl Iterator<Item = &'m str>) -> bool {
    !matches!(run.end, RunEnd::UnderWay) && run.is_whole(mappings)
}

impl GateInput {
    fn counts(&self, run: &GateRun) -> bool {
        counts(run, self.mappings.iter().map(|mapping| mapping.name.as_str()))
    }

    /// As many of the last whole runs as must be clean, the newest first.
    pub(super) fn whole_runs(&self) -> impl Iterator<Item = &GateRun> {
        let many = usize::try_from(self.policy.clean_runs).unwrap_or(usize::MAX);
        self.runs.iter().filter(|run| self.counts(run)).take(many)
    }

    /// The newest whole run that came to its end.
    pub fn newest(&self) -> Option<&GateRun> {
        self.runs.iter().find(|run| self.counts(run) && matches!(run.end, RunEnd::Over(_)))
    }

    /// The runs whose tables have to be those of today: the newest, and every one that verified what it
    /// has not.
    pub fn rests_on(&self) -> Vec<&GateRun> {
        let newest = self.newest();
        let is_other = |run: &&GateRun| newest.is_none_or(|newest| newest.run != run.run);
        let others = self.runs.iter().filter(|run| self.verified_by.contains(&run.run));
        newest.into_iter().chain(others.filter(is_other)).collect()
    }

    /// Something is not what a run compared. Of a mapping one such run is enough, and one that did not
    /// compare it says nothing of it.
    pub fn change(&mut self, run: &str, change: CatalogChange) {
        let known = self.changes.iter().any(|known| known.mapping == change.mapping);
        let run = self.runs.iter().find(|known| known.run == run);
        let newest = self.newest().map(|newest| &newest.run) == run.map(|run| &run.run);
        let name = change.mapping.as_deref();
        let compared = name.is_some_and(|name| run.is_some_and(|run| run.mapping(name).is_some()));
        if !known && (newest || compared) {
            self.changes.push(change);
        }
    }

    /// Every reason to keep the gate closed.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let mut reasons = self.changed();
        reasons.extend(self.not_clean());
        reasons.extend(self.unknown_groups());
        reasons.extend(self.unsettled());
        reasons.extend(self.empty());
        reasons.extend(self.not_verified());
        reasons.extend(self.too_old());
        reasons.extend(self.in_the_future());
        reasons.extend(self.expired());
        reasons.extend(self.behind());
        reasons
    }

    /// Whether of each mapping one of these runs has verified all of it within the window.
    fn covers(&self, runs: &[GateRun]) -> bool {
        let mut names = self.mappings.iter().map(|mapping| &mapping.name);
        names.all(|name| is_verified(runs, name, &self.now, &self.policy))
    }

    fn changed(&self) -> Vec<Reason> {
        let spec = self.other_spec.as_ref().map(|run| {
            let message = format!("the spec has changed since the newest run, {run}");
            Reason::new(Condition::SpecChange, message).of_run(run)
        });
        let tables = self.changes.iter().map(|CatalogChange { mapping, message }| Reason {
            mapping: mapping.clone(),
            ..Reason::new(Condition::SchemaChange, message)
        });
        spec.into_iter().chain(tables).collect()
    }

    /// Every run since the first of the last whole ones must be complete and clean, parts and rechecks
    /// too; and where it is slices that cover the tables, every run of the window: a slice says nothing
    /// of what an earlier one has found elsewhere.
    fn not_clean(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let (mut whole, mut parts) = (0, 0);
        for (place, run) in self.runs.iter().enumerate() {
            let (later, rest) = self.runs.split_at(place);
            let in_window = |run: &GateRun| run.ended_within_window(&self.now, &self.policy);
            if whole >= self.policy.clean_runs
                && (self.covers(later) || !rest.iter().any(in_window))
            {
                break;
            }
            reasons.extend(run.doubts(&self.groups));
            match run.end {
                RunEnd::UnderWay => {}
                _ if self.counts(run) => whole += 1,
                _ => parts += 1,
            }
        }
        if whole < self.policy.clean_runs {
            let word = if whole == 1 { "run is" } else { "runs are" };
            let wanted = self.policy.clean_runs;
            let mut message =
                format!("{whole} whole {word} remembered, and the last {wanted} must be clean");
            let others = [
                (parts, "of a part only, or a recheck"),
                (self.other_params, "with other parameters"),
            ];
            for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
                message.push_str(&format!("; not counted: {count} {what}"));
            }
            reasons.push(Reason::new(Condition::CleanRuns, message));
        }
        reasons
    }

    /// The last whole runs, and those that verified what these have not.
    fn judged_runs(&self) -> impl Iterator<Item = &GateRun> {
        let whole: BTreeSet<&str> = self.whole_runs().map(|run| run.run.as_str()).collect();
        let counts = move |run: &&GateRun| {
            whole.contains(run.run.as_str()) || self.verified_by.contains(&run.run)
        };
        self.runs.iter().filter(counts)
    }

    /// A group of which no row was seen was not compared. A slice sees what lies in its stretches.
    fn unknown_groups(&self) -> Vec<Reason> {
        let has = |run: &GateRun, group: &String| {
            let records = run.mappings.iter().filter_map(|mapping| mapping.groups.as_ref());
            records.flatten().any(|record| is(record, group))
        };
        let seen = |group: &String| self.judged_runs().any(|run| has(run, group));
        let mut reasons = Vec::new();
        for run in self.whole_runs().filter(|run| matches!(run.end, RunEnd::Over(_))) {
            let known = |group: &String| if run.slice { seen(group) } else { has(run, group) };
            for group in self.groups.iter().filter(|group| !known(group)) {
                let message = format!("{} has no row of group \"{group}\"", run.named());
                let reason = Reason::new(Condition::Group, message).of_run(&run.run);
                reasons.push(reason.of_group(Some(group)));
            }
        }
        reasons
    }

    /// Rows that kept changing, as far as runs bear with them, and keys that did so twice running.
    fn unsettled(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut before: Option<BTreeSet<&UnsettledRow>> = None;
        for run in self.judged_runs() {
            let concerns = |row: &&UnsettledRow| {
                let asked = |group: &String| row.group == Some(Some(group.clone()));
                self.groups.is_empty() || row.group.is_none() || self.groups.iter().any(asked)
            };
            let rows: BTreeSet<&UnsettledRow> = run.unsettled.iter().filter(concerns).collect();
            let mut by_mapping: BTreeMap<&str, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *by_mapping.entry(&row.mapping).or_default() += 1);
            // A row that is in another group on the other side is told as one of the source's.
            for (mapping, count) in self.unsettled_of_groups(run).filter(|(_, count)| *count > 0) {
                by_mapping.entry(mapping).or_insert(count);
            }
            for (mapping, count) in by_mapping {
                let word = if count == 1 { "row" } else { "rows" };
                let message = format!(
                    "{count} {word} of mapping \"{mapping}\" kept changing in {}",
                    run.named()
                );
                let reason = Reason::new(Condition::UnsettledRow, message).of_mapping(mapping);
                reasons.push(reason.of_run(&run.run));
            }
            let twice = before.iter().flat_map(|before| before.intersection(&rows));
            for row in twice.take(NAMED) {
                let UnsettledRow { mapping, place, .. } = row;
                let message =
                    format!("{place} of mapping \"{mapping}\" kept changing in two runs running");
                reasons.push(Reason::new(Condition::UnsettledRow, message).of_mapping(mapping));
            }
            before = Some(rows);
        }
        reasons
    }

    /// Of each mapping how many rows of these groups, of either side, kept changing.
    fn unsettled_of_groups<'r>(&self, run: &'r GateRun) -> impl Iterator<Item = (&'r str, u64)> {
        let asked = |record: &&GroupRecord| self.groups.iter().any(|group| is(record, group));
        run.mappings.iter().map(move |mapping| {
            let records = mapping.groups.iter().flatten().filter(asked);
            (mapping.mapping.as_str(), records.map(|record| record.unsettled).sum())
        })
    }

    /// Nothing compared with nothing proves nothing.
    fn empty(&self) -> Vec<Reason> {
        let empty = |name: &str| {
            self.whole_runs().find(|run| run.mapping(name).is_some_and(|record| record.empty))
        };
        let reason = |name: &String| {
            let run = empty(name)?;
            let message =
                format!("mapping \"{name}\" had no row on either side in {}", run.named());
            Some(Reason::new(Condition::Empty, message).of_mapping(name).of_run(&run.run))
        };
        self.mappings.iter().filter_map(|mapping| reason(&mapping.name)).collect()
    }

    fn not_verified(&self) -> Vec<Reason> {
        let window = SignedDuration::try_from(self.policy.window).unwrap_or(SignedDuration::MAX);
        let reason = |name: &String| {
            let share = self.verified.get(name).copied().unwrap_or(0.0);
            // Rounded down: only everything is all.
            let percent = (share * 1000.0).floor() / 10.0;
            let message = match self.unreadable.get(name) {
                Some(why) => {
                    format!("which part of mapping \"{name}\" was verified is not known: {why}")
                }
                None => format!(
                    "only {percent}% of mapping \"{name}\" was verified within the last {window:#}"
                ),
            };
            let reason = Reason::new(Condition::Coverage, message).of_mapping(name);
            (share < 1.0).then_some(reason)
        };
        self.mappings.iter().filter_map(|mapping| reason(&mapping.name)).collect()
    }

    /// Of the newest whole run that came to its end; where there is none, that is said already.
    fn too_old(&self) -> Option<Reason> {
        let run = self.newest()?;
        let most = SignedDuration::try_from(self.policy.max_age).unwrap_or(SignedDuration::MAX);
        let age = self.now.since(&run.ended);
        // To the second, as people tell the time, but for what is younger.
        let told = if age.as_secs() > 0 { age.round(Unit::Second).unwrap_or(age) } else { age };
        let message =
            format!("the newest whole {} ended {told:#} ago, max_age is {most:#}", run.named());
        (age > most).then(|| Reason::new(Condition::Age, message).of_run(&run.run))
    }

    /// Of a run that is still to come by one of its clocks nobody can tell how old it is.
    fn in_the_future(&self) -> Vec<Reason> {
        let reason = |run: &GateRun| {
            let of_moment =
                |(what, noted)| self.now.until(noted).map(|(clock, ahead)| (ahead, what, clock));
            let moments = [("ended", &run.ended), ("began", &run.started)];
            let (ahead, what, clock) =
                moments.into_iter().filter_map(of_moment).max_by_key(|(ahead, ..)| *ahead)?;
            let ahead = ahead.round(Unit::Second).unwrap_or(ahead);
            let message = format!(
                "{} {what} {ahead:#} after now by {clock}: that clock was wrong then, or is wrong \
                 now; set it right, and if it was wrong then, compare again until newer runs have taken its place",
                run.named()
            );
            Some(Reason::new(Condition::ClockName, message).of_run(&run.run))
        };
        self.judged_runs().filter_map(reason).collect()
    }

    fn expired(&self) -> Vec<Reason> {
        let reasons = self.mappings.iter().flat_map(|mapping| {
            mapping.expired.iter().map(|rule| {
                let (name, ExpiredAccept { reason, until }) = (&mapping.name, rule);
                let message = format!(
                    "an accept rule of mapping \"{name}\" has expired on {until}: {reason}"
                );
                Reason::new(Condition::ExpiredAccept, message).of_mapping(name)
            })
        });
        reasons.collect()
    }

    fn behind(&self) -> Vec<Reason> {
        let behind = self.sequences.iter().filter(|sequence| !sequence.is_ahead());
        let reason = |sequence: &Sequence| {
            let Sequence { mapping, name, table, column, last_key, unknown, .. } = sequence;
            let column = format!("column \"{}\" of {table}", column.0);
            let message = match unknown {
                Some(why) => format!(
                    "sequence {name} of the target cannot be judged: the last number in {column} \
                     is not known: {why}"
                ),
                None if sequence.is_at_its_end() => {
                    let last = sequence.last_value;
                    format!("sequence {name} of the target has given its last number, {last}")
                }
                None if !sequence.fits() => {
                    let next = sequence.next_shown();
                    format!(
                        "sequence {name} of the target gives {next} next, which {column} cannot \
                         hold"
                    )
                }
                None => {
                    let next = sequence.next();
                    let key = match last_key {
                        Some(key) if !sequence.redacted => format!("{column} has come to {key}"),
                        _ => format!(
                            "{column}, whose values are redacted, has come as far or further"
                        ),
                    };
                    format!(
                        "sequence {name} of the target is behind: it gives {next} next, and {key}"
                    )
                }
            };
            Reason::new(Condition::Sequence, message).of_mapping(mapping)
        };
        behind.map(reason).collect()
    }
}
