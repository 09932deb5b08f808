//! The sequences of a table's columns, and the last numbers of both.

use super::reader::Catalog;
use crate::pg::error::PgError;
use crate::pg::row::Row;
use crate::schema::{ColumnName, Numerals, SchemaName, SequenceLink, TableName};
use crate::sql;

/// A query for the last number of a column and of the sequence that fills it.
#[derive(Clone, Copy, Debug)]
pub struct LastKeyQuery<'c> {
    /// Its table.
    pub table: &'c TableName,
    /// Its name.
    pub column: &'c ColumnName,
    /// How the column stores whole numbers.
    pub numerals: Numerals,
    /// Whether the last number is the largest, and not the smallest.
    pub largest: bool,
    /// The sequence.
    pub sequence: &'c TableName,
}

impl Catalog<'_> {
    /// Reads the columns of each table that sequences fill. A table is given by its name and OID.
    ///
    /// # Errors
    /// The server's error.
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

    /// Reads the last number of each column and of its sequence; the server's error where it refuses one.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub async fn read_last_keys(
        &self,
        queries: &[LastKeyQuery<'_>],
    ) -> Result<Vec<LastKey>, PgError> {
        // The column first: a number that is taken in between must not look as if it were beyond the sequence.
        let statements = queries.iter().flat_map(|query| {
            let LastKeyQuery { table, column, numerals, largest, sequence } = *query;
            [sql::last_key(table, column, numerals, largest), sql::sequence_state(sequence)]
        });
        let mut answers = self.connection.pipeline(&self.own, statements).await?.into_iter();
        let mut answer = || answers.next().unwrap_or_else(|| Err(PgError::unexpected("no answer")));
        let both = |_| {
            let last_key = answer().and_then(|rows| last_key(&rows));
            (last_key, answer().and_then(|rows| sequence_state(&rows)))
        };
        Ok(queries.iter().map(both).collect())
    }
}

/// The last number of a column, `None` if it has none; then the last number of its sequence, and whether
/// that was taken.
pub type LastKey = (Result<Option<i128>, PgError>, Result<(i64, bool), PgError>);

fn last_key(rows: &[Row]) -> Result<Option<i128>, PgError> {
    let [row] = rows else { return Err(PgError::unexpected("not one row")) };
    let text: Option<&str> = row.get("last_key")?;
    let number = text.map(|text| {
        text.parse().map_err(|_| PgError::unexpected("a key that is not a whole number"))
    });
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
