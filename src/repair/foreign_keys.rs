//! Foreign keys: checks which rows of other tables a change would reach, and, if triggers are off, the
//! checks that the server then omits.
//!
//! Values are read from the table if possible, because a foreign key may have columns that are in no
//! image.

use super::cascade::tables_beyond;
use super::change::{ChangeShape, Operation};
use super::quote::{do_block, escape_table, quote_literal};
use super::row_statements::{GUARD, check_old};
use super::staged_rows::StagedRows;
use crate::schema::{End, Link};
use crate::sql::{quoted, quoted_table};

/// Returns the table of an end, as a FROM clause names it.
fn rows_of(end: &End) -> String {
    let only = if end.partitioned { "" } else { "ONLY " };
    format!("{only}{}", quoted_table(&end.table))
}

/// Returns the condition that the columns of the other end equal their counterparts, which `write`
/// writes.
fn matches(link: &Link, alias: &str, write: impl Fn(&str) -> String) -> String {
    let pairs = link.columns.iter();
    let pairs =
        pairs.map(|(own, theirs)| format!("{alias}.{} = {}", quoted(&theirs.0), write(&own.0)));
    pairs.collect::<Vec<_>>().join(" AND ")
}

/// Returns whether the images contain the key's columns of this end.
fn known(shape: &ChangeShape, link: &Link) -> bool {
    link.columns.iter().all(|(own, _)| shape.place(own).is_some())
}

/// Returns whether a change may change the key's columns.
fn touches(shape: &ChangeShape, link: &Link) -> bool {
    shape.operation != Operation::Update || link.generated || !shape.moved(link).is_empty()
}

/// Returns the checks before the change. They raise if it would delete or change rows of other tables.
/// If triggers are off, they raise if other rows would refer to none afterwards and no later check could
/// detect it.
pub(super) fn checks_before(rows: &StagedRows<'_>, stages: &[StagedRows<'_>]) -> Vec<String> {
    let shape = rows.shape;
    if !rows.mode.triggers {
        let lost = shape.referrers.iter().filter(|link| {
            shape.operation != Operation::Insert && touches(shape, link) && !known(shape, link)
        });
        return lost.map(|link| check(&count_reached(rows, link, stages), LOST, link)).collect();
    }
    let on = shape.operation.name().to_uppercase();
    let acting = shape.referrers.iter().filter_map(|link| Some((link, shape.action(link)?)));
    let mut texts: Vec<String> = acting
        .filter(|_| !shape.cascade)
        .map(|(link, action)| {
            let mut message = format!("the {on} would reach % rows of % by ON {on} {action}");
            let mut names = vec![quote_literal(&escape_table(&link.there.table))];
            if let Some(beyond) = tables_beyond(shape, link) {
                message.push_str(", and through them %");
                names.push(quote_literal(&beyond));
            }
            let hint = "Repair that table first, or make the script with --allow-cascade.";
            raise_if_any(&count_reached(rows, link, stages), &message, &names, hint)
        })
        .collect();
    let cascades = |link: &Link| shape.action(link).is_some();
    if shape.operation == Operation::Delete && shape.referrers.iter().any(cascades) {
        texts.push(check_old(rows));
    }
    texts
}

/// Counts rows that refer to the changed ones. Rows of the batch itself do not count: `check_new` checks
/// whether they are as intended.
fn count_reached(rows: &StagedRows<'_>, link: &Link, stages: &[StagedRows<'_>]) -> String {
    let shape = rows.shape;
    let mut conditions = Vec::new();
    if shape.operation == Operation::Update && link.generated {
        conditions.push(format!("NOT {}", rows.image(true)));
    } else if shape.operation == Operation::Update {
        let moved = shape.moved(link);
        let each = |write: &dyn Fn(usize) -> String| {
            moved.iter().map(|index| write(*index)).collect::<Vec<_>>().join(", ")
        };
        conditions.push(format!(
            "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
            each(&|index| format!("t.{}", quoted(&shape.columns[index].name.0))),
            each(&|index| format!("u.n{}", index + 1))
        ));
    }
    let checked = stages.iter().filter(|stage| match stage.shape.operation {
        Operation::Insert => false,
        Operation::Update => {
            link.columns.iter().all(|(_, theirs)| stage.shape.place(theirs).is_some())
        }
        Operation::Delete => true,
    });
    conditions.extend(checked.map(|stage| {
        format!(
            "NOT EXISTS (
    SELECT FROM {} AS w
    JOIN {} AS g ON {}
    WHERE g.tableoid = c.tableoid AND g.ctid = c.ctid
  )",
            stage.relation(),
            quoted_table(&stage.shape.table),
            stage.join("g", "w")
        )
    }));
    let conditions = match conditions.as_slice() {
        [] => String::new(),
        all => format!("\n  WHERE {}", all.join("\n  AND ")),
    };
    format!(
        "  SELECT pg_catalog.count(*)
  INTO lost
  FROM {} AS u
  JOIN {} AS t ON {}
  JOIN {} AS c ON {}{conditions};",
        rows.relation(),
        rows_of(&link.here),
        rows.join("t", "u"),
        rows_of(&link.there),
        matches(link, "c", |own| format!("t.{}", quoted(own)))
    )
}

