//! The statements of one batch: what psql runs from a script, `apply` runs from here.
//!
//! ```text
//! BEGIN … pinned settings … the right database … a temporary table of the target's own types
//!     ← the rows: COPY or INSERT in a script, parameters in `apply`
//! lock in key order → change rows whose image is still `old` → every row is `new`, or nothing stands
//! COMMIT
//! ```
//!
//! The role's own search path stays, for the sake of its triggers; what is ours is written in full.

use super::change::{Act, Shape};
use super::manifest::Place;
use super::quote::{block, literal, one_line};
use crate::sql::{quoted, quoted_table};

/// The code of an error by which a guard refuses.
pub const GUARD: &str = "PGR01";

const ROWS: &str = "pg_temp.pgr_rows";

const SETTINGS: [(&str, &str); 14] = [
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("bytea_output", "hex"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("row_security", "off"),
    ("lock_timeout", "3s"),
    ("statement_timeout", "10min"),
    ("idle_in_transaction_session_timeout", "60s"),
];

/// Begins a batch: settings, the right database, the time limit, an empty table for the rows.
pub fn opening(shape: &Shape, place: &Place, expires: Option<&str>) -> String {
    let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n".to_owned();
    for (name, value) in SETTINGS {
        text.push_str(&format!("SET LOCAL {name} = '{value}';\n"));
    }
    let database = literal(&place.database);
    let mut asserts = format!(
        "BEGIN
  IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'pgreconcile: run at READ COMMITTED' USING ERRCODE = '{GUARD}';
  END IF;
  IF pg_catalog.current_database() <> {database} THEN
    RAISE EXCEPTION 'pgreconcile: made for database \"%\", connected to \"%\"',
      {database}, pg_catalog.current_database() USING ERRCODE = '{GUARD}';
  END IF;\n"
    );
    if let Some(expires) = expires {
        asserts.push_str(&format!(
            "  IF pg_catalog.clock_timestamp() > '{expires}'::timestamptz THEN
    RAISE EXCEPTION 'pgreconcile: this script was valid until {expires}'
      USING ERRCODE = '{GUARD}', HINT = 'Compare again and make a new one.';
  END IF;\n"
        ));
    }
    asserts.push_str("END");
    text.push_str(&block(&asserts));
    let table = quoted_table(&shape.table);
    let columns = columns(shape, |prefix, index, name| format!("t.{name} AS {prefix}{index}"));
    text.push_str(&format!(
        "CREATE TEMP TABLE pgr_rows ON COMMIT DROP AS\n  SELECT {}\n  FROM {table} AS t\n  WITH NO DATA;\n",
        columns.join(", ")
    ));
    text
}

/// The columns of the table of rows: `o1` is the first column as it was, `n1` as it becomes.
pub(super) fn columns(shape: &Shape, write: impl Fn(char, usize, &str) -> String) -> Vec<String> {
    let mut columns = Vec::new();
    for (prefix, index) in fields(shape) {
        columns.push(write(prefix, index + 1, &quoted(&shape.columns[index].name.0)));
    }
    columns
}

/// Which fields a row of the table of rows has.
pub fn fields(shape: &Shape) -> impl Iterator<Item = (char, usize)> {
    let all = 0..shape.columns.len();
    let (old, new) = match shape.act {
        Act::Insert => (0..0, all.collect()),
        Act::Update => (all, shape.set.clone()),
        Act::Delete => (all, Vec::new()),
    };
    old.map(|index| ('o', index)).chain(new.into_iter().map(|index| ('n', index)))
}

/// Fills the table of rows from parameters: one array of texts a field.
pub fn fill(shape: &Shape) -> String {
    let (mut casts, mut places, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (prefix, index)) in fields(shape).enumerate() {
        let name = format!("{prefix}{}", index + 1);
        casts.push(format!("x.{name}::{}", shape.columns[index].type_name));
        places.push(format!("${}::text[]", at + 1));
        names.push(name);
    }
    format!(
        "INSERT INTO {ROWS} ({0})\nSELECT {1}\nFROM unnest({2}) AS x({0})",
        names.join(", "),
        casts.join(", "),
        places.join(", ")
    )
}

/// What follows once the rows are there, up to the commit, which is the caller's.
pub fn closing(shape: &Shape, rows: usize) -> Vec<String> {
    let mut texts = vec![format!("ANALYZE {ROWS};\n")];
    let key_of = if shape.act == Act::Insert { 'n' } else { 'o' };
    let key = join(shape, "t", key_of);
    let table = quoted_table(&shape.table);
    let image = |of: char| image(shape, of);
    if shape.act == Act::Insert {
        if !shape.proven {
            texts.push(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;\n"));
        }
        let names = columns(shape, |_, _, name| name.to_owned()).join(", ");
        let values = columns(shape, |prefix, index, _| format!("u.{prefix}{index}")).join(", ");
        texts.push(format!(
            "INSERT INTO {table} ({names})
OVERRIDING SYSTEM VALUE
SELECT {values}
FROM {ROWS} AS u
WHERE NOT EXISTS (
  SELECT FROM {table} AS t
  WHERE {key}
)
{}{};\n",
            order(shape, "u", key_of).trim_end(),
            if shape.proven { "\nON CONFLICT DO NOTHING" } else { "" }
        ));
    } else {
        texts.push(block(&format!(
            "BEGIN
  PERFORM 1
  FROM {table} AS t
  JOIN {ROWS} AS u ON {key}
  {}FOR UPDATE OF t;
END",
            order(shape, "u", key_of).replace('\n', "\n  ")
        )));
        if shape.act == Act::Delete {
            texts.extend(shape.cascades.iter().map(|cascade| unreached(shape, cascade, &key)));
        }
        let head = match shape.act {
            Act::Delete => format!("DELETE FROM {table} AS t\nUSING {ROWS} AS u\n"),
            _ => {
                let set = shape.set.iter().map(|index| {
                    format!("{} = u.n{}", quoted(&shape.columns[*index].name.0), index + 1)
                });
                let set = set.collect::<Vec<_>>().join(",\n  ");
                format!("UPDATE {table} AS t\nSET {set}\nFROM {ROWS} AS u\n")
            }
        };
        texts.push(format!("{head}WHERE {key}\nAND {};\n", image('o')));
    }
    texts.push("SET CONSTRAINTS ALL IMMEDIATE;\n".to_owned());
    texts.push(proof(shape, rows, &key, &image('n'), key_of));
    texts.extend(shape.sequences.iter().map(|(index, sequence)| catch_up(*index, sequence)));
    texts
}

/// The row of the table and the row of ours have one key.
fn join(shape: &Shape, alias: &str, of: char) -> String {
    let fields = shape.key.iter().map(|index| {
        let column = &shape.columns[*index];
        let (name, place) = (quoted(&column.name.0), index + 1);
        if column.ordered {
            format!("{alias}.{name} OPERATOR(pg_catalog.=) u.{of}{place}")
        } else {
            format!(
                "ROW({alias}.{name})::record OPERATOR(pg_catalog.*=) ROW(u.{of}{place})::record"
            )
        }
    });
    fields.collect::<Vec<_>>().join(" AND ")
}

/// The row of the table is this image of ours, to the last bit.
fn image(shape: &Shape, of: char) -> String {
    let names = shape.columns.iter().map(|column| format!("t.{}", quoted(&column.name.0)));
    let values = (0..shape.columns.len()).map(|index| {
        // What an update does not set stays as it was.
        let kept = of == 'n' && shape.act == Act::Update && !shape.set.contains(&index);
        format!("u.{}{}", if kept { 'o' } else { of }, index + 1)
    });
    format!(
        "ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record",
        names.collect::<Vec<_>>().join(", "),
        values.collect::<Vec<_>>().join(", ")
    )
}

fn order(shape: &Shape, alias: &str, of: char) -> String {
    let keys = shape.key.iter().filter(|index| shape.columns[**index].ordered);
    let keys: Vec<String> = keys.map(|index| format!("{alias}.{of}{}", index + 1)).collect();
    if keys.is_empty() { String::new() } else { format!("ORDER BY {}\n", keys.join(", ")) }
}

/// Raises unless every row is as intended.
fn proof(shape: &Shape, rows: usize, key: &str, image: &str, key_of: char) -> String {
    let table = quoted_table(&shape.table);
    let wrong = match shape.act {
        Act::Delete => "t.tableoid IS NOT NULL".to_owned(),
        _ => format!("t.tableoid IS NULL OR NOT {image}"),
    };
    let each = |write: &dyn Fn(usize) -> String| {
        shape.key.iter().map(|index| write(index + 1)).collect::<Vec<_>>().join(", ")
    };
    let fields = each(&|at| format!("u.{key_of}{at} AS k{at}"));
    let keys = each(&|at| format!("x.k{at}::text"));
    let what = literal(&format!("{} of {}", shape.act.name(), one_line_table(shape)));
    block(&format!(
        "DECLARE
  n bigint;
  bad bigint;
  gone bigint;
  keys text;
BEGIN
  -- OFFSET keeps each row's images from being compared more than once.
  SELECT pg_catalog.count(*),
    pg_catalog.count(*) FILTER (WHERE x.wrong),
    pg_catalog.count(*) FILTER (WHERE x.gone),
    pg_catalog.left(pg_catalog.string_agg(ROW({keys})::text, ', ') FILTER (WHERE x.wrong), 200)
  INTO n, bad, gone, keys
  FROM (
    SELECT {fields},
      {wrong} AS wrong,
      t.tableoid IS NULL AS gone
    FROM {ROWS} AS u
    LEFT JOIN {table} AS t ON {key}
    OFFSET 0
  ) AS x;
  IF bad > 0 OR n <> {rows} THEN
    RAISE EXCEPTION 'pgreconcile: % NOT applied: % of {rows} rows are not as intended (% gone, % found); nothing was changed',
      {what}, bad, gone, n - gone
      USING ERRCODE = '{GUARD}', DETAIL = 'keys: ' || coalesce(keys, 'none'),
      HINT = 'Data changed since the report, a trigger rewrote it, or another unique index holds the value. Compare again and make a new script.';
  END IF;
END"
    ))
}

fn one_line_table(shape: &Shape) -> String {
    format!("{}.{}", one_line(&shape.table.schema.0), one_line(&shape.table.name))
}

/// Raises if rows of another table would go or change along.
fn unreached(shape: &Shape, cascade: &super::change::Cascade, key: &str) -> String {
    let (table, child) = (quoted_table(&shape.table), quoted_table(&cascade.table));
    let on = cascade
        .columns
        .iter()
        .map(|(own, theirs)| format!("c.{} = t.{}", quoted(&own.0), quoted(&theirs.0)));
    let on = on.collect::<Vec<_>>().join(" AND ");
    // Rows of the same table that go in this very batch are no surprise.
    let own = if cascade.table == shape.table {
        let key = join(shape, "c", 'o');
        format!("\n  WHERE NOT EXISTS (SELECT FROM {ROWS} AS u WHERE {key})")
    } else {
        String::new()
    };
    let name = literal(&format!(
        "{}.{}",
        one_line(&cascade.table.schema.0),
        one_line(&cascade.table.name)
    ));
    block(&format!(
        "DECLARE
  reached bigint;
BEGIN
  SELECT pg_catalog.count(*)
  INTO reached
  FROM {ROWS} AS u
  JOIN {table} AS t ON {key}
  JOIN {child} AS c ON {on}{own};
  IF reached > 0 THEN
    RAISE EXCEPTION 'pgreconcile: the DELETE would reach % rows of % by ON DELETE {}; nothing was changed',
      reached, {name}
      USING ERRCODE = '{GUARD}', HINT = 'Repair that table first, or make the script with --allow-cascade.';
  END IF;
END",
        cascade.action
    ))
}

/// Moves a sequence behind the keys that were put in by hand.
fn catch_up(index: usize, sequence: &str) -> String {
    let name = literal(sequence);
    block(&format!(
        "DECLARE
  highest bigint;
BEGIN
  SELECT pg_catalog.max(u.n{})
  INTO highest
  FROM {ROWS} AS u;
  PERFORM pg_catalog.setval({name}::regclass, highest)
  FROM {sequence} AS s
  WHERE highest > s.last_value
  OR highest = s.last_value AND NOT s.is_called;
END",
        index + 1
    ))
}
