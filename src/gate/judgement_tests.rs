//! The gate's judgement: open if every condition holds, closed by each one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::finding::{ExpiredAccept, MappingRecord, PastRun, SummaryRecord, Verdict};
use crate::schema::{BySide, ColumnName, SchemaName, TableName};
use crate::spec::{GateSettings, Spec, SpecText, read};

pub(super) fn spec() -> Spec {
    let text = "version = 1\nname = \"x\"\nsource.url = \"host=a\"\ntarget.url = \"host=b\"\n\
                gate.clean_runs = 2\n\
                [[mapping]]\nsource.table = \"a.t\"\ntarget.table = \"a.t\"\n\
                [[mapping]]\nsource.table = \"a.u\"\ntarget.table = \"a.u\"\n";
    let text = SpecText { path: "x.toml".into(), text: text.into() };
    read(text, &BTreeMap::new(), &|_| None).unwrap()
}

pub(super) fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Returns a time without the servers' clocks.
pub(super) fn by_machine(machine: Timestamp) -> Clocks {
    Clocks { machine, servers: BySide::default() }
}

fn record(name: &str) -> MappingRecord {
    let mut record = MappingRecord::new(name, "digest");
    record.rows = BySide { source: 10, target: 10 };
    (record.coverage, record.complete) = (1.0, true);
    record
}

/// Returns a run that started so many hours ago and took a minute.
pub(super) fn run(id: &str, hours: i64) -> GateRun {
    GateRun {
        run: id.into(),
        recheck: false,
        number: 100 - hours,
        started: by_machine(now() - SignedDuration::from_hours(hours)),
        ended: by_machine(now() - SignedDuration::from_hours(hours) + SignedDuration::from_mins(1)),
        differs_in: [].into(),
        part: None,
        slice: false,
        end: RunEnd::Over(SummaryRecord::new(Verdict::Clean, 60_000)),
        found: 0,
        mappings: vec![record("t"), record("u")],
        unsettled: [].into(),
    }
}

/// Returns two clean runs for which every condition holds.
pub(super) fn case() -> GateInput {
    let requested = |name: &str| GateMapping { name: name.into(), expired: Vec::new() };
    GateInput {
        policy: spec().gate,
        now: by_machine(now()),
        mappings: vec![requested("t"), requested("u")],
        groups: Vec::new(),
        runs: vec![run("C", 1), run("B", 7)],
        other_spec: None,
        other_params: 0,
        verified: [("t".into(), 1.0), ("u".into(), 1.0)].into(),
        verified_by: BTreeSet::new(),
        unreadable: BTreeMap::new(),
        changes: Vec::new(),
        sequences: Vec::new(),
    }
}

pub(super) fn reasons(case: &GateInput) -> Vec<String> {
    let gate = judge(case);
    assert_eq!(gate.verdict() == GateVerdict::Open, gate.reasons.is_empty());
    gate.reasons.into_iter().map(|reason| reason.message).collect()
}

pub(super) fn over(verdict: Verdict) -> RunEnd {
    RunEnd::Over(SummaryRecord::new(verdict, 60_000))
}

/// Asserts that only this condition closes the gate; returns its message.
#[track_caller]
pub(super) fn closed_by(condition: Condition, case: &GateInput) -> String {
    let gate = judge(case);
    let [reason] = gate.reasons.as_slice() else { panic!("{:#?}", gate.reasons) };
    assert_eq!((reason.condition, gate.verdict()), (condition, GateVerdict::Closed));
    reason.message.clone()
}

#[test]
fn the_gate_is_open_when_every_condition_holds() {
    let gate = judge(&case());
    assert_eq!(
        (gate.verdict(), gate.runs),
        (GateVerdict::Open, vec!["C".to_owned(), "B".to_owned()])
    );
    // Runs before the last ones do not matter.
    let mut older = case();
    older.runs.push(GateRun { end: over(Verdict::Diverged), ..run("A", 13) });
    assert!(reasons(&older).is_empty());
}

