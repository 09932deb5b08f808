//! Names of schemas, tables and columns, as the catalog spells them.
//!
//! In a spec, a table's name is written as in SQL (`public.orders`, `"Odd Schema"."T"`), so unquoted parts
//! are folded to lower case. Columns and pairs are written as the catalog spells them, without quotes.
//! `Display` is for messages; only `sql` quotes names for statements.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A schema's name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SchemaName(pub String);

/// A column's name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnName(pub String);

/// A table, view or other relation by schema and name, both unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// Its schema.
    pub schema: SchemaName,
    /// Its own name.
    pub name: String,
}

/// Why a text is not the name of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The schema is missing.
    #[error("the schema is missing")]
    NoSchema,
    /// More than `schema.name`.
    #[error("it has more than two parts")]
    TooManyParts,
    /// A quote that is never closed, an empty part or a stray character.
    #[error("it is not an SQL name")]
    NotAName,
}

impl TableName {
    /// Parses `schema.name`, each part quoted as in SQL where needed.
    ///
    /// # Errors
    /// If a part is missing, empty or wrongly quoted.
    pub fn parse(text: &str) -> Result<TableName, NameError> {
        let mut parts = split_parts(text, '.')?;
        match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(name), Some(schema), true) => Ok(TableName { schema: SchemaName(schema), name }),
            (Some(_), None, _) => Err(NameError::NoSchema),
            _ => Err(NameError::TooManyParts),
        }
    }
}

impl SchemaName {
    /// Parses a `search_path`: schema names, each quoted as in SQL where needed, separated by commas.
    ///
    /// # Errors
    /// If a name is empty or wrongly quoted.
    pub fn parse_path(text: &str) -> Result<Vec<SchemaName>, NameError> {
        Ok(split_parts(text, ',')?.into_iter().map(SchemaName).collect())
    }
}

/// Splits SQL identifiers at a separator outside quotes, and folds unquoted ones to lower case.
fn split_parts(text: &str, separator: char) -> Result<Vec<String>, NameError> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            take_quoted(quoted)?
        } else {
            let end = rest.find([separator, '"', ' ']).unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (unquoted(part)?, after)
        };
        parts.push(part);
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after.strip_prefix(separator).ok_or(NameError::NotAName)?.trim_start();
    }
}

fn take_quoted(text: &str) -> Result<(String, &str), NameError> {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                name.push('"');
            }
            '"' if name.is_empty() => return Err(NameError::NotAName),
            '"' => return Ok((name, text.get(at + 1..).unwrap_or_default())),
            '\0' => return Err(NameError::NotAName),
            _ => name.push(c),
        }
    }
    Err(NameError::NotAName)
}

fn unquoted(text: &str) -> Result<String, NameError> {
    let starts_well = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let is_word = text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    if starts_well && is_word { Ok(text.to_ascii_lowercase()) } else { Err(NameError::NotAName) }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    let plain = part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { f.write_str(part) } else { write!(f, "\"{}\"", part.replace('"', "\"\"")) }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_part(f, &self.schema.0)?;
        f.write_str(".")?;
        write_part(f, &self.name)
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_part(f, &self.0)
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<(String, String), NameError> {
        TableName::parse(text).map(|t| (t.schema.0, t.name))
    }

    #[test]
    fn unquoted_parts_are_folded_to_lower_case() {
        assert_eq!(table("Public.Orders"), Ok(("public".into(), "orders".into())));
        assert_eq!(table(r#" "Odd ""S"."a.b" "#), Ok((r#"Odd "S"#.into(), "a.b".into())));
    }

    #[test]
    fn what_is_not_a_table_name_is_refused_with_its_reason() {
        assert_eq!(table("orders"), Err(NameError::NoSchema));
        assert_eq!(table("a.b.c"), Err(NameError::TooManyParts));
        for text in ["", "a.", ".b", "a b.c", "a;.b", r#""a.b"#, r#""".b"#, "1a.b"] {
            assert_eq!(table(text), Err(NameError::NotAName), "{text}");
        }
    }

    #[test]
    fn a_displayed_name_is_parsed_as_itself() {
        for text in [r#""Odd ""S"."a.b""#, "public.orders", r#"public."Order""#] {
            let name = TableName::parse(text).unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(TableName::parse(&name.to_string()).unwrap(), name);
        }
    }

    #[test]
    fn a_search_path_is_a_list_of_names() {
        let path = SchemaName::parse_path(r#"public, "$user", Ext"#).unwrap();
        let names: Vec<_> = path.iter().map(|s| s.0.as_str()).collect();
        assert_eq!(names, ["public", "$user", "ext"]);
    }
}
