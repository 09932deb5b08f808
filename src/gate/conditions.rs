//! Everything that a judgement is based on, and each condition.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};

use super::clocks::Clocks;
use super::reason::{Condition, Reason};
use super::run::{GateRun, RunEnd, UnsettledRow, is_group};
use super::sequence::Sequence;
use crate::finding::{ExpiredAccept, GroupRecord};
use crate::spec::{GateSettings, Mapping, Spec};

/// A mapping of the spec, as the gate needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateMapping {
    /// Its name.
    pub name: String,
    /// Its accept rules that have expired.
    pub expired: Vec<ExpiredAccept>,
}

impl GateMapping {
    /// Returns every mapping of a spec.
    pub fn of_spec(spec: &Spec, now: Timestamp) -> Vec<GateMapping> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let is_requested = |mapping: &Mapping| {
            let expired = mapping.accepts.iter().filter(|rule| rule.until < today);
            let expired = expired.map(|rule| ExpiredAccept {
                reason: rule.reason.clone(),
                until: rule.until.to_string(),
            });
            GateMapping { name: mapping.name.clone(), expired: expired.collect() }
        };
        spec.mappings.iter().map(is_requested).collect()
    }
}

/// What has changed in a catalog since the runs that are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogChange {
    /// The mapping, if that is known.
    pub mapping: Option<String>,
    /// What has changed: lowercase, without a full stop.
    pub message: String,
}

impl CatalogChange {
    /// Makes the change of tables that the spec no longer fits.
    pub fn of_misfit(why: &str) -> CatalogChange {
        CatalogChange {
            mapping: None,
            message: format!("the spec no longer fits both catalogs: {why}"),
        }
    }
}

/// What is known when the gate is judged.
#[derive(Clone, Debug)]
pub struct GateInput {
    /// The `[gate]` settings.
    pub policy: GateSettings,
    /// The clocks now.
    pub now: Clocks,
    /// The spec's mappings.
    pub mappings: Vec<GateMapping>,
    /// Only these groups are judged, if any are named.
    pub groups: Vec<String>,
    /// Runs of the spec's scope, the newest first; as many as [`is_enough`] requires.
    pub runs: Vec<GateRun>,
    /// The newest comparison of this spec, if its file was different.
    pub other_spec: Option<String>,
    /// Comparisons of this spec with other parameters.
    pub other_params: usize,
    /// The share of each mapping's table that was verified within the window, 0 to 1.
    pub verified: BTreeMap<String, f64>,
    /// The ids of the runs that verified it: their tables must be those of today.
    pub verified_by: BTreeSet<String>,
    /// Mappings whose verified part is not known, with the reason as a clause.
    pub unreadable: BTreeMap<String, String>,
    /// What has changed in the catalogs since the runs.
    pub changes: Vec<CatalogChange>,
    /// The target's sequences.
    pub sequences: Vec<Sequence>,
}

/// The most unsettled keys that are named.
const MAX_NAMED: usize = 10;

/// Returns whether these runs, the newest first, are all that a judgement needs, or if no other has
/// ended within the window, all that exist.
pub fn is_enough(spec: &Spec, runs: &[GateRun], now: &Clocks, others_in_window: bool) -> bool {
    let names = || spec.mappings.iter().map(|mapping| mapping.name.as_str());
    let whole = runs.iter().filter(|run| is_counted(run, names())).count() as u64;
    let all_verified = || names().all(|name| is_verified(runs, name, now, &spec.gate));
    whole >= spec.gate.clean_runs && (!others_in_window || all_verified())
}

/// Returns the largest share of each mapping that one run has verified within the window, and that
/// run.
pub fn verified_shares<'r>(
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

/// Returns the largest share of a mapping that one of these runs has verified within the window,
/// and the newest run that did.
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
    // `max_by` returns the last of equal ones, so the order is reversed to get the newest.
    shares.rev().max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Returns whether one of these runs has verified all of a mapping within the window.
fn is_verified(runs: &[GateRun], name: &str, now: &Clocks, policy: &GateSettings) -> bool {
    most_verified(runs, name, now, policy).is_some_and(|(share, _)| share >= 1.0)
}

/// Returns whether a run counts: it was to compare everything, and it is not running.
fn is_counted<'m>(run: &GateRun, mappings: impl Iterator<Item = &'m str>) -> bool {
    !matches!(run.end, RunEnd::UnderWay) && run.is_whole(mappings)
}

impl GateInput {
    fn is_counted(&self, run: &GateRun) -> bool {
        is_counted(run, self.mappings.iter().map(|mapping| mapping.name.as_str()))
    }