#[test]
fn a_run_that_is_not_clean_closes_until_enough_follow() {
    let diverged = || {
        let mut diverged = GateRun { end: over(Verdict::Diverged), ..run("C", 1) };
        diverged.mappings[1].mismatch = 2;
        diverged.mappings[1].books.source.null_key = 1;
        diverged
    };
    let case_of = |last: GateRun| GateInput { runs: vec![last, run("B", 7)], ..case() };
    assert_eq!(
        closed_by(Condition::CleanRuns, &case_of(diverged())),
        "run C of 2026-11-24T11:00:00Z differs in 3 rows of mapping \"u\""
    );
    let mut incomplete = GateRun { end: over(Verdict::Incomplete), ..run("C", 1) };
    let cut = &mut incomplete.mappings[0];
    (cut.complete, cut.coverage) = (false, 0.2);
    cut.reason = Some("the deadline was reached".into());
    assert_eq!(
        closed_by(Condition::CleanRuns, &case_of(incomplete)),
        "run C of 2026-11-24T11:00:00Z is incomplete: mapping \"t\": the deadline was reached"
    );
    let lost = GateRun { end: RunEnd::Lost, mappings: Vec::new(), ..run("C", 1) };
    let said = reasons(&case_of(lost));
    assert_eq!(
        said,
        [
            "run C of 2026-11-24T11:00:00Z has no end: it was killed, or left before its end was written down"
        ]
    );
    // Nothing is known of a damaged run.
    let damaged = GateRun { end: RunEnd::Damaged, mappings: Vec::new(), ..run("C", 1) };
    assert_eq!(
        closed_by(Condition::CleanRuns, &case_of(damaged.clone())),
        "run C of 2026-11-24T11:00:00Z is damaged in the ledger: stored values do not match their \
         checksums"
    );
    let followed = GateInput { runs: vec![run("E", 0), run("D", 0), damaged], ..case() };
    assert!(reasons(&followed).is_empty());
    // A verdict that no mapping explains counts too.
    let odd = GateRun { end: over(Verdict::Incomplete), ..run("C", 1) };
    assert_eq!(reasons(&case_of(odd)), ["run C of 2026-11-24T11:00:00Z is incomplete"]);
    // One more clean run is not enough, two are.
    let mut runs = vec![run("D", 0), diverged(), run("B", 7)];
    assert_eq!(reasons(&GateInput { runs: runs.clone(), ..case() }).len(), 1);
    runs.insert(0, run("E", 0));
    assert!(reasons(&GateInput { runs, ..case() }).is_empty());
}

#[test]
fn a_running_run_only_closes_if_it_differs_already() {
    let under_way = GateRun { end: RunEnd::UnderWay, mappings: Vec::new(), ..run("D", 0) };
    let with = |run: GateRun| {
        let mut case = case();
        case.runs.insert(0, run);
        case
    };
    assert!(reasons(&with(under_way.clone())).is_empty());
    let said = closed_by(Condition::CleanRuns, &with(GateRun { found: 1, ..under_way.clone() }));
    assert_eq!(said, "run D of 2026-11-24T12:00:00Z is under way and differs already");
    // It does not count as one of the two.
    let case = GateInput { runs: vec![under_way, run("C", 1)], ..case() };
    assert!(closed_by(Condition::CleanRuns, &case).starts_with("1 whole run is in the ledger"));
}

/// Each slice reads another part, so clean slices do not outweigh an earlier one that differs.
#[test]
fn all_slices_of_the_window_must_be_clean() {
    let slice = |id: &str, hours: i64| {
        let mut slice = GateRun { slice: true, ..run(id, hours) };
        slice.mappings.iter_mut().for_each(|mapping| mapping.coverage = 0.5);
        slice
    };
    let mut found = GateRun { end: over(Verdict::Diverged), ..slice("A", 13) };
    found.mappings[0].mismatch = 1;
    let runs = |first: GateRun| vec![slice("C", 1), slice("B", 7), first];
    assert!(reasons(&GateInput { runs: runs(slice("A", 13)), ..case() }).is_empty());
    let said = closed_by(Condition::CleanRuns, &GateInput { runs: runs(found.clone()), ..case() });
    assert!(said.contains("run A of ") && said.contains("differs in 1 row"), "{said}");
    // It does not matter before the window, nor before later runs that compared everything.
    let old = |ended| GateRun { started: run("A", 25).started, ended, ..found.clone() };
    let runs_of = |ended| GateInput { runs: runs(old(ended)), ..case() };
    assert!(reasons(&runs_of(run("A", 25).ended)).is_empty());
    // It counts if it ended within the window, or if one before it did.
    assert_eq!(reasons(&runs_of(run("A", 23).ended)).len(), 1);
    let mut behind = runs_of(run("A", 25).ended);
    behind.runs.push(GateRun { run: "Z".into(), ..found.clone() });
    assert_eq!(reasons(&behind).len(), 2);
    let runs = vec![slice("C", 1), run("B", 7), found];
    assert!(reasons(&GateInput { runs, ..case() }).is_empty());
}

