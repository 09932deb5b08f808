//! The definition of a table on which a repair depends: its columns, foreign keys, unique indexes,
//! triggers and rules, each with a digest of its entry in the catalog.
//!
//! The same text runs while a repair is made and within its scripts, so it depends on no setting and no
//! search path. A new partition has copies of its parent's objects; copies do not count.

use crate::sql::statement::Statement;

/// Returns the start of a statement, with the table and its partitions as the relation `family`.
pub(super) fn family(oid: u32) -> String {
    format!(
        "WITH RECURSIVE family(oid) AS (
  SELECT {oid}::oid
  UNION
  SELECT i.inhrelid
  FROM pg_catalog.pg_inherits AS i
  JOIN family AS p ON p.oid = i.inhparent
)"
    )
}

/// Returns the condition that an end of the foreign key `f` is in the family, and `f` is no copy of a key
/// with that end in the family.
pub(super) fn is_original_link(end: &str) -> String {
    format!(
        "f.contype = 'f' AND f.{end} IN (SELECT m.oid FROM family AS m)
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint AS o
    WHERE o.oid = f.conparentid AND o.{end} IN (SELECT m.oid FROM family AS m)
  )"
    )
}

/// Returns the text of a statement with a row for each part of a table's definition: its name and digest.
/// An index that is being built does not count yet.
pub fn definition(oid: u32) -> String {
    let without = |entry: &str, fields: &str| {
        format!(
            "(pg_catalog.to_jsonb({entry}) OPERATOR(pg_catalog.-) '{{{fields}}}'::text[])::text"
        )
    };
    format!(
        "{},
entries(what, how) AS (
  SELECT 'column ' || a.attname,
    ROW(a.attnum, a.atttypid, a.atttypmod, a.attcollation, a.attgenerated, a.attidentity)::text
  FROM pg_catalog.pg_attribute AS a
  WHERE a.attrelid = {oid}::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT 'foreign key ' || f.conname || ' of ' || n.nspname || '.' || c.relname,
    {}
  FROM pg_catalog.pg_constraint AS f
  JOIN pg_catalog.pg_class AS c ON c.oid = f.conrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE {}
  OR {}
  UNION ALL
  SELECT 'unique index ' || c.relname,
    {}
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  WHERE i.indrelid = {oid}::oid AND i.indisunique AND i.indisvalid
  UNION ALL
  SELECT 'trigger ' || g.tgname || ' of ' || n.nspname || '.' || c.relname,
    {}
  FROM pg_catalog.pg_trigger AS g
  JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE g.tgrelid IN (SELECT m.oid FROM family AS m) AND NOT g.tgisinternal
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger AS o
    WHERE o.oid = g.tgparentid AND o.tgrelid IN (SELECT m.oid FROM family AS m)
  )
  UNION ALL
  SELECT 'rule ' || w.rulename,
    {}
  FROM pg_catalog.pg_rewrite AS w
  WHERE w.ev_class = {oid}::oid
)
SELECT e.what,
  pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    e.how, pg_catalog.getdatabaseencoding()::name)), 'hex'), 16) AS how
FROM entries AS e",
        family(oid),
        without("f", "oid, conparentid, conindid, convalidated"),
        is_original_link("conrelid"),
        is_original_link("confrelid"),
        without("i", "indexrelid, indcheckxmin, indisclustered, indisreplident"),
        without("g", "oid, tgparentid"),
        without("w", "oid"),
    )
}

/// Returns the same as a statement.
pub fn stored_definition(oid: u32) -> Statement {
    Statement::constant(definition(oid))
}
