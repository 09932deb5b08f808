//! Sequences, and the columns that they fill, for the gate.

use super::statement::{Bind, Statement, column, table};
use crate::schema::{ColumnName, Numerals, TableName};

/// Returns a row for each column of some tables that a sequence fills: the table's index among the OIDs,
/// column, the sequence's schema and name, its increment, its last number, whether the role may read it.
///
/// A default, the column's own or its domain's, counts if it is `nextval` of the sequence, as it is or with
/// a cast that leaves every number unchanged: for a larger expression it is not known which keys it makes.
/// So a text column that owns a sequence counts by its default only.
pub fn sequence_links(oids: &[u32]) -> Statement {
    Statement::of_file(include_str!("statements/sequence_links.sql"), [Bind::oids(oids)])
}

/// Returns one row: the last number, and whether it was used.
pub fn sequence_state(sequence: &TableName) -> Statement {
    let name = table(sequence);
    Statement::constant(format!("select s.last_value, s.is_called\nfrom {name} as s"))
}

/// Returns one row: the largest number of a column, or the smallest, of all rows of the table, without
/// decimal places; NULL if there is none. Numbers beyond those of a sequence do not count, nor do texts that
/// are written in another form than a sequence's numbers. An index that begins with the column makes this
/// fast, unless the column is a text.
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
            // Only CASE keeps other texts from being cast.
            let counted = format!(
                "\nwhere case when {text} collate pg_catalog.\"C\" ~ '^(0|-?[1-9][0-9]{{0,18}})$'\n\
                 then {} else false end",
                of_sequences(&number)
            );
            (number, counted)
        }
    };
    Statement::constant(format!(
        "select pg_catalog.{whole}(pg_catalog.{function}({number})::pg_catalog.numeric)::pg_catalog.text
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
            "select pg_catalog.ceil(pg_catalog.min(r.\"Id\")::pg_catalog.numeric)::pg_catalog.text\n\
             from \"S\".\"t\" as r"
        );
    }
}
