//! What the role lacks to apply a repair. It is no obstacle to building one, because another role may
//! apply it.

use std::collections::{BTreeMap, BTreeSet};

use super::repair_options::RepairOptions;
use crate::problem::Problem;
use crate::repair::{ApplyMode, Operation};
use crate::schema::{Rights, Server, TableName};

/// Returns the privileges on a table that an operation needs and the role lacks. To lock a row takes
/// UPDATE.
fn missing_privileges(operation: Operation, rights: &Rights) -> Vec<&'static str> {
    let needed = match operation {
        Operation::Insert => [(rights.insert, "INSERT"), (true, "")],
        Operation::Update => [(rights.update, "UPDATE"), (true, "")],
        Operation::Delete => [(rights.delete, "DELETE"), (rights.update, "UPDATE")],
    };
    needed.into_iter().filter(|(has, _)| !has).map(|(_, name)| name).collect()
}

/// Returns a note for what the role lacks to apply operations, and whether it may use temporary tables.
pub(crate) fn list_missing_privileges<'t>(
    operations: impl Iterator<Item = (Operation, &'t TableName, &'t Rights)>,
    options: &RepairOptions,
) -> (Vec<String>, bool) {
    let mut temporary = !options.no_temp;
    let mut grants: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (operation, table, rights) in operations {
        let missing = missing_privileges(operation, rights);
        if !missing.is_empty() {
            grants.entry(table.to_string()).or_default().extend(missing);
        }
        temporary &= rights.temporary;
        if !options.triggers && !rights.replica {
            let parameter = "parameter session_replication_role".to_owned();
            grants.entry(parameter).or_default().insert("SET");
        }
    }
    let missing = grants.into_iter().map(|(what, rights)| {
        let rights = rights.into_iter().collect::<Vec<_>>().join(", ");
        format!("{rights} on {what}")
    });
    let missing = missing.collect::<Vec<_>>().join("; ");
    let mut notes = Vec::new();
    if !missing.is_empty() {
        notes.push(format!("this role has not what applying the repair takes: {missing}"));
    }
    if !temporary && !options.no_temp {
        notes.push(
            "this role may make no temporary tables: rows wait in settings instead".to_owned(),
        );
    }
    (notes, temporary)
}

/// Returns what the role lacks to apply an operation, with the GRANT that it needs.
pub(crate) fn find_missing_privilege(
    mode: ApplyMode,
    table: &TableName,
    operation: Operation,
    rights: &Rights,
    server: &Server,
) -> Option<Problem> {
    let role = &server.role;
    let problem = |message: String, hint: String| Some(Problem::new(message).with_hint(hint));
    let missing = missing_privileges(operation, rights).join(", ");
    if !missing.is_empty() {
        return problem(
            format!("role \"{role}\" has not {missing} on {table}"),
            format!("GRANT {missing} ON {table} TO {role}; or name another role in the url."),
        );
    }
    if mode.temporary && !rights.temporary {
        return problem(
            format!("role \"{role}\" may make no temporary table in the database"),
            format!("GRANT TEMPORARY ON DATABASE … TO {role}; or make the repair with --no-temp."),
        );
    }
    if !mode.triggers && !rights.replica {
        return problem(
            format!("role \"{role}\" may not switch triggers off"),
            format!(
                "GRANT SET ON PARAMETER session_replication_role TO {role}; before version 15 it takes a superuser."
            ),
        );
    }
    None
}

/// Returns the problem of a sequence that the role may not move.
pub(crate) fn unmovable_sequence(name: &str, role: &str) -> Problem {
    let message = format!("role \"{role}\" has not SELECT and UPDATE on sequence {name}");
    let hint = format!(
        "GRANT SELECT, UPDATE ON SEQUENCE {name} TO {role}; or name another role in the url."
    );
    Problem::new(message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{SchemaName, Side};

    fn table(name: &str) -> TableName {
        TableName { schema: SchemaName("public".to_owned()), name: name.to_owned() }
    }

    fn rights(all: bool) -> Rights {
        Rights { insert: all, update: all, delete: all, temporary: all, replica: all }
    }

    fn options(triggers: bool, no_temp: bool) -> RepairOptions {
        RepairOptions {
            authority: Side::Source,
            kinds: vec![Operation::Insert, Operation::Update, Operation::Delete],
            mappings: Vec::new(),
            settle: None,
            batch: 1,
            allow_cascade: false,
            triggers,
            no_temp,
        }
    }

    #[test]
    fn missing_privileges_are_listed_by_table() {
        let (a, b, none) = (table("a"), table("b"), rights(false));
        let operations = [(Operation::Delete, &a, &none), (Operation::Insert, &b, &none)];
        let (notes, temporary) =
            list_missing_privileges(operations.into_iter(), &options(false, false));
        assert_eq!(
            notes,
            [
                "this role has not what applying the repair takes: SET on parameter \
                 session_replication_role; DELETE, UPDATE on public.a; INSERT on public.b",
                "this role may make no temporary tables: rows wait in settings instead"
            ]
        );
        assert!(!temporary);
    }

    #[test]
    fn a_role_with_all_privileges_has_no_notes() {
        let (a, all) = (table("a"), rights(true));
        let operations = || [(Operation::Update, &a, &all)].into_iter();
        assert_eq!(
            list_missing_privileges(operations(), &options(false, false)),
            (Vec::new(), true)
        );
        assert_eq!(
            list_missing_privileges(operations(), &options(true, true)),
            (Vec::new(), false)
        );
    }
}
