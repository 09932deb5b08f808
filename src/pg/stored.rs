//! How a table is stored, as its catalog has it.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::error::PgError;
use super::row::Row;
use crate::schema::{
    ColumnName, End, Identity, Link, Rights, SchemaName, Server, Stored, StoredColumn, TableName,
    Told, Unique,
};
use crate::sql;

/// The first version in which a role that is no superuser can be allowed to set what only they may.
const GRANTS_SINCE: u32 = 150_000;

impl Catalog<'_> {
    /// How a table is stored.
    ///
    /// # Errors
    /// What the server says.
    pub async fn stored(&self, oid: u32) -> Result<Stored, PgError> {
        let rows = self.lease.all(&self.own, &sql::stored_columns(oid)).await?;
        let types: Vec<u32> = rows.iter().map(|row| row.oid(2)).collect::<Result<_, _>>()?;
        let types = self.lease.types(&self.own, types.into_iter()).await?;
        let columns: Result<Vec<StoredColumn>, PgError> = rows
            .iter()
            .map(|row| {
                Ok(StoredColumn {
                    name: ColumnName(row.get(0)?),
                    type_name: row.get(1)?,
                    pg_type: types.resolve(row.oid(2)?),
                    not_null: row.get(3)?,
                    generated: row.get(4)?,
                    identity: match row.get::<&str>(5)? {
                        "a" => Identity::Always,
                        "d" => Identity::ByDefault,
                        _ => Identity::None,
                    },
                    has_default: row.get(6)?,
                    sequence: row.get(7)?,
                    readable: row.get(8)?,
                    length: row.get(9)?,
                    expression: row.get(11)?,
                    checks: row.get(12)?,
                    loose: row.get(13)?,
                    equal: row.get(14)?,
                })
            })
            .collect();
        let mut stored = Stored {
            oid,
            columns: columns?,
            deferrable: rows.first().map_or(Ok(false), |row| row.get(10))?,
            uniques: Vec::new(),
            parents: Vec::new(),
            referrers: Vec::new(),
        };
        for row in &self.lease.all(&self.own, &sql::stored_uniques(oid)).await? {
            stored.uniques.push(unique(row)?);
        }
        (stored.parents, stored.referrers) = self.links(oid).await?;
        Ok(stored)
    }

    /// The foreign keys of a table: those from it, and those to it.
    async fn links(&self, oid: u32) -> Result<(Vec<Link>, Vec<Link>), PgError> {
        let (mut parents, mut referrers) = (Vec::new(), Vec::new());
        for row in self.lease.all(&self.own, &sql::stored_links(oid)).await? {
            let action = |at: usize| {
                let action = match row.get::<&str>(at)? {
                    "c" => Some("CASCADE"),
                    "n" => Some("SET NULL"),
                    "d" => Some("SET DEFAULT"),
                    _ => None,
                };
                Ok::<_, PgError>(action.map(str::to_owned))
            };
            let end = |at: usize| {
                let table = TableName { schema: SchemaName(row.get(at)?), name: row.get(at + 1)? };
                Ok::<_, PgError>(End { table, partitioned: row.get(at + 2)? })
            };
            let columns = |at: usize| {
                let names: Vec<String> = row.get(at)?;
                Ok::<_, PgError>(names.into_iter().map(ColumnName).collect::<Vec<_>>())
            };
            let link = |here: usize, there: usize| {
                let columns = (columns(9 + here)?, columns(9 + there)?);
                Ok::<_, PgError>(Link {
                    root: row.oid(0)?,
                    here: end(1 + 3 * here)?,
                    there: end(1 + 3 * there)?,
                    on_delete: action(7)?,
                    on_update: action(8)?,
                    generated: row.get(11 + here)?,
                    full: row.get(15)?,
                    columns: columns.0.into_iter().zip(columns.1).collect(),
                })
            };
            // Who refers comes first in a row, whom it refers to second.
            if row.get(13)? {
                parents.push(link(0, 1)?);
            }
            if row.get(14)? {
                referrers.push(link(1, 0)?);
            }
        }
        Ok((parents, referrers))
    }

    /// The tables that a change could reach through these foreign keys, each with those that refer to
    /// it: only such as do more than refuse.
    ///
    /// # Errors
    /// What the server says.
    pub async fn beyond(&self, referrers: &[Link]) -> Result<Vec<(TableName, Vec<Link>)>, PgError> {
        let acts = |link: &&Link| link.on_delete.is_some() || link.on_update.is_some();
        let tables = |links: &[Link]| -> Vec<TableName> {
            links.iter().filter(acts).map(|link| link.there.table.clone()).collect()
        };
        let mut due = tables(referrers);
        let mut known = BTreeMap::new();
        while let Some(table) = due.pop() {
            if known.contains_key(&table) {
                continue;
            }
            let found = self.lease.all(&self.own, &sql::relations(&[&table])).await?;
            let mut links = match found.first() {
                Some(row) => self.links(row.oid(1)?).await?.1,
                None => Vec::new(),
            };
            links.retain(|link| acts(&link));
            due.extend(tables(&links));
            known.insert(table, links);
        }
        known.retain(|_, links| !links.is_empty());
        Ok(known.into_iter().collect())
    }

    /// The parts of a table's definition that a repair rests on, each with a digest.
    ///
    /// # Errors
    /// What the server says.
    pub async fn definition(&self, oid: u32) -> Result<BTreeMap<String, String>, PgError> {
        let rows = self.lease.all(&self.own, &sql::stored_definition(oid)).await?;
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
    }

    /// Those of some sequences, as SQL writes them, that the role may not read and move.
    ///
    /// # Errors
    /// What the server says.
    pub async fn unmovable(&self, sequences: &[&str]) -> Result<Vec<String>, PgError> {
        let rows = self.lease.all(&self.own, &sql::unmovable_sequences(sequences)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What the role may do to a table.
    ///
    /// # Errors
    /// What the server says.
    pub async fn rights(&self, oid: u32, server: &Server) -> Result<Rights, PgError> {
        let grants = server.version >= GRANTS_SINCE;
        let rows = self.lease.all(&self.own, &sql::rights(oid, grants)).await?;
        let Some(row) = rows.first() else {
            return Err(PgError::unexpected("nothing is said of rights"));
        };
        Ok(Rights {
            insert: row.get(0)?,
            update: row.get(1)?,
            delete: row.get(2)?,
            temporary: row.get(3)?,
            replica: row.get(4)?,
        })
    }
}

/// A unique index as `sql::stored_uniques` tells it.
fn unique(row: &Row) -> Result<Unique, PgError> {
    let names = |at: usize| {
        let names: Vec<String> = row.get(at)?;
        Ok::<_, PgError>(names.into_iter().map(ColumnName).collect::<Vec<_>>())
    };
    let (keys, hashes): (Vec<String>, Vec<String>) = (row.get(6)?, row.get(7)?);
    let (nulls_alike, predicate): (bool, Option<String>) = (row.get(2)?, row.get(9)?);
    let told = Told {
        value: sql::index_value(&keys, &hashes, predicate.as_deref(), nulls_alike),
        plain: !row.get::<bool>(5)?,
        coarse: row.get(4)?,
        own: names(8)?,
        generated: names(10)?,
    };
    let told = Some(told);
    Ok(Unique { name: row.get(0)?, columns: names(1)?, nulls_alike, late: row.get(3)?, told })
}
