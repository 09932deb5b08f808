//! The columns of the operator's queries, and the relations that they read.

use crate::pg::connection::Connection;
use crate::pg::error::PgError;
use crate::pg::read_settings::ReadSettings;
use crate::pg::row::Row;
use crate::spec::{Fragment, Param};
use crate::sql;

/// One of the operator's queries, as the server describes it.
#[derive(Clone, Debug)]
pub struct QueryColumns {
    /// Each column's name, its type's OID and its type as SQL, in order.
    pub(crate) columns: Vec<(String, u32, String)>,
    /// The OIDs of the relations that the server locks for it.
    pub(crate) locked: Vec<i64>,
}

impl Connection {
    /// Reads the columns of queries; the server's error where it refuses one. `operators` resolves names
    /// in the side's search path.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub(crate) async fn read_query_columns(
        &self,
        operators: &ReadSettings,
        queries: &[&Fragment],
        params: &[Param],
    ) -> Result<Vec<Result<QueryColumns, PgError>>, PgError> {
        let statements = queries.iter().map(|query| sql::query_columns(query, params));
        let answers = self.pipeline(operators, statements).await?;
        let names = answers.into_iter().map(|answer| names(&answer?));
        let names: Vec<Result<Vec<String>, PgError>> = names.collect();
        let named = queries.iter().zip(&names).filter_map(|(query, names)| {
            Some(sql::query_column_types(query, params, names.as_ref().ok()?))
        });
        let mut types = self.pipeline(operators, named).await?.into_iter();
        let described = names.into_iter().map(|names| {
            let names = names?;
            let rows = types.next().unwrap_or_else(|| Err(PgError::unexpected("no answer")))?;
            described(names, &rows)
        });
        Ok(described.collect())
    }
}

fn names(rows: &[Row]) -> Result<Vec<String>, PgError> {
    rows.iter().map(|row| row.get("name")).collect()
}

fn described(names: Vec<String>, rows: &[Row]) -> Result<QueryColumns, PgError> {
    let locked = rows.first().map_or(Ok(None), |row| row.get::<Option<Vec<i64>>>("locked"))?;
    let columns = names.into_iter().zip(rows);
    let columns =
        columns.map(|(name, row)| Ok((name, row.get_u32("type_oid")?, row.get("type_name")?)));
    Ok(QueryColumns {
        columns: columns.collect::<Result<_, PgError>>()?,
        locked: locked.unwrap_or_default(),
    })
}
