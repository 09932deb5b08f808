//! Reads how a table is stored from its catalog.

use std::collections::BTreeMap;

use super::reader::Catalog;
use crate::pg::error::PgError;
use crate::pg::row::Row;
use crate::schema::{
    ColumnName, ForeignKey, ForeignKeyEnd, Identity, IndexValueSql, SchemaName, Server,
    StoredColumn, StoredTable, TableName, TablePrivileges, UniqueIndex,
};
use crate::sql;

/// The first version in which a role can be granted a setting that else only superusers may set.
const GRANTS_SINCE: u32 = 150_000;

impl Catalog<'_> {
    /// Reads how a table is stored.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_stored_table(&self, oid: u32) -> Result<StoredTable, PgError> {
        let rows = self.connection.query(&self.own, &sql::stored_columns(oid)).await?;
        let types: Vec<u32> =
            rows.iter().map(|row| row.get_u32("type_oid")).collect::<Result<_, _>>()?;
        let types = self.connection.read_types(&self.own, types.into_iter()).await?;
        let columns: Result<Vec<StoredColumn>, PgError> = rows
            .iter()
            .map(|row| {
                Ok(StoredColumn {
                    name: ColumnName(row.get("name")?),
                    type_name: row.get("type_name")?,
                    pg_type: types.resolve(row.get_u32("type_oid")?),
                    not_null: row.get("not_null")?,
                    generated: row.get("generated")?,
                    identity: match row.get::<&str>("identity")? {
                        "a" => Identity::Always,
                        "d" => Identity::ByDefault,
                        _ => Identity::None,
                    },
                    has_default: row.get("has_default")?,
                    sequence: row.get("sequence")?,
                    readable: row.get("readable")?,
                    length: row.get("length")?,
                    expression: row.get("expression")?,
                    checks: row.get("checks")?,
                    loose: row.get("loose")?,
                    equal: row.get("equal")?,
                })
            })
            .collect();
        let mut stored = StoredTable {
            oid,
            columns: columns?,
            deferrable: rows.first().map_or(Ok(false), |row| row.get("deferrable"))?,
            uniques: Vec::new(),
            parents: Vec::new(),
            referrers: Vec::new(),
        };
        for row in &self.connection.query(&self.own, &sql::stored_uniques(oid)).await? {
            stored.uniques.push(unique(row)?);
        }
        (stored.parents, stored.referrers) = self.read_foreign_keys(oid).await?;
        Ok(stored)
    }

    /// Reads the foreign keys of a table: its own, and those that refer to it.
    async fn read_foreign_keys(
        &self,
        oid: u32,
    ) -> Result<(Vec<ForeignKey>, Vec<ForeignKey>), PgError> {
        let (mut parents, mut referrers) = (Vec::new(), Vec::new());
        for row in self.connection.query(&self.own, &sql::stored_links(oid)).await? {
            let action = |column: &str| {
                let action = match row.get::<&str>(column)? {
                    "c" => Some("CASCADE"),
                    "n" => Some("SET NULL"),
                    "d" => Some("SET DEFAULT"),
                    _ => None,
                };
                Ok::<_, PgError>(action.map(str::to_owned))
            };
            let end = |end: &str| {
                let schema = SchemaName(row.get(format!("{end}_schema").as_str())?);
                let name = row.get(format!("{end}_name").as_str())?;
                let partitioned = row.get(format!("{end}_partitioned").as_str())?;
                Ok::<_, PgError>(ForeignKeyEnd { table: TableName { schema, name }, partitioned })
            };
            let columns = |end: &str| names(&row, format!("{end}_columns").as_str());
            let link = |here: &str, there: &str| {
                Ok::<_, PgError>(ForeignKey {
                    root: row.get_u32("root")?,
                    here: end(here)?,
                    there: end(there)?,
                    on_delete: action("on_delete")?,
                    on_update: action("on_update")?,
                    generated: row.get(format!("{here}_generated").as_str())?,
                    full: row.get("full_match")?,
                    columns: columns(here)?.into_iter().zip(columns(there)?).collect(),
                })
            };
            if row.get("refers")? {
                parents.push(link("referrer", "referenced")?);
            }
            if row.get("referred")? {
                referrers.push(link("referenced", "referrer")?);
            }
        }
        Ok((parents, referrers))
    }

    /// Reads the tables that a change can reach through these foreign keys (`CASCADE`, `SET NULL`,
    /// `SET DEFAULT`), each with the foreign keys that reach further from it.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_cascades(
        &self,
        referrers: &[ForeignKey],
    ) -> Result<Vec<(TableName, Vec<ForeignKey>)>, PgError> {
        let acts = |link: &&ForeignKey| link.on_delete.is_some() || link.on_update.is_some();
        let tables = |links: &[ForeignKey]| -> Vec<TableName> {
            links.iter().filter(acts).map(|link| link.there.table.clone()).collect()
        };
        let mut due = tables(referrers);
        let mut known = BTreeMap::new();
        while let Some(table) = due.pop() {
            if known.contains_key(&table) {
                continue;
            }
            let found = self.connection.query(&self.own, &sql::relations(&[&table])).await?;
            let mut links = match found.first() {
                Some(row) => self.read_foreign_keys(row.get_u32("oid")?).await?.1,
                None => Vec::new(),
            };
            links.retain(|link| acts(&link));
            due.extend(tables(&links));
            known.insert(table, links);
        }
        known.retain(|_, links| !links.is_empty());
        Ok(known.into_iter().collect())
    }

    /// Reads the parts of a table's definition on which SQL that writes it depends, each with a hash.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_definition(&self, oid: u32) -> Result<BTreeMap<String, String>, PgError> {
        let rows = self.connection.query(&self.own, &sql::stored_definition(oid)).await?;
        rows.iter().map(|row| Ok((row.get("what")?, row.get("how")?))).collect()
    }

    /// Finds the sequences, given as SQL, that the role may not read and set.
    ///
    /// # Errors
    /// The server's error.
    pub async fn find_unmovable_sequences(
        &self,
        sequences: &[&str],
    ) -> Result<Vec<String>, PgError> {
        let rows = self.connection.query(&self.own, &sql::unmovable_sequences(sequences)).await?;
        rows.iter().map(|row| row.get("name")).collect()
    }

    /// Reads the role's privileges on a table.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_privileges(
        &self,
        oid: u32,
        server: &Server,
    ) -> Result<TablePrivileges, PgError> {
        let grants = server.version >= GRANTS_SINCE;
        let rows = self.connection.query(&self.own, &sql::rights(oid, grants)).await?;
        let Some(row) = rows.first() else {
            return Err(PgError::unexpected("no row"));
        };
        Ok(TablePrivileges {
            insert: row.get("insert")?,
            update: row.get("update")?,
            delete: row.get("delete")?,
            temporary: row.get("temporary")?,
            replica: row.get("replica")?,
        })
    }
}

/// Decodes names of columns.
fn names(row: &Row, column: &str) -> Result<Vec<ColumnName>, PgError> {
    let names: Vec<String> = row.get(column)?;
    Ok(names.into_iter().map(ColumnName).collect())
}

/// Decodes a row of `sql::stored_uniques`.
fn unique(row: &Row) -> Result<UniqueIndex, PgError> {
    let (keys, hashes): (Vec<String>, Vec<String>) = (row.get("keys")?, row.get("hashes")?);
    let predicate: Option<String> = row.get("predicate")?;
    let nulls_alike = row.get("nulls_alike")?;
    let value_sql = IndexValueSql {
        value: sql::index_value(&keys, &hashes, predicate.as_deref(), nulls_alike),
        plain: !row.get::<bool>("needs_server")?,
        coarse: row.get("coarse")?,
        own: names(row, "own")?,
        generated: names(row, "generated")?,
    };
    Ok(UniqueIndex {
        name: row.get("name")?,
        columns: names(row, "columns")?,
        nulls_alike,
        late: row.get("late")?,
        value_sql: Some(value_sql),
    })
}
