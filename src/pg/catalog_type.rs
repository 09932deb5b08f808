//! Types from a catalog, resolved down to what a canon can be chosen for.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::Connection;
use super::error::PgError;
use super::read_settings::ReadSettings;
use crate::schema::{Builtin, Collation, ColumnType, PgType};
use crate::sql;

/// The first OID that is given to objects of users.
const FIRST_NORMAL_OID: u32 = 16_384;
/// Vectors of the catalogs' own, which look like arrays in `pg_type`.
const VECTORS: [u32; 2] = [22, 30];

/// Types that one statement asks about at the most.
const TYPES_AT_ONCE: usize = 2_000;

/// Types by OID.
pub(super) struct Types(BTreeMap<u32, CatalogType>);

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
    /// Asks for some types and all that they are made of. Each may be named any number of times.
    pub(super) async fn read_types(
        &self,
        session: &ReadSettings,
        oids: impl Iterator<Item = u32>,
    ) -> Result<Types, PgError> {
        let oids: Vec<u32> = oids.collect::<BTreeSet<_>>().into_iter().collect();
        let mut types = BTreeMap::new();
        for oids in oids.chunks(TYPES_AT_ONCE) {
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
    /// The type of an expression. How it is ordered is not asked: no index serves it, so its keys are
    /// compared by bytes.
    pub(super) fn expression_type(&self, oid: u32, display: String) -> ColumnType {
        self.column_type(oid, display, -1, (Collation::Linguistic, None))
    }

    /// The type of a column or an expression.
    pub(super) fn column_type(
        &self,
        oid: u32,
        display: String,
        modifier: i32,
        (collation, collation_id): (Collation, Option<String>),
    ) -> ColumnType {
        let modifier = self.modifier(oid, modifier);
        ColumnType { display, pg_type: self.resolve(oid), modifier, collation, collation_id }
    }

    /// The modifier of a value, or of an array's elements. A domain's column has none of its own; the
    /// domain has.
    fn modifier(&self, oid: u32, own: i32) -> i32 {
        match self.0.get(&oid) {
            Some(shape) if shape.kind == "d" => self.modifier(shape.base, shape.modifier),
            Some(shape) if shape.is_array(oid) => self.modifier(shape.element, own),
            _ => own,
        }
    }

    /// What a type is.
    pub(super) fn resolve(&self, oid: u32) -> PgType {
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
