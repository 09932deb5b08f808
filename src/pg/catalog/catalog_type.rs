//! Reads types from a catalog and resolves them down to those that have a canonical form.

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::connection::Connection;
use crate::pg::error::PgError;
use crate::pg::read_settings::ReadSettings;
use crate::schema::{Builtin, Collation, ColumnType, PgType};
use crate::sql;

/// The first OID that is given to objects of users.
const FIRST_NORMAL_OID: u32 = 16_384;
/// The catalogs' own vector types (`int2vector`, `oidvector`), which look like arrays in `pg_type`.
const VECTORS: [u32; 2] = [22, 30];

/// The most types of one statement.
const MAX_TYPES: usize = 2_000;

/// Types by OID.
pub(crate) struct Types(BTreeMap<u32, CatalogType>);

struct CatalogType {
    name: String,
    kind: String,
    category: String,
    element: u32,
    base: u32,
    modifier: i32,
}

impl CatalogType {
    fn is_array(&self, oid: u32) -> bool {
        let listed = self.kind == "b" && self.category == "A" && self.element != 0;
        listed && !VECTORS.contains(&oid)
    }
}

impl Connection {
    /// Reads types and those that they are made of. An OID may occur more than once.
    pub(crate) async fn read_types(
        &self,
        session: &ReadSettings,
        oids: impl Iterator<Item = u32>,
    ) -> Result<Types, PgError> {
        let oids: Vec<u32> = oids.collect::<BTreeSet<_>>().into_iter().collect();
        let mut types = BTreeMap::new();
        for oids in oids.chunks(MAX_TYPES) {
            for row in self.query(session, &sql::type_shapes(oids)).await? {
                let shape = CatalogType {
                    name: row.get("name")?,
                    kind: row.get("kind")?,
                    category: row.get("category")?,
                    element: row.get_u32("element")?,
                    base: row.get_u32("base")?,
                    modifier: row.get("modifier")?,
                };
                types.insert(row.get_u32("oid")?, shape);
            }
        }
        Ok(Types(types))
    }
}

impl Types {
    /// Returns the type of an expression. Its collation does not matter: no index supports it, so its keys
    /// are compared by bytes.
    pub(crate) fn expression_type(&self, oid: u32, display: String) -> ColumnType {
        self.column_type(oid, display, -1, (Collation::Linguistic, None))
    }

    /// Returns the type of a column or an expression.
    pub(crate) fn column_type(
        &self,
        oid: u32,
        display: String,
        modifier: i32,
        (collation, collation_id): (Collation, Option<String>),
    ) -> ColumnType {
        let modifier = self.modifier(oid, modifier);
        ColumnType { display, pg_type: self.resolve(oid), modifier, collation, collation_id }
    }

    /// Returns the modifier of a value, or of an array's elements. A column of a domain has the modifier of
    /// the domain.
    fn modifier(&self, oid: u32, own: i32) -> i32 {
        match self.0.get(&oid) {
            Some(shape) if shape.kind == "d" => self.modifier(shape.base, shape.modifier),
            Some(shape) if shape.is_array(oid) => self.modifier(shape.element, own),
            _ => own,
        }
    }

    /// Resolves a type.
    pub(crate) fn resolve(&self, oid: u32) -> PgType {
        if let Some(builtin) = Builtin::from_oid(oid) {
            return PgType::Builtin(builtin);
        }
        let Some(shape) = self.0.get(&oid) else { return PgType::OtherBuiltin(oid) };
        match shape.kind.as_str() {
            "e" => PgType::Enum,
            "c" => PgType::Composite,
            "d" => PgType::Domain(Box::new(self.resolve(shape.base))),
            _ if shape.is_array(oid) => PgType::Array(Box::new(self.resolve(shape.element))),
            _ if oid < FIRST_NORMAL_OID => PgType::OtherBuiltin(oid),
            "r" | "m" => PgType::Range,
            _ => PgType::Extension(shape.name.clone()),
        }
    }
}