    /// Returns as many of the last runs that count as must be clean, the newest first.
    pub(super) fn counted_runs(&self) -> impl Iterator<Item = &GateRun> {
        let many = usize::try_from(self.policy.clean_runs).unwrap_or(usize::MAX);
        self.runs.iter().filter(|run| self.is_counted(run)).take(many)
    }

    /// Returns the newest run that counts and came to its end.
    pub fn newest(&self) -> Option<&GateRun> {
        self.runs.iter().find(|run| self.is_counted(run) && matches!(run.end, RunEnd::Over(_)))
    }

    /// Returns the runs whose tables must be those of today: the newest, and every one that
    /// verified something else.
    pub fn basis(&self) -> Vec<&GateRun> {
        let newest = self.newest();
        let is_other = |run: &&GateRun| newest.is_none_or(|newest| newest.run != run.run);
        let others = self.runs.iter().filter(|run| self.verified_by.contains(&run.run));
        newest.into_iter().chain(others.filter(is_other)).collect()
    }

    /// Adds what has changed since a run. One change of a mapping is enough, and a run that did not
    /// compare the mapping does not matter.
    pub fn add_change(&mut self, run: &str, change: CatalogChange) {
        let known = self.changes.iter().any(|known| known.mapping == change.mapping);
        let run = self.runs.iter().find(|known| known.run == run);
        let newest = self.newest().map(|newest| &newest.run) == run.map(|run| &run.run);
        let name = change.mapping.as_deref();
        let compared = name.is_some_and(|name| run.is_some_and(|run| run.mapping(name).is_some()));
        if !known && (newest || compared) {
            self.changes.push(change);
        }
    }