#[test]
fn runs_of_a_part_never_count_as_whole() {
    let sampled = GateRun { part: Some("50%".into()), ..run("D", 0) };
    let recheck = GateRun { recheck: true, ..run("D", 0) };
    let mut one_mapping = run("D", 0);
    one_mapping.mappings.pop();
    let mut sliced = run("D", 0);
    sliced.mappings[0].coverage = 0.5;
    for part in [sampled, recheck, one_mapping, sliced] {
        let runs = vec![part.clone(), run("C", 1)];
        let said = closed_by(Condition::CleanRuns, &GateInput { runs, ..case() });
        assert_eq!(
            said,
            "1 whole run is in the ledger, and the last 2 must be clean; not counted: 1 of a part only, \
             or a recheck"
        );
        // If enough whole runs exist, it only matters if it differs.
        let runs = vec![part.clone(), run("C", 1), run("B", 7)];
        assert!(reasons(&GateInput { runs, ..case() }).is_empty());
        let mut found = GateRun { end: over(Verdict::Diverged), ..part };
        found.mappings[0].only_in_target = 1;
        let runs = vec![found, run("C", 1), run("B", 7)];
        let said = closed_by(Condition::CleanRuns, &GateInput { runs, ..case() });
        assert!(
            said.ends_with(" D of 2026-11-24T12:00:00Z differs in 1 row of mapping \"t\""),
            "{said}"
        );
    }
}

#[test]
fn runs_of_another_spec_or_other_parameters_are_named() {
    let changed = GateInput { other_spec: Some("D".into()), ..case() };
    assert_eq!(
        closed_by(Condition::SpecChange, &changed),
        "the spec has changed since the newest run, D"
    );
    let others = GateInput { runs: Vec::new(), other_params: 3, ..case() };
    assert_eq!(
        closed_by(Condition::CleanRuns, &others),
        "0 whole runs are in the ledger, and the last 2 must be clean; not counted: 3 with other \
         parameters"
    );
    let change =
        CatalogChange { mapping: Some("t".into()), message: "column \"a\" is gone".into() };
    let gate = judge(&GateInput { changes: vec![change], ..case() });
    assert_eq!(gate.reasons[0].condition, Condition::SchemaChange);
    assert_eq!(gate.reasons[0].mapping.as_deref(), Some("t"));
}

#[test]
fn unsettled_rows_close_it_and_are_named_the_second_time() {
    let row = |key: &str| UnsettledRow {
        mapping: "t".into(),
        place: format!("{{\"id\":\"{key}\"}}"),
        group: None,
    };
    let mut case = case();
    case.runs[1].unsettled = [row("1"), row("2")].into();
    assert_eq!(
        closed_by(Condition::Unsettled, &case),
        "2 rows of mapping \"t\" kept changing in run B of 2026-11-24T05:00:00Z"
    );
    case.runs[0].unsettled = [row("2"), row("3")].into();
    let said = reasons(&case);
    assert_eq!(said.len(), 3);
    assert!(
        said.contains(
            &"{\"id\":\"2\"} of mapping \"t\" kept changing in two consecutive runs".into()
        )
    );
}

#[test]
fn an_empty_mapping_never_opens_it() {
    let mut case = case();
    case.runs[0].mappings[1].empty = true;
    assert_eq!(
        closed_by(Condition::Empty, &case),
        "mapping \"u\" had no row on either side in run C of 2026-11-24T11:00:00Z"
    );
}

