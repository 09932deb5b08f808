//! The statements that do the work: rows are locked, changed where they still are what they were, and
//! proven to be what they were to become.

use std::collections::BTreeSet;

use super::change::{Act, Exchange, Standin};
use super::quote::{block, literal};
use super::rows::Rows;
use crate::schema::ColumnName;
use crate::sql::{RAISED_SQLSTATE, quoted, quoted_table};

/// The code of an error by which a guard refuses.
pub const GUARD: &str = RAISED_SQLSTATE;

/// Locks the rows that are there. All at once or none of them: a transaction that holds some of them
/// and wants others finds ours free, so nobody ever waits in a circle with a script.
pub(super) fn lock(stages: &[Rows<'_>]) -> Option<String> {
    let locks: Vec<String> = stages
        .iter()
        .filter(|rows| rows.shape.act != Act::Insert)
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
    Some(block(&format!(
        "DECLARE
  patience timestamptz := pg_catalog.clock_timestamp() + '3s'::interval;
BEGIN
  LOOP
    BEGIN{}
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF pg_catalog.clock_timestamp() > patience THEN
        RAISE;
      END IF;
    END;
    PERFORM pg_catalog.pg_sleep(0.05 * pg_catalog.random());
  END LOOP;
END",
        locks.concat()
    )))
}

/// A row of the table that is as it was, or that this very transaction has already touched: that is
/// how a row whose value was given up is known again.
fn as_it_was(rows: &Rows<'_>) -> String {
    let image = rows.image(false);
    if rows.shape.exchanges.is_empty() {
        return image;
    }
    format!("({image}\n  OR t.xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid)")
}

/// Whether a row of the table is as it was before the change: there with its old image, or not there.
pub(super) fn any_as_before(rows: &Rows<'_>) -> String {
    let (table, relation) = (quoted_table(&rows.shape.table), rows.relation());
    let key = rows.join("t", "u");
    match rows.shape.act {
        Act::Insert => format!(
            "EXISTS (SELECT FROM {relation} AS u WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {key}))"
        ),
        _ => {
            let image = rows.image(false);
            format!("EXISTS (SELECT FROM {relation} AS u JOIN {table} AS t ON {key} WHERE {image})")
        }
    }
}

/// What stands in a column of the row at some place, as SQL.
pub fn stands_in(standin: &Standin, table: &str, column: &ColumnName, place: &str) -> String {
    let name = quoted(&column.0);
    let highest = |from: &str, to: &str, none: &str| {
        format!(
            "coalesce((SELECT pg_catalog.max(x.{name}) FROM {table} AS x
  WHERE x.{name} OPERATOR(pg_catalog.>=) '{from}' AND x.{name} OPERATOR(pg_catalog.<=) '{to}'), '{none}')"
        )
    };
    // No time is infinite and none at the end of its type.
    let last = || highest("4000-01-01 BC", "290000-01-01", "2000-01-01");
    match standin {
        Standin::Null => "NULL".to_owned(),
        Standin::Number(most) => format!("{} + {place}", highest(&format!("-{most}"), most, "0")),
        Standin::Day => format!("{} + {place}::int4", last()),
        Standin::Time => format!("{} + {place} * '1 day'::interval", last()),
        Standin::Text(length) => text_in_between(*length, place),
        Standin::Uuid => "pg_catalog.gen_random_uuid()".to_owned(),
    }
}

