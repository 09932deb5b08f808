//! Rows from the driver, and parameters for it.

use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::error::PgError;
use crate::row::RowFields;
use crate::schema::Builtin;
use crate::sql::Bind;

/// One row of a result. Its fields are slices of the protocol message that it arrived in.
#[derive(Debug)]
pub struct Row(pub(super) tokio_postgres::Row);

/// A field's bytes, whatever its type.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl RowFields for Row {
    fn field(&self, index: usize) -> Option<&[u8]> {
        self.0.try_get::<_, Option<Raw<'_>>>(index).ok().flatten().map(|raw| raw.0)
    }
}

impl Row {
    /// Returns the value of a column: by its name, or by its position where the plan decides how many
    /// columns there are.
    pub(crate) fn get<'r, T: FromSql<'r>>(
        &'r self,
        column: impl RowIndex + fmt::Display,
    ) -> Result<T, PgError> {
        self.0.try_get(&column).map_err(|_| {
            PgError::unexpected(format!("column {column} is missing or has an unexpected type"))
        })
    }

    /// Returns the types of its columns, `None` for types without a special treatment.
    pub(crate) fn types(&self) -> Vec<Option<Builtin>> {
        self.0.columns().iter().map(|column| Builtin::from_oid(column.type_().oid())).collect()
    }

    /// Returns the names of its columns.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.columns().iter().map(tokio_postgres::Column::name).collect()
    }

    /// Returns the bytes of the message that it arrived in.
    pub(crate) fn size(&self) -> usize {
        self.0.raw_size_bytes()
    }

    /// Returns a number that SQL has no type of its own for, as an OID or a hash bucket: it comes as an
    /// int8.
    pub(crate) fn get_u32(&self, column: impl RowIndex + fmt::Display) -> Result<u32, PgError> {
        let number: i64 = self.get(&column)?;
        u32::try_from(number).map_err(|_| out_of_range(&column))
    }

    /// Returns a number that may be NULL, as [`Row::get_u32`] does.
    pub(super) fn get_optional_u32(&self, column: &str) -> Result<Option<u32>, PgError> {
        let number: Option<i64> = self.get(column)?;
        number.map(u32::try_from).transpose().map_err(|_| out_of_range(&column))
    }

    /// Returns a count, which comes as an int8.
    pub(crate) fn get_count(&self, column: impl RowIndex + fmt::Display) -> Result<u64, PgError> {
        let number: i64 = self.get(&column)?;
        u64::try_from(number).map_err(|_| out_of_range(&column))
    }
}

fn out_of_range(column: &impl fmt::Display) -> PgError {
    PgError::unexpected(format!("the number of column {column} is out of range"))
}

/// A parameter: bytes in the binary form of its type.
#[derive(Debug)]
pub(super) struct Parameter<'s>(&'s [u8]);

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Returns the parameters of a statement, with their types.
pub(super) fn parameters(binds: &[Bind]) -> Vec<(Parameter<'_>, Type)> {
    let type_of = |bind: &Bind| Type::from_oid(bind.oid).unwrap_or(Type::TEXT);
    binds.iter().map(|bind| (Parameter(&bind.value), type_of(bind))).collect()
}