#[test]
fn everything_must_be_verified_within_the_window() {
    let mut partly = case();
    partly.verified.insert("u".into(), 0.99999);
    assert_eq!(
        closed_by(Condition::Coverage, &partly),
        "only 99.9% of mapping \"u\" was verified within the last 24h"
    );
    partly.verified.remove("u");
    let said = closed_by(Condition::Coverage, &partly);
    assert!(said.starts_with("only 0% of mapping \"u\""), "{said}");
    // If that is not known, the reason says why.
    partly.verified.insert("u".into(), 0.0);
    partly.unreadable.insert("u".into(), "it is encrypted".into());
    assert_eq!(
        closed_by(Condition::Coverage, &partly),
        "which part of mapping \"u\" was verified is not known: it is encrypted"
    );
    // Without the ledger's record of what was verified when, one run must have verified everything.
    let now = by_machine(now());
    let share = |runs: &[GateRun]| verified_shares(&spec(), runs, &now)["t"].0;
    let by =
        |runs: &[GateRun]| verified_shares(&spec(), runs, &now)["t"].1.map(|run| run.run.clone());
    assert_eq!(by(&[run("C", 1), run("B", 7)]).as_deref(), Some("C"));
    assert_eq!(by(&[run("C", 25)]), None);
    assert_eq!(share(&[run("C", 24)]), 1.0);
    assert_eq!(share(&[run("C", 25)]), 0.0);
    let mut part = run("C", 1);
    part.mappings[0].coverage = 0.5;
    assert_eq!(share(&[part.clone(), run("B", 25)]), 0.5);
    part.mappings[0].complete = false;
    assert_eq!(share(&[part]), 0.0);
    assert_eq!(share(&[GateRun { recheck: true, ..run("C", 1) }]), 0.0);
}

#[test]
fn the_newest_run_must_be_recent() {
    let mut old = case();
    old.policy.max_age = Duration::from_secs(3_540);
    assert!(reasons(&old).is_empty());
    old.policy.max_age = Duration::from_secs(3_539);
    assert_eq!(
        closed_by(Condition::Age, &old),
        "the newest whole run C of 2026-11-24T11:00:00Z ended 59m ago, max_age is 58m 59s"
    );
    // A run that was resumed ended later.
    let ended = std::mem::replace(&mut old.runs[0].ended, by_machine(now()));
    assert!(reasons(&old).is_empty());
    old.runs[0].ended = ended;
    // A younger partial run does not help.
    old.runs.insert(0, GateRun { part: Some("1%".into()), ..run("D", 0) });
    assert!(closed_by(Condition::Age, &old).contains("run C"));
}

#[test]
fn an_expired_accept_rule_closes_it() {
    let mut case = case();
    let rule = ExpiredAccept { reason: "OPS-1".into(), until: "2026-11-23".into() };
    case.mappings[0].expired.push(rule);
    assert_eq!(
        closed_by(Condition::ExpiredAccept, &case),
        "an accept rule of mapping \"t\" has expired on 2026-11-23: OPS-1"
    );
}

#[test]
fn the_targets_sequences_must_be_ahead() {
    let name = |name: &str| TableName { schema: SchemaName("a".into()), name: name.into() };
    let behind = Sequence {
        mapping: "t".into(),
        name: name("t_id_seq"),
        table: name("t"),
        column: ColumnName("id".into()),
        last_value: 9,
        is_called: true,
        increment: 1,
        end: 100,
        holds: i64::MIN..=50,
        last_key: Some(10),
        redacted: false,
        unknown: None,
        standby: false,
    };
    let case_of = |sequence: &Sequence| GateInput { sequences: vec![sequence.clone()], ..case() };
    assert_eq!(
        closed_by(Condition::Sequence, &case_of(&behind)),
        "sequence a.t_id_seq of the target is behind: it gives 10 next, and column \"id\" of a.t \
         has come to 10"
    );
    let redacted = Sequence { redacted: true, ..behind.clone() };
    assert_eq!(
        closed_by(Condition::Sequence, &case_of(&redacted)),
        "sequence a.t_id_seq of the target is behind: it gives 10 next, and column \"id\" of a.t, \
         whose values are redacted, has come as far or further"
    );
    assert_eq!((redacted.shown().last_key, behind.shown().last_key), (None, Some(10)));
    let unknown = Sequence { unknown: Some("too slow".into()), last_key: None, ..behind.clone() };
    let said = closed_by(Condition::Sequence, &case_of(&unknown));
    assert!(said.ends_with("is not known: too slow"), "{said}");
    let spent = Sequence { last_value: 100, ..behind.clone() };
    assert_eq!(
        closed_by(Condition::Sequence, &case_of(&spent)),
        "sequence a.t_id_seq of the target has given its last number, 100"
    );
    let too_far = Sequence { last_value: 50, ..behind.clone() };
    assert_eq!(
        closed_by(Condition::Sequence, &case_of(&too_far)),
        "sequence a.t_id_seq of the target gives 51 next, which column \"id\" of a.t cannot hold"
    );
    let ahead = Sequence { last_value: 10, ..behind };
    assert!(reasons(&case_of(&ahead)).is_empty());
}

