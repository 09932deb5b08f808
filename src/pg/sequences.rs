//! The sequences of a table's columns, and how far they and the columns have come.

use super::catalog::Catalog;
use super::error::PgError;
use super::row::Row;
use crate::schema::{ColumnName, Numerals, SchemaName, SequenceLink, TableName};
use crate::sql;

/// A column whose last number is asked for, with the sequence that fills it.
#[derive(Clone, Copy, Debug)]
pub struct LastKeyQuery<'c> {
    /// Its table.
    pub table: &'c TableName,
    /// Its name.
    pub column: &'c ColumnName,
    /// How it writes whole numbers.
    pub numerals: Numerals,
    /// Whether the largest is asked for, not the smallest.
    pub largest: bool,
    /// The sequence.
    pub sequence: &'c TableName,
}

impl Catalog<'_> {
    /// The columns of each of some tables that sequences fill. A table goes by name and OID.
    ///
    /// # Errors
    /// What the server says.
    pub async fn read_sequence_links(
        &self,
        tables: &[(&TableName, u32)],
    ) -> Result<Vec<Vec<SequenceLink>>, PgError> {
        let statement = |tables: &[(&TableName, u32)]| {
            sql::sequence_links(&tables.iter().map(|(_, oid)| *oid).collect::<Vec<_>>())
        };
        let name = |(name, _): &(&TableName, u32)| format!("table {name}");
        let decode = |_: &(&TableName, u32), rows: &[Row]| rows.iter().map(link).collect();
        self.query_each(tables, statement, name, decode).await
    }

    /// The last number of each column, and how far its sequence is; or why the server does not say it.
    ///
    /// # Errors
    /// What concerns more than one of them.
    pub async fn read_last_keys(
        &self,
        asked: &[LastKeyQuery<'_>],
    ) -> Result<Vec<LastKey>, PgError> {
        // First the column: a number that is given meanwhile must not look like one too many.
        let statements = asked.iter().flat_map(|asked| {
            let LastKeyQuery { table, column, numerals, largest, sequence } = *asked;
            [sql::last_key(table, column, numerals, largest), sql::sequence_state(sequence)]
        });
        let mut answers = self.lease.pipeline(&self.own, statements).await?.into_iter();
        let mut answer = || answers.next().unwrap_or_else(|| Err(PgError::unexpected("no answer")));
        let both = |_| {
            let last_key = answer().and_then(|rows| last_key(&rows));
            (last_key, answer().and_then(|rows| sequence_state(&rows)))
        };
        Ok(asked.iter().map(both).collect())
    }
}

/// The largest number of a column, or the smallest, or nothing where there is none; then the last number
/// of its sequence, and whether it was given.
pub type LastKey = (Result<Option<i128>, PgError>, Result<(i64, bool), PgError>);

fn last_key(rows: &[Row]) -> Result<Option<i128>, PgError> {
    let [row] = rows else { return Err(PgError::unexpected("not one row")) };
    let text: Option<&str> = row.get("last_key")?;
    let number = text.map(|text| text.parse().map_err(|_| PgError::unexpected("no number")));
    number.transpose()
}

fn sequence_state(rows: &[Row]) -> Result<(i64, bool), PgError> {
    let [row] = rows else { return Err(PgError::unexpected("not one row")) };
    Ok((row.get("last_value")?, row.get("is_called")?))
}

fn link(row: &Row) -> Result<SequenceLink, PgError> {
    Ok(SequenceLink {
        column: ColumnName(row.get("column_name")?),
        sequence: TableName {
            schema: SchemaName(row.get("sequence_schema")?),
            name: row.get("sequence_name")?,
        },
        increment: row.get("increment")?,
        end: row.get("last_number")?,
        readable: row.get("readable")?,
    })
}
