//! How a table is stored, as its catalog has it.

use super::catalog::Catalog;
use super::error::PgError;
use crate::schema::{
    ColumnName, Identity, Link, Rights, SchemaName, Server, Stored, StoredColumn, TableName, Unique,
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
        let mut types: Vec<u32> = rows.iter().map(|row| row.oid(2)).collect::<Result<_, _>>()?;
        types.sort_unstable();
        types.dedup();
        let types = self.lease.types(&self.own, &types).await?;
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
        for row in self.lease.all(&self.own, &sql::stored_uniques(oid)).await? {
            let columns: Vec<String> = row.get(1)?;
            stored.uniques.push(Unique {
                name: row.get(0)?,
                columns: columns.into_iter().map(ColumnName).collect(),
                computed: row.get(2)?,
                nulls_alike: row.get(3)?,
                late: row.get(4)?,
            });
        }
        for row in self.lease.all(&self.own, &sql::stored_links(oid)).await? {
            let action = match row.get::<&str>(6)? {
                "c" => Some("CASCADE"),
                "n" => Some("SET NULL"),
                "d" => Some("SET DEFAULT"),
                _ => None,
            };
            let names: (Vec<String>, Vec<String>) = (row.get(7)?, row.get(8)?);
            let pairs = || {
                let child = names.0.iter().cloned().map(ColumnName);
                child.zip(names.1.iter().cloned().map(ColumnName))
            };
            let other = |at: usize| {
                let name =
                    TableName { schema: SchemaName(row.get(at + 1)?), name: row.get(at + 2)? };
                Ok::<_, PgError>((row.oid(at)?, name))
            };
            let ((child, child_name), (parent, parent_name)) = (other(0)?, other(3)?);
            if child == oid {
                let columns = pairs().collect();
                let (oid, table) = (parent, parent_name);
                stored.parents.push(Link { oid, table, action, columns });
            }
            if parent == oid {
                let columns = pairs().map(|(theirs, own)| (own, theirs)).collect();
                let (oid, table) = (child, child_name);
                stored.referrers.push(Link { oid, table, action, columns });
            }
        }
        Ok(stored)
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
