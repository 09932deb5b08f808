//! What a repair reads: how a table is stored, and rows with every column that they have.

use super::canon::{canon, printed_as};
use super::lookup::by_keys;
use super::relation::from_stored;
use super::rows::canon_list;
use super::statement::{Bind, Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::Key;
use crate::schema::{Side, StoredColumn};

/// A row for each column: name, type without modifier, type's OID, whether it refuses NULL, whether
/// it is generated, identity ('', 'a' or 'd'), whether it has a default, its sequence, readable,
/// and for the whole table whether a unique index of it may be checked late.
pub fn stored_columns(oid: u32) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push(
            "select a.attname::pg_catalog.text,
pg_catalog.format_type(a.atttypid, -1),
a.atttypid::pg_catalog.int8,
a.attnotnull or t.typnotnull,
a.attgenerated operator(pg_catalog.<>) '',
a.attidentity::pg_catalog.text,
a.atthasdef or t.typdefault is not null,
pg_catalog.pg_get_serial_sequence(a.attrelid::pg_catalog.regclass::pg_catalog.text, a.attname::pg_catalog.text),
pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select'),
exists (select from pg_catalog.pg_index as i where i.indrelid = a.attrelid and not i.indimmediate)
from pg_catalog.pg_attribute as a
join pg_catalog.pg_type as t on t.oid = a.atttypid
where a.attnum > 0
and not a.attisdropped
and a.attrelid = ",
        )
        .bind(Bind::int8(i64::from(oid)))
        .push("::pg_catalog.oid\norder by a.attnum");
    writer.finish()
}

/// A row for each foreign key from or to a table: who refers, to whom (OIDs), the referring table's
/// schema and name, what a DELETE does there, its columns, and those that they refer to.
pub fn stored_links(oid: u32) -> Statement {
    let mut writer = Writer::new(&[]);
    let names = |of: &str, numbers: &str| {
        format!(
            "(
select pg_catalog.array_agg(a.attname::pg_catalog.text order by k.place)
from pg_catalog.unnest(f.{numbers}) with ordinality as k(number, place)
join pg_catalog.pg_attribute as a on a.attrelid = f.{of} and a.attnum = k.number
)"
        )
    };
    writer
        .push(
            "select f.conrelid::pg_catalog.int8,
f.confrelid::pg_catalog.int8,
n.nspname::pg_catalog.text,
c.relname::pg_catalog.text,
f.confdeltype::pg_catalog.text,
",
        )
        .push(&names("conrelid", "conkey"))
        .push(",\n")
        .push(&names("confrelid", "confkey"))
        .push(
            "
from pg_catalog.pg_constraint as f
join pg_catalog.pg_class as c on c.oid = f.conrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where f.contype = 'f'
and f.conparentid = 0
and ",
        )
        .bind(Bind::int8(i64::from(oid)))
        .push("::pg_catalog.oid in (f.conrelid, f.confrelid)\norder by f.oid");
    writer.finish()
}

/// The rows of these keys: every pair's canon, then every column of the table as its type writes it.
pub fn stored_rows(
    plan: &MappingPlan,
    side: Side,
    columns: &[StoredColumn],
    keys: &[&Key],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    canon_list(&mut writer, plan, side, plan.pairs.len());
    for (index, column) in columns.iter().enumerate() {
        writer.push(", ").push(&printed_as(&format!("r.c{index}"), &column.pg_type));
    }
    from_stored(&mut writer, plan, side, columns);
    by_keys(&mut writer, plan, side, keys);
    writer.finish()
}

/// The canons of keys that a side once wrote as texts, in their order. Texts of another form than the
/// side's own are an error of the server's.
pub fn keys_of_texts(plan: &MappingPlan, side: Side, keys: &[&[String]]) -> Statement {
    let mut writer = Writer::new(&plan.params);
    let key = plan.key();
    writer.push("select ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        writer.push(&canon(pair, side, index));
    });
    writer.push("\nfrom (\nselect ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        let type_name = &pair.sides[side].column_type.display;
        writer.push(&format!("cast(k.k{index} as {type_name}) as p{index}"));
    });
    // A bare "unnest" of several arrays is syntax, and always pg_catalog's.
    writer.push(", k.place\nfrom unnest(");
    writer.list(", ", 0..key.len(), |writer, index| {
        let fields = keys.iter().map(|key| key.get(index).map(String::as_str));
        writer.bind(Bind::texts(fields));
    });
    writer.push(") with ordinality as k(");
    writer.list(", ", 0..key.len(), |writer, index| {
        writer.push(&format!("k{index}"));
    });
    writer.push(", place)\n) as r\norder by r.place");
    writer.finish()
}
