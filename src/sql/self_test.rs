//! The canaries' tables, hashed as rows are hashed.

use super::canonical_form::row_hash;
use super::statement::Statement;
use crate::plan::{CANARIES, Canary, Expression, Pair, PairSide};
use crate::schema::{BySide, Collation, ColumnName, ColumnType, PgType, Side};
use crate::spec::Terms;

/// One row: for each canary the sum of one table's row hashes and of the other's, as text.
pub fn canaries() -> Statement {
    let sums: Vec<String> =
        CANARIES.iter().flat_map(|canary| canary.tables.map(|rows| sum(canary, rows))).collect();
    Statement::constant(format!("select {}", sums.join(",\n")))
}

fn sum(canary: &Canary, rows: &[&[Option<&str>]]) -> String {
    let pairs: Vec<Pair> = canary.columns.iter().map(|(canon, _)| pair(*canon)).collect();
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(canary.columns).map(|(cell, (_, type_name))| match cell {
                Some(text) => format!("'{text}'::pg_catalog.{type_name}"),
                None => format!("null::pg_catalog.{type_name}"),
            });
            format!("({})", cells.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let names: Vec<String> = (0..pairs.len()).map(|index| format!("p{index}")).collect();
    format!(
        "(select pg_catalog.sum({})::pg_catalog.text\nfrom (values {}) as r({}))",
        row_hash(&pairs, Side::Source),
        rows.join(", "),
        names.join(", ")
    )
}

/// A pair of this canon whose values have some other type, so that it is cast.
fn pair(canon: crate::plan::Canon) -> Pair {
    let side = || PairSide {
        expression: Expression::Column(ColumnName(String::new())),
        column_type: ColumnType {
            display: String::new(),
            pg_type: PgType::OtherBuiltin(0),
            modifier: -1,
            collation: Collation::None,
            collation_id: None,
        },
        searched_raw: false,
        looked_up_raw: false,
    };
    Pair {
        name: String::new(),
        canon,
        terms: Terms::default(),
        leeway: None,
        in_utf8: false,
        sides: BySide::new(|_| side()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_hashed_by_the_formula_that_rows_are() {
        let canary = CANARIES.iter().find(|canary| canary.what.contains("swapped")).unwrap();
        insta::assert_snapshot!(sum(canary, canary.tables[0]), @r#"
        (select pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(row(r.p0::pg_catalog.int4, r.p1::pg_catalog.text collate pg_catalog."C"), 1)::pg_catalog.text, 1))::pg_catalog.text
        from (values ('1'::pg_catalog.int4, 'a'::pg_catalog.text), ('2'::pg_catalog.int4, 'b'::pg_catalog.text)) as r(p0, p1))
        "#);
        assert!(canaries().binds.is_empty());
    }
}
