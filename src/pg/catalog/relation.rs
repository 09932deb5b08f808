//! Reads relations with their columns and indexes from a server's catalog.

use super::catalog_type::Types;
use super::reader::Catalog;
use crate::pg::error::PgError;
use crate::pg::row::Row;
use crate::schema::{
    Collation, Column, ColumnName, Index, IndexColumn, Relation, RelationKind, TableName,
};
use crate::sql;

/// A relation's name, and whether the rows of tables that inherit from it are excluded (`ONLY`).
type Named<'n> = (&'n TableName, bool);

/// A relation that exists, with its OID.
type FoundRelation<'n> = (Named<'n>, u32);

impl Catalog<'_> {
    /// Reads a table, view or other relation: with the rows of tables that inherit from it or, `only`,
    /// without them. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_table(
        &self,
        name: &TableName,
        only: bool,
    ) -> Result<Option<Relation>, PgError> {
        Ok(self.read_tables(&[(name, only)]).await?.pop().flatten())
    }

    /// Reads several relations, in order, as [`Catalog::read_table`] does.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_tables(
        &self,
        tables: &[Named<'_>],
    ) -> Result<Vec<Option<Relation>>, PgError> {
        let statement = |tables: &[Named<'_>]| {
            sql::relations(&tables.iter().map(|(name, _)| *name).collect::<Vec<_>>())
        };
        let mut relations = self.query_each(tables, statement, describe, relation).await?;
        let found = tables.iter().zip(&relations);
        let found: Vec<FoundRelation<'_>> =
            found.filter_map(|(named, found)| Some((*named, found.as_ref()?.oid?))).collect();
        let columns = self.read_columns(&found).await?;
        let indexes = self.read_indexes(&found).await?;
        let there = relations.iter_mut().flatten().zip(&found);
        for (((relation, ((_, only), _)), columns), indexes) in there.zip(columns).zip(indexes) {
            relation.columns = columns;
            // A parent's index does not cover the rows of its children.
            if *only || relation.kind != RelationKind::InheritanceParent {
                relation.indexes = indexes;
            }
        }
        Ok(relations)
    }

    /// Reads the columns of each relation.
    async fn read_columns(&self, found: &[FoundRelation<'_>]) -> Result<Vec<Vec<Column>>, PgError> {
        let statement = |found: &[FoundRelation<'_>]| {
            let oids = found.iter().map(|((_, only), oid)| (*oid, *only));
            sql::relation_columns(&oids.collect::<Vec<_>>())
        };
        let name = |(named, _): &FoundRelation<'_>| describe(named);
        let decode = |_: &FoundRelation<'_>, rows: &[Row]| rows.iter().map(untyped).collect();
        let untyped: Vec<Vec<UntypedColumn>> =
            self.query_each(found, statement, name, decode).await?;
        let oids = untyped.iter().flatten().map(|column| column.type_oid);
        let types = self.connection.read_types(&self.own, oids).await?;
        let typed = |columns: Vec<UntypedColumn>| {
            columns.into_iter().map(|column| column.typed(&types)).collect()
        };
        Ok(untyped.into_iter().map(typed).collect())
    }

    /// Reads the usable indexes of each relation.
    async fn read_indexes(&self, found: &[FoundRelation<'_>]) -> Result<Vec<Vec<Index>>, PgError> {
        let statement = |found: &[FoundRelation<'_>]| {
            sql::relation_indexes(&found.iter().map(|(_, oid)| *oid).collect::<Vec<_>>())
        };
        let name = |(named, _): &FoundRelation<'_>| describe(named);
        let decode = |_: &FoundRelation<'_>, rows: &[Row]| indexes(rows);
        self.query_each(found, statement, name, decode).await
    }
}

/// Describes a relation for errors.
fn describe((name, _): &Named<'_>) -> String {
    format!("table {name}")
}

/// Decodes a row of `sql::relations`, without columns and indexes. Returns `None` if there is no relation of
/// this name that rows can be read from.
fn relation((_, only): &Named<'_>, rows: &[Row]) -> Result<Option<Relation>, PgError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let has_children: bool = row.get("has_children")?;
    let kind = match row.get::<&str>("kind")? {
        "r" if has_children => RelationKind::InheritanceParent,
        "r" => RelationKind::Table,
        "p" => RelationKind::Partitioned,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::Foreign,
        _ => return Ok(None),
    };
    let estimate: Option<f64> = row.get("estimated_rows")?;
    // A parent's statistics do not include the rows of its children.
    let with_children = kind == RelationKind::InheritanceParent && !only;
    // -1 means that the table was never analyzed.
    let counted = estimate.filter(|rows| *rows > 0.0 && !with_children);
    let heap = kind == RelationKind::Table || kind == RelationKind::InheritanceParent && *only;
    Ok(Some(Relation {
        kind,
        columns: Vec::new(),
        indexes: Vec::new(),
        estimated_rows: counted.map(|rows| rows as u64),
        row_security: row.get("row_security")?,
        schema_usable: row.get("schema_usable")?,
        heap: heap && row.get("heap")?,
        populated: row.get("populated")?,
        large: with_children || row.get("large")?,
        oid: Some(row.get_u32("oid")?),
    }))
}

/// A column whose type is known only by its OID.
struct UntypedColumn {
    name: ColumnName,
    display: String,
    type_oid: u32,
    modifier: i32,
    not_null: bool,
    readable: bool,
    collation: (Collation, Option<String>),
    scattered: bool,
    distinct: Option<u64>,
}

impl UntypedColumn {
    fn typed(self, types: &Types) -> Column {
        let UntypedColumn { name, not_null, readable, scattered, distinct, .. } = self;
        let column_type =
            types.column_type(self.type_oid, self.display, self.modifier, self.collation);
        Column { name, column_type, not_null, readable, scattered, distinct }
    }
}

/// Decodes a row of `sql::relation_columns`.
fn untyped(row: &Row) -> Result<UntypedColumn, PgError> {
    let collation = match row.get::<&str>("collation")? {
        "-" => Collation::None,
        "b" => Collation::Bytes,
        "n" => Collation::Nondeterministic,
        _ => Collation::Linguistic,
    };
    Ok(UntypedColumn {
        name: ColumnName(row.get("name")?),
        display: row.get("type_name")?,
        type_oid: row.get_u32("type_oid")?,
        modifier: row.get("modifier")?,
        not_null: row.get("not_null")?,
        readable: row.get("readable")?,
        collation: (collation, row.get("collation_id")?),
        scattered: row.get("scattered")?,
        distinct: row.get::<Option<f64>>("distinct_values")?.map(|values| values.ceil() as u64),
    })
}

/// Decodes rows of `sql::relation_indexes`, one for each key column of an index.
fn indexes(rows: &[Row]) -> Result<Vec<Index>, PgError> {
    let mut indexes: Vec<Index> = Vec::new();
    for row in rows {
        let name: String = row.get("name")?;
        if indexes.last().is_none_or(|index| index.name != name) {
            let (unique, primary) = (row.get("is_unique")?, row.get("is_primary")?);
            indexes.push(Index { name, unique, primary, columns: Vec::new() });
        }
        if let Some(index) = indexes.last_mut() {
            index.columns.push(IndexColumn {
                name: row.get::<Option<String>>("column_name")?.map(ColumnName),
                plain_order: row.get("plain_order")?,
            });
        }
    }
    Ok(indexes)
}
