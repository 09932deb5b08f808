//! Whether rows of a table have a key already: what an INSERT of it would meet.

use super::statement::{Bind, Statement, Writer, column, table};
use crate::plan::MappingPlan;
use crate::schema::{Side, StoredColumn, TableName};

/// How a key's column is compared with a value.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'c> {
    /// The column.
    pub column: &'c StoredColumn,
    /// The operator that says what is equal, as SQL.
    pub equal: Option<&'c str>,
    /// Whether bytes have to be the same.
    pub by_bytes: bool,
}

/// Writes keys as rows `k`: their values as texts `k0`, `k1` and so on, and the key's place, from 1.
pub(super) fn push_keys(writer: &mut Writer, texts: &[Vec<Option<&str>>]) {
    writer.push("unnest(");
    writer.list(", ", texts.iter(), |writer, texts| {
        writer.bind(Bind::texts(texts.iter().copied()));
    });
    writer.push(") with ordinality as k(");
    writer.list(", ", 0..texts.len(), |writer, index| {
        writer.push(&format!("k{index}"));
    });
    writer.push(", place)");
}

/// A row for each row of a table that has one of these keys: the key's place among the texts, from 1, and
/// whether the mapping sees the row. `texts` are the keys' values, column by column.
pub fn key_holders(
    plan: &MappingPlan,
    side: Side,
    name: &TableName,
    columns: &[Compared<'_>],
    texts: &[Vec<Option<&str>>],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select k.place, h.seen\nfrom ");
    push_keys(&mut writer, texts);
    // Within its own select the operator's condition finds no name but the table's.
    writer.push("\ncross join lateral (\nselect ");
    match &plan.sides[side].filter {
        Some(filter) => writer.fragment(filter).push(" is true"),
        None => writer.push("true"),
    };
    writer.push(&format!(" as seen\nfrom {} as {side}\nwhere ", table(name)));
    writer.list("\nand ", columns.iter().enumerate(), |writer, (index, compared)| {
        let value = format!("{side}.{}", column(&compared.column.name));
        let key = format!("cast(k.k{index} as {})", compared.column.type_name);
        let mut conditions = Vec::new();
        conditions.extend(compared.equal.map(|equal| format!("{value} {equal} {key}")));
        if compared.by_bytes {
            conditions.push(format!(
                "row({value})::pg_catalog.record operator(pg_catalog.*=) row({key})::pg_catalog.record"
            ));
        }
        writer.push(&conditions.join(" and "));
    });
    writer.push("\n) as h");
    writer.finish()
}
