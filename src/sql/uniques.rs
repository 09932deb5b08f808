//! Unique indexes and exclusion constraints: their columns, and the values that rows would have in them.
//!
//! Most are over plain columns in which different values have different texts. For the others (expressions,
//! a predicate, generated columns, other equalities) the server computes the values.

use super::statement::{Bind, Statement, Writer, quoted};
use crate::schema::StoredColumn;

/// Types with several texts for one value, like a numeric without a scale: 1.0 is 1.00, a day is 24 hours,
/// and types that contain others may contain such.
const COARSE: [&str; 8] =
    ["float4", "float8", "interval", "jsonb", "anyarray", "anyrange", "anymultirange", "record"];

/// Returns a row for each unique index or exclusion constraint of a table or of some of its partitions: its
/// name, the columns that it uses, whether NULLs are equal, whether it is deferrable, whether it is an
/// exclusion constraint (equal values may coexist), whether equal values may have different texts; its keys,
/// the hashes of those that must be equal, the columns that are such keys, its predicate, and the generated
/// columns that it uses.
pub fn stored_uniques(oid: u32) -> Statement {
    // The hash of a number ignores its sign, so the file adds a hash of its text without zeros and point,
    // which is the same for equal numbers.
    let coarse =
        COARSE.map(|name| format!("pg_catalog.to_regtype('pg_catalog.{name}')")).join(", ");
    let text = format!(include_str!("statements/stored_uniques.sql"), oid = oid, coarse = coarse);
    Statement::of_file(&text, [])
}

/// Returns the expression for the value of a row in an index, as a hash: rows with the same hash may
/// conflict; NULL for a row that cannot conflict.
pub fn index_value(
    keys: &[String],
    hashes: &[String],
    predicate: Option<&str>,
    nulls_alike: bool,
) -> String {
    let mut conditions: Vec<String> =
        predicate.map(|predicate| format!("({predicate})")).into_iter().collect();
    if !nulls_alike {
        conditions
            .push(format!("pg_catalog.num_nulls({}) operator(pg_catalog.=) 0", keys.join(", ")));
    }
    if conditions.is_empty() {
        conditions.push("true".to_owned());
    }
    format!(
        "case when {} then pg_catalog.hash_array_extended(array[{}]::pg_catalog.int8[], 0) end",
        conditions.join(" and "),
        hashes.join(", ")
    )
}

/// Returns the texts of expressions.
pub fn texts(expressions: &[String]) -> Statement {
    let texts: Vec<String> =
        expressions.iter().map(|text| format!("({text})::pg_catalog.text")).collect();
    Statement::constant(format!("select {}", texts.join(", ")))
}

/// Returns the values of expressions for rows, one result row for each: their hashes in indexes, for
/// example. `texts` are the rows' values, column by column.
pub fn index_values(
    values: &[&str],
    columns: &[&StoredColumn],
    generated: &[&StoredColumn],
    texts: &[Vec<Option<&str>>],
    rows: usize,
) -> Statement {
    let mut writer = Writer::new(&[]);
    writer.push("select ").push(&values.join(",\n")).push("\nfrom (\nselect t.*");
    for column in generated {
        let expression = column.expression.as_deref().unwrap_or("null");
        writer.push(&format!(",\n({expression}) as {}", quoted(&column.name.0)));
    }
    writer.push("\nfrom (\nselect k.\"pgreconcile place\"");
    for (at, column) in columns.iter().enumerate() {
        let (name, type_name) = (quoted(&column.name.0), &column.type_name);
        writer.push(&format!(",\ncast(k.\"pgreconcile {at}\" as {type_name}) as {name}"));
    }
    // One array more than columns: an index may use none.
    writer.push("\nfrom unnest(").bind(Bind::texts(vec![None; rows].into_iter()));
    for texts in texts {
        writer.push(", ").bind(Bind::texts(texts.iter().copied()));
    }
    writer.push(") with ordinality as k(\"pgreconcile row\", ");
    for at in 0..columns.len() {
        writer.push(&format!("\"pgreconcile {at}\", "));
    }
    writer.push("\"pgreconcile place\")\n) as t\n) as t\norder by t.\"pgreconcile place\"");
    writer.finish()
}
