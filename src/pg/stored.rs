//! How a table is stored, as its catalog has it.

use super::catalog::Catalog;
use super::error::PgError;
use crate::schema::{ColumnName, Identity, Referrer, SchemaName, Stored, StoredColumn, TableName};
use crate::sql;

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
                })
            })
            .collect();
        let mut stored = Stored {
            oid,
            columns: columns?,
            deferrable: rows.first().map_or(Ok(false), |row| row.get(9))?,
            parents: Vec::new(),
            referrers: Vec::new(),
        };
        for row in self.lease.all(&self.own, &sql::stored_links(oid)).await? {
            let (child, parent) = (row.oid(0)?, row.oid(1)?);
            if child == oid {
                stored.parents.push(parent);
            }
            let action = match row.get::<&str>(4)? {
                "c" => "CASCADE",
                "n" => "SET NULL",
                "d" => "SET DEFAULT",
                _ => continue,
            };
            if parent != oid {
                continue;
            }
            let (own, theirs): (Vec<String>, Vec<String>) = (row.get(5)?, row.get(6)?);
            let columns = own.into_iter().zip(theirs);
            stored.referrers.push(Referrer {
                table: TableName { schema: SchemaName(row.get(2)?), name: row.get(3)? },
                action,
                columns: columns
                    .map(|(own, theirs)| (ColumnName(own), ColumnName(theirs)))
                    .collect(),
            });
        }
        Ok(stored)
    }
}