/// A text for each place that no other row has. Where there is no room for a random one, it is made of
/// characters that Unicode has given to nobody, if the database can say them.
fn text_in_between(length: Option<i32>, place: &str) -> String {
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

/// Gives up values of a unique index that other rows of the batch are to take; nothing if none takes any.
pub(super) fn give_up(rows: &Rows<'_>, exchange: &Exchange, takers: &[Rows<'_>]) -> Option<String> {
    let shape = rows.shape;
    let table = quoted_table(&shape.table);
    let column = &shape.columns[exchange.column];
    let name = quoted(&column.name.0);
    let standin = stands_in(&exchange.standin, &table, &column.name, "u.place");
    let mut taken: Vec<String> = Vec::new();
    if exchange.index.is_empty() {
        // Nobody but the server knows the index's values: whoever changes what they are made of.
        let each = |image: char| {
            let fields = exchange.moved.iter().map(|column| format!("u.{image}{}", column + 1));
            fields.collect::<Vec<_>>().join(", ")
        };
        taken.push(match shape.act {
            Act::Update => format!(
                "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
                each('n'),
                each('o')
            ),
            _ => "true".to_owned(),
        });
    }
    let same_table = |taker: &&Rows<'_>| taker.shape.table == shape.table;
    for taker in takers.iter().filter(same_table).filter(|taker| taker.shape.act != Act::Delete) {
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
        if taker.shape.act == Act::Update && shape.act == Act::Update {
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
SET {name} = {standin}
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

/// Changes the rows of all stages in one statement: foreign keys are looked at when it is over, so
/// that even rows which refer to each other in a circle come and go together.
pub(super) fn change(stages: &[Rows<'_>]) -> String {
    let mut parts: Vec<String> = stages.iter().map(change_one).collect();
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return format!("{last};\n");
    }
    let named =
        parts.iter().enumerate().map(|(at, part)| format!("stage{} AS (\n{part}\n)", at + 1));
    format!("WITH {}\n{last};\n", named.collect::<Vec<_>>().join(", "))
}

fn change_one(rows: &Rows<'_>) -> String {
    let (shape, relation, key) = (rows.shape, rows.relation(), rows.join("t", "u"));
    let table = quoted_table(&shape.table);
    let head = match shape.act {
        Act::Insert => {
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
        Act::Delete => format!("DELETE FROM {table} AS t\nUSING {relation} AS u"),
        Act::Update => {
            // What was given up comes back.
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
pub(super) fn prove(rows: &Rows<'_>) -> String {
    let wrong = match rows.shape.act {
        Act::Delete => "t.tableoid IS NOT NULL".to_owned(),
        _ => format!("t.tableoid IS NULL OR NOT {}", rows.image(true)),
    };
    raise(rows, &wrong)
}

/// Raises beforehand if a row that is to go is not as it was: where one takes others along, `prove`
/// cannot tell who took it.
pub(super) fn prove_old(rows: &Rows<'_>) -> String {
    raise(rows, &format!("t.tableoid IS NOT NULL AND NOT {}", rows.image(false)))
}

fn raise(rows: &Rows<'_>, wrong: &str) -> String {
    let (shape, count) = (rows.shape, rows.count);
    let each = |write: &dyn Fn(usize) -> String| {
        shape.key.iter().map(|index| write(index + 1)).collect::<Vec<_>>().join(", ")
    };
    let of = rows.keyed();
    let fields = each(&|at| format!("u.{of}{at} AS k{at}"));
    let keys = each(&|at| format!("x.k{at}::text"));
    let what = literal(&format!("{} of {}", shape.act.name(), shape.table_name()));
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
    FROM {} AS u
    LEFT JOIN {} AS t ON {}
    OFFSET 0
  ) AS x;
  IF bad OPERATOR(pg_catalog.>) 0 OR n OPERATOR(pg_catalog.<>) {count} THEN
    RAISE EXCEPTION 'pgreconcile: % NOT applied: % of {count} rows are not as intended (% gone, % found); nothing was changed',
      {what}, bad, gone, n - gone
      USING ERRCODE = '{GUARD}', DETAIL = 'keys: ' || coalesce(keys, 'none'),
      HINT = 'Data changed since the report, a trigger rewrote it, or another unique index holds the value. Compare again and make a new script.';
  END IF;
END",
        rows.relation(),
        quoted_table(&shape.table),
        rows.join("t", "u")
    ))
}
