//! The shape of what a side reads from, as its server says it at this moment.

use super::error::PgError;
use super::lease::Lease;
use super::row::Row;
use super::session::Session;
use crate::schema::{Shape, ShapeColumn};
use crate::spec::{Fragment, Param, Reads};
use crate::sql;

impl Lease {
    /// Asks for the shape of a side. `own` resolves names in `pg_catalog` alone, `operators` in the
    /// side's search path.
    ///
    /// # Errors
    /// What the server says; of a query that it cannot plan any more, too.
    pub async fn shape(
        &self,
        own: &Session,
        operators: &Session,
        reads: &Reads,
        params: &[Param],
    ) -> Result<Shape, PgError> {
        let table = match reads {
            Reads::Table(table) => Some(&table.value),
            Reads::Query(_) => None,
        };
        let rows = self.all(own, &sql::shape(table)).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let mut shape = read(row)?;
        if let Reads::Query(query) = reads {
            shape.columns = self.columns_of_query(operators, query, params).await?;
        }
        Ok(shape)
    }

    async fn columns_of_query(
        &self,
        operators: &Session,
        query: &Fragment,
        params: &[Param],
    ) -> Result<Vec<ShapeColumn>, PgError> {
        let rows = self.all(operators, &sql::query_columns(query, params)).await?;
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        let types = self.all(operators, &sql::query_column_types(query, params, &names)).await?;
        let columns = names.into_iter().zip(&types).zip(1..);
        columns
            .map(|((name, row), number)| {
                Ok(ShapeColumn { name, number, type_name: row.get(1)?, collation_version: None })
            })
            .collect()
    }
}

fn read(row: &Row) -> Result<Shape, PgError> {
    let oid = |index: usize| {
        let number: Option<i64> = row.get(index)?;
        let out_of_range = |_| PgError::unexpected("an OID out of range");
        number.map(u32::try_from).transpose().map_err(out_of_range)
    };
    let file: Option<&str> = row.get(5)?;
    let timeline = file.and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok());
    let names: Option<Vec<String>> = row.get(10)?;
    let numbers: Option<Vec<i32>> = row.get(11)?;
    let types: Option<Vec<String>> = row.get(12)?;
    let versions: Option<Vec<Option<String>>> = row.get(13)?;
    let names = names.unwrap_or_default().into_iter().zip(numbers.unwrap_or_default());
    let types = types.unwrap_or_default().into_iter().zip(versions.unwrap_or_default());
    let columns = names.zip(types).map(|((name, number), (type_name, collation_version))| {
        ShapeColumn { name, number, type_name, collation_version }
    });
    Ok(Shape {
        version: u32::try_from(row.get::<i32>(0)?).unwrap_or(0),
        system: row.get(4)?,
        standby: row.get(3)?,
        timeline,
        database: row.get(1)?,
        database_oid: oid(2)?.unwrap_or(0),
        relation: oid(6)?,
        columns: columns.collect(),
        partitions: row.get::<i64>(8)?.cast_unsigned(),
        partition_set: row.get(9)?,
        filenode: oid(7)?,
    })
}
