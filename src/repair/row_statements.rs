//! The statements that lock the rows, change those that are still as they were, and check that every row
//! is as intended.

use std::collections::BTreeSet;

use super::change::{Exchange, Operation, Placeholder};
use super::quote::{do_block, quote_literal};
use super::staged_rows::StagedRows;
use crate::schema::ColumnName;
use crate::sql::{quoted, quoted_table};

/// The SQLSTATE of an error that a guard raises.
pub const GUARD: &str = "PGR01";

/// Locks the existing rows, all at once or none of them. A transaction that holds some of them and waits
/// for others then finds the others free, so it cannot deadlock with a script.
pub(super) fn lock(stages: &[StagedRows<'_>]) -> Option<String> {
    let locks: Vec<String> = stages
        .iter()
        .filter(|rows| rows.shape.operation != Operation::Insert)
        .map(|rows| {
            format!(
                "\n      PERFORM 1
      FROM {} AS t
      JOIN {} AS u ON {}{}
      FOR UPDATE OF t NOWAIT;",
                quoted_table(&rows.shape.table),
                rows.relation(),
                rows.join("t", "u"),
                rows.order("      ")
            )
        })
        .collect();
    if locks.is_empty() {
        return None;
    }
    let text = format!(include_str!("lock_rows.sql"), locks = locks.concat());
    Some(do_block(&text))
}

/// Returns the condition that a row of the table is as before the change, or was already changed by this
/// transaction: then it has given up a value.
fn as_it_was(rows: &StagedRows<'_>) -> String {
    let image = rows.image(false);
    if rows.shape.exchanges.is_empty() {
        return image;
    }
    format!("({image}\n  OR t.xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid)")
}

/// Returns the condition that some row of the table is as before the change: equal to its old image, or
/// absent in case of an insert.
pub(super) fn any_as_before(rows: &StagedRows<'_>) -> String {
    let (table, relation) = (quoted_table(&rows.shape.table), rows.relation());
    let key = rows.join("t", "u");
    match rows.shape.operation {
        Operation::Insert => format!(
            "EXISTS (SELECT FROM {relation} AS u WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {key}))"
        ),
        _ => {
            let image = rows.image(false);
            format!("EXISTS (SELECT FROM {relation} AS u JOIN {table} AS t ON {key} WHERE {image})")
        }
    }
}

/// Returns the placeholder value of a column, as SQL. `number` is the SQL of the row's number.
pub fn placeholder_sql(
    placeholder: &Placeholder,
    table: &str,
    column: &ColumnName,
    number: &str,
) -> String {
    let name = quoted(&column.0);
    let highest = |from: &str, to: &str, none: &str| {
        format!(
            "coalesce((SELECT pg_catalog.max(x.{name}) FROM {table} AS x
  WHERE x.{name} OPERATOR(pg_catalog.>=) '{from}' AND x.{name} OPERATOR(pg_catalog.<=) '{to}'), '{none}')"
        )
    };
    // Days and times stay below infinity and below the end of their type.
    let last = || highest("4000-01-01 BC", "290000-01-01", "2000-01-01");
    match placeholder {
        Placeholder::Null => "NULL".to_owned(),
        Placeholder::Number(most) => {
            format!("{} + {number}", highest(&format!("-{most}"), most, "0"))
        }
        Placeholder::Day => format!("{} + {number}::int4", last()),
        Placeholder::Time => format!("{} + {number} * '1 day'::interval", last()),
        Placeholder::Text(length) => placeholder_text(*length, number),
        Placeholder::Uuid => "pg_catalog.gen_random_uuid()".to_owned(),
    }
}

/// Returns the SQL of a text that no other row has. If `length` is too short for a random text, it
/// consists of characters from Unicode's private use area, if the database's encoding has them.
fn placeholder_text(length: Option<i32>, place: &str) -> String {
    let random = "pg_catalog.md5(pg_catalog.random()::text)";
    let number = format!("pg_catalog.lpad(pg_catalog.to_hex({place}), 8, '0')");
    match length {
        None => format!("{random} || {number}"),
        Some(length @ 16..) => format!("pg_catalog.left({random}, {}) || {number}", length - 8),
        Some(length) => format!(
            "CASE pg_catalog.getdatabaseencoding() WHEN 'UTF8'
  THEN pg_catalog.right(
    pg_catalog.chr(983040 + ({place} / 65000)::int4) || pg_catalog.chr(983040 + ({place} % 65000)::int4),
    {length}
  )
  ELSE pg_catalog.left({random}, {length}) END"
        ),
    }
}

