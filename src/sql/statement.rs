//! Statements: text with parameters, the writer of texts, and the quoting of names.

use crate::schema::{Builtin, ColumnName, TableName};
use crate::spec::{Fragment, FragmentPart, Param};

/// The value of a parameter, in the binary form of a built-in type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The type's OID.
    pub oid: u32,
    /// The value.
    pub value: Vec<u8>,
}

impl Bind {
    /// Makes a text.
    pub fn text(value: &str) -> Bind {
        Bind { oid: Builtin::Text.oid(), value: value.as_bytes().to_vec() }
    }

    /// Makes a 64-bit integer.
    pub fn int8(value: i64) -> Bind {
        Bind { oid: Builtin::Int8.oid(), value: value.to_be_bytes().to_vec() }
    }

    /// Makes bytes.
    pub fn bytes(value: &[u8]) -> Bind {
        Bind { oid: Builtin::Bytea.oid(), value: value.to_vec() }
    }

    /// Makes the TID before a block's first row.
    pub fn tid(block: u32) -> Bind {
        let value = [&block.to_be_bytes()[..], &0u16.to_be_bytes()].concat();
        Bind { oid: Builtin::Tid.oid(), value }
    }

    /// Makes an array of texts, some of which may be NULL.
    pub fn texts<'v>(values: impl ExactSizeIterator<Item = Option<&'v str>>) -> Bind {
        let mut bytes = Vec::new();
        let dimensions = u32::from(values.len() > 0);
        for word in [dimensions, 1, Builtin::Text.oid()] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        if dimensions == 1 {
            bytes.extend_from_slice(&(values.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&1u32.to_be_bytes());
        }
        for value in values {
            let length = value.map_or(u32::MAX, |text| text.len() as u32);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        Bind { oid: Builtin::Text.array_oid(), value: bytes }
    }

    /// Makes an array of OIDs, as 64-bit integers.
    pub fn oids(oids: &[u32]) -> Bind {
        Bind::int8s(oids.iter().map(|oid| i64::from(*oid)))
    }

    /// Makes an array of 64-bit integers.
    pub fn int8s(values: impl Iterator<Item = i64>) -> Bind {
        let values: Vec<[u8; 8]> = values.map(i64::to_be_bytes).collect();
        Bind::array(Builtin::Int8, values.iter().map(<[u8; 8]>::as_slice))
    }

    /// Makes an array of booleans.
    pub fn bools(values: impl Iterator<Item = bool>) -> Bind {
        let values: Vec<[u8; 1]> = values.map(|value| [u8::from(value)]).collect();
        Bind::array(Builtin::Bool, values.iter().map(<[u8; 1]>::as_slice))
    }

    /// Makes an array of values of one type, none of them NULL.
    pub fn array<'v>(element: Builtin, values: impl ExactSizeIterator<Item = &'v [u8]>) -> Bind {
        let dimensions = u32::from(values.len() > 0);
        let mut bytes = Vec::new();
        // Dimensions, has-nulls, element type; then length and lower bound of the dimension.
        for word in [dimensions, 0, element.oid()] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        if dimensions == 1 {
            bytes.extend_from_slice(&(values.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&1u32.to_be_bytes());
        }
        for value in values {
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        Bind { oid: element.array_oid(), value: bytes }
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text, with `$1`, `$2` … for the parameters.
    pub text: String,
    /// The parameters, in order.
    pub binds: Vec<Bind>,
}

impl Statement {
    /// Makes a statement without parameters.
    pub(super) fn constant(text: impl Into<String>) -> Statement {
        Statement { text: text.into(), binds: Vec::new() }
    }

    /// Makes a statement of the text of a `.sql` file, with its parameters in order.
    pub(super) fn of_file(text: &str, binds: impl Into<Vec<Bind>>) -> Statement {
        Statement { text: text.trim_end().to_owned(), binds: binds.into() }
    }
}

/// Writes one statement.
#[derive(Default)]
pub(super) struct Writer<'p> {
    text: String,
    binds: Vec<Bind>,
    params: &'p [Param],
    bound: Vec<(&'p str, usize)>,
}

impl<'p> Writer<'p> {
    /// Starts a statement that may use these parameters of the spec.
    pub(super) fn new(params: &'p [Param]) -> Writer<'p> {
        Writer { params, ..Writer::default() }
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Writes items between separators.
    pub(super) fn list<T>(
        &mut self,
        separator: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            write(self, item);
        }
        self
    }

    /// Adds a parameter and writes its placeholder.
    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        let place = format!("${}", self.binds.len());
        self.push(&place)
    }

    /// Writes SQL of the spec between brackets. The line breaks end a comment in it.
    pub(super) fn fragment(&mut self, fragment: &Fragment) -> &mut Self {
        self.push("(\n");
        for part in fragment.parts() {
            match part {
                FragmentPart::Sql(sql) => self.push(sql),
                FragmentPart::Param(name) => self.param(name),
            };
        }
        self.push("\n)")
    }

    /// Writes a parameter of the spec: it is sent as text and cast to its declared type.
    pub(super) fn param(&mut self, name: &str) -> &mut Self {
        // An undeclared name was refused when the spec was read.
        let Some(param) = self.params.iter().find(|param| param.name == name) else {
            return self.push("null");
        };
        let place = match self.bound.iter().find(|(known, _)| *known == param.name) {
            Some((_, place)) => *place,
            None => {
                self.binds.push(Bind::text(&param.value));
                self.bound.push((&param.name, self.binds.len()));
                self.binds.len()
            }
        };
        let text = format!("cast(${place} as {})", param.type_name);
        self.push(&text)
    }

    pub(super) fn finish(self) -> Statement {
        Statement { text: self.text, binds: self.binds }
    }
}

/// Quotes an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a column's name.
pub(super) fn column(name: &ColumnName) -> String {
    quoted(&name.0)
}

/// Quotes a table's name, with its schema.
pub fn table(name: &TableName) -> String {
    format!("{}.{}", quoted(&name.schema.0), quoted(&name.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Placed;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
    }

    #[test]
    fn a_fragment_stands_between_brackets_and_binds_each_parameter_once() {
        let text = "a = any(:t) or b = any(:t) -- why".to_owned();
        let span = 0..text.len();
        let fragment = Fragment::read(&Placed { value: text, span }).unwrap();
        let params = [Param {
            name: "t".into(),
            type_name: "int8[]".into(),
            value: "{1,2}".into(),
            span: 0..0,
        }];
        let mut writer = Writer::new(&params);
        writer.push("select ").fragment(&fragment);
        let statement = writer.finish();
        assert_eq!(
            statement.text,
            "select (\na = any(cast($1 as int8[])) or b = any(cast($1 as int8[])) -- why\n)"
        );
        assert_eq!(statement.binds, [Bind::text("{1,2}")]);
    }
}
