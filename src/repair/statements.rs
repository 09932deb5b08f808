//! The statements of one batch: what psql runs from a script, `apply` runs from here.
//!
//! ```text
//! BEGIN … pinned settings … the right database … a place for the rows, in the table's own types
//!     ← the rows: COPY or INSERT in a script, parameters in `apply`
//! lock → change rows whose image is still `old` → every row is `new`, or nothing stands
//! COMMIT
//! ```
//!
//! A batch has a stage for each table and kind that it changes: one, unless tables refer to each other
//! in a circle. The role's own search path stays, for the sake of its triggers; what is ours is written
//! in full.

use super::change::{Act, Manner, Shape};
use super::links::{after, before};
use super::manifest::{Place, TableIdentity};
use super::quote::{block, literal, one_line};
use super::rows::Rows;
use super::work::{GUARD, any_as_before, change, give_up, lock, prove};
use crate::schema::WalEnd;
use crate::sql::{CHECK_CLIENT, WAIT_FOR_COMMIT, definition, quoted_table};

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

/// One batch: its stages with how many rows each has.
#[derive(Clone, Debug)]
pub struct Batch<'b> {
    /// What is written.
    pub place: &'b Place,
    /// Until when it may be.
    pub expires: Option<&'b str>,
    /// How.
    pub manner: Manner,
    /// In the order of their tables, which have to be as they were; none has no rows.
    pub stages: Vec<(&'b Shape, &'b TableIdentity, usize)>,
}

impl<'b> Batch<'b> {
    pub(super) fn rows(&self) -> Vec<Rows<'b>> {
        let (manner, only) = (self.manner, self.stages.len() == 1);
        let rows = |(at, (shape, _, count)): (usize, &(&'b Shape, &'b TableIdentity, usize))| {
            let number = (!only).then_some(at + 1);
            Rows { shape, manner, number, count: *count }
        };
        self.stages.iter().enumerate().map(rows).collect()
    }

    /// Begins it: settings, the right database, the time limit, an empty place for the rows.
    pub fn opening(&self) -> String {
        let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n".to_owned();
        for (name, value) in SETTINGS {
            text.push_str(&format!("SET LOCAL {name} = '{value}';\n"));
        }
        if !self.manner.triggers {
            text.push_str("SET LOCAL session_replication_role = 'replica';\n");
        }
        text.push_str(&self.asserts());
        text.extend(self.rows().iter().map(Rows::make));
        text
    }

    fn asserts(&self) -> String {
        let database = literal(&self.place.database);
        let mut asserts = format!(
            "BEGIN
  -- What was applied has to survive a crash. Stronger values stay.
  PERFORM {WAIT_FOR_COMMIT};
  -- A statement ends with its client.
  PERFORM {CHECK_CLIENT};
  IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'pgreconcile: run at READ COMMITTED' USING ERRCODE = '{GUARD}';
  END IF;
  IF pg_catalog.current_database() <> {database} THEN
    RAISE EXCEPTION 'pgreconcile: made for database \"%\", connected to \"%\"',
      {database}, pg_catalog.current_database() USING ERRCODE = '{GUARD}';
  END IF;\n"
        );
        if let Some(cluster) = &self.place.system_identifier {
            let cluster = literal(cluster);
            asserts.push_str(&format!(
                "  IF pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
    IF (SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() AS s) <> {cluster} THEN
      RAISE EXCEPTION 'pgreconcile: made for cluster %, connected to another', {cluster}
        USING ERRCODE = '{GUARD}';
    END IF;
  END IF;\n"
            ));
        }
        if let Some(end) = self.place.instance.wal {
            asserts.push_str(&not_copied(&self.place.instance.started, end));
        }
        if let Some(expires) = self.expires {
            asserts.push_str(&format!(
                "  IF pg_catalog.clock_timestamp() > '{expires}'::timestamptz THEN
    RAISE EXCEPTION 'pgreconcile: this script was valid until {expires}'
      USING ERRCODE = '{GUARD}', HINT = 'Compare again and make a new one.';
  END IF;\n"
            ));
        }
        asserts.push_str("END");
        block(&asserts)
    }

    /// Puts the rows of a stage where they wait, from parameters.
    pub fn fill(&self, stage: usize) -> String {
        self.rows()[stage].fill()
    }

    /// Asks, once the rows are there, whether one of the table's is as it was before the batch.
    pub fn any_as_before(&self) -> String {
        let stages: Vec<String> = self.rows().iter().map(any_as_before).collect();
        format!("SELECT {}", stages.join("\nOR "))
    }

    /// What follows once the rows are there, up to the commit, which is the caller's.
    pub fn closing(&self) -> Vec<String> {
        let stages = self.rows();
        let mut texts: Vec<String> = stages.iter().filter_map(Rows::analyze).collect();
        for rows in &stages {
            if rows.shape.act == Act::Insert && !rows.shape.proven {
                let table = quoted_table(&rows.shape.table);
                texts.push(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;\n"));
            }
        }
        texts.extend(lock(&stages));
        texts.extend(stages.iter().flat_map(|rows| before(rows, &stages)));
        for rows in stages.iter().filter(|rows| rows.shape.act != Act::Insert) {
            let exchanges = rows.shape.exchanges.iter();
            texts.extend(exchanges.filter_map(|exchange| give_up(rows, exchange, &stages)));
        }
        texts.push(change(&stages));
        let mut tables: Vec<&TableIdentity> =
            self.stages.iter().map(|(_, table, _)| *table).collect();
        tables.dedup();
        texts.extend(tables.into_iter().map(as_defined));
        if !self.manner.triggers {
            texts.extend(stages.iter().flat_map(after));
        }
        texts.push("SET CONSTRAINTS ALL IMMEDIATE;\n".to_owned());
        texts.extend(stages.iter().map(prove));
        for rows in &stages {
            let sequences = rows.shape.sequences.iter();
            texts.extend(sequences.map(|(index, sequence)| catch_up(rows, *index, sequence)));
        }
        texts
    }
}

