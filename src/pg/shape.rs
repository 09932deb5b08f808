//! The shape of what a side reads from, as its server says it at this moment.

use super::error::PgError;
use super::lease::Lease;
use super::row::Row;
use super::server::{instance, timeline};
use super::session::Session;
use crate::schema::{Shape, ShapeColumn, ShapeRelation};
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
        let beneath = match (reads, shape.relation) {
            (Reads::Query(query), _) => {
                let (columns, locked) = self.columns_of_query(operators, query, params).await?;
                shape.columns = columns;
                Some(sql::read_by_query(&locked))
            }
            (Reads::Table(_), Some(view)) if row.get(11)? => Some(sql::read_by_view(view)),
            (Reads::Table(_), _) => None,
        };
        if let Some(beneath) = beneath {
            let rows = self.all(own, &beneath).await?;
            shape.relations = Some(rows.iter().map(relation).collect::<Result<_, _>>()?);
        }
        Ok(shape)
    }

    /// The columns of a query, and the OIDs of what the server locks for it.
    async fn columns_of_query(
        &self,
        operators: &Session,
        query: &Fragment,
        params: &[Param],
    ) -> Result<(Vec<ShapeColumn>, Vec<i64>), PgError> {
        let rows = self.all(operators, &sql::query_columns(query, params)).await?;
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        let types = self.all(operators, &sql::query_column_types(query, params, &names)).await?;
        let locked = types.first().map_or(Ok(None), |row| row.get::<Option<Vec<i64>>>(2))?;
        let columns = names.into_iter().zip(&types).zip(1..);
        let columns = columns.map(|((name, row), number)| {
            Ok(ShapeColumn {
                name,
                number,
                type_name: row.get(1)?,
                collation: None,
                collation_version: None,
            })
        });
        Ok((columns.collect::<Result<_, PgError>>()?, locked.unwrap_or_default()))
    }
}

fn read(row: &Row) -> Result<Shape, PgError> {
    let timeline = timeline(row, 5)?;
    Ok(Shape {
        version: u32::try_from(row.get::<i32>(0)?).unwrap_or(0),
        system: row.get(4)?,
        standby: row.get(3)?,
        timeline,
        database: row.get(1)?,
        database_oid: oid(row, 2)?.unwrap_or(0),
        relation: oid(row, 6)?,
        columns: columns(row, 10)?,
        partitions: row.get::<i64>(8)?.cast_unsigned(),
        partition_set: row.get(9)?,
        filenode: oid(row, 7)?,
        relations: Some(Vec::new()),
        instance: Some(instance(row, timeline, 12)?),
    })
}

fn relation(row: &Row) -> Result<ShapeRelation, PgError> {
    Ok(ShapeRelation {
        name: row.get(0)?,
        oid: oid(row, 1)?.unwrap_or(0),
        definition: row.get(2)?,
        partitions: row.get::<i64>(3)?.cast_unsigned(),
        partition_set: row.get(4)?,
        columns: columns(row, 5)?,
    })
}

fn oid(row: &Row, index: usize) -> Result<Option<u32>, PgError> {
    let number: Option<i64> = row.get(index)?;
    let out_of_range = |_| PgError::unexpected("an OID out of range");
    number.map(u32::try_from).transpose().map_err(out_of_range)
}

/// Columns come as JSON; nothing where there are none, or none were asked for.
fn columns(row: &Row, index: usize) -> Result<Vec<ShapeColumn>, PgError> {
    let Some(text) = row.get::<Option<&str>>(index)? else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|_| PgError::unexpected("the columns of a relation"))
}
