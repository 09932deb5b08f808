//! Foreign keys: what a change would reach of other tables, and, where triggers are off, the checks that
//! the server then leaves out.
//!
//! Values are those of the table wherever it has them: a key's column may be one that no image holds.

use super::change::{Act, Shape};
use super::quote::{block, literal, one_line};
use super::reaches::behind;
use super::rows::Rows;
use super::work::{GUARD, prove_old};
use crate::schema::{ForeignKey, ForeignKeyEnd, TableName};
use crate::sql::{quoted, quoted_table};

fn told(table: &TableName) -> String {
    literal(&format!("{}.{}", one_line(&table.schema.0), one_line(&table.name)))
}

/// The rows of an end.
fn rows_of(end: &ForeignKeyEnd) -> String {
    let only = if end.partitioned { "" } else { "ONLY " };
    format!("{only}{}", quoted_table(&end.table))
}

/// The columns of a key's other end, each equal to what its counterpart is written as.
fn matches(link: &ForeignKey, alias: &str, write: impl Fn(&str) -> String) -> String {
    let pairs = link.columns.iter();
    let pairs =
        pairs.map(|(own, theirs)| format!("{alias}.{} = {}", quoted(&theirs.0), write(&own.0)));
    pairs.collect::<Vec<_>>().join(" AND ")
}

/// Whether the images say what the key's columns here were.
fn known(shape: &Shape, link: &ForeignKey) -> bool {
    link.columns.iter().all(|(own, _)| shape.place(own).is_some())
}

/// Whether a change may change the key's columns.
fn touches(shape: &Shape, link: &ForeignKey) -> bool {
    shape.act != Act::Update || link.generated || !shape.moved(link).is_empty()
}

/// Before anything is changed: raises if rows of other tables would go or change along. With triggers
/// off, if they would be left alone and nobody could tell afterwards.
pub(super) fn before(rows: &Rows<'_>, stages: &[Rows<'_>]) -> Vec<String> {
    let shape = rows.shape;
    if !rows.manner.triggers {
        let lost = shape
            .referrers
            .iter()
            .filter(|link| shape.act != Act::Insert && touches(shape, link) && !known(shape, link));
        return lost.map(|link| check(&reached(rows, link, stages), LOST, link)).collect();
    }
    let on = shape.act.name().to_uppercase();
    let acting = shape.referrers.iter().filter_map(|link| Some((link, shape.action(link)?)));
    let mut texts: Vec<String> = acting
        .filter(|_| !shape.cascade)
        .map(|(link, action)| {
            let mut says = format!("the {on} would reach % rows of % by ON {on} {action}");
            let mut names = vec![told(&link.there.table)];
            if let Some(behind) = behind(shape, link) {
                says.push_str(", and through them %");
                names.push(literal(&behind));
            }
            let hint = "Repair that table first, or make the script with --allow-cascade.";
            raises(&reached(rows, link, stages), &says, &names, hint)
        })
        .collect();
    let takes_along = |link: &ForeignKey| shape.action(link).is_some();
    if shape.act == Act::Delete && shape.referrers.iter().any(takes_along) {
        texts.push(prove_old(rows));
    }
    texts
}

/// Counts rows that refer to those that change. Of rows of this very batch `prove` knows whether they
/// are as intended, so they are no surprise.
fn reached(rows: &Rows<'_>, link: &ForeignKey, stages: &[Rows<'_>]) -> String {
    let shape = rows.shape;
    let mut conditions = Vec::new();
    if shape.act == Act::Update && link.generated {
        conditions.push(format!("NOT {}", rows.image(true)));
    } else if shape.act == Act::Update {
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
    let proven = stages.iter().filter(|stage| match stage.shape.act {
        Act::Insert => false,
        Act::Update => link.columns.iter().all(|(_, theirs)| stage.shape.place(theirs).is_some()),
        Act::Delete => true,
    });
    conditions.extend(proven.map(|stage| {
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

/// With triggers off: raises if a row that came or changed refers to none, or if one that went or
/// changed is still referred to.
pub(super) fn after(rows: &Rows<'_>) -> Vec<String> {
    let shape = rows.shape;
    let parents = shape.parents.iter().filter(|_| shape.act != Act::Delete);
    let referrers = shape.referrers.iter().filter(|link| known(shape, link));
    let referrers = referrers.filter(|_| shape.act != Act::Insert);
    let touched = |link: &&ForeignKey| touches(shape, link);
    let parents = parents.filter(touched).map(|link| refers(rows, link));
    parents.chain(referrers.filter(touched).map(|link| referred(rows, link))).collect()
}

fn refers(rows: &Rows<'_>, link: &ForeignKey) -> String {
    let there = matches(link, "p", |own| format!("t.{}", quoted(own)));
    let known = link.columns.iter().map(|(own, _)| format!("t.{} IS NOT NULL", quoted(&own.0)));
    // What is NULL in part refers to no row, which only MATCH FULL minds.
    let counts = known.collect::<Vec<_>>().join(if link.full { " OR " } else { " AND " });
    let (table, key) = (rows_of(&link.there), rows.join("t", "u"));
    let ours = format!("{} AS u\n  JOIN {} AS t ON {key}", rows.relation(), rows_of(&link.here));
    let count = format!(
        "  -- Those that are there are held until the end.
  PERFORM 1
  FROM {table} AS p
  WHERE EXISTS (SELECT FROM {ours} WHERE {there})
  FOR KEY SHARE OF p;
  SELECT pg_catalog.count(*)
  INTO lost
  FROM {ours}
  WHERE ({counts})
  AND NOT EXISTS (SELECT FROM {table} AS p WHERE {there});"
    );
    check(&count, "% rows refer to rows of % that are not there", link)
}

fn referred(rows: &Rows<'_>, link: &ForeignKey) -> String {
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

fn check(count: &str, says: &str, link: &ForeignKey) -> String {
    let hint = "No trigger watches foreign keys with --triggers off. Repair that table too.";
    raises(count, says, &[told(&link.there.table)], hint)
}

fn raises(count: &str, says: &str, names: &[String], hint: &str) -> String {
    block(&format!(
        "DECLARE
  lost bigint;
BEGIN
{count}
  IF lost OPERATOR(pg_catalog.>) 0 THEN
    RAISE EXCEPTION 'pgreconcile: {says}; nothing was changed', lost, {}
      USING ERRCODE = '{GUARD}', HINT = '{hint}';
  END IF;
END",
        names.join(", ")
    ))
}