/// Raises where the server is a file copy of the one that the script was made for, or was put back: by
/// the rule of `Instance::copied`.
fn not_copied(started: &str, end: WalEnd) -> String {
    let (started, place) = (literal(started), end.text());
    format!(
        "  IF NOT pg_catalog.pg_is_in_recovery()
  AND pg_catalog.has_function_privilege('pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)', 'EXECUTE')
  AND pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_flush_lsn()', 'EXECUTE') THEN
    IF pg_catalog.pg_postmaster_start_time() <> {started}::timestamptz
    AND pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 8) = '{:08X}'
    AND pg_catalog.pg_current_wal_flush_lsn() < '{place}'::pg_lsn THEN
      RAISE EXCEPTION 'pgreconcile: made for a server whose WAL ended at {place}; this is a file copy of it, or was put back'
        USING ERRCODE = '{GUARD}';
    END IF;
  END IF;\n",
        end.timeline
    )
}

/// Raises unless a table is still defined as it was. It comes after the change, whose locks keep
/// migrations away from then on.
fn as_defined(table: &TableIdentity) -> String {
    let known = serde_json::json!(table.definition).to_string();
    let name = format!("{}.{}", one_line(&table.table.schema.0), one_line(&table.table.name));
    block(&format!(
        "DECLARE
  changed text;
BEGIN
  -- What everything here rests on.
  SELECT pg_catalog.string_agg(what, ', ' ORDER BY what)
  INTO changed
  FROM (
{}
  ) AS d
  FULL JOIN pg_catalog.jsonb_each_text({}) AS m(what, how) USING (what)
  WHERE ROW(d.how)::record OPERATOR(pg_catalog.*<>) ROW(m.how)::record;
  IF changed IS NOT NULL THEN
    RAISE EXCEPTION 'pgreconcile: table % was changed since the repair was made: %; nothing was changed',
      {}, changed USING ERRCODE = '{GUARD}', HINT = 'Compare again and make a new one.';
  END IF;
END",
        definition(table.oid),
        literal(&known),
        literal(&name)
    ))
}

/// Moves a sequence behind the numbers that were put in by hand, unless it can never come to them.
fn catch_up(rows: &Rows<'_>, index: usize, sequence: &str) -> String {
    let name = literal(sequence);
    block(&format!(
        "BEGIN
  PERFORM pg_catalog.setval({name}::regclass, x.furthest)
  FROM {sequence} AS s,
    pg_catalog.pg_sequence AS q,
    LATERAL (
      SELECT CASE WHEN q.seqincrement > 0
        THEN pg_catalog.max(u.n{0}) ELSE pg_catalog.min(u.n{0}) END::bigint AS furthest
      FROM {1} AS u
    ) AS x
  WHERE q.seqrelid = {name}::regclass
  AND x.furthest BETWEEN q.seqmin AND q.seqmax
  AND (
    CASE WHEN q.seqincrement > 0 THEN x.furthest > s.last_value ELSE x.furthest < s.last_value END
    OR x.furthest = s.last_value AND NOT s.is_called
  );
END",
        index + 1,
        rows.relation()
    ))
}
