//! The self-test vectors' tables, hashed as rows are hashed.

use super::canonical_form::row_hash;
use super::statement::Statement;
use crate::plan::{Expression, Pair, PairSide, SELF_TEST_VECTORS, SelfTestVector};
use crate::schema::{BySide, Collation, ColumnName, ColumnType, PgType, Side};
use crate::spec::PairSettings;

/// One row: for each self-test vector the sum of one table's row hashes and of the other's, as text.
pub fn self_test() -> Statement {
    let sums: Vec<String> = SELF_TEST_VECTORS
        .iter()
        .flat_map(|vector| vector.tables.map(|rows| sum(vector, rows)))
        .collect();
    Statement::constant(format!("select {}", sums.join(",\n")))
}

fn sum(vector: &SelfTestVector, rows: &[&[Option<&str>]]) -> String {
    let pairs: Vec<Pair> = vector.columns.iter().map(|(form, _)| pair(*form)).collect();
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(vector.columns).map(|(cell, (_, type_name))| match cell {
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

/// A pair of this canonical form whose values have some other type, so that it is cast.
fn pair(form: crate::plan::CanonicalForm) -> Pair {
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
        form,
        settings: PairSettings::default(),
        tolerance: None,
        in_utf8: false,
        sides: BySide::new(|_| side()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_hashed_by_the_formula_that_rows_are() {
        let vector =
            SELF_TEST_VECTORS.iter().find(|vector| vector.what.contains("swapped")).unwrap();
        insta::assert_snapshot!(sum(vector, vector.tables[0]), @r#"
        (select pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.hash_record_extended(row(r.p0::pg_catalog.int4, r.p1::pg_catalog.text collate pg_catalog."C"), 1)::pg_catalog.text, 1))::pg_catalog.text
        from (values ('1'::pg_catalog.int4, 'a'::pg_catalog.text), ('2'::pg_catalog.int4, 'b'::pg_catalog.text)) as r(p0, p1))
        "#);
        assert!(self_test().binds.is_empty());
    }
}
