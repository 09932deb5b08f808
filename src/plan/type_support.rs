//! Which types are compared, how each enters a digest, and what counts as equal: told by the very
//! decisions that plans are made of, for the documentation.

use super::canonical_form::{Canon, DigestForm};
use super::common_type::meet;
use crate::schema::{Builtin, Collation, ColumnType, PgType};

/// One line: types that are treated alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supported {
    /// The types, as SQL names them or in words.
    pub types: Vec<String>,
    /// The form in which both sides say a value.
    pub canon: String,
    /// How that form enters a row's hash.
    pub digested: &'static str,
    /// When two values are equal.
    pub equal: &'static str,
}

/// Every type, in groups.
pub fn supported() -> Vec<Supported> {
    let builtins = Builtin::all().map(|builtin| {
        let name = match builtin {
            Builtin::Bpchar => "char(n)".to_owned(),
            builtin => builtin.name().to_owned(),
        };
        (name, PgType::Builtin(builtin))
    });
    let array = |element| PgType::Array(Box::new(element));
    let others = [
        ("every other built-in type", PgType::OtherBuiltin(600)),
        ("enums", PgType::Enum),
        ("composite types", PgType::Composite),
        ("ranges and multiranges of your own", PgType::Range),
        ("citext", PgType::Extension("citext".to_owned())),
        ("other types of extensions", PgType::Extension("hstore".to_owned())),
        ("arrays of all of these", array(PgType::Builtin(Builtin::Int4))),
    ];
    let others = others.into_iter().map(|(name, pg_type)| (name.to_owned(), pg_type));
    let mut lines: Vec<Supported> = Vec::new();
    for (name, pg_type) in builtins.chain(others) {
        let column = ColumnType {
            display: name.clone(),
            pg_type,
            modifier: -1,
            collation: Collation::None,
            collation_id: None,
        };
        // A type always meets itself, where it is asked for.
        let Ok(canon) = meet(&column, &column, true) else { continue };
        let name = if meet(&column, &column, false).is_err() {
            format!("{name}, if the spec names the pair")
        } else {
            name
        };
        let line = Supported {
            types: vec![name],
            canon: if matches!(canon, Canon::As(_)) { "itself".into() } else { canon.describe() },
            digested: match (canon.digest_form(), canon) {
                (DigestForm::Send(_), _) => "the bytes of its send function",
                (_, Canon::Rendered | Canon::JsonbText) => "its text",
                (DigestForm::Native, _) => "itself",
            },
            equal: equal(canon),
        };
        let alike = |known: &&mut Supported| {
            (&known.canon, known.digested, known.equal) == (&line.canon, line.digested, line.equal)
        };
        match lines.iter_mut().find(alike) {
            Some(known) => known.types.extend(line.types),
            None => lines.push(line),
        }
    }
    lines
}

/// When two values in a canon are equal, in words.
fn equal(canon: Canon) -> &'static str {
    match canon {
        Canon::TrimmedNumeric => "the same number: 1.0 and 1.00 are equal",
        Canon::Float(_) => "the same bits; -0 and 0 are equal, and so is every NaN",
        Canon::Text => {
            "the same bytes: case, accents and blanks count, whatever the collation; the padding of char(n) does not"
        }
        Canon::Rendered => "the same text, so 1 and 1.0 within json and jsonb differ",
        _ => "the same value to the last bit: 1 day and 24 hours differ",
    }
}
