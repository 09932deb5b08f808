//! The sequences of a table's columns, and how far they and the columns have come.

use super::catalog::Catalog;
use super::error::PgError;
use crate::schema::{ColumnName, Numerals, SchemaName, SequenceLink, TableName};
use crate::sql;

impl Catalog<'_> {
    /// The columns of a table that sequences fill.
    ///
    /// # Errors
    /// What the server says.
    pub async fn sequence_links(&self, oid: u32) -> Result<Vec<SequenceLink>, PgError> {
        let rows = self.lease.all(&self.own, &sql::sequence_links(oid)).await?;
        rows.iter()
            .map(|row| {
                Ok(SequenceLink {
                    column: ColumnName(row.get(0)?),
                    sequence: TableName { schema: SchemaName(row.get(1)?), name: row.get(2)? },
                    increment: row.get(3)?,
                    end: row.get(4)?,
                    readable: row.get(5)?,
                })
            })
            .collect()
    }

    /// The last number of a sequence, and whether it was given.
    ///
    /// # Errors
    /// What the server says.
    pub async fn sequence_state(&self, sequence: &TableName) -> Result<(i64, bool), PgError> {
        let rows = self.lease.all(&self.own, &sql::sequence_state(sequence)).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        Ok((row.get(0)?, row.get(1)?))
    }

    /// The largest number of a column, or the smallest; nothing where there is none.
    ///
    /// # Errors
    /// What the server says.
    pub async fn last_key(
        &self,
        table: &TableName,
        (column, numerals): (&ColumnName, Numerals),
        largest: bool,
    ) -> Result<Option<i128>, PgError> {
        let asked = sql::last_key(table, column, numerals, largest);
        let rows = self.lease.all(&self.own, &asked).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let text: Option<&str> = row.get(0)?;
        let number = text.map(|text| text.parse().map_err(|_| PgError::unexpected("no number")));
        number.transpose()
    }
}
