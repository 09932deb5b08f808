//! Mappings that cannot be repaired. Such a mapping is left out and reported, and the others are repaired.
//! Rows that depend on its inserts are left out too, and so are deletes of rows to which its rows refer.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::MappingPlan;
use crate::problem::Problem;
use crate::repair::{Exclusion, RepairItem, RepairPlace};

/// Why one mapping cannot be repaired.
#[derive(Clone, Debug)]
pub(crate) struct MappingProblem {
    /// The index of the mapping.
    pub(crate) mapping: usize,
    /// The reason as a clause, and a hint.
    pub(crate) problem: Problem,
}

/// Why no repair is made.
#[derive(Debug)]
pub(crate) enum RepairError {
    /// A problem that concerns all mappings.
    Problem(Problem),
    /// Problems of single mappings: without these a repair can be made.
    Mappings(Vec<MappingProblem>),
}

impl MappingProblem {
    /// Makes the problem of a mapping from a reason and a hint.
    pub(crate) fn new(
        mapping: usize,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> MappingProblem {
        MappingProblem { mapping, problem: Problem::new(reason).with_hint(hint) }
    }
}

impl From<Problem> for RepairError {
    fn from(problem: Problem) -> RepairError {
        RepairError::Problem(problem)
    }
}

/// Returns the problems with the names of their mappings.
pub(crate) fn name_mappings(problems: &[MappingProblem], plans: &[MappingPlan]) -> Vec<Problem> {
    let named = |MappingProblem { mapping, problem }: &MappingProblem| Problem {
        message: format!(
            "mapping \"{}\" cannot be repaired: {}",
            plans[*mapping].name, problem.message
        ),
        ..problem.clone()
    };
    problems.iter().map(named).collect()
}

/// Returns the rows that are left out together with these mappings.
pub(crate) fn excluded_rows(
    problems: &[MappingProblem],
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[RepairItem]>,
) -> Vec<Exclusion> {
    let mappings: BTreeSet<usize> = problems.iter().map(|problem| problem.mapping).collect();
    let excluded = |mapping: &usize| {
        let own = problems.iter().filter(|problem| problem.mapping == *mapping);
        let reasons: Vec<&str> = own.map(|own| own.problem.message.as_str()).collect();
        Exclusion {
            mapping: plans[*mapping].name.clone(),
            reason: format!("of a mapping that cannot be repaired: {}", reasons.join("; ")),
            rows: wanted[mapping].iter().map(|wanted| wanted.rows).sum(),
        }
    };
    mappings.iter().map(excluded).collect()
}

/// Returns the mappings whose findings do not identify rows by the key of the plan.
pub(crate) fn check_findings(
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[RepairItem]>,
) -> Vec<MappingProblem> {
    let problems = wanted.iter().filter_map(|(mapping, wanted)| {
        let plan = &plans[*mapping];
        if let Some(pair) = plan.redacted_key() {
            let reason = format!("key pair \"{}\" is redacted in the findings", pair.name);
            let hint = "Redact no pair of the key, compare again, then repair.";
            return Some(MappingProblem::new(*mapping, reason, hint));
        }
        let names: Vec<&str> = plan.key().iter().map(|pair| pair.name.as_str()).collect();
        let reason = "its findings name another key than the spec";
        (!wanted.iter().all(|wanted| has_key(&names, wanted)))
            .then(|| MappingProblem::new(*mapping, reason, "Compare again."))
    });
    problems.collect()
}

/// Returns whether the keys of a finding consist of these pairs.
fn has_key(names: &[&str], wanted: &RepairItem) -> bool {
    let keys = match &wanted.place {
        RepairPlace::Key(key) => [Some(key), None],
        RepairPlace::Range(after, through) => [after.as_ref(), through.as_ref()],
    };
    keys.into_iter().flatten().all(|key| {
        let is_named = |name: &&str| key.0.iter().any(|(known, _)| known == name);
        key.0.len() == names.len() && names.iter().all(is_named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{DivergenceKind, NamedValues};

    fn key(names: &[&str]) -> NamedValues<String> {
        NamedValues(names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect())
    }

    fn wanted(place: RepairPlace) -> RepairItem {
        RepairItem { kind: DivergenceKind::Mismatch, place, group: None, partial: false, rows: 1 }
    }

    #[test]
    fn a_key_matches_by_its_pairs_in_any_order() {
        let of_key = |names: &[&str]| wanted(RepairPlace::Key(key(names)));
        assert!(has_key(&["a", "b"], &of_key(&["b", "a"])));
        for names in [&["a"][..], &["a", "c"], &["a", "b", "c"]] {
            assert!(!has_key(&["a", "b"], &of_key(names)), "{names:?}");
        }
    }

    #[test]
    fn both_bounds_of_a_range_have_to_match() {
        let range = |after: Option<&[&str]>, through: Option<&[&str]>| {
            wanted(RepairPlace::Range(after.map(key), through.map(key)))
        };
        assert!(has_key(&["a"], &range(None, None)));
        assert!(has_key(&["a"], &range(Some(&["a"]), None)));
        assert!(!has_key(&["a"], &range(Some(&["a"]), Some(&["b"]))));
    }
}