#[test]
fn enough_runs_are_read_for_a_judgement() {
    let is_enough =
        |runs: &[GateRun], others| super::is_enough(&spec(), runs, &by_machine(now()), others);
    assert!(!is_enough(&[], true));
    assert!(!is_enough(&[run("C", 1)], false));
    assert!(is_enough(&[run("C", 1), run("B", 7)], true));
    let sampled = GateRun { part: Some("1%".into()), ..run("D", 0) };
    assert!(!is_enough(&[sampled, run("C", 1)], false));
    // What the last runs did not verify may have been by an earlier one within the window.
    let mut cut = run("C", 1);
    cut.mappings[0].complete = false;
    let runs = [cut.clone(), cut];
    assert!(!is_enough(&runs, true));
    assert!(is_enough(&runs, false));
}

#[test]
fn a_past_run_has_its_end_and_its_unaccepted_findings() {
    let past = PastRun {
        number: 1,
        run: "A".into(),
        verb: "recheck".into(),
        spec_hash: "h".into(),
        scope: "s".into(),
        started_at: "2026-11-22T06:00:03.123Z".into(),
        clocks: BySide::default(),
        resumed_at: Vec::new(),
        sample: Some("1%".into()),
        slice: false,
        since: None,
        summary: None,
        rows: BySide::default(),
        coverage: None,
        findings: [("mismatch".to_owned(), 3), ("accepted".to_owned(), 2)].into(),
        found_rows: [].into(),
        damaged: false,
        trend: None,
    };
    let run = GateRun::new(&past, true).unwrap();
    assert!(run.recheck && matches!(run.end, RunEnd::UnderWay));
    assert_eq!((run.found, run.part.as_deref()), (3, Some("1%")));
    assert!(matches!(GateRun::new(&past, false).unwrap().end, RunEnd::Lost));
    let damaged =
        PastRun { damaged: true, ..PastRun::new("A", "compare", "s", "2026-11-22T06:00:03Z") };
    assert!(matches!(GateRun::new(&damaged, true).unwrap().end, RunEnd::Damaged));
    let moment = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!((run.number, &run.ended), (1, &run.started));
    let resumed_at = vec!["2026-11-22T09:00:00Z".into()];
    let mut past = PastRun { resumed_at, ..past };
    let ended = |past: &PastRun| GateRun::new(past, false).unwrap().ended;
    assert_eq!(ended(&past), by_machine(moment("2026-11-22T09:00:00Z")));
    // A run of an older version has no recorded end.
    past.summary = Some(SummaryRecord::new(Verdict::Clean, 60_000));
    assert_eq!(ended(&past), by_machine(moment("2026-11-22T09:01:00Z")));
    // If neither server's clock was read at the end, those of the start count.
    let noted = |text: &str| BySide { source: Some(text.to_owned()), target: None };
    past.clocks = noted("2026-11-22T06:00:00Z");
    let machine = moment("2026-11-22T09:01:00Z");
    let source =
        |text: &str| Clocks { machine, servers: noted(text).map(|at| at.map(|at| moment(&at))) };
    assert_eq!(ended(&past), source("2026-11-22T06:00:00Z"));
    let summary = past.summary.as_mut().unwrap();
    summary.clocks = noted("2026-11-22T09:00:40Z");
    assert_eq!(ended(&past), source("2026-11-22T09:00:40Z"));
    past.summary.as_mut().unwrap().ended_at = Some("2026-12-22T09:00:00Z".into());
    assert_eq!(ended(&past).machine, moment("2026-12-22T09:00:00Z"));
    assert!(GateRun::new(&PastRun { started_at: "soon".into(), ..past }, true).is_err());
}

#[test]
fn the_policy_is_the_specs() {
    let GateSettings { clean_runs, .. } = spec().gate;
    assert_eq!(clean_runs, 2);
}
