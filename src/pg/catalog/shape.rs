//! Reads the shape of what a side reads from, as its server has it now.

use super::query_columns::QueryColumns;
use crate::pg::connection::Connection;
use crate::pg::error::PgError;
use crate::pg::read_settings::ReadSettings;
use crate::pg::row::Row;
use crate::pg::server::{instance, timeline, version};
use crate::schema::{Shape, ShapeColumn, ShapeRelation, TableName};
use crate::spec::{Fragment, Param, Reads};
use crate::sql;

/// A shape, with the columns of the query if it is that of a query.
pub(crate) type Shaped = (Shape, Option<QueryColumns>);

impl Connection {
    /// Reads the shape of a side. `own` resolves names in `pg_catalog` alone, `operators` in the side's
    /// search path.
    ///
    /// # Errors
    /// The server's error; also if it cannot plan a query any more.
    pub async fn read_shape(
        &self,
        own: &ReadSettings,
        operators: &ReadSettings,
        reads: &Reads,
        params: &[Param],
    ) -> Result<Shape, PgError> {
        let shapes = self.read_shapes((own, 1), operators, &[reads], params).await?;
        let one = shapes.into_iter().next();
        one.unwrap_or_else(|| Err(PgError::unexpected("not one row"))).map(|(shape, _)| shape)
    }

    /// Reads several shapes, at most `most` with one statement; the server's error where it refuses a
    /// query.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub(crate) async fn read_shapes(
        &self,
        (own, most): (&ReadSettings, usize),
        operators: &ReadSettings,
        reads: &[&Reads],
        params: &[Param],
    ) -> Result<Vec<Result<Shaped, PgError>>, PgError> {
        let tables: Vec<_> = reads.iter().map(|reads| reads.table()).collect();
        let name = |table: &Option<_>| table.map_or("the server".to_owned(), name_of);
        let statement = |tables: &[_]| sql::shapes(tables);
        let decode = |_: &Option<_>, rows: &[Row]| shape(rows);
        let shapes = self.query_each((own, most), &tables, statement, name, decode).await?;
        let (mut views, mut queries) = (Vec::new(), Vec::new());
        for (reads, (shape, is_view)) in reads.iter().zip(&shapes) {
            match (reads, shape.relation) {
                (Reads::Query(query), _) => queries.push(query),
                (Reads::Table(table), Some(oid)) if *is_view => views.push((oid, &table.value)),
                (Reads::Table(_), _) => {}
            }
        }
        let mut views = self.read_views((own, most), &views).await?.into_iter();
        let mut queries =
            self.read_queries((own, most), operators, &queries, params).await?.into_iter();
        let complete = |(reads, (mut shape, is_view)): (&&Reads, (Shape, bool))| match reads {
            Reads::Query(_) => {
                let missing = || Err(PgError::unexpected("no answer"));
                let (query, relations) = queries.next().unwrap_or_else(missing)?;
                shape.columns = columns_of(&query);
                shape.relations = Some(relations);
                Ok((shape, Some(query)))
            }
            Reads::Table(_) => {
                if is_view && shape.relation.is_some() {
                    shape.relations = views.next();
                }
                Ok((shape, None))
            }
        };
        Ok(reads.iter().zip(shapes).map(complete).collect())
    }

    /// Reads the relations below each view.
    async fn read_views(
        &self,
        session: (&ReadSettings, usize),
        views: &[(u32, &TableName)],
    ) -> Result<Vec<Vec<ShapeRelation>>, PgError> {
        let oids = |views: &[(u32, _)]| views.iter().map(|(oid, _)| *oid).collect::<Vec<_>>();
        let statement = |views: &[_]| sql::read_by_views(&oids(views));
        let name = |(_, name): &(u32, &TableName)| name_of(name);
        let decode = |_: &_, rows: &[Row]| rows.iter().map(relation).collect();
        self.query_each(session, views, statement, name, decode).await
    }

    /// Reads the columns of each query, and the relations that it reads.
    async fn read_queries(
        &self,
        session: (&ReadSettings, usize),
        operators: &ReadSettings,
        queries: &[&Fragment],
        params: &[Param],
    ) -> Result<Vec<Result<(QueryColumns, Vec<ShapeRelation>), PgError>>, PgError> {
        let described = self.read_query_columns(operators, queries, params).await?;
        let locked: Vec<&[i64]> =
            described.iter().flatten().map(|query| query.locked.as_slice()).collect();
        let name = |_: &&[i64]| "what a query reads".to_owned();
        let decode = |_: &&[i64], rows: &[Row]| rows.iter().map(relation).collect();
        let read = self.query_each(session, &locked, sql::read_by_queries, name, decode).await?;
        let mut read = read.into_iter();
        let both =
            |query: Result<QueryColumns, PgError>| Ok((query?, read.next().unwrap_or_default()));
        Ok(described.into_iter().map(both).collect())
    }
}

fn name_of(table: &TableName) -> String {
    format!("table {table}")
}

/// Converts the columns of a query to those of a shape.
fn columns_of(query: &QueryColumns) -> Vec<ShapeColumn> {
    let columns = query.columns.iter().zip(1..);
    let columns = columns.map(|((name, _, type_name), number)| ShapeColumn {
        name: name.clone(),
        number,
        type_name: type_name.clone(),
        collation: None,
        collation_version: None,
    });
    columns.collect()
}

/// Decodes a row of `sql::shapes`: a shape, and whether it is that of a view.
fn shape(rows: &[Row]) -> Result<(Shape, bool), PgError> {
    let [row] = rows else { return Err(PgError::unexpected("not one row")) };
    let shape = Shape {
        version: version(row)?,
        system: row.get("system")?,
        standby: row.get("standby")?,
        timeline: timeline(row)?,
        database: row.get("database")?,
        database_oid: row.get_u32("database_oid")?,
        relation: row.get_optional_u32("relation")?,
        columns: columns(row)?,
        partitions: row.get_count("partitions")?,
        partition_set: row.get("partition_set")?,
        filenode: row.get_optional_u32("filenode")?,
        relations: Some(Vec::new()),
        instance: Some(instance(row)?),
    };
    Ok((shape, row.get("is_view")?))
}

fn relation(row: &Row) -> Result<ShapeRelation, PgError> {
    Ok(ShapeRelation {
        name: row.get("name")?,
        oid: row.get_u32("oid")?,
        definition: row.get("definition")?,
        partitions: row.get_count("partitions")?,
        partition_set: row.get("partition_set")?,
        columns: columns(row)?,
    })
}

/// Decodes columns, which arrive as JSON: NULL if there are none, or none were queried.
fn columns(row: &Row) -> Result<Vec<ShapeColumn>, PgError> {
    let Some(text) = row.get::<Option<&str>>("columns")? else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|_| PgError::unexpected("the columns of a relation"))
}
