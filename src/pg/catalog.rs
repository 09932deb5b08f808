//! What one side's catalog is asked for all mappings, many at a time, and the operator's SQL put to the
//! server fragment by fragment.

use super::error::PgError;
use super::lease::Lease;
use super::query::QueryColumns;
use super::row::Row;
use super::session::Session;
use crate::schema::{
    Column, ColumnName, ColumnType, Relation, RelationKind, SchemaName, Shape, Side, TableName,
};
use crate::spec::{Fragment, Param, Reads};
use crate::sql;

/// One side's catalog, asked through one connection.
pub struct Catalog<'l> {
    /// The connection.
    pub lease: &'l Lease,
    /// For questions of ours: names resolve in `pg_catalog` alone.
    pub own: Session,
    /// For the operator's SQL: names resolve in the side's search path.
    pub operators: Session,
    /// Parameters of the operator's SQL.
    pub params: &'l [Param],
    /// Which side it is.
    pub side: Side,
    /// How many relations one statement asks about at the most.
    pub most: usize,
}

/// Relations that one statement asks about at the most: then planning it costs the server next to nothing.
pub const RELATIONS_AT_ONCE: usize = 500;

impl Catalog<'_> {
    /// Asks one question about each of some things, see [`Lease::ask_each`].
    pub(super) async fn each<T, R>(
        &self,
        things: &[T],
        statement: impl Fn(&[T]) -> sql::Statement,
        name: impl Fn(&T) -> String,
        decode: impl Fn(&T, &[Row]) -> Result<R, PgError>,
    ) -> Result<Vec<R>, PgError> {
        self.lease.ask_each((&self.own, self.most), things, statement, name, decode).await
    }

    /// The shapes of what is read from, with the columns of queries; or why the server refuses a query.
    ///
    /// # Errors
    /// What concerns more than one of them.
    pub async fn shapes(
        &self,
        reads: &[&Reads],
    ) -> Result<Vec<Result<(Shape, Option<QueryColumns>), PgError>>, PgError> {
        self.lease.shapes((&self.own, self.most), &self.operators, reads, self.params).await
    }

    /// The histograms of columns' values as texts, in order; empty where nothing was analyzed.
    ///
    /// # Errors
    /// What the server says.
    pub async fn spreads(
        &self,
        columns: &[(&TableName, &ColumnName)],
    ) -> Result<Vec<Vec<String>>, PgError> {
        let name = |(table, column): &(_, _)| format!("column {column} of table {table}");
        let decode = |_: &(_, _), rows: &[Row]| {
            let bounds = rows.first().map_or(Ok(None), |row| row.get::<Option<Vec<String>>>(1))?;
            Ok(bounds.unwrap_or_default())
        };
        self.each(columns, sql::column_spreads, name, decode).await
    }

    /// Names of relations in a schema.
    ///
    /// # Errors
    /// What the server says.
    pub async fn names_in(&self, schema: &SchemaName) -> Result<Vec<String>, PgError> {
        let rows = self.lease.all(&self.own, &sql::relation_names(schema)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Queries of the operator's, whose columns are known, as relations; or why the server refuses one.
    ///
    /// # Errors
    /// What concerns more than one of them.
    pub async fn queries(
        &self,
        queries: &[(&Fragment, &QueryColumns)],
    ) -> Result<Vec<Result<Relation, PgError>>, PgError> {
        let asked = queries.iter().map(|(query, _)| sql::query_check(query, self.params));
        let alone = self.lease.pipeline(&self.operators, asked).await?;
        let oids = queries.iter().flat_map(|(_, query)| &query.columns).map(|(_, oid, _)| *oid);
        let types = self.lease.types(&self.own, oids).await?;
        let relation = |query: &QueryColumns| {
            let columns = query.columns.iter().map(|(name, oid, display)| Column {
                name: ColumnName(name.clone()),
                column_type: types.expression_type(*oid, display.clone()),
                not_null: false,
                readable: true,
                scattered: false,
                distinct: None,
            });
            Relation {
                kind: RelationKind::Query,
                columns: columns.collect(),
                indexes: Vec::new(),
                estimated_rows: None,
                row_security: false,
                schema_usable: true,
                heap: false,
                populated: true,
                large: true,
                oid: None,
            }
        };
        let both = alone.into_iter().zip(queries);
        Ok(both.map(|(alone, (_, query))| alone.map(|_| relation(query))).collect())
    }

    /// Whether the server can read a parameter's value as its declared type.
    ///
    /// # Errors
    /// What the server says, unless it is about the value.
    pub async fn reads(&self, param: &Param) -> Result<bool, PgError> {
        match self.lease.all(&self.operators, &sql::param_value(param)).await {
            Ok(_) => Ok(true),
            // A type that only the other side knows is no matter until this side's SQL names it.
            Err(error) => match error.sqlstate.as_deref() {
                Some(code) if code.starts_with("22") || code.starts_with("23") => Ok(false),
                Some(code) if code.starts_with("42") => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// The types of expressions over rows of what they stand with, or why the server refuses one; also
    /// proves that each stands alone.
    ///
    /// # Errors
    /// What concerns more than one of them.
    pub async fn expressions(
        &self,
        expressions: &[(&Reads, &Fragment)],
    ) -> Result<Vec<Result<ColumnType, PgError>>, PgError> {
        let asked = expressions.iter();
        let asked =
            asked.map(|(reads, sql)| sql::expression_type(self.side, reads, sql, self.params));
        let answers = self.lease.pipeline(&self.operators, asked).await?;
        let named = answers.into_iter().map(|answer| {
            let rows = answer?;
            let row = rows.last().ok_or_else(|| PgError::unexpected("no row"))?;
            Ok((row.oid(0)?, row.get::<String>(1)?))
        });
        let named: Vec<Result<(u32, String), PgError>> = named.collect();
        let oids = named.iter().flatten().map(|(oid, _)| *oid);
        let types = self.lease.types(&self.own, oids).await?;
        let typed = |(oid, display)| types.expression_type(oid, display);
        Ok(named.into_iter().map(|named| named.map(&typed)).collect())
    }

    /// Expressions over some columns of what they stand with as the server has understood them: their
    /// casts written out; or why the server refuses one.
    ///
    /// # Errors
    /// What concerns more than one of them.
    pub async fn told(
        &self,
        expressions: &[(&Reads, &[&ColumnName], &Fragment)],
    ) -> Result<Vec<Result<String, PgError>>, PgError> {
        let asked = expressions.iter().map(|(reads, columns, fragment)| {
            sql::expression_plan(self.side, reads, columns, fragment, self.params)
        });
        let answers = self.lease.pipeline(&self.operators, asked).await?;
        let output = |rows: Vec<Row>| {
            let lines: Vec<&str> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
            let output =
                lines.into_iter().find_map(|line| line.trim_start().strip_prefix("Output: "));
            Ok(output.unwrap_or_default().to_owned())
        };
        Ok(answers.into_iter().map(|answer| answer.and_then(output)).collect())
    }
}
