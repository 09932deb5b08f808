//! Reads for a repair: how a table is stored, and rows with all their columns.

use super::definition::{family, is_original_link};
use crate::plan::MappingPlan;
use crate::row::Key;
use crate::schema::{Side, StoredColumn};
use crate::sql::lookup::by_keys;
use crate::sql::relation::from_stored;
use crate::sql::rows::form_list;
use crate::sql::statement::{Bind, Statement, Writer};

/// Returns a row for each column: name, type without modifier, type's OID, whether it is NOT NULL, whether
/// it is generated, identity ('', 'a' or 'd'), whether it has a default, its sequence, whether the role may
/// read it, the length or scale of its type, whether the table has a deferrable unique index, the expression
/// of a generated column, its CHECK constraints, whether its collation is nondeterministic, and the equality
/// operator of a unique index over it.
pub fn stored_columns(oid: u32) -> Statement {
    let oid = Bind::int8(i64::from(oid));
    Statement::of_file(include_str!("../statements/stored_columns.sql"), [oid])
}

/// Returns a row for each foreign key from or to a table or its partitions: the OID of the constraint that
/// it is a copy of; the referencing and the referenced table, each by schema, name and whether it is
/// partitioned; the actions on DELETE and UPDATE; the referencing and the referenced columns; whether some of
/// either are generated; whether the table is the referencing one, and the referenced one; whether it is
/// MATCH FULL.
pub fn stored_links(oid: u32) -> Statement {
    let names = |of: &str, numbers: &str| {
        format!(
            "(
select pg_catalog.array_agg(a.attname::pg_catalog.text order by k.place)
from pg_catalog.unnest(f.{numbers}) with ordinality as k(number, place)
join pg_catalog.pg_attribute as a on a.attrelid = f.{of} and a.attnum = k.number
)"
        )
    };
    let generated = |of: &str, numbers: &str| {
        format!(
            "exists (
select from pg_catalog.pg_attribute as a
where a.attrelid = f.{of} and a.attnum = any (f.{numbers})
and a.attgenerated operator(pg_catalog.<>) ''
)"
        )
    };
    Statement::constant(format!(
        "{},
roots(oid, root) as (
select f.oid, f.oid from pg_catalog.pg_constraint as f where f.contype = 'f' and f.conparentid = 0
union all
select f.oid, r.root from pg_catalog.pg_constraint as f join roots as r on r.oid = f.conparentid
)
select r.root::pg_catalog.int8 as root,
cn.nspname::pg_catalog.text as referrer_schema,
c.relname::pg_catalog.text as referrer_name,
c.relkind = 'p' as referrer_partitioned,
pn.nspname::pg_catalog.text as referenced_schema,
p.relname::pg_catalog.text as referenced_name,
p.relkind = 'p' as referenced_partitioned,
f.confdeltype::pg_catalog.text as on_delete,
f.confupdtype::pg_catalog.text as on_update,
{} as referrer_columns,
{} as referenced_columns,
{} as referrer_generated,
{} as referenced_generated,
{refers} as refers,
{referred} as referred,
f.confmatchtype = 'f' as full_match
from pg_catalog.pg_constraint as f
join roots as r on r.oid = f.oid
join pg_catalog.pg_class as c on c.oid = f.conrelid
join pg_catalog.pg_namespace as cn on cn.oid = c.relnamespace
join pg_catalog.pg_class as p on p.oid = f.confrelid
join pg_catalog.pg_namespace as pn on pn.oid = p.relnamespace
where {refers}
or {referred}
order by f.oid",
        family(oid),
        names("conrelid", "conkey"),
        names("confrelid", "confkey"),
        generated("conrelid", "conkey"),
        generated("confrelid", "confkey"),
        refers = is_original_link("conrelid"),
        referred = is_original_link("confrelid"),
    ))
}

/// Returns the names of those of these sequences that the role may not both read and set.
pub fn unmovable_sequences(sequences: &[&str]) -> Statement {
    let names = Bind::texts(sequences.iter().map(|name| Some(*name)));
    Statement::of_file(include_str!("../statements/unmovable_sequences.sql"), [names])
}

/// Returns the role's rights: insert, update and delete in a table; create temporary tables; disable
/// triggers, as a superuser or, where servers have such grants, by a grant.
pub fn rights(oid: u32, grants: bool) -> Statement {
    let mut writer = Writer::new(&[]);
    let granted = if grants {
        "pg_catalog.has_parameter_privilege('session_replication_role', 'set')"
    } else {
        "pg_catalog.current_setting('is_superuser') = 'on'"
    };
    writer.push("select ");
    for (right, check) in [
        ("insert", "has_any_column_privilege"),
        ("update", "has_any_column_privilege"),
        ("delete", "has_table_privilege"),
    ] {
        writer
            .push(&format!("pg_catalog.{check}("))
            .bind(Bind::int8(i64::from(oid)))
            .push(&format!("::pg_catalog.oid, '{right}') as \"{right}\",\n"));
    }
    writer.push(&format!(
        "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary') as temporary,\n{granted} as replica"
    ));
    writer.finish()
}

/// Returns the rows of these keys: the canonical form of every pair, then an array with the text of every
/// column of the table.
pub fn stored_rows(
    plan: &MappingPlan,
    side: Side,
    columns: &[StoredColumn],
    keys: &[&Key],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    form_list(&mut writer, plan, side, plan.pairs.len());
    writer.push(", r.stored");
    from_stored(&mut writer, plan, side, columns);
    by_keys(&mut writer, plan, side, keys);
    writer.finish()
}
