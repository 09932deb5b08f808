//! A table that is written, and whether it can be.

use super::mapping_problem::MappingProblem;
use super::repair_options::RepairOptions;
use crate::plan::MappingPlan;
use crate::repair::{Operation, RepairItem, TableIdentity, WritableMapping};
use crate::schema::{Link, Rights, Stored, TableName};

/// A table that is written.
pub(crate) struct WrittenTable {
    /// Its columns, and the pairs that fill them.
    pub(crate) scope: WritableMapping,
    /// Its definition.
    pub(crate) identity: TableIdentity,
    /// What the role may do to it.
    pub(crate) rights: Rights,
}

/// Checks whether the findings of a mapping can be repaired. `stored` is the table's definition, `beyond`
/// the tables that a change could reach.
///
/// # Errors
/// Every reason why they cannot.
pub(crate) fn check_table(
    (mapping, plan): (usize, &MappingPlan),
    wanted: &[RepairItem],
    (stored, beyond): (Stored, Vec<(TableName, Vec<Link>)>),
    options: &RepairOptions,
) -> Result<WritableMapping, Vec<MappingProblem>> {
    let authority = options.authority;
    let scope = WritableMapping::of(plan, authority.other(), stored, beyond);
    let checked = scope.and_then(|scope| {
        let is_wanted = |kind: &&Operation| {
            wanted.iter().any(|wanted| wanted.operation(authority) == Some(**kind))
        };
        let refusals = |kind: &Operation| scope.refusals(*kind, options.triggers);
        let kinds = options.kinds.iter().filter(is_wanted);
        let reasons: Vec<String> = kinds.flat_map(refusals).collect();
        if reasons.is_empty() { Ok(scope) } else { Err(reasons) }
    });
    let hint = "Leave it out with --mapping or --kinds, or change the spec or the table.";
    let problem = |reason: String| MappingProblem::new(mapping, reason, hint);
    checked.map_err(|reasons| reasons.into_iter().map(problem).collect())
}