    /// Returns every reason to keep the gate closed.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let mut reasons = self.check_changes();
        reasons.extend(self.check_runs());
        reasons.extend(self.check_groups());
        reasons.extend(self.check_unsettled());
        reasons.extend(self.check_rows());
        reasons.extend(self.check_coverage());
        reasons.extend(self.check_age());
        reasons.extend(self.check_clock());
        reasons.extend(self.check_accept_rules());
        reasons.extend(self.check_sequences());
        reasons
    }

    /// Returns whether these runs have verified all of every mapping within the window.
    fn covers(&self, runs: &[GateRun]) -> bool {
        let mut names = self.mappings.iter().map(|mapping| &mapping.name);
        names.all(|name| is_verified(runs, name, &self.now, &self.policy))
    }

    /// Returns the reasons of a changed spec and of changed tables.
    fn check_changes(&self) -> Vec<Reason> {
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

    /// Returns the reasons of runs that are not complete and clean. Every run since the first of
    /// the last ones that count must be, partial runs and rechecks too. If only slices cover the
    /// tables, so must every run within the window, since a slice does not check what an earlier
    /// one found elsewhere.
    fn check_runs(&self) -> Vec<Reason> {
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
            reasons.extend(run.reasons(&self.groups));
            match run.end {
                RunEnd::UnderWay => {}
                _ if self.is_counted(run) => whole += 1,
                _ => parts += 1,
            }
        }
        if whole < self.policy.clean_runs {
            let word = if whole == 1 { "run is" } else { "runs are" };
            let wanted = self.policy.clean_runs;
            let mut message =
                format!("{whole} whole {word} in the ledger, and the last {wanted} must be clean");
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

    /// Returns the last runs that count, and those that verified something else.
    fn judged_runs(&self) -> impl Iterator<Item = &GateRun> {
        let whole: BTreeSet<&str> = self.counted_runs().map(|run| run.run.as_str()).collect();
        let counts = move |run: &&GateRun| {
            whole.contains(run.run.as_str()) || self.verified_by.contains(&run.run)
        };
        self.runs.iter().filter(counts)
    }

    /// Returns the reasons of groups without a row: they were not compared. A slice only sees its
    /// ranges.
    fn check_groups(&self) -> Vec<Reason> {
        let has = |run: &GateRun, group: &String| {
            let records = run.mappings.iter().filter_map(|mapping| mapping.groups.as_ref());
            records.flatten().any(|record| is_group(record, group))
        };
        let seen = |group: &String| self.judged_runs().any(|run| has(run, group));
        let mut reasons = Vec::new();
        for run in self.counted_runs().filter(|run| matches!(run.end, RunEnd::Over(_))) {
            let known = |group: &String| if run.slice { seen(group) } else { has(run, group) };
            for group in self.groups.iter().filter(|group| !known(group)) {
                let message = format!("{} has no row of group \"{group}\"", run.describe());
                let reason = Reason::new(Condition::Group, message).of_run(&run.run);
                reasons.push(reason.of_group(Some(group)));
            }
        }
        reasons
    }

    /// Returns the reasons of unsettled rows, and of those that were unsettled in two runs in a
    /// row.
    fn check_unsettled(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut before: Option<BTreeSet<&UnsettledRow>> = None;
        for run in self.judged_runs() {
            let concerns = |row: &&UnsettledRow| {
                let is_requested = |group: &String| row.group == Some(Some(group.clone()));
                self.groups.is_empty()
                    || row.group.is_none()
                    || self.groups.iter().any(is_requested)
            };
            let rows: BTreeSet<&UnsettledRow> = run.unsettled.iter().filter(concerns).collect();
            let mut by_mapping: BTreeMap<&str, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *by_mapping.entry(&row.mapping).or_default() += 1);
            // A row whose group differs between the sides is reported in the source's group only.
            for (mapping, count) in self.unsettled_of_groups(run).filter(|(_, count)| *count > 0) {
                by_mapping.entry(mapping).or_insert(count);
            }
            for (mapping, count) in by_mapping {
                let word = if count == 1 { "row" } else { "rows" };
                let message = format!(
                    "{count} {word} of mapping \"{mapping}\" kept changing in {}",
                    run.describe()
                );
                let reason = Reason::new(Condition::Unsettled, message).of_mapping(mapping);
                reasons.push(reason.of_run(&run.run));
            }
            let twice = before.iter().flat_map(|before| before.intersection(&rows));
            for row in twice.take(MAX_NAMED) {
                let UnsettledRow { mapping, place, .. } = row;
                let message = format!(
                    "{place} of mapping \"{mapping}\" kept changing in two consecutive runs"
                );
                reasons.push(Reason::new(Condition::Unsettled, message).of_mapping(mapping));
            }
            before = Some(rows);
        }
        reasons
    }

    /// Returns how many rows of these groups were unsettled in each mapping.
    fn unsettled_of_groups<'r>(&self, run: &'r GateRun) -> impl Iterator<Item = (&'r str, u64)> {
        let is_requested =
            |record: &&GroupRecord| self.groups.iter().any(|group| is_group(record, group));
        run.mappings.iter().map(move |mapping| {
            let records = mapping.groups.iter().flatten().filter(is_requested);
            (mapping.mapping.as_str(), records.map(|record| record.unsettled).sum())
        })
    }

    /// Returns the reasons of mappings without rows: an empty comparison proves nothing.
    fn check_rows(&self) -> Vec<Reason> {
        let empty = |name: &str| {
            self.counted_runs().find(|run| run.mapping(name).is_some_and(|record| record.empty))
        };
        let reason = |name: &String| {
            let run = empty(name)?;
            let message =
                format!("mapping \"{name}\" had no row on either side in {}", run.describe());
            Some(Reason::new(Condition::Empty, message).of_mapping(name).of_run(&run.run))
        };
        self.mappings.iter().filter_map(|mapping| reason(&mapping.name)).collect()
    }

    /// Returns the reasons of mappings that were not verified as a whole.
    fn check_coverage(&self) -> Vec<Reason> {
        let window = SignedDuration::try_from(self.policy.window).unwrap_or(SignedDuration::MAX);
        let reason = |name: &String| {
            let share = self.verified.get(name).copied().unwrap_or(0.0);
            // Rounded down, so that 100% means all.
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

    /// Returns the reason that the newest run is too old. If there is none, `not_clean` says so.
    fn check_age(&self) -> Option<Reason> {
        let run = self.newest()?;
        let most = SignedDuration::try_from(self.policy.max_age).unwrap_or(SignedDuration::MAX);
        let age = self.now.since(&run.ended);
        // Rounded to seconds, unless it is less than one.
        let shown_age =
            if age.as_secs() > 0 { age.round(Unit::Second).unwrap_or(age) } else { age };
        let message = format!(
            "the newest whole {} ended {shown_age:#} ago, max_age is {most:#}",
            run.describe()
        );
        (age > most).then(|| Reason::new(Condition::Age, message).of_run(&run.run))
    }

    /// Returns the reasons of runs that lie in the future by one of the clocks: their age is not
    /// known.
    fn check_clock(&self) -> Vec<Reason> {
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
                run.describe()
            );
            Some(Reason::new(Condition::Clock, message).of_run(&run.run))
        };
        self.judged_runs().filter_map(reason).collect()
    }

    /// Returns the reasons of expired accept rules.
    fn check_accept_rules(&self) -> Vec<Reason> {
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

    /// Returns the reasons of sequences that are behind the keys.
    fn check_sequences(&self) -> Vec<Reason> {
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
                    let next = sequence.next_read();
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
