//! PostgreSQL's types, as far as a comparison distinguishes them.
//!
//! A type's OID is stable below 16384 and differs between databases above it, so a user-defined type is
//! identified by what it is (enum, composite, domain over …) and never by its OID.

/// A built-in type that has a canonical form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the PostgreSQL type of the same name")]
pub enum Builtin {
    Bool,
    Bytea,
    Char,
    Name,
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Money,
    Text,
    Varchar,
    Bpchar,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    PgLsn,
    Xid8,
    Oid,
    Xid,
    Cid,
    Tid,
    Json,
    Jsonb,
    Int4Range,
    Int8Range,
    NumRange,
    TsRange,
    TsTzRange,
    DateRange,
}

/// Name, OID and array's OID, as in `src/include/catalog/pg_type.dat`.
const BUILTINS: &[(Builtin, &str, u32, u32)] = &[
    (Builtin::Bool, "bool", 16, 1000),
    (Builtin::Bytea, "bytea", 17, 1001),
    (Builtin::Char, "\"char\"", 18, 1002),
    (Builtin::Name, "name", 19, 1003),
    (Builtin::Int8, "int8", 20, 1016),
    (Builtin::Int2, "int2", 21, 1005),
    (Builtin::Int4, "int4", 23, 1007),
    (Builtin::Text, "text", 25, 1009),
    (Builtin::Oid, "oid", 26, 1028),
    (Builtin::Tid, "tid", 27, 1010),
    (Builtin::Xid, "xid", 28, 1011),
    (Builtin::Cid, "cid", 29, 1012),
    (Builtin::Json, "json", 114, 199),
    (Builtin::Float4, "float4", 700, 1021),
    (Builtin::Float8, "float8", 701, 1022),
    (Builtin::Money, "money", 790, 791),
    (Builtin::Cidr, "cidr", 650, 651),
    (Builtin::Inet, "inet", 869, 1041),
    (Builtin::MacAddr8, "macaddr8", 774, 775),
    (Builtin::MacAddr, "macaddr", 829, 1040),
    (Builtin::Bpchar, "bpchar", 1042, 1014),
    (Builtin::Varchar, "varchar", 1043, 1015),
    (Builtin::Date, "date", 1082, 1182),
    (Builtin::Time, "time", 1083, 1183),
    (Builtin::Timestamp, "timestamp", 1114, 1115),
    (Builtin::TimestampTz, "timestamptz", 1184, 1185),
    (Builtin::Interval, "interval", 1186, 1187),
    (Builtin::TimeTz, "timetz", 1266, 1270),
    (Builtin::Numeric, "numeric", 1700, 1231),
    (Builtin::Uuid, "uuid", 2950, 2951),
    (Builtin::PgLsn, "pg_lsn", 3220, 3221),
    (Builtin::Jsonb, "jsonb", 3802, 3807),
    (Builtin::Int4Range, "int4range", 3904, 3905),
    (Builtin::NumRange, "numrange", 3906, 3907),
    (Builtin::TsRange, "tsrange", 3908, 3909),
    (Builtin::TsTzRange, "tstzrange", 3910, 3911),
    (Builtin::DateRange, "daterange", 3912, 3913),
    (Builtin::Int8Range, "int8range", 3926, 3927),
    (Builtin::Xid8, "xid8", 5069, 271),
];

impl Builtin {
    /// Returns the built-in type with this OID, if it has a canonical form of its own.
    pub fn from_oid(oid: u32) -> Option<Builtin> {
        BUILTINS.iter().find(|(_, _, known, _)| *known == oid).map(|(builtin, ..)| *builtin)
    }

    /// Iterates over all of them.
    pub fn all() -> impl Iterator<Item = Builtin> {
        BUILTINS.iter().map(|(builtin, ..)| *builtin)
    }

    /// Returns its OID, which is the same on every server.
    pub fn oid(self) -> u32 {
        self.entry().2
    }

    /// Returns its name in `pg_catalog`, as SQL.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Returns the OID of arrays of it.
    pub fn array_oid(self) -> u32 {
        self.entry().3
    }

