//! Which findings are repaired: those of the mappings that the options name, or of all.

use std::collections::BTreeMap;

use crate::plan::MappingPlan;
use crate::problem::Problem;
use crate::repair::{Exclusion, IncompleteMapping, RepairFindings, RepairItem};

/// The findings that are repaired, and what is not.
#[derive(Debug)]
pub(crate) struct Selection<'f> {
    /// The findings, by the index of their mapping.
    pub(crate) wanted: BTreeMap<usize, &'f [RepairItem]>,
    /// RepairFindings that are not repaired.
    pub(crate) excluded: Vec<Exclusion>,
    /// Mappings of which the run did not compare every row.
    pub(crate) incomplete: Vec<IncompleteMapping>,
}

/// Selects the findings of mappings, or of all if `names` is empty.
///
/// # Errors
/// When a name, or a mapping of a finding, is none of the plans.
pub(crate) fn select<'f>(
    plans: &[MappingPlan],
    names: &[String],
    findings: &'f RepairFindings,
) -> Result<Selection<'f>, Problem> {
    let of_plans: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    select_by_name(&of_plans, names, findings)
}

fn select_by_name<'f>(
    plans: &[&str],
    names: &[String],
    findings: &'f RepairFindings,
) -> Result<Selection<'f>, Problem> {
    let mut all = names.iter().chain(findings.wanted.keys());
    if let Some(name) = all.find(|name| !plans.contains(&name.as_str())) {
        return Err(Problem::new(format!("the spec has no mapping \"{name}\"")));
    }
    let is_selected = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let wanted = plans
        .iter()
        .enumerate()
        .filter(|(_, name)| is_selected(name))
        .filter_map(|(index, name)| Some((index, findings.wanted.get(*name)?.as_slice())))
        .collect();
    let excluded = findings.left_out.iter().filter(|((mapping, _), _)| is_selected(mapping));
    let excluded = excluded.map(|((mapping, reason), rows)| Exclusion {
        mapping: mapping.clone(),
        reason: (*reason).to_owned(),
        rows: *rows,
    });
    let selected = plans.iter().copied().filter(|name| is_selected(name));
    let incomplete = findings.unseen(selected).into_iter();
    Ok(Selection {
        wanted,
        excluded: excluded.collect(),
        incomplete: incomplete
            .map(|(mapping, reason)| IncompleteMapping { mapping, reason })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::DivergenceKind;
    use crate::repair::RepairPlace;

    fn findings() -> RepairFindings {
        let place = RepairPlace::Range(None, None);
        let wanted = |rows| {
            let (kind, place) = (DivergenceKind::OnlyInSource, place.clone());
            vec![RepairItem { kind, place, group: None, partial: false, rows }]
        };
        let mut findings = RepairFindings::default();
        findings.wanted = [("b".to_owned(), wanted(2)), ("c".to_owned(), wanted(3))].into();
        findings.left_out =
            [(("b".to_owned(), "accepted"), 4), (("c".to_owned(), "accepted"), 5)].into();
        findings
    }

    fn selected(names: &[&str]) -> (Vec<(usize, u64)>, Vec<u64>, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let findings = findings();
        let Selection { wanted, excluded, incomplete } =
            select_by_name(&["a", "b", "c"], &names, &findings).unwrap();
        let wanted = wanted.into_iter().map(|(index, wanted)| (index, wanted[0].rows)).collect();
        let excluded = excluded.into_iter().map(|excluded| excluded.rows).collect();
        (wanted, excluded, incomplete.into_iter().map(|unseen| unseen.mapping).collect())
    }

    #[test]
    fn without_names_all_mappings_are_selected() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(selected(&[]), (vec![(1, 2), (2, 3)], vec![4, 5], of(&["a", "b", "c"])));
        assert_eq!(selected(&["c", "a"]), (vec![(2, 3)], vec![5], of(&["a", "c"])));
    }

    #[test]
    fn unknown_mappings_are_a_problem() {
        let findings = findings();
        let select = |plans: &[&str], names: &[String]| {
            select_by_name(plans, names, &findings).unwrap_err().message
        };
        let names = ["d".to_owned()];
        assert_eq!(select(&["a", "b", "c"], &names), "the spec has no mapping \"d\"");
        assert_eq!(select(&["a", "b"], &[]), "the spec has no mapping \"c\"");
    }
}