/// Returns the checks after the change, if triggers are off. They raise if an inserted or updated row
/// refers to a missing row, or if a row refers to a deleted or updated one.
pub(super) fn checks_after(rows: &StagedRows<'_>) -> Vec<String> {
    let shape = rows.shape;
    let parents = shape.parents.iter().filter(|_| shape.operation != Operation::Delete);
    let referrers = shape.referrers.iter().filter(|link| known(shape, link));
    let referrers = referrers.filter(|_| shape.operation != Operation::Insert);
    let touched = |link: &&Link| touches(shape, link);
    let parents = parents.filter(touched).map(|link| check_parents(rows, link));
    parents.chain(referrers.filter(touched).map(|link| check_referrers(rows, link))).collect()
}

fn check_parents(rows: &StagedRows<'_>, link: &Link) -> String {
    let known = link.columns.iter().map(|(own, _)| format!("t.{} IS NOT NULL", quoted(&own.0)));
    // A partly NULL key refers to no row; only MATCH FULL forbids it.
    let counts = known.collect::<Vec<_>>().join(if link.full { " OR " } else { " AND " });
    let (here, same_key) = (rows_of(&link.here), rows.join("t", "u"));
    let count = format!(
        include_str!("count_missing_parents.sql"),
        parents = rows_of(&link.there),
        rows = format_args!("{} AS u\n  JOIN {here} AS t ON {same_key}", rows.relation()),
        refers = matches(link, "p", |own| format!("t.{}", quoted(own))),
        counts = counts
    );
    check(count.trim_end(), "% rows refer to rows of % that are not there", link)
}

fn check_referrers(rows: &StagedRows<'_>, link: &Link) -> String {
    let old = |own: &str| {
        let place = rows.shape.columns.iter().position(|column| column.name.0 == own);
        format!("u.o{}", place.map_or(0, |place| place + 1))
    };
    let count = format!(
        "  SELECT pg_catalog.count(*)
  INTO lost
  FROM {} AS u
  JOIN {} AS c ON {}
  WHERE NOT EXISTS (SELECT FROM {} AS p WHERE {});",
        rows.relation(),
        rows_of(&link.there),
        matches(link, "c", old),
        rows_of(&link.here),
        matches(link, "c", |own| format!("p.{}", quoted(own)))
    );
    check(&count, LOST, link)
}

const LOST: &str = "% rows of % would refer to none";

fn check(count: &str, message: &str, link: &Link) -> String {
    let hint = "No trigger watches foreign keys with --triggers off. Repair that table too.";
    raise_if_any(count, message, &[quote_literal(&escape_table(&link.there.table))], hint)
}

/// Raises if `count`, which sets the variable `lost`, is above 0. Each % of the message is the count or
/// one of the names.
fn raise_if_any(count: &str, message: &str, names: &[String], hint: &str) -> String {
    do_block(&format!(
        "DECLARE
  lost bigint;
BEGIN
{count}
  IF lost OPERATOR(pg_catalog.>) 0 THEN
    RAISE EXCEPTION 'pgreconcile: {message}; nothing was changed', lost, {}
      USING ERRCODE = '{GUARD}', HINT = '{hint}';
  END IF;
END",
        names.join(", ")
    ))
}
