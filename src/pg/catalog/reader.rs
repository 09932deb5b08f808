//! Catalog queries of one side for all mappings, many at a time; and checks of the operator's SQL, one
//! statement for each fragment.

use super::query_columns::QueryColumns;
use crate::pg::connection::Connection;
use crate::pg::error::PgError;
use crate::pg::read_settings::ReadSettings;
use crate::pg::row::Row;
use crate::schema::{
    Column, ColumnName, ColumnType, Relation, RelationKind, SchemaName, Shape, Side, TableName,
};
use crate::spec::{Fragment, Param, Reads};
use crate::sql;

/// One side's catalog, read through one connection.
pub struct Catalog<'l> {
    /// The connection.
    pub connection: &'l Connection,
    /// For SQL of this program: names resolve in `pg_catalog` alone.
    pub own: ReadSettings,
    /// For the operator's SQL: names resolve in the side's search path.
    pub operators: ReadSettings,
    /// Parameters of the operator's SQL.
    pub params: &'l [Param],
    /// Which side it is.
    pub side: Side,
    /// The most relations of one statement.
    pub most: usize,
}

/// The most relations of one statement: planning it for so many costs next to nothing for each.
pub const RELATIONS_AT_ONCE: usize = 500;

impl Catalog<'_> {
    /// Queries items in batches, see [`Connection::query_each`].
    pub(crate) async fn query_each<T, R>(
        &self,
        items: &[T],
        statement: impl Fn(&[T]) -> sql::Statement,
        name: impl Fn(&T) -> String,
        decode: impl Fn(&T, &[Row]) -> Result<R, PgError>,
    ) -> Result<Vec<R>, PgError> {
        self.connection.query_each((&self.own, self.most), items, statement, name, decode).await
    }

    /// Reads the shape of each table, view or query that is read from, with the columns of queries; the
    /// server's error where it refuses a query.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub async fn read_shapes(
        &self,
        reads: &[&Reads],
    ) -> Result<Vec<Result<(Shape, Option<QueryColumns>), PgError>>, PgError> {
        self.connection
            .read_shapes((&self.own, self.most), &self.operators, reads, self.params)
            .await
    }

    /// Reads the histogram bounds of columns as texts; empty for a column that was not analyzed.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_histograms(
        &self,
        columns: &[(&TableName, &ColumnName)],
    ) -> Result<Vec<Vec<String>>, PgError> {
        let name = |(table, column): &(_, _)| format!("column {column} of table {table}");
        let decode = |_: &(_, _), rows: &[Row]| {
            let bounds =
                rows.first().map_or(Ok(None), |row| row.get::<Option<Vec<String>>>("bounds"))?;
            Ok(bounds.unwrap_or_default())
        };
        self.query_each(columns, sql::column_spreads, name, decode).await
    }

    /// Reads the names of the relations in a schema.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_relation_names(&self, schema: &SchemaName) -> Result<Vec<String>, PgError> {
        let rows = self.connection.query(&self.own, &sql::relation_names(schema)).await?;
        rows.iter().map(|row| row.get("name")).collect()
    }

    /// Describes each of the operator's queries, whose columns are known, as a relation; the server's
    /// error where it refuses one.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub async fn read_query_relations(
        &self,
        queries: &[(&Fragment, &QueryColumns)],
    ) -> Result<Vec<Result<Relation, PgError>>, PgError> {
        let statements = queries.iter().map(|(query, _)| sql::query_check(query, self.params));
        let alone = self.connection.pipeline(&self.operators, statements).await?;
        let oids = queries.iter().flat_map(|(_, query)| &query.columns).map(|(_, oid, _)| *oid);
        let types = self.connection.read_types(&self.own, oids).await?;
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

    /// Returns whether the server can read a parameter's value as its declared type.
    ///
    /// # Errors
    /// The server's error, unless it is about the value.
    pub async fn accepts_param(&self, param: &Param) -> Result<bool, PgError> {
        match self.connection.query(&self.operators, &sql::param_value(param)).await {
            Ok(_) => Ok(true),
            // A type that this side lacks is an error only once this side's SQL uses the parameter.
            Err(error) => match error.sqlstate.as_deref() {
                Some(code) if code.starts_with("22") || code.starts_with("23") => Ok(false),
                Some(code) if code.starts_with("42") => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// Reads the type of each expression over the rows that it is written for; the server's error where
    /// it refuses one. This also proves that each is one complete expression.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub async fn read_expression_types(
        &self,
        expressions: &[(&Reads, &Fragment)],
    ) -> Result<Vec<Result<ColumnType, PgError>>, PgError> {
        let statements = expressions.iter();
        let statements =
            statements.map(|(reads, sql)| sql::expression_type(self.side, reads, sql, self.params));
        let answers = self.connection.pipeline(&self.operators, statements).await?;
        let named = answers.into_iter().map(|answer| {
            let rows = answer?;
            let row = rows.last().ok_or_else(|| PgError::unexpected("no row"))?;
            Ok((row.get_u32("type_oid")?, row.get::<String>("type_name")?))
        });
        let named: Vec<Result<(u32, String), PgError>> = named.collect();
        let oids = named.iter().flatten().map(|(oid, _)| *oid);
        let types = self.connection.read_types(&self.own, oids).await?;
        let typed = |(oid, display)| types.expression_type(oid, display);
        Ok(named.into_iter().map(|named| named.map(&typed)).collect())
    }

    /// Reads each expression as the server has parsed it, with all casts written out (the output of
    /// `EXPLAIN VERBOSE`, whose labels have no translations); the server's error where it refuses one.
    ///
    /// # Errors
    /// An error that concerns more than one of them.
    pub async fn read_expression_outputs(
        &self,
        expressions: &[(&Reads, &[&ColumnName], &Fragment)],
    ) -> Result<Vec<Result<String, PgError>>, PgError> {
        let statements = expressions.iter().map(|(reads, columns, fragment)| {
            sql::expression_plan(self.side, reads, columns, fragment, self.params)
        });
        let answers = self.connection.pipeline(&self.operators, statements).await?;
        let output = |rows: Vec<Row>| {
            let lines: Vec<&str> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
            let output =
                lines.into_iter().find_map(|line| line.trim_start().strip_prefix("Output: "));
            Ok(output.unwrap_or_default().to_owned())
        };
        Ok(answers.into_iter().map(|answer| answer.and_then(output)).collect())
    }
}
