//! What the gate asks of sequences and of the columns that they fill.

use super::access::asked_oids;
use super::statement::{Statement, Writer, column, table};
use crate::schema::{ColumnName, Numerals, TableName};

/// A default that is a sequence's next number, as the server writes it, with no cast but one that leaves
/// every number as it is.
const NEXT_NUMBER: &str =
    r"^(nextval\(X\)|\(nextval\(X\)\)(::(bigint|numeric|text|character varying))?)$";

/// A row for each column of some tables that a sequence fills: the table's place among the OIDs, column,
/// the sequence's schema and name, its increment, the last number that it has, whether the role may read
/// it. A default, the column's own or its domain's, counts if it is the next number, as it is or cast to
/// the column's type: of a larger expression nobody knows which keys it gives. So a text that owns a
/// sequence counts by its default only.
pub fn sequence_links(oids: &[u32]) -> Statement {
    let mut writer = Writer::new(&[]);
    let next_number = NEXT_NUMBER.replace('X', "'([^']|'')+'::regclass").replace('\'', "''");
    writer.push(
        "select asked.place,
a.attname::pg_catalog.text as column_name,
n.nspname::pg_catalog.text as sequence_schema,
c.relname::pg_catalog.text as sequence_name,
s.seqincrement as increment,
case when s.seqincrement > 0 then s.seqmax else s.seqmin end as last_number,
pg_catalog.has_schema_privilege(n.oid, 'usage')
and pg_catalog.has_sequence_privilege(c.oid, 'select') as readable
from ",
    );
    asked_oids(&mut writer, oids)
        .push(
            "
cross join lateral (
select d.refobjid as relation, d.refobjsubid as number, d.objid as sequence
from pg_catalog.pg_depend as d
join pg_catalog.pg_attribute as o on o.attrelid = d.refobjid and o.attnum = d.refobjsubid
join pg_catalog.pg_type as y on y.oid = o.atttypid and y.typcategory <> 'S'
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
and d.deptype in ('a', 'i')
and d.refobjid = asked.oid::pg_catalog.oid
union
select v.relation, v.number, v.sequence
from (
select f.adrelid as relation, f.adnum as number, d.refobjid as sequence,
pg_catalog.pg_get_expr(f.adbin, f.adrelid) as told,
pg_catalog.format_type(h.atttypid, h.atttypmod) as own
from pg_catalog.pg_attrdef as f
join pg_catalog.pg_attribute as h on h.attrelid = f.adrelid and h.attnum = f.adnum
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
and d.objid = f.oid
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
where f.adrelid = asked.oid::pg_catalog.oid
union all
select h.attrelid, h.attnum, d.refobjid, pg_catalog.pg_get_expr(t.typdefaultbin, 0),
pg_catalog.format_type(t.typbasetype, t.typtypmod)
from pg_catalog.pg_attribute as h
join pg_catalog.pg_type as t on t.oid = h.atttypid and t.typtype = 'd'
join pg_catalog.pg_depend as d
on d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
and d.objid = t.oid
and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
where not h.atthasdef
and h.attrelid = asked.oid::pg_catalog.oid
) as v
where pg_catalog.replace(v.told, ')::' || v.own, ')') ~ '",
        )
        .push(&next_number)
        .push(
            "'
) as l
join pg_catalog.pg_sequence as s on s.seqrelid = l.sequence
join pg_catalog.pg_class as c on c.oid = l.sequence
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = l.relation and a.attnum = l.number
order by asked.place, a.attnum, sequence_schema, sequence_name",
        );
    writer.finish()
}

/// One row: the last number, and whether it was given.
pub fn sequence_state(sequence: &TableName) -> Statement {
    let name = table(sequence);
    Statement::constant(format!("select s.last_value, s.is_called\nfrom {name} as s"))
}

/// One row: the largest number of a column, or the smallest, whichever rows the mapping has, without
/// what it has behind the point; NULL where there is none. Larger ones than any sequence has do not
/// count, nor do texts that are written otherwise than a sequence's numbers. An index that begins with
/// the column gives it at once, unless it is one of texts.
pub fn last_key(
    relation: &TableName,
    key: &ColumnName,
    numerals: Numerals,
    largest: bool,
) -> Statement {
    let (function, whole) = if largest { ("max", "floor") } else { ("min", "ceil") };
    let (relation, key) = (table(relation), format!("r.{}", column(key)));
    let of_sequences = |number: &str| format!("{number} between {} and {}", i64::MIN, i64::MAX);
    let (number, counted) = match numerals {
        Numerals::Whole => (key, String::new()),
        Numerals::Numeric => (key.clone(), format!("\nwhere {}", of_sequences(&key))),
        Numerals::Text => {
            let text = format!("{key}::pg_catalog.text");
            let number = format!("{text}::pg_catalog.numeric");
            // Only a case keeps other texts from being cast.
            let counted = format!(
                "\nwhere case when {text} collate pg_catalog.\"C\" ~ '^(0|-?[1-9][0-9]{{0,18}})$'\n\
                 then {} else false end",
                of_sequences(&number)
            );
            (number, counted)
        }
    };
    Statement::constant(format!(
        "select pg_catalog.{whole}(pg_catalog.{function}({number})::pg_catalog.numeric)::pg_catalog.text as last_key
from {relation} as r{counted}"
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
            last_key(&name("t"), &ColumnName("Id".into()), Numerals::Whole, false).text,
            "select pg_catalog.ceil(pg_catalog.min(r.\"Id\")::pg_catalog.numeric)::pg_catalog.text as last_key\n\
             from \"S\".\"t\" as r"
        );
    }
}
