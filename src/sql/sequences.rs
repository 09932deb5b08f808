//! What the gate asks of sequences and of the columns that they fill.

use super::statement::{Bind, Statement, Writer, column, table};
use crate::schema::{ColumnName, TableName};

/// A row for each column of a table that a sequence fills: column, its type's OID, the sequence's
/// schema and name, its increment, the last number that it has, whether the role may read it. A default counts if it is the next
/// number and nothing else: of an expression over it nobody knows which keys it gives.
pub fn sequence_links(oid: u32) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push(
            "select a.attname::pg_catalog.text,
a.atttypid::pg_catalog.int8,
n.nspname::pg_catalog.text,
c.relname::pg_catalog.text,
s.seqincrement,
case when s.seqincrement > 0 then s.seqmax else s.seqmin end,
pg_catalog.has_schema_privilege(n.oid, 'usage')
and pg_catalog.has_sequence_privilege(c.oid, 'select')
from (
select d.refobjid as relation, d.refobjsubid as number, d.objid as sequence
from pg_catalog.pg_depend as d
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.deptype in ('a', 'i')
union
select f.adrelid, f.adnum, d.refobjid
from pg_catalog.pg_attrdef as f
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
and d.objid = f.oid
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
where pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\\(''([^'']|'''')+''::regclass\\)$'
) as l
join pg_catalog.pg_sequence as s on s.seqrelid = l.sequence
join pg_catalog.pg_class as c on c.oid = l.sequence
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = l.relation and a.attnum = l.number
where l.relation = ",
        )
        .bind(Bind::int8(i64::from(oid)))
        .push("::pg_catalog.oid\norder by a.attnum, 3, 4");
    writer.finish()
}

/// One row: the last number, and whether it was given.
pub fn sequence_state(sequence: &TableName) -> Statement {
    let name = table(sequence);
    Statement::constant(format!("select s.last_value, s.is_called\nfrom {name} as s"))
}

/// One row: the largest whole number of a column, or the smallest, whichever rows the mapping has; NULL
/// where there is none. An index that begins with the column gives it at once.
pub fn last_key(relation: &TableName, key: &ColumnName, largest: bool) -> Statement {
    let function = if largest { "max" } else { "min" };
    let (relation, key) = (table(relation), column(key));
    Statement::constant(format!(
        "select pg_catalog.trunc(pg_catalog.{function}(r.{key})::pg_catalog.numeric)::pg_catalog.text
from {relation} as r"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaName;

    #[test]
    fn names_are_quoted() {
        let name = |name: &str| TableName { schema: SchemaName("S".into()), name: name.into() };
        assert_eq!(
            sequence_state(&name("a\"b")).text,
            "select s.last_value, s.is_called\nfrom \"S\".\"a\"\"b\" as s"
        );
        assert_eq!(
            last_key(&name("t"), &ColumnName("Id".into()), false).text,
            "select pg_catalog.trunc(pg_catalog.min(r.\"Id\")::pg_catalog.numeric)::pg_catalog.text\n\
             from \"S\".\"t\" as r"
        );
    }
}