    fn entry(self) -> (Builtin, &'static str, u32, u32) {
        // Every variant is in the table: a unit test checks that.
        *BUILTINS.iter().find(|(builtin, ..)| *builtin == self).unwrap_or(&BUILTINS[0])
    }
}

/// A type, resolved down to a built-in type where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PgType {
    /// A built-in type with a canonical form of its own.
    Builtin(Builtin),
    /// Any other built-in type, by its OID: compared as its text.
    OtherBuiltin(u32),
    /// An enum: labels, never OIDs or order.
    Enum,
    /// A composite type.
    Composite,
    /// A domain over another type.
    Domain(Box<PgType>),
    /// An array of another type.
    Array(Box<PgType>),
    /// A range or multirange type made by a user.
    Range,
    /// A base type of an extension, by its name: `citext`.
    Extension(String),
}

impl PgType {
    /// Whether its text is a name that the search path decides how to write: `regclass`.
    pub fn names_an_object(&self) -> bool {
        // regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary,
        // regcollation
        const NAMES: [u32; 9] = [24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4191];
        match self.base() {
            PgType::OtherBuiltin(oid) => NAMES.contains(oid),
            PgType::Array(element) => element.names_an_object(),
            _ => false,
        }
    }

    /// Returns the type below all domains.
    pub fn base(&self) -> &PgType {
        match self {
            PgType::Domain(inner) => inner.base(),
            other => other,
        }
    }
}

/// The collation of a text column, with the database's default resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// The type has none.
    None,
    /// Orders by bytes: "C", "POSIX", "ucs_basic", or the default of a database that is one of them.
    Bytes,
    /// A deterministic collation with an order of its own.
    Linguistic,
    /// A collation under which different texts may be equal.
    Nondeterministic,
}

/// The type of a column or an expression on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// As `format_type` prints it, with its modifier: `numeric(10,2)`.
    pub display: String,
    /// The type.
    pub pg_type: PgType,
    /// The type modifier, or -1; always -1 for an expression.
    pub modifier: i32,
    /// Its collation.
    pub collation: Collation,
    /// Provider, locale and version of a linguistic collation: if both sides have the same, both order texts
    /// alike. `None` if the version is unknown, or is not the one that indexes were built with.
    pub collation_id: Option<String>,
}

impl ColumnType {
    /// Returns the declared number of digits after the point of a `numeric(p,s)`.
    pub fn numeric_scale(&self) -> Option<i32> {
        let is_numeric = self.pg_type.base() == &PgType::Builtin(Builtin::Numeric);
        // The modifier holds precision and scale above a header of four bytes; the scale is a
        // signed number of eleven bits (make_numeric_typmod in numeric.c).
        (is_numeric && self.modifier >= 4).then(|| (((self.modifier - 4) & 0x7ff) ^ 1024) - 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_in_the_table_once() {
        for (index, (builtin, name, oid, _)) in BUILTINS.iter().enumerate() {
            assert_eq!(Builtin::from_oid(*oid), Some(*builtin));
            assert_eq!((builtin.name(), builtin.oid()), (*name, *oid));
            assert!(BUILTINS[index + 1..].iter().all(|other| other.2 != *oid));
        }
        assert_eq!(BUILTINS.len(), Builtin::DateRange as usize + 1);
    }

    #[test]
    fn the_scale_of_a_numeric_is_read_from_its_modifier() {
        let numeric = |modifier| ColumnType {
            display: String::new(),
            pg_type: PgType::Domain(Box::new(PgType::Builtin(Builtin::Numeric))),
            modifier,
            collation: Collation::None,
            collation_id: None,
        };
        assert_eq!(numeric(-1).numeric_scale(), None);
        assert_eq!(numeric((10 << 16) | (2 + 4)).numeric_scale(), Some(2));
        // numeric(3,-2), allowed since PostgreSQL 15
        assert_eq!(numeric(((3 << 16) | (-2 & 0x7ff)) + 4).numeric_scale(), Some(-2));
    }
}
