//! The gate's verdict for groups: tenants that are moved a few at a time.

use super::judgement_tests::{case, closed_by, over, reasons, run};
use super::*;
use crate::finding::{GroupRecord, Verdict};
use crate::schema::BySide;

fn group(name: &str) -> GroupRecord {
    GroupRecord {
        group: Some(name.into()),
        verdict: Verdict::Clean,
        rows: BySide { source: 5, target: 5 },
        matched: 5,
        healed: 0,
        accepted: 0,
        only_in_source: 0,
        only_in_target: 0,
        mismatch: 0,
        duplicate_key: 0,
        null_key: 0,
        unsettled: 0,
    }
}

/// A case with groups in the first mapping, and none in the second.
fn case_with_groups(requested: &[&str]) -> GateInput {
    let mut case = case();
    for run in &mut case.runs {
        run.mappings[0].groups = Some(vec![group("1"), group("2")]);
    }
    GateInput { groups: requested.iter().map(|group| (*group).to_owned()).collect(), ..case }
}

#[test]
fn a_group_is_judged_by_its_own_record() {
    assert!(reasons(&case_with_groups(&["1", "2"])).is_empty());
    let mut case = case_with_groups(&["1", "2"]);
    case.runs[1].end = over(Verdict::Diverged);
    case.runs[1].mappings[0].mismatch = 3;
    let other = GroupRecord { mismatch: 3, verdict: Verdict::Diverged, ..group("2") };
    case.runs[1].mappings[0].groups = Some(vec![group("1"), other]);
    assert_eq!(
        closed_by(Condition::CleanRuns, &case),
        "run B of 2026-11-24T05:00:00Z differs in 3 rows of group \"2\" of mapping \"t\""
    );
    let answers = judge(&case).groups;
    let answers: Vec<_> = answers.iter().map(|a| (a.group.as_str(), a.verdict)).collect();
    assert_eq!(answers, [("1", GateVerdict::Open), ("2", GateVerdict::Closed)]);
    case.groups = vec!["1".into()];
    assert!(reasons(&case).is_empty());
    // Without --group, all groups count.
    case.groups.clear();
    assert!(closed_by(Condition::CleanRuns, &case).contains("3 rows of mapping \"t\""));
}

/// A slice of a large table may have no row of a small tenant.
#[test]
fn a_group_that_one_of_the_slices_has_seen_is_known() {
    let mut case = case_with_groups(&["1", "2"]);
    case.runs.iter_mut().for_each(|run| run.slice = true);
    case.runs[0].mappings[0].groups = Some(vec![group("1")]);
    assert!(reasons(&case).is_empty());
    case.runs[1].mappings[0].groups = Some(vec![group("1")]);
    assert_eq!(reasons(&case).len(), 2);
    // An earlier run that verified another part of the table.
    let mut earlier = GateRun { slice: true, ..run("A", 13) };
    earlier.mappings[0].groups = Some(vec![group("2")]);
    case.runs.push(earlier);
    case.verified_by.insert("A".to_owned());
    assert!(reasons(&case).is_empty(), "{:?}", reasons(&case));
}

#[test]
fn a_group_that_no_run_has_seen_is_not_open() {
    let gate = judge(&case_with_groups(&["1", "9"]));
    let said: Vec<_> = gate.reasons.iter().map(|reason| reason.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "run C of 2026-11-24T11:00:00Z has no row of group \"9\"",
            "run B of 2026-11-24T05:00:00Z has no row of group \"9\""
        ]
    );
    assert!(gate.reasons.iter().all(|reason| reason.condition == Condition::Group));
    assert_eq!(
        (gate.groups[0].verdict, gate.groups[1].verdict),
        (GateVerdict::Open, GateVerdict::Closed)
    );
}

#[test]
fn a_mapping_that_is_incomplete_or_differs_closes_all_groups() {
    let mut case = case_with_groups(&["1"]);
    case.runs[0].end = over(Verdict::Incomplete);
    case.runs[0].mappings[0].complete = false;
    let said = closed_by(Condition::CleanRuns, &case);
    assert!(said.ends_with("is incomplete: mapping \"t\": not everything was compared"), "{said}");
    let mut case = case_with_groups(&["1"]);
    case.runs[0].end = over(Verdict::Diverged);
    case.runs[0].mappings[1].mismatch = 1;
    let said = closed_by(Condition::CleanRuns, &case);
    assert!(said.ends_with("differs in 1 row of mapping \"u\""), "{said}");
}

#[test]
fn rows_of_other_groups_may_keep_changing() {
    let row = |group: &str| UnsettledRow {
        mapping: "t".into(),
        place: "{\"id\":\"1\"}".into(),
        group: Some(Some(group.into())),
    };
    let mut case = case_with_groups(&["1"]);
    case.runs[0].unsettled = [row("2")].into();
    assert!(reasons(&case).is_empty());
    case.runs[0].unsettled = [row("1")].into();
    assert!(closed_by(Condition::Unsettled, &case).starts_with("1 row of mapping \"t\""));
    // The row is in the requested group only on the target.
    case.runs[0].unsettled = [row("2")].into();
    let moved = GroupRecord { unsettled: 1, ..group("1") };
    case.runs[0].mappings[0].groups = Some(vec![moved, group("2")]);
    assert!(closed_by(Condition::Unsettled, &case).starts_with("1 row of mapping \"t\""));
}

#[test]
fn a_run_under_way_closes_the_groups_in_which_it_differs() {
    let under_way = GateRun { end: RunEnd::UnderWay, mappings: Vec::new(), ..run("D", 0) };
    // If the group is not known, all groups are closed.
    for (differs_in, closed) in [
        (Some(Some("2".to_owned())), vec![]),
        (Some(None), vec![]),
        (Some(Some("1".to_owned())), vec!["1"]),
        (None, vec!["1"]),
    ] {
        let differs_in = [differs_in].into();
        let mut case = case_with_groups(&["1"]);
        case.runs.insert(0, GateRun { found: 1, differs_in, ..under_way.clone() });
        let answers = judge(&case).groups;
        let names = answers.iter().filter(|answer| answer.verdict == GateVerdict::Closed);
        assert_eq!(names.map(|answer| &answer.group).collect::<Vec<_>>(), closed);
    }
}