/// Sets placeholders in rows whose values of a unique index other rows of the batch take; `None` if no
/// row takes one.
pub(super) fn give_up(
    rows: &StagedRows<'_>,
    exchange: &Exchange,
    takers: &[StagedRows<'_>],
) -> Option<String> {
    let shape = rows.shape;
    let table = quoted_table(&shape.table);
    let column = &shape.columns[exchange.column];
    let name = quoted(&column.name.0);
    let placeholder = placeholder_sql(&exchange.placeholder, &table, &column.name, "u.place");
    let mut taken: Vec<String> = Vec::new();
    if exchange.index.is_empty() {
        // Only the server can compute the index's values: every row that changes their columns.
        let each = |image: char| {
            let fields = exchange.moved.iter().map(|column| format!("u.{image}{}", column + 1));
            fields.collect::<Vec<_>>().join(", ")
        };
        taken.push(match shape.operation {
            Operation::Update => format!(
                "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
                each('n'),
                each('o')
            ),
            _ => "true".to_owned(),
        });
    }
    let same_table = |taker: &&StagedRows<'_>| taker.shape.table == shape.table;
    for taker in
        takers.iter().filter(same_table).filter(|taker| taker.shape.operation != Operation::Delete)
    {
        let columns = exchange.index.iter().map(|index| {
            let column = &shape.columns[*index];
            let same = taker.shape.columns.iter().position(|other| other.name == column.name)?;
            let operator = if column.ordered { "OPERATOR(pg_catalog.=)" } else { "=" };
            Some(format!("w.{} {operator} u.o{}", taker.after(same), index + 1))
        });
        let Some(columns) = columns.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
        else {
            continue;
        };
        let mut conditions = columns;
        if taker.shape.operation == Operation::Update && shape.operation == Operation::Update {
            let own = shape.key.iter().map(|key| format!("u.o{}", key + 1));
            let theirs = shape.key.iter().map(|key| format!("w.o{}", key + 1));
            conditions.push(format!(
                "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
                theirs.collect::<Vec<_>>().join(", "),
                own.collect::<Vec<_>>().join(", ")
            ));
        }
        taken.push(format!(
            "EXISTS (\n  SELECT FROM {} AS w\n  WHERE {}\n)",
            taker.relation(),
            conditions.join(" AND ")
        ));
    }
    if taken.is_empty() {
        return None;
    }
    Some(format!(
        "UPDATE {table} AS t
SET {name} = {placeholder}
FROM (SELECT r.*, pg_catalog.row_number() OVER () AS place FROM {} AS r) AS u
WHERE {}
AND {}
AND ({});\n",
        rows.relation(),
        rows.join("t", "u"),
        as_it_was(rows),
        taken.join("\nOR ")
    ))
}

/// Changes the rows of all stages in one statement. Foreign keys are checked at its end, so rows that
/// refer to each other in a cycle can be inserted and deleted together.
pub(super) fn change(stages: &[StagedRows<'_>]) -> String {
    let mut parts: Vec<String> = stages.iter().map(change_stage).collect();
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return format!("{last};\n");
    }
    let named =
        parts.iter().enumerate().map(|(at, part)| format!("stage{} AS (\n{part}\n)", at + 1));
    format!("WITH {}\n{last};\n", named.collect::<Vec<_>>().join(", "))
}

fn change_stage(rows: &StagedRows<'_>) -> String {
    let (shape, relation, key) = (rows.shape, rows.relation(), rows.join("t", "u"));
    let table = quoted_table(&shape.table);
    let head = match shape.operation {
        Operation::Insert => {
            let names = rows.each(|_, name| name.to_owned()).join(", ");
            let values = rows.each(|field, _| format!("u.{field}")).join(", ");
            return format!(
                "INSERT INTO {table} ({names})
OVERRIDING SYSTEM VALUE
SELECT {values}
FROM {relation} AS u
WHERE NOT EXISTS (
  SELECT FROM {table} AS t
  WHERE {key}
){}{}",
                rows.order(""),
                if shape.proven { "\nON CONFLICT DO NOTHING" } else { "" }
            );
        }
        Operation::Delete => format!("DELETE FROM {table} AS t\nUSING {relation} AS u"),
        Operation::Update => {
            // Placeholders are replaced.
            let given_up = shape.exchanges.iter().map(|exchange| exchange.column);
            let set: BTreeSet<usize> = shape.set.iter().copied().chain(given_up).collect();
            let set = set.into_iter().map(|index| {
                let name = quoted(&shape.columns[index].name.0);
                format!("{name} = u.{}", rows.after(index))
            });
            let set = set.collect::<Vec<_>>().join(",\n  ");
            format!("UPDATE {table} AS t\nSET {set}\nFROM {relation} AS u")
        }
    };
    format!("{head}\nWHERE {key}\nAND {}", as_it_was(rows))
}

/// Raises unless every row is as intended.
pub(super) fn check_new(rows: &StagedRows<'_>) -> String {
    let wrong = match rows.shape.operation {
        Operation::Delete => "t.tableoid IS NOT NULL".to_owned(),
        _ => format!("t.tableoid IS NULL OR NOT {}", rows.image(true)),
    };
    check(rows, &wrong)
}

/// Raises, before the change, if a row that is to be deleted is not as before. If a delete cascades to
/// other rows of the batch, [`check_new`] cannot detect this.
pub(super) fn check_old(rows: &StagedRows<'_>) -> String {
    check(rows, &format!("t.tableoid IS NOT NULL AND NOT {}", rows.image(false)))
}

fn check(rows: &StagedRows<'_>, wrong: &str) -> String {
    let shape = rows.shape;
    let each = |write: &dyn Fn(usize) -> String| {
        shape.key.iter().map(|index| write(index + 1)).collect::<Vec<_>>().join(", ")
    };
    let of = rows.key_prefix();
    do_block(&format!(
        include_str!("check_rows.sql"),
        keys = each(&|at| format!("x.k{at}::text")),
        fields = each(&|at| format!("u.{of}{at} AS k{at}")),
        wrong = wrong,
        relation = rows.relation(),
        table = quoted_table(&shape.table),
        same_key = rows.join("t", "u"),
        count = rows.count,
        what = quote_literal(&format!("{} of {}", shape.operation.name(), shape.table_name())),
        GUARD = GUARD
    ))
}
