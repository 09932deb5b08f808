//! The table of supported types for the documentation: how each is compared, how it enters a digest, and
//! when values are equal. It follows from the functions that make plans, so it cannot be outdated.

use super::canonical_form::{CanonicalForm, DigestForm};
use super::common_type::find_common_type;
use crate::schema::{Builtin, Collation, ColumnType, PgType};

/// One line of the table: types that are treated alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSupport {
    /// The types, as SQL names them or in words.
    pub types: Vec<String>,
    /// The canonical form.
    pub form: String,
    /// How the form enters a row's hash.
    pub digested: &'static str,
    /// When two values are equal.
    pub equal: &'static str,
}

/// Lists every type, in groups.
pub fn supported_types() -> Vec<TypeSupport> {
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
    let mut lines: Vec<TypeSupport> = Vec::new();
    for (name, pg_type) in builtins.chain(others) {
        let column = ColumnType {
            display: name.clone(),
            pg_type,
            modifier: -1,
            collation: Collation::None,
            collation_id: None,
        };
        // A type always has a common type with itself, if the spec names the pair.
        let Ok(form) = find_common_type(&column, &column, true) else { continue };
        let name = if find_common_type(&column, &column, false).is_err() {
            format!("{name}, if the spec names the pair")
        } else {
            name
        };
        let line = TypeSupport {
            types: vec![name],
            form: if matches!(form, CanonicalForm::As(_)) {
                "itself".into()
            } else {
                form.describe()
            },
            digested: match (form.digest_form(), form) {
                (DigestForm::Send(_), _) => "the bytes of its send function",
                (_, CanonicalForm::Rendered | CanonicalForm::JsonbText) => "its text",
                (DigestForm::Native, _) => "itself",
            },
            equal: describe_equality(form),
        };
        let alike = |known: &&mut TypeSupport| {
            (&known.form, known.digested, known.equal) == (&line.form, line.digested, line.equal)
        };
        match lines.iter_mut().find(alike) {
            Some(known) => known.types.extend(line.types),
            None => lines.push(line),
        }
    }
    lines
}

/// Describes when two values in a canonical form are equal.
fn describe_equality(form: CanonicalForm) -> &'static str {
    match form {
        CanonicalForm::TrimmedNumeric => "the same number: 1.0 and 1.00 are equal",
        CanonicalForm::Float(_) => "the same bits; -0 and 0 are equal, and so is every NaN",
        CanonicalForm::Text => {
            "the same bytes: case, accents and blanks count, whatever the collation; the padding of char(n) does not"
        }
        CanonicalForm::Rendered => "the same text, so 1 and 1.0 within json and jsonb differ",
        _ => "the same value to the last bit: 1 day and 24 hours differ",
    }
}
