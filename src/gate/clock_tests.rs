//! The gate's verdict on runs whose clocks were wrong, on the machine or on a server.

use jiff::{SignedDuration, Timestamp};

use super::clocks::Clocks;
use super::judgement_tests::{by_machine, case, closed_by, now, run};
use super::*;
use crate::schema::{BySide, Side};

const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Returns clocks that are ahead of the right time: of the machine, the source and the target.
fn ahead(at: Timestamp, [machine, source, target]: [SignedDuration; 3]) -> Clocks {
    let servers = BySide { source: Some(at + source), target: Some(at + target) };
    Clocks { machine: at + machine, servers }
}

const RIGHT: [SignedDuration; 3] = [SignedDuration::ZERO; 3];

/// Returns two clean runs that started 1 and 7 hours ago and took a minute, with clocks that were
/// ahead by `by`. The gate is judged `later`, with right clocks.
fn noted(by: [SignedDuration; 3], later: SignedDuration) -> GateInput {
    let mut case = case();
    for run in &mut case.runs {
        run.started = ahead(run.started.machine, by);
        run.ended = ahead(run.ended.machine, by);
    }
    GateInput { now: ahead(now() + later, RIGHT), ..case }
}

fn conditions(case: &GateInput) -> Vec<Condition> {
    let mut conditions: Vec<_> =
        judge(case).reasons.iter().map(|reason| reason.condition).collect();
    conditions.dedup();
    conditions
}

#[test]
fn clean_runs_of_a_clock_far_ahead_open_nothing() {
    let month = hours(30 * 24);
    let gate = judge(&noted([month, SignedDuration::ZERO, SignedDuration::ZERO], hours(0)));
    assert_eq!(gate.verdict(), GateVerdict::Closed);
    let [newest, older] = gate.reasons.as_slice() else { panic!("{:#?}", gate.reasons) };
    assert_eq!((newest.condition, newest.run.as_deref()), (Condition::Clock, Some("C")));
    assert_eq!((older.condition, older.run.as_deref()), (Condition::Clock, Some("B")));
    assert_eq!(
        newest.message,
        "run C of 2026-12-24T11:00:00Z ended 719h 1m after now by the clock of the machine that it \
         ran on: that clock was wrong then, or is wrong now; set it right, and if it was wrong then, \
         compare again until newer runs have taken its place"
    );
    // After 20 days without a run, their age is that by the servers' clocks.
    let closed = conditions(&noted([month, hours(0), hours(0)], hours(20 * 24)));
    assert_eq!(closed, [Condition::Age, Condition::Clock]);
    // When the right time has passed the recorded one, their age still is.
    let closed = conditions(&noted([month, hours(0), hours(0)], hours(31 * 24)));
    assert_eq!(closed, [Condition::Age]);
}

#[test]
fn each_recorded_clock_may_show_that_it_was_wrong() {
    for (place, name) in [(1, "the clock of the source"), (2, "the clock of the target")] {
        let mut by = RIGHT;
        by[place] = hours(48);
        let gate = judge(&noted(by, hours(0)));
        assert!(gate.reasons.iter().all(|reason| reason.condition == Condition::Clock));
        assert!(gate.reasons[0].message.contains(&format!(" ended 47h 1m after now by {name}: ")));
    }
    // Clocks may differ by a minute.
    let mut case = noted(RIGHT, hours(0));
    case.runs[0].ended = ahead(now(), [SignedDuration::from_secs(60); 3]);
    assert!(conditions(&case).is_empty());
    case.runs[0].ended = ahead(now(), [SignedDuration::from_millis(60_001); 3]);
    assert_eq!(conditions(&case), [Condition::Clock]);
    // A clock that was wrong at the start and right at the end.
    let mut case = noted(RIGHT, hours(0));
    case.runs[1].started = ahead(now(), [hours(0), hours(5), hours(0)]);
    let said = closed_by(Condition::Clock, &case);
    assert!(said.contains(" began 5h after now by the clock of the source: "), "{said}");
}

/// What was verified may have been so by a run that is not one of the last.
#[test]
fn a_verifying_run_in_the_future_closes_the_gate() {
    let mut case = case();
    let mut slice = GateRun { slice: true, ..run("A", -48) };
    slice.mappings.iter_mut().for_each(|mapping| mapping.coverage = 0.5);
    case.runs.push(slice);
    assert!(conditions(&case).is_empty());
    case.verified_by.insert("A".to_owned());
    assert!(
        closed_by(Condition::Clock, &case).starts_with("run A of 2026-11-26T12:00:00Z ended 48h")
    );
}

/// The machine's clock shows a smaller age.
#[test]
fn the_age_is_the_larger_by_both_servers() {
    let mut case = noted(RIGHT, hours(0));
    for side in Side::BOTH {
        let mut old = case.clone();
        old.now.servers[side] = Some(now() + hours(9));
        let said = closed_by(Condition::Age, &old);
        assert!(said.contains(" ended 9h 59m ago, max_age is 7h"), "{said}");
    }
    // If only one server's clock was recorded, it counts.
    case.runs[0].ended.servers = BySide { source: Some(now() - hours(8)), target: None };
    assert!(closed_by(Condition::Age, &case).contains(" ended 8h ago"));
    // If neither was, the machine's clock counts.
    case.runs[0].ended.servers = BySide::default();
    assert!(conditions(&case).is_empty());
    case.runs[0].ended.machine = now() - hours(8);
    assert!(closed_by(Condition::Age, &case).contains(" ended 8h ago"));
}

#[test]
fn the_window_is_measured_by_the_servers_clocks() {
    let spec = super::judgement_tests::spec();
    let share = |run: GateRun, now: &Clocks| verified_shares(&spec, &[run], now)["t"].0;
    let run_of = |started| GateRun { started, ..run("C", 1) };
    let now = ahead(now(), RIGHT);
    for by in [[0, 25, 1], [0, 1, 25]] {
        assert_eq!(share(run_of(ahead(now.machine, by.map(|back| -hours(back)))), &now), 0.0);
    }
    let young = ahead(now.machine, [-25, -24, -24].map(hours));
    assert_eq!(share(run_of(young), &now), 1.0);
    assert_eq!(share(run_of(by_machine(now.machine - hours(25))), &now), 0.0);
    // A run that ended within the window by the servers' clocks counts, whatever the machine's
    // clock shows.
    let mut found = run("B", 100);
    found.ended = ahead(now.machine, [-100, -1, -2].map(hours));
    assert!(found.ended_within_window(&now, &spec.gate));
    found.ended = ahead(now.machine, [-1, -25, -2].map(hours));
    assert!(!found.ended_within_window(&now, &spec.gate));
}
