//! Relations, columns and indexes as a server's catalog has them, and the types of the operator's
//! expressions.

use super::error::PgError;
use super::lease::Lease;
use super::row::Row;
use super::session::Session;
use crate::schema::{
    Collation, Column, ColumnName, ColumnType, Index, IndexColumn, Relation, RelationKind, Side,
    TableName,
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
}

impl Catalog<'_> {
    /// A table, view or other relation by name, with the rows of tables that inherit from it or, `only`,
    /// without them; nothing if there is none.
    ///
    /// # Errors
    /// What the server says.
    pub async fn table(&self, name: &TableName, only: bool) -> Result<Option<Relation>, PgError> {
        let rows = self.lease.all(&self.own, &sql::relation(name)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let oid = row.oid(0)?;
        let has_children: bool = row.get(2)?;
        let kind = match row.get::<&str>(1)? {
            "r" if has_children => RelationKind::InheritanceParent,
            "r" => RelationKind::Table,
            "p" => RelationKind::Partitioned,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            _ => return Ok(None),
        };
        let estimate: Option<f64> = row.get(3)?;
        // No index of a parent covers the children's rows, nor does any number that is known of it.
        let with_children = kind == RelationKind::InheritanceParent && !only;
        // -1 says that the table was never analyzed.
        let counted = estimate.filter(|rows| *rows > 0.0 && !with_children);
        let mut indexes = self.indexes(oid).await?;
        if with_children {
            indexes.clear();
        }
        let heap = kind == RelationKind::Table || kind == RelationKind::InheritanceParent && only;
        Ok(Some(Relation {
            kind,
            columns: self.columns(oid, only).await?,
            indexes,
            estimated_rows: counted.map(|rows| rows as u64),
            row_security: row.get(4)?,
            schema_usable: row.get(5)?,
            heap: heap && row.get(6)?,
            populated: row.get(7)?,
            large: with_children || row.get(8)?,
            oid: Some(oid),
        }))
    }

    /// The histogram of a column's values as texts, in order; nothing where nothing was analyzed.
    ///
    /// # Errors
    /// What the server says.
    pub async fn spread(
        &self,
        table: &TableName,
        column: &ColumnName,
    ) -> Result<Vec<String>, PgError> {
        let rows = self.lease.all(&self.own, &sql::column_spread(table, column)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Names of relations in a table's schema.
    ///
    /// # Errors
    /// What the server says.
    pub async fn names_beside(&self, name: &TableName) -> Result<Vec<String>, PgError> {
        let rows = self.lease.all(&self.own, &sql::relation_names(name)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// A query of the operator's, as a relation.
    ///
    /// # Errors
    /// What the server says about the query.
    pub async fn query(&self, query: &Fragment) -> Result<Relation, PgError> {
        self.lease.all(&self.operators, &sql::query_stands_alone(query, self.params)).await?;
        let names: Vec<String> = self
            .lease
            .all(&self.operators, &sql::query_columns(query, self.params))
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect::<Result<_, _>>()?;
        let rows = self
            .lease
            .all(&self.operators, &sql::query_column_types(query, self.params, &names))
            .await?;
        let types = self.named_types(&rows).await?;
        let columns = names.into_iter().zip(types).map(|(name, column_type)| Column {
            name: ColumnName(name),
            column_type,
            not_null: false,
            readable: true,
            scattered: false,
            distinct: None,
        });
        Ok(Relation {
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
        })
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

    /// The type of an expression over a side's rows; also proves that the expression stands alone.
    ///
    /// # Errors
    /// What the server says about the expression.
    pub async fn expression(
        &self,
        reads: &Reads,
        fragment: &Fragment,
    ) -> Result<ColumnType, PgError> {
        let statement = sql::expression_type(self.side, reads, fragment, self.params);
        let rows = self.lease.all(&self.operators, &statement).await?;
        let mut types = self.named_types(&rows).await?;
        types.pop().ok_or_else(|| PgError::unexpected("no row"))
    }

    /// An expression over some columns of a side as the server has understood it: its casts written out.
    ///
    /// # Errors
    /// What the server says.
    pub async fn told(
        &self,
        reads: &Reads,
        columns: &[&ColumnName],
        fragment: &Fragment,
    ) -> Result<String, PgError> {
        let statement = sql::expression_told(self.side, reads, columns, fragment, self.params);
        let rows = self.lease.all(&self.operators, &statement).await?;
        let lines: Vec<&str> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        let output = lines.into_iter().find_map(|line| line.trim_start().strip_prefix("Output: "));
        Ok(output.unwrap_or_default().to_owned())
    }

    /// Types from rows of OID and type as written. How an expression is ordered is not asked: no
    /// index serves it, so its keys are compared by bytes.
    async fn named_types(&self, rows: &[Row]) -> Result<Vec<ColumnType>, PgError> {
        let oids: Vec<u32> = rows.iter().map(|row| row.oid(0)).collect::<Result<_, _>>()?;
        let types = self.lease.types(&self.own, &oids).await?;
        rows.iter()
            .zip(&oids)
            .map(|(row, oid)| {
                Ok(types.column_type(*oid, row.get(1)?, -1, (Collation::Linguistic, None)))
            })
            .collect()
    }

    async fn columns(&self, oid: u32, only: bool) -> Result<Vec<Column>, PgError> {
        let rows = self.lease.all(&self.own, &sql::relation_columns(oid, only)).await?;
        let mut oids: Vec<u32> = rows.iter().map(|row| row.oid(2)).collect::<Result<_, _>>()?;
        oids.sort_unstable();
        oids.dedup();
        let types = self.lease.types(&self.own, &oids).await?;
        rows.iter()
            .map(|row| {
                let collation = match row.get::<&str>(6)? {
                    "-" => Collation::None,
                    "b" => Collation::Bytes,
                    "n" => Collation::Nondeterministic,
                    _ => Collation::Linguistic,
                };
                Ok(Column {
                    name: ColumnName(row.get(0)?),
                    column_type: types.column_type(
                        row.oid(2)?,
                        row.get(1)?,
                        row.get(3)?,
                        (collation, row.get(8)?),
                    ),
                    not_null: row.get(4)?,
                    readable: row.get(5)?,
                    scattered: row.get(7)?,
                    distinct: row.get::<Option<f64>>(9)?.map(|values| values.ceil() as u64),
                })
            })
            .collect()
    }

    async fn indexes(&self, oid: u32) -> Result<Vec<Index>, PgError> {
        let mut indexes: Vec<Index> = Vec::new();
        for row in self.lease.all(&self.own, &sql::relation_indexes(oid)).await? {
            let name: String = row.get(0)?;
            if indexes.last().is_none_or(|index| index.name != name) {
                let (unique, primary) = (row.get(1)?, row.get(2)?);
                indexes.push(Index { name, unique, primary, columns: Vec::new() });
            }
            if let Some(index) = indexes.last_mut() {
                index.columns.push(IndexColumn {
                    name: row.get::<Option<String>>(3)?.map(ColumnName),
                    plain_order: row.get(4)?,
                });
            }
        }
        Ok(indexes)
    }
}
