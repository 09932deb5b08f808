//! Foreign keys: what a DELETE would reach of other tables, and, where triggers are off, the checks that
//! the server then leaves out.

use super::change::{Act, Reference};
use super::quote::{block, literal, one_line};
use super::rows::Rows;
use super::work::GUARD;
use crate::schema::TableName;
use crate::sql::{quoted, quoted_table};

fn told(table: &TableName) -> String {
    literal(&format!("{}.{}", one_line(&table.schema.0), one_line(&table.name)))
}

/// Raises if rows of other tables would go or change along.
pub(super) fn unreached(rows: &Rows<'_>) -> Vec<String> {
    let reached =
        rows.shape.referrers.iter().filter_map(|reference| {
            Some(unreached_by(rows, reference, reference.action.as_deref()?))
        });
    reached.collect()
}

fn unreached_by(rows: &Rows<'_>, reference: &Reference, action: &str) -> String {
    let shape = rows.shape;
    let (table, child) = (quoted_table(&shape.table), quoted_table(&reference.table));
    let on = reference.columns.iter().map(|(own, theirs)| {
        format!("c.{} = t.{}", quoted(&theirs.0), quoted(&shape.columns[*own].name.0))
    });
    let on = on.collect::<Vec<_>>().join(" AND ");
    // Rows of the same table that go in this very batch are no surprise.
    let own = if reference.table == shape.table {
        let (ours, key) = (rows.relation(), rows.join("c", "w"));
        format!("\n  WHERE NOT EXISTS (SELECT FROM {ours} AS w WHERE {key})")
    } else {
        String::new()
    };
    block(&format!(
        "DECLARE
  reached bigint;
BEGIN
  SELECT pg_catalog.count(*)
  INTO reached
  FROM {} AS u
  JOIN {table} AS t ON {}
  JOIN {child} AS c ON {on}{own};
  IF reached > 0 THEN
    RAISE EXCEPTION 'pgreconcile: the DELETE would reach % rows of % by ON DELETE {action}; nothing was changed',
      reached, {}
      USING ERRCODE = '{GUARD}', HINT = 'Repair that table first, or make the script with --allow-cascade.';
  END IF;
END",
        rows.relation(),
        rows.join("t", "u"),
        told(&reference.table)
    ))
}

/// With triggers off: raises if a row that came or changed refers to none, or if one that went or
/// changed is still referred to.
pub(super) fn checks(rows: &Rows<'_>) -> Vec<String> {
    let shape = rows.shape;
    let touches = |reference: &&Reference| match shape.act {
        Act::Update => reference.columns.iter().any(|(own, _)| shape.set.contains(own)),
        _ => true,
    };
    let parents = shape.parents.iter().filter(touches).filter(|_| shape.act != Act::Delete);
    let referrers = shape.referrers.iter().filter(touches).filter(|_| shape.act != Act::Insert);
    parents.map(|parent| refers(rows, parent)).chain(referrers.map(|r| referred(rows, r))).collect()
}

fn refers(rows: &Rows<'_>, parent: &Reference) -> String {
    let field = |own: usize| format!("u.{}", rows.after(own));
    let there = parent
        .columns
        .iter()
        .map(|(own, theirs)| format!("p.{} = {}", quoted(&theirs.0), field(*own)));
    let there = there.collect::<Vec<_>>().join(" AND ");
    let whole = parent.columns.iter().map(|(own, _)| format!("{} IS NOT NULL", field(*own)));
    let (table, ours) = (quoted_table(&parent.table), rows.relation());
    check(
        &format!(
            "  -- Those that are there are held until the end.
  PERFORM 1
  FROM {table} AS p
  WHERE EXISTS (SELECT FROM {ours} AS u WHERE {there})
  FOR KEY SHARE OF p;
  SELECT pg_catalog.count(*)
  INTO lost
  FROM {ours} AS u
  WHERE {}
  AND NOT EXISTS (SELECT FROM {table} AS p WHERE {there});",
            whole.collect::<Vec<_>>().join(" AND ")
        ),
        "% rows refer to rows of % that are not there",
        &parent.table,
    )
}

fn referred(rows: &Rows<'_>, child: &Reference) -> String {
    let shape = rows.shape;
    let pairs = |alias: &str, write: &dyn Fn(usize) -> String| {
        let pair = |(own, theirs): &(usize, crate::schema::ColumnName)| {
            format!("{alias}.{} = {}", quoted(&theirs.0), write(*own))
        };
        child.columns.iter().map(pair).collect::<Vec<_>>().join(" AND ")
    };
    let was = pairs("c", &|own| format!("u.o{}", own + 1));
    let is = pairs("c", &|own| format!("p.{}", quoted(&shape.columns[own].name.0)));
    check(
        &format!(
            "  SELECT pg_catalog.count(*)
  INTO lost
  FROM {} AS u
  JOIN {} AS c ON {was}
  WHERE NOT EXISTS (SELECT FROM {} AS p WHERE {is});",
            rows.relation(),
            quoted_table(&child.table),
            quoted_table(&shape.table)
        ),
        "% rows of % would refer to none",
        &child.table,
    )
}

fn check(count: &str, says: &str, table: &TableName) -> String {
    block(&format!(
        "DECLARE
  lost bigint;
BEGIN
{count}
  IF lost > 0 THEN
    RAISE EXCEPTION 'pgreconcile: {says}; nothing was changed', lost, {}
      USING ERRCODE = '{GUARD}', HINT = 'No trigger watches foreign keys with --triggers off. Repair that table too.';
  END IF;
END",
        told(table)
    ))
}
