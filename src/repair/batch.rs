//! The statements of one batch. psql runs them from a script, `apply` runs the same ones itself.
//!
//! ```text
//! BEGIN … fixed settings … checks of the database … staging tables with the table's own types
//!     ← the rows: COPY or INSERT in a script, parameters in `apply`
//! lock → change the rows that still equal `old` → check that every row equals `new`, or fail
//! COMMIT
//! ```
//!
//! A batch has a stage for each operation and table: one, unless tables refer to each other in a cycle.
//! The role's own search path is not changed, because its triggers may depend on it. Names of system
//! objects are therefore qualified.

use super::change::{ApplyMode, ChangeShape, Operation};
use super::foreign_keys::{checks_after, checks_before};
use super::manifest::{TableIdentity, WrittenDatabase};
use super::quote::{do_block, escape_table, quote_literal};
use super::row_statements::{GUARD, any_as_before, change, check_new, give_up, lock};
use super::staged_rows::StagedRows;
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

/// One batch: one transaction.
#[derive(Clone, Debug)]
pub struct Batch<'b> {
    /// The database that is written.
    pub written: &'b WrittenDatabase,
    /// Until when the batch may run, in UTC.
    pub expires: Option<&'b str>,
    /// How it is applied.
    pub mode: ApplyMode,
    /// The stages, each with the number of its rows, which is not 0. The definition of each table has to
    /// be as it was.
    pub stages: Vec<(&'b ChangeShape, &'b TableIdentity, usize)>,
}

impl<'b> Batch<'b> {
    /// Returns the staged rows of each stage.
    pub(super) fn staged_rows(&self) -> Vec<StagedRows<'b>> {
        let (mode, only) = (self.mode, self.stages.len() == 1);
        let staged = |(at, (shape, _, count)): (usize, &(&'b ChangeShape, _, usize))| {
            let number = (!only).then_some(at + 1);
            StagedRows { shape, mode, number, count: *count }
        };
        self.stages.iter().enumerate().map(staged).collect()
    }

    /// Returns the statements before the rows: BEGIN, settings, checks of the database and of the time,
    /// and empty staging tables.
    pub fn opening(&self) -> String {
        let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n".to_owned();
        for (name, value) in SETTINGS {
            text.push_str(&format!("SET LOCAL {name} = '{value}';\n"));
        }
        if !self.mode.triggers {
            text.push_str("SET LOCAL session_replication_role = 'replica';\n");
        }
        text.push_str(&self.checks());
        text.extend(self.staged_rows().iter().map(StagedRows::create));
        text
    }

    fn checks(&self) -> String {
        let database = quote_literal(&self.written.database);
        let mut checks = format!(
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
        if let Some(cluster) = &self.written.system_identifier {
            let cluster = quote_literal(cluster);
            checks.push_str(&format!(
                "  IF pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
    IF (SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() AS s) <> {cluster} THEN
      RAISE EXCEPTION 'pgreconcile: made for cluster %, connected to another', {cluster}
        USING ERRCODE = '{GUARD}';
    END IF;
  END IF;\n"
            ));
        }
        if let Some(end) = self.written.instance.wal {
            checks.push_str(&check_instance(&self.written.instance.started, end));
        }
        if let Some(expires) = self.expires {
            checks.push_str(&format!(
                "  IF pg_catalog.clock_timestamp() > '{expires}'::timestamptz THEN
    RAISE EXCEPTION 'pgreconcile: this script was valid until {expires}'
      USING ERRCODE = '{GUARD}', HINT = 'Compare again and make a new one.';
  END IF;\n"
            ));
        }
        checks.push_str("END");
        do_block(&checks)
    }

    /// Returns the statement that stages the rows of a stage, from parameters.
    pub fn fill(&self, stage: usize) -> String {
        self.staged_rows()[stage].fill()
    }

    /// Returns the query, for use after the rows were staged, whether a row of the table is still as it
    /// was before the batch.
    pub fn any_as_before(&self) -> String {
        let stages: Vec<String> = self.staged_rows().iter().map(any_as_before).collect();
        format!("SELECT {}", stages.join("\nOR "))
    }

    /// Returns the statements after the rows were staged, up to the COMMIT, which the caller runs.
    pub fn closing(&self) -> Vec<String> {
        let stages = self.staged_rows();
        let mut texts: Vec<String> = stages.iter().filter_map(StagedRows::analyze).collect();
        for rows in &stages {
            if rows.shape.operation == Operation::Insert && !rows.shape.proven {
                let table = quoted_table(&rows.shape.table);
                texts.push(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;\n"));
            }
        }
        texts.extend(lock(&stages));
        texts.extend(stages.iter().flat_map(|rows| checks_before(rows, &stages)));
        for rows in stages.iter().filter(|rows| rows.shape.operation != Operation::Insert) {
            let exchanges = rows.shape.exchanges.iter();
            texts.extend(exchanges.filter_map(|exchange| give_up(rows, exchange, &stages)));
        }
        texts.push(change(&stages));
        let mut tables: Vec<&TableIdentity> =
            self.stages.iter().map(|(_, table, _)| *table).collect();
        tables.dedup();
        texts.extend(tables.into_iter().map(check_definition));
        if !self.mode.triggers {
            texts.extend(stages.iter().flat_map(checks_after));
        }
        texts.push("SET CONSTRAINTS ALL IMMEDIATE;\n".to_owned());
        texts.extend(stages.iter().map(check_new));
        for rows in &stages {
            let sequences = rows.shape.sequences.iter();
            texts.extend(sequences.map(|(index, name)| advance_sequence(rows, *index, name)));
        }
        texts
    }
}

/// Raises if the server is a file copy of the one that the script was made for, or was restored: by the
/// rule of `Instance::copied`.
fn check_instance(started: &str, end: WalEnd) -> String {
    format!(
        include_str!("check_instance.sql"),
        started = quote_literal(started),
        timeline = end.timeline,
        end = end.text(),
        GUARD = GUARD
    )
}

/// Raises unless a table's definition is as it was. It runs after the change: from then on the
/// change's locks prevent other definitions.
fn check_definition(table: &TableIdentity) -> String {
    do_block(&format!(
        include_str!("check_definition.sql"),
        definition = definition(table.oid),
        known = quote_literal(&serde_json::json!(table.definition).to_string()),
        table = quote_literal(&escape_table(&table.table)),
        GUARD = GUARD
    ))
}

/// Moves a sequence past the inserted numbers, unless it can never reach them.
fn advance_sequence(rows: &StagedRows<'_>, index: usize, sequence: &str) -> String {
    do_block(&format!(
        include_str!("advance_sequence.sql"),
        name = quote_literal(sequence),
        sequence = sequence,
        field = format_args!("n{}", index + 1),
        relation = rows.relation()
    ))
}
